'use strict';
// MetaApi's host names on loopback: connects each name to its port on 127.0.0.1, and refuses any other name.

const net = require('node:net');

exports.serveFromLoopback = (ports) => {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const options = Array.isArray(args[0]) ? args[0][0] : args[0];
    if (typeof options !== 'object' || !(options.host in ports))
      throw new Error(`not a name of MetaApi: ${options.host ?? options}`);
    options.port = ports[options.host];
    options.host = '127.0.0.1';
    return connect.apply(this, args);
  };
};
