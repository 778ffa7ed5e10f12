import ioClient from 'socket.io-client';

const socket = ioClient('https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai', {
    path: '/ws',
    reconnection: false,
    query: {
        'auth-token': 'token'
    }
});

const request = {
    accountId: '865d3a4d-3803-486d-bdf3-a85679d9fad2',
    type: 'reconnect',
    requestId: '9eb3a9fc-4cb4-4c1a-b7fb-1140a8ed29c9'
};

socket.on('connect', () => {
    socket.emit('request', request);
});

socket.on('response', response => {
  console.log(response);
});

socket.on('synchronization', data => {
  console.log(data);
});

socket.on('processingError', err => {
  console.error(err);
});
