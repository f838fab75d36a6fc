import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { allowAndSignIn } from '../support/browser.mjs';
import { weatherIn } from '../support/oauth.mjs';
import { MemoryOAuth, recorder } from '../support/sdk.mjs';
import { startStack } from '../support/stack.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
before(async () => {
  stack = await startStack();
});
after(() => stack?.stop());

const newClient = () => new Client({ name: 'typescript-sdk', version: '1.32.2' }, { capabilities: {} });

/** From nothing to a connected client; the refused first attempt is part of it. */
async function signIn({ person = 'ada', metadata } = {}) {
  const { callback, browser, url } = stack;
  const oauth = new MemoryOAuth(callback.url, metadata);
  const seen = recorder();
  const first = new StreamableHTTPClientTransport(new URL(url), { authProvider: oauth, fetch: seen.fetch });
  await assert.rejects(newClient().connect(first), UnauthorizedError);
  assert.equal(seen.log[0].status, 401, 'the first request comes without a token and is refused');

  const page = await browser.person();
  const pages = await allowAndSignIn(page, oauth.authorizationUrl.href, { person });
  await page.context().close();
  const answer = await callback.next();
  assert.equal(answer.state, oauth.expectedState);
  assert.equal(answer.iss, stack.gateway.url);
  await first.finishAuth(answer.code);

  const client = newClient();
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: oauth, fetch: seen.fetch });
  await client.connect(transport);
  return { client, transport, oauth, pages, log: seen.log };
}

test('TypeScript SDK 1.32.2: from the first 401 to the weather in Oslo', async () => {
  const { client, transport, oauth, pages } = await signIn();
  assert.deepEqual(pages, ['consent', 'provider'], 'consent comes before the identity provider');

  const { tools } = await client.listTools();
  assert.ok(tools.some((tool) => tool.name === 'get_weather'));
  assert.deepEqual(weatherIn(await client.callTool({ name: 'get_weather', arguments: { city: 'Oslo' } })), OSLO);
  assert.match(oauth.saved.access_token, /^vat_/);
  assert.match(oauth.saved.refresh_token, /^vrt_/);

  await transport.terminateSession();
  await client.close();
});

test('TypeScript SDK 1.32.2: a refused access token is refreshed without the person', async () => {
  const { client, oauth } = await signIn();
  await client.close();
  const before = oauth.saved;
  oauth.saved = { ...before, access_token: `${before.access_token.slice(0, -4)}AAAA` };

  const seen = recorder();
  const again = newClient();
  await again.connect(new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth, fetch: seen.fetch }));
  assert.deepEqual(weatherIn(await again.callTool({ name: 'get_weather', arguments: { city: 'Oslo' } })), OSLO);
  assert.ok(seen.log.some(({ path, status }) => path === '/token' && status === 200));
  assert.notEqual(oauth.saved.access_token, before.access_token);
  await again.close();
});

test('TypeScript SDK 1.32.2: a confidential client gets a secret and uses it', async () => {
  const { client, oauth } = await signIn({ metadata: { token_endpoint_auth_method: 'client_secret_basic' } });
  assert.ok(oauth.client.client_secret);
  assert.deepEqual(weatherIn(await client.callTool({ name: 'get_weather', arguments: { city: 'Oslo' } })), OSLO);
  await client.close();
});

test('what the provider is asked: its own client, a state and a challenge of the gateway, no resource', () => {
  const [asked] = stack.provider.to('authorization');
  assert.equal(asked.query.client_id, stack.provider.clientId);
  assert.equal(asked.query.redirect_uri, `${stack.gateway.url}/oauth-callback`);
  assert.equal(asked.query.resource, undefined);
  assert.equal(asked.query.code_challenge_method, 'S256');
  assert.ok(asked.query.nonce);
  const [redeemed] = stack.provider.to('token');
  assert.equal(redeemed.form.resource, undefined);
  assert.ok(redeemed.form.code_verifier.length >= 43);
});
