"use strict";
// A real Socket.IO server, controlled by a test. Usage: node server.js <2|4> <options as JSON>
// Reads orders from stdin and writes reports to stdout, one JSON object per line.

const http = require("node:http");
const readline = require("node:readline");

const version = process.argv[2];
const { refuse, ...times } = JSON.parse(process.argv[3]);

const report = (what, more = {}) =>
  process.stdout.write(JSON.stringify({ what, ...more }) + "\n");

const web = http.createServer();
const options = { path: "/ws", ...times };
const io =
  version === "2"
    ? require("socket.io-2")(web, options)
    : new (require("socket.io-4").Server)(web, { ...options, allowEIO3: true });

web.prependListener("upgrade", ({ url, headers }) => report("upgrade", { url, headers }));
web.prependListener("request", ({ url }) => report("poll", { url }));

io.engine.on("connection", (engine) => {
  report("engine", { protocol: engine.protocol ?? null });
  engine.on("packet", ({ type }) => {
    if (type === "ping") report("ping");
  });
  engine.on("close", (reason) => report("engine closed", { reason }));
});

if (refuse) io.use((_socket, next) => next(new Error(refuse)));

let last;
io.on("connection", (socket) => {
  last = socket;
  report("connection", { query: socket.handshake.query });
  socket.on("request", (...args) =>
    report("request", { args, kinds: args.map((arg) => typeof arg) }),
  );
  socket.on("disconnect", (reason) => report("disconnect", { reason }));
});

const orders = {
  emit: ({ event, args }) => last.emit(event, ...args),
  large: ({ event, size }) => last.emit(event, { type: "large", text: "x".repeat(size) }),
  leave: () => last.disconnect(),
  drop: () => last.disconnect(true),
  // Sends an error packet on a connected namespace; the method's name depends on the version
  error: ({ message }) =>
    version === "2" ? last.error(message) : last._error(message),
  close: () => io.close(),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { order, ...more } = JSON.parse(line);
  orders[order](more);
});

web.listen(0, "127.0.0.1", () => report("listening", { port: web.address().port }));
