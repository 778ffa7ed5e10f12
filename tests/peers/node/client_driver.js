// Controls socket.io-client 2.4: options as JSON in the first argument, reports as lines of JSON on stdout,
// requests to emit as lines of JSON on stdin. It ends when stdin ends.
'use strict';

const readline = require('readline');
const ioClient = require('socket.io-client-2');

const { url, options } = JSON.parse(process.argv[2]);
const report = (event, data) => process.stdout.write(JSON.stringify({ event, data }) + '\n');

const socket = ioClient(url, { path: '/ws', reconnection: false, ...options });

for (const name of ['connect', 'disconnect', 'error', 'response', 'synchronization', 'processingError'])
  socket.on(name, (data) => report(name, data ?? null));
for (const name of ['connect_error', 'connect_timeout'])
  socket.on(name, (error) => report(name, error.description?.message ?? error.description ?? error.message));
socket.on('pong', (latency) => report('pong', latency));
socket.io.engine.on('upgrade', (transport) => report('upgrade', transport.name));

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => socket.emit('request', JSON.parse(line)))
  .on('close', () => process.exit(0));
