/**
 * Real clients in the middle of their work: their token ends, a tool needs more than they have, and
 * somebody takes the login back. Each in the eras that it speaks.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as newer from '@modelcontextprotocol/client';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { allowAndSignIn } from '../support/browser.mjs';
import { packaged } from '../support/conformance.mjs';
import { BareClient, MODERN, post, weatherIn } from '../support/oauth.mjs';
import { startOpener } from '../support/opener.mjs';
import { Child } from '../support/process.mjs';
import { e2e, python } from '../support/python.mjs';
import { MemoryOAuth } from '../support/sdk.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { Hopeless, freePort, until, within } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

const pile = new Pile();
let stack;
let opener;

/** The person's half, and what came back to the client. */
async function approve(url) {
  const page = await stack.browser.person();
  const redirect = await allowAndSignIn(page, url);
  assert.ok(redirect.includes('consent'));
  await page.context().close();
}

/** A client in this process: a call that needs a person ends in an error, and is made again afterwards. */
function inProcess({ connect, redeem, needsPerson }) {
  return async () => {
    const oauth = new MemoryOAuth(stack.callback.url);
    let person = 0;
    let client;
    async function asked(action) {
      for (;;) {
        try {
          return await action();
        } catch (error) {
          if (!needsPerson(error)) throw error;
          assert.ok((person += 1) < 5, 'it asks again and again');
          await approve(oauth.open());
          await redeem(oauth, await stack.callback.next());
        }
      }
    }
    client = await asked(() => connect(oauth));
    return {
      call: (name, args) => asked(async () => weatherIn(await client.callTool({ name, arguments: args }))),
      tokens: () => ({
        access: oauth.saved.access_token,
        refresh: oauth.saved.refresh_token,
        scope: oauth.saved.scope,
        client: oauth.client.client_id,
      }),
      asked: () => person,
      stop: () => client.close(),
    };
  };
}

const typescript1 = inProcess({
  needsPerson: (error) => error instanceof UnauthorizedError,
  async connect(oauth) {
    const client = new Client({ name: 'typescript-sdk', version: '1.32.2' }, { capabilities: {} });
    await client.connect(new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth }));
    return client;
  },
  redeem: (oauth, { code }) => new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth }).finishAuth(code),
});

const typescript2 = (mode) => inProcess({
  needsPerson: (error) => error instanceof newer.UnauthorizedError,
  async connect(oauth) {
    const client = new newer.Client({ name: 'typescript-client', version: '2.4.0' }, { capabilities: {}, versionNegotiation: { mode } });
    await client.connect(new newer.StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth }));
    return client;
  },
  redeem: (oauth, answer) =>
    new newer.StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth }).finishAuth(new URLSearchParams(answer)),
});

/** A client in a process of its own, which says where the browser must go, or opens it. */
const scripted = (requirements, kind, mode = '') => async () => {
  const child = new Child(
    python(requirements),
    [join(e2e, 'python/drive.py'), kind, stack.url, stack.callback.url, mode],
    { stdin: 'pipe', env: kind === 'fastmcp' ? opener.env : {} },
  );
  const say = (line) => child.process.stdin.write(`${JSON.stringify(line)}\n`);
  const lines = () => child.stdout.split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  let seen = 0;
  let person = 0;
  let opened = await opener.count();
  let tokens;
  /** The next line that is no request for a person; those are answered. */
  async function next() {
    for (;;) {
      const line = await until(async () => {
        if (lines().length > seen) return lines()[seen++];
        if (kind === 'fastmcp' && await opener.count() > opened) return { authorize: await opener.opened(child, opened++) };
        if (!child.alive) throw new Hopeless(`the script ended:\n${child.output}`);
        return undefined;
      }, () => `a line of the script:\n${child.output}`, 60_000);
      if (!line.authorize) return line;
      assert.ok((person += 1) < 5, 'it asks again and again');
      await approve(line.authorize);
      if (kind !== 'fastmcp') say({ answer: await stack.callback.next() });
    }
  }
  try {
    await next();
  } catch (error) {
    await child.kill();
    throw error;
  }
  return {
    async call(name, args) {
      say({ call: name, arguments: args });
      const line = await next();
      if (line.error) throw new Error(line.error);
      tokens = line.tokens;
      return line.result;
    },
    tokens: () => tokens,
    asked: () => person,
    async stop() {
      say({ end: true });
      child.process.stdin.end();
      await within(child.exited, 'the script to end', 20_000).catch(() => child.kill());
    },
  };
};

