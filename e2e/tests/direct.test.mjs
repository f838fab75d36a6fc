// A server whose tokens the identity provider issues (`mode = "direct"`): an MCP client registers and signs in there, and the
// gateway, which is no authorization server of that client's, judges the token. The server (FastMCP) tells what it received.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { signInAtProvider, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { startGateway } from '../support/gateway.mjs';
import { challengeOf, post } from '../support/oauth.mjs';
import { startProvider } from '../support/oidc-provider.mjs';
import { PEOPLE } from '../support/people.mjs';
import { startReceived } from '../support/received.mjs';
import { MemoryOAuth } from '../support/sdk.mjs';
import { Pile } from '../support/stack.mjs';

const pile = new Pile();
const issues = {};
let provider;
let gateway;
let callback;
let browser;

before(async () => {
  provider = await pile.add(startProvider({ issues, moreScopes: ['tools:use'] }));
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser());
  const received = await pile.add(startReceived({ path: '/mcp' }));
  const server = (over) => ({
    upstream: received.url, mode: 'direct', upstream_auth: 'headers', scopes: { 'tools:use': 'Use the tools' }, ...over,
  });
  gateway = await pile.add(startGateway({
    provider,
    servers: {
      told: server({}),
      others: server({}),
      ruled: server({ deny: [`group:${PEOPLE.ada.groups[0]}`] }),
    },
  }));
  for (const name of ['told', 'others', 'ruled']) issues[gateway.server(`/${name}/mcp`)] = 'tools:use';
});
after(() => pile.stop());

/** A login of an SDK's client at the provider, from the first 401. */
async function signIn(name, person) {
  const url = new URL(gateway.server(`/${name}/mcp`));
  const oauth = new MemoryOAuth(callback.url, { grant_types: ['authorization_code'] });
  const first = new StreamableHTTPClientTransport(url, { authProvider: oauth });
  const newClient = () => new Client({ name: 'typescript-sdk', version: '1.32.2' }, { capabilities: {} });
  await assert.rejects(newClient().connect(first), UnauthorizedError);
  assert.equal(oauth.authorizationUrl.origin, provider.origin, 'the provider is its authorization server');
  const page = await browser.person();
  await page.goto(oauth.authorizationUrl.href);
  await signInAtProvider(page, person);
  const { code } = await callback.next();
  await page.context().close();
  await first.finishAuth(code);
  const client = newClient();
  return { client, oauth, connect: () => client.connect(new StreamableHTTPClientTransport(url, { authProvider: oauth })) };
}

test('TypeScript SDK 1.32.2: signs in at the provider, and the server hears who it is', async () => {
  const { client, oauth, connect } = await signIn('told', 'ada');
  await connect();
  const { content } = await client.callTool({ name: 'received', arguments: {} });
  const { headers } = JSON.parse(content.find((part) => part.type === 'text').text);
  assert.equal(headers['x-vestibule-name'], PEOPLE.ada.name);
  assert.equal(headers['x-vestibule-groups'], PEOPLE.ada.groups[0]);
  assert.ok(!JSON.stringify(headers).includes(oauth.saved.access_token), "the client's token stays at the gateway");
  await client.close();
  // For this server alone.
  const elsewhere = await post(gateway.server('/others/mcp'), 'tools/list', {}, { token: oauth.saved.access_token });
  assert.equal(elsewhere.status, 401);
  assert.equal(challengeOf(elsewhere).error, 'invalid_token');
});

test('whom a rule denies the server gets no further, with a good token', async () => {
  const { oauth } = await signIn('ruled', 'ada');
  const url = gateway.server('/ruled/mcp');
  const refused = await post(url, 'tools/list', {}, { token: oauth.saved.access_token });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /V-SRV-017/);
  const { client, connect } = await signIn('ruled', 'bob');
  await connect();
  assert.ok((await client.listTools()).tools.length > 0);
  await client.close();
});

test('tokens under keys that the provider took back are good no more', async () => {
  const { oauth } = await signIn('told', 'ada');
  const url = gateway.server('/told/mcp');
  const status = async (token) => (await post(url, 'initialize', {
    protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' },
  }, { token })).status;
  assert.equal(await status(oauth.saved.access_token), 200);
  provider.rotateKeys();
  const { oauth: anew } = await signIn('told', 'ada');
  assert.equal(await status(anew.saved.access_token), 200);
  assert.equal(await status(oauth.saved.access_token), 401);
});
