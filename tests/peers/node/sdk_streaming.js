'use strict';
// Runs MetaApi's SDK 29.3.3 by its public API, for all accounts of its token.
// Options are JSON in the first argument: the token, the ports of MetaApi's host names, the states of accounts.
// Reports are lines of JSON on stdout, each with the monotonic time. It ends when stdin ends.
// It does not wait for accounts if they may be undeployed.

const readline = require('node:readline');
const { serveFromLoopback } = require('./named_hosts.js');

const { token, ports, states } = JSON.parse(process.argv[2]);
serveFromLoopback(ports);

const { default: MetaApi, SynchronizationListener } = require('metaapi.cloud-sdk');

// How often to read the state that the SDK shows, in milliseconds.
const SAMPLE = 20;

const report = (event, data) => {
  const time = Number(process.hrtime.bigint()) / 1e9;
  process.stdout.write(JSON.stringify({ event, time, ...data }) + '\n');
};

class Listener extends SynchronizationListener {
  constructor(account) {
    super();
    this.account = account;
  }
  reportEvent(event, instance, data) {
    report(event, { account: this.account, instance, ...data });
  }
  async onConnected(instance, replicas) {
    this.reportEvent('connected', instance, { replicas });
  }
  async onDisconnected(instance) {
    this.reportEvent('disconnected', instance);
  }
  async onBrokerConnectionStatusChanged(instance, connected) {
    this.reportEvent('broker', instance, { connected });
  }
  async onHealthStatus(instance, status) {
    this.reportEvent('health', instance, { status });
  }
}

const shown = (connection) => ({
  account: connection.account.id,
  connected: connection.terminalState.connected,
  broker: connection.terminalState.connectedToBroker,
});

const wait = states.join() === 'DEPLOYED';

const follow = async (account) => {
  if (wait) await account.waitConnected();
  const connection = account.getStreamingConnection();
  connection.addSynchronizationListener(new Listener(account.id));
  await connection.connect();
  if (!wait) return connection;
  await connection.waitSynchronized({ timeoutInSeconds: 60 });
  const { balance } = connection.terminalState.accountInformation;
  report('synchronized', { ...shown(connection), balance });
  return connection;
};

const main = async () => {
  const api = new MetaApi(token, { application: 'Peer' });
  const accounts = await api.metatraderAccountApi.getAccountsWithInfiniteScrollPagination({
    state: states,
    sortOrder: 'asc',
  });
  report('accounts', {
    accounts: accounts.map(({ id, name, connectionStatus }) => ({ id, name, status: connectionStatus })),
  });
  const connections = await Promise.all(accounts.map(follow));
  report('ready');
  const last = new Map();
  setInterval(() => {
    for (const connection of connections) {
      const now = JSON.stringify(shown(connection));
      if (last.get(connection) !== now) report('shows', JSON.parse(now));
      last.set(connection, now);
    }
  }, SAMPLE);
  readline
    .createInterface({ input: process.stdin })
    .on('line', () => connections.forEach((connection) => report('state', shown(connection))))
    .on('close', () => process.exit(0));
};

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
