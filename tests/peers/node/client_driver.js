// Drives socket.io-client 2.4: options as JSON in the first argument, what happens as lines of JSON on stdout,
// what to emit as lines of JSON on stdin. The end of stdin ends it.
'use strict';

const readline = require('readline');
const ioClient = require('socket.io-client-2');

const { url, options } = JSON.parse(process.argv[2]);
const say = (event, data) => process.stdout.write(JSON.stringify({ event, data }) + '\n');

const socket = ioClient(url, { path: '/ws', reconnection: false, ...options });

for (const name of ['connect', 'disconnect', 'error', 'response', 'synchronization', 'processingError'])
  socket.on(name, (data) => say(name, data ?? null));
for (const name of ['connect_error', 'connect_timeout'])
  socket.on(name, (error) => say(name, error.description?.message ?? error.description ?? error.message));
socket.on('pong', (latency) => say('pong', latency));
socket.io.engine.on('upgrade', (transport) => say('upgrade', transport.name));

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => socket.emit('request', JSON.parse(line)))
  .on('close', () => process.exit(0));