/** A program between a host's standard streams and the gateway, which says where the browser must go. */
const remote = async () => {
  const home = await mkdtemp(join(tmpdir(), 'vestibule-mcp-remote-'));
  const child = packaged(
    'mcp-remote/dist/proxy.js',
    [stack.url, String(await freePort()), '--allow-http'],
    { env: { ...opener.env, MCP_REMOTE_CONFIG_DIR: home }, stdin: 'pipe' },
  );
  const say = (message) => child.process.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const answers = () => child.stdout.split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const addresses = () => child.output.match(/^https?:\/\/\S+[?&]code_challenge=\S+/gm) ?? [];
  let person = 0;
  let last = 0;
  async function request(method, params) {
    const id = (last += 1);
    say({ id, method, params });
    for (;;) {
      const step = await until(async () => {
        const answer = answers().find((each) => each.id === id);
        if (answer) return { answer };
        if (addresses().length > person) return { authorize: addresses()[person] };
        if (!child.alive) throw new Hopeless(`mcp-remote ended:\n${child.output}`);
        return undefined;
      }, () => `an answer to ${method}:\n${child.output}`, 60_000);
      if (step.answer?.error) throw new Error(`${step.answer.error.message}\n${child.output}`);
      if (step.answer) return step.answer.result;
      assert.ok((person += 1) < 5, 'it asks again and again');
      await approve(step.authorize);
    }
  }
  let saved;
  async function stop() {
    await child.kill();
    await rm(home, { recursive: true, force: true });
  }
  try {
    const clientInfo = { name: 'host', version: '1' };
    await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    say({ method: 'notifications/initialized' });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async call(name, args) {
      const result = weatherIn(await request('tools/call', { name, arguments: args }));
      const files = (await readdir(home, { recursive: true })).map((file) => join(home, file));
      const kept = async (end) => JSON.parse(await readFile(files.find((file) => file.endsWith(end)), 'utf8'));
      const tokens = await kept('_tokens.json');
      const client = await kept('_client_info.json');
      saved = { access: tokens.access_token, refresh: tokens.refresh_token, scope: tokens.scope, client: client.client_id };
      return result;
    },
    tokens: () => saved,
    asked: () => person,
    stop,
  };
};

/** It refreshes where it should ask a person for more, and gives up after that. */
const CANNOT_STEP_UP = 'TypeScript SDK 1.32.2';

const CLIENTS = [
  [CANNOT_STEP_UP, typescript1],
  ['TypeScript client 2.4.0 of the earlier era', typescript2('legacy')],
  ['TypeScript client 2.4.0 at 2026-07-28', typescript2({ pin: MODERN })],
  ['Python SDK 1.30.0', scripted('python/requirements-mcp-1.txt', 'sdk_1')],
  ['Python SDK 2.3.0 of the earlier era', scripted('python/requirements-mcp-2.txt', 'sdk_2', 'legacy')],
  ['Python SDK 2.3.0 at 2026-07-28', scripted('python/requirements-mcp-2.txt', 'sdk_2', 'auto')],
  ['FastMCP client 4.1.2', scripted('python/requirements-fastmcp.txt', 'fastmcp')],
  ['mcp-remote 0.15.1', remote],
];

const clients = new Map();

before(async () => {
  opener = await pile.add(startOpener());
  stack = await pile.add(startStack({ config: { tokens: { access_ttl: '1s' } } }));
  for (const [title, start] of CLIENTS) {
    const client = await pile.add(start());
    assert.deepEqual(await client.call('get_weather', { city: 'Oslo' }), OSLO, title);
    assert.equal(client.asked(), 1, title);
    clients.set(title, client);
  }
});
after(() => pile.stop());

/** Whether the gateway takes this token, asked without a client between. */
const lives = async (token) => (await post(stack.url, 'tools/list', {}, { token, version: MODERN })).status === 200;

test('refresh: each client goes on by itself when its token has ended', async () => {
  const before = new Map([...clients].map(([title, client]) => [title, client.tokens()]));
  // Half a minute beyond its life, for clocks that differ.
  await until(async () => {
    const alive = await Promise.all([...before.values()].map(({ access }) => lives(access)));
    return !alive.includes(true);
  }, 'the tokens to end', 60_000);
  for (const [title, client] of clients) {
    assert.deepEqual(await client.call('get_weather', { city: 'Oslo' }), OSLO, title);
    assert.equal(client.asked(), 1, `${title}: nobody was asked`);
    assert.notEqual(client.tokens().access, before.get(title).access, title);
    assert.notEqual(client.tokens().refresh, before.get(title).refresh, title);
  }
});

test('step-up: a tool that needs more is allowed by the person, and nothing is lost', async () => {
  for (const [title, client] of clients) {
    if (title === CANNOT_STEP_UP) {
      await assert.rejects(client.call('set_alert', { city: 'Oslo', threshold: 30 }), /403 after trying upscoping/);
      assert.deepEqual(await client.call('get_weather', { city: 'Oslo' }), OSLO, 'what it has stays');
      continue;
    }
    const set = await client.call('set_alert', { city: 'Oslo', threshold: 30 });
    assert.equal(set.city, 'Oslo', title);
    assert.equal(client.asked(), 2, `${title}: asked once more`);
    const scopes = client.tokens().scope.split(' ');
    assert.ok(scopes.includes('weather:read') && scopes.includes('weather:write'), `${title}: ${scopes}`);
    assert.deepEqual(await client.call('get_weather', { city: 'Oslo' }), OSLO, title);
  }
});

test('revocation in mid-use: the next call asks the person again, and then goes on', async () => {
  for (const [title, client] of clients) {
    const { access, refresh, client: clientId } = client.tokens();
    // Behind the client's back, as another process of it would at a sign-out.
    const other = await new BareClient(stack.url, { clientId }).discover();
    assert.equal((await other.revoke(refresh)).status, 200, title);
    assert.equal(await lives(access), false, `${title}: at once`);
    const asked = client.asked();
    assert.deepEqual(await client.call('get_weather', { city: 'Oslo' }), OSLO, title);
    assert.equal(client.asked(), asked + 1, `${title}: asked anew`);
  }
});
