'use strict';
// Drives MetaApi's SDK 29.3.3 by its public API alone, on every account that its token shows.
// Options are JSON in the first argument: the token, the ports of MetaApi's names, the states of accounts. What
// happens goes out as lines of JSON, each with the clock that all processes share. The end of stdin ends it.
// Accounts that may not be deployed are not waited for.

const readline = require('node:readline');
const { serveFromLoopback } = require('./named_hosts.js');

const { token, ports, states } = JSON.parse(process.argv[2]);
serveFromLoopback(ports);

const { default: MetaApi, SynchronizationListener } = require('metaapi.cloud-sdk');

// How often it is looked at what the SDK shows, in milliseconds.
const SAMPLE = 20;

const say = (event, data) => {
  const time = Number(process.hrtime.bigint()) / 1e9;
  process.stdout.write(JSON.stringify({ event, time, ...data }) + '\n');
};

class Listener extends SynchronizationListener {
  constructor(account) {
    super();
    this.account = account;
  }
  report(event, instance, data) {
    say(event, { account: this.account, instance, ...data });
  }
  async onConnected(instance, replicas) {
    this.report('connected', instance, { replicas });
  }
  async onDisconnected(instance) {
    this.report('disconnected', instance);
  }
  async onBrokerConnectionStatusChanged(instance, connected) {
    this.report('broker', instance, { connected });
  }
  async onHealthStatus(instance, status) {
    this.report('health', instance, { status });
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
  say('synchronized', { ...shown(connection), balance });
  return connection;
};

const main = async () => {
  const api = new MetaApi(token, { application: 'Peer' });
  const accounts = await api.metatraderAccountApi.getAccountsWithInfiniteScrollPagination({
    state: states,
    sortOrder: 'asc',
  });
  say('accounts', {
    accounts: accounts.map(({ id, name, connectionStatus }) => ({ id, name, status: connectionStatus })),
  });
  const connections = await Promise.all(accounts.map(follow));
  say('ready');
  const last = new Map();
  setInterval(() => {
    for (const connection of connections) {
      const now = JSON.stringify(shown(connection));
      if (last.get(connection) !== now) say('shows', JSON.parse(now));
      last.set(connection, now);
    }
  }, SAMPLE);
  readline
    .createInterface({ input: process.stdin })
    .on('line', () => connections.forEach((connection) => say('state', shown(connection))))
    .on('close', () => process.exit(0));
};

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
