import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './process.mjs';
import { e2e } from './python.mjs';
import { startTls } from './tls.mjs';
import { Hopeless, freePort, until } from './wait.mjs';

export function binary() {
  const path = process.env.VESTIBULE_BIN;
  if (!path) throw new Error('VESTIBULE_BIN must name the built program');
  return path;
}

/** The scopes of the weather server, as an operator would write them. */
export const WEATHER_SCOPES = {
  'weather:read': 'Look up cities and their weather',
  'weather:write': 'Change alerts',
};

export function weatherServer(upstream, over = {}) {
  return {
    path: '/weather/mcp',
    upstream,
    title: 'Weather',
    scopes: WEATHER_SCOPES,
    default_scopes: ['weather:read'],
    tools: { 'set_*': 'weather:write' },
    ...over,
  };
}

/**
 * Runs the program on a folder of its own.
 *
 * `servers` and `clients` are the tables of the same name; `config` is laid over the whole configuration;
 * with `tls` the public address is https, on a terminating proxy in front; with `clock` its time of day can be set
 * (libfaketime), while what it measures by the steady clock goes on as always.
 */
export async function startGateway({ provider, servers, clients = {}, config = {}, tls = false, clock = false, env = {} }) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-e2e-'));
  const port = await freePort();
  const adminPort = await freePort();
  const front = tls ? await startTls({ target: port }) : undefined;
  const url = front?.url ?? `http://127.0.0.1:${port}`;
  const admin = `http://127.0.0.1:${adminPort}`;
  const file = join(dir, 'vestibule.toml');
  const ahead = join(dir, 'clock');
  const clockEnv = { LD_PRELOAD: process.env.E2E_CLOCK, FAKETIME_TIMESTAMP_FILE: ahead, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1' };

  await provider.allowRedirect(`${url}/oauth-callback`);
  await writeFile(join(dir, 'secret'), provider.clientSecret, { mode: 0o600 });
  await writeFile(file, toml(merge({
    public_url: url,
    listen: `127.0.0.1:${port}`,
    ...(tls && { tls: 'behind-proxy', trusted_proxies: ['127.0.0.0/8'] }),
    admin: { listen: `127.0.0.1:${adminPort}` },
    store: { url: `sqlite:${join(dir, 'vestibule.db')}` },
    keys: { dir: join(dir, 'keys') },
    idp: {
      issuer: provider.issuer,
      client_id: provider.clientId,
      client_secret: { file: join(dir, 'secret') },
      scopes: ['openid', 'profile', 'email', 'offline_access'],
    },
    servers,
    clients,
  }, config)));

  /** Written beside it first: the program reads it at every look at the clock. */
  async function setClock(minutes) {
    await writeFile(`${ahead}.new`, `+${minutes}m\n`);
    await rename(`${ahead}.new`, ahead);
  }
  await setClock(0);

  let child;
  let earlier = '';

  async function start() {
    child = new Child(binary(), ['serve', '-c', file], { cwd: dir, env: clock ? { ...clockEnv, ...env } : env });
    await until(
      async () => {
        if (!child.alive) throw new Hopeless(`the gateway ended at its start:\n${child.output}`);
        const answer = await fetch(`${admin}/readyz`);
        await answer.body?.cancel();
        return answer.status === 200;
      },
      () => `the gateway to be ready:\n${child.output}`,
      30_000,
    );
  }

  async function end(how) {
    const result = await child[how]();
    earlier += child.output;
    return result;
  }

  const gateway = {
    url,
    admin,
    dir,
    file,
    port,
    server: (path) => `${url}${path}`,
    ca: front?.ca,
    front,
    get log() {
      return earlier + child.output;
    },
    /** Sets its clock ahead of the right time; needs `clock`. */
    ahead: setClock,
    /** Changes its configuration, which it reads at its next start. */
    async rewrite(change) {
      await writeFile(file, change(await readFile(file, 'utf8')));
    },
    /** Ends it as an operator would, and starts it on the same folder and port. */
    async restart() {
      await end('stop');
      await start();
    },
    /** As a power cut, followed by a start on the same folder and port. */
    async crash() {
      await end('kill');
      await start();
    },
    kill: () => end('kill'),
    start,
    async stop() {
      try {
        const { code, signal } = child.ended ?? await child.stop();
        if (code !== 0 && signal !== 'SIGKILL') {
          throw new Error(`the gateway ended with code ${code}, signal ${signal}:\n${child.output}`);
        }
      } finally {
        const artifacts = join(e2e, 'artifacts');
        await mkdir(artifacts, { recursive: true });
        await writeFile(join(artifacts, `gateway-${process.pid}-${port}.log`), gateway.log);
        await front?.stop();
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
  try {
    await start();
  } catch (error) {
    await child.kill();
    await front?.stop();
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  return gateway;
}

function merge(base, over) {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    result[key] = isTable(value) && isTable(base[key]) ? merge(base[key], value) : value;
  }
  return result;
}

const isTable = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const key = (name) => (/^[\w-]+$/.test(name) ? name : JSON.stringify(name));

function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (isTable(value)) {
    return `{ ${Object.entries(value).map(([name, item]) => `${key(name)} = ${inline(item)}`).join(', ')} }`;
  }
  return JSON.stringify(value);
}

// Tables whose members are tables with names that the operator chose.
const NAMED = new Set(['servers', 'clients']);

export function toml(config) {
  const top = [];
  const sections = [];
  const section = (path, table) => {
    const lines = Object.entries(table).filter(([, value]) => value !== undefined);
    sections.push(`[${path}]`, ...lines.map(([name, value]) => `${key(name)} = ${inline(value)}`), '');
  };
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined) continue;
    if (!isTable(value)) top.push(`${key(name)} = ${inline(value)}`);
    else if (NAMED.has(name)) for (const [member, table] of Object.entries(value)) section(`${name}.${key(member)}`, table);
    else section(key(name), value);
  }
  return [...top, '', ...sections].join('\n');
}
