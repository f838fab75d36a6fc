// What an MCP server gets in place of the client's token, in each way that an operator can choose. The server is a real one
// (FastMCP) whose tool tells the headers of its own call; the client's tokens are never among them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowAndSignIn, signInAtProvider, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { startGateway } from '../support/gateway.mjs';
import { BareClient, MODERN, connect, post } from '../support/oauth.mjs';
import { judge, open } from '../support/pages.mjs';
import { PEOPLE } from '../support/people.mjs';
import * as other from '../support/oidc-provider.mjs';
import { PROVIDER, startProvider } from '../support/provider.mjs';
import { startReceived } from '../support/received.mjs';
import { Pile } from '../support/stack.mjs';
import { freePort } from '../support/wait.mjs';

const OWN = 'vestibule/.default';
// One that gives no tokens for other services.
const GIVES_NONE = PROVIDER === 'lemonldap' && 'it exchanges no tokens';
const pile = new Pile();
let provider;
let service;
let gateway;
let callback;
let browser;
let believing;

before(async () => {
  provider = await pile.add(startProvider({ moreScopes: [OWN] }));
  service = await pile.add(other.startProvider({ clientId: 'vestibule-at-tickets' }));
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser());
  const any = await pile.add(startReceived({ path: '/mcp' }));
  // The server that checks assertions must know the gateway, and the gateway the server: its address is chosen first.
  const later = await freePort();
  const server = (over) => ({ upstream: any.url, ...over });
  gateway = await pile.add(startGateway({
    provider,
    servers: {
      nothing: server({}),
      headers: server({ upstream_auth: 'headers' }),
      fixed: server({ upstream_auth: { bearer: { env: 'BACKEND' } } }),
      named: server({ upstream_auth: { header: 'X-Api-Key', value: { env: 'BACKEND' } } }),
      assertion: { upstream: `http://127.0.0.1:${later}/mcp`, upstream_auth: 'assertion' },
      theirs: server({ upstream_auth: 'provider-token' }),
      exchanged: server({ upstream_auth: { exchange: { audience: 'weather' } } }),
      behalf: server({ upstream_auth: { 'on-behalf-of': { scope: 'api://weather/.default' } } }),
      tickets: server({
        title: 'Tickets',
        upstream_auth: 'connection',
        connection: {
          issuer: service.issuer,
          client_id: service.clientId,
          client_secret: { env: 'TICKETS' },
          scopes: ['openid', 'profile', 'offline_access'],
        },
      }),
    },
    config: { idp: { scopes: ['openid', 'profile', 'email', 'offline_access', ...(GIVES_NONE ? [] : [OWN])] } },
    env: { BACKEND: 'backend-secret', TICKETS: service.clientSecret },
  }));
  await service.allowRedirect(`${gateway.url}/oauth-callback/connect/tickets`);
  believing = await pile.add(startReceived({ path: '/mcp', issuer: gateway.url, port: later }));
});
after(() => pile.stop());

/** A login of ada's for a server, and what the server received of a call by it, in both eras. */
async function received(name, { page } = {}) {
  const url = gateway.server(`/${name}/mcp`);
  const client = new BareClient(url, { redirectUri: callback.url });
  await client.discover();
  await client.register({ client_name: 'Desktop app' });
  const request = client.authorization({ scope: undefined });
  const own = page ?? (await browser.person());
  await allowAndSignIn(own, request.url, { redirectUri: callback.url });
  const { code } = await callback.next();
  const { json: tokens } = await client.redeem(code, request.verifier);
  assert.ok(tokens?.access_token, JSON.stringify(tokens));
  if (!page) await own.context().close();
  const call = async (version) => {
    const answer = await (await connect(url, { token: tokens.access_token, version })).call('tools/call', { name: 'received', arguments: {} });
    assert.equal(answer.status, 200, answer.text);
    const text = answer.json.result.content.find((part) => part.type === 'text').text;
    if (answer.json.result.isError) return { error: text };
    for (const secret of [tokens.access_token, tokens.refresh_token, 'vat_', 'vrt_']) {
      assert.ok(!text.includes(secret), `${name}: the client's token is among ${text}`);
    }
    return JSON.parse(text);
  };
  const told = await call('2025-11-25');
  if (!told.error) await call(MODERN);
  return { ...told, again: call, tokens, url };
}

const bearer = ({ headers }) => headers.authorization?.replace(/^Bearer /, '');

/** Whose an access token of a provider's is, by its own word. */
async function whose(at, token) {
  const answer = await fetch(`${at.origin}${at.paths.userinfo}`, { headers: { authorization: `Bearer ${token}` } });
  return answer.status === 200 ? (await answer.json()).sub : answer.status;
}

const ADA = PROVIDER === 'lemonldap' ? 'ada' : `pairwise-${PEOPLE.ada.oid}`;

test('nothing', async () => {
  const { headers } = await received('nothing');
  assert.equal(headers.authorization, undefined);
  assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('x-vestibule')), []);
});

test('identity headers', async () => {
  const { headers } = await received('headers');
  assert.equal(headers.authorization, undefined);
  assert.equal(headers['x-vestibule-name'], PEOPLE.ada.name);
  assert.equal(headers['x-vestibule-groups'], PEOPLE.ada.groups[0]);
  assert.match(headers['x-vestibule-user'], /^[\w-]{20,}$/);
  assert.match(headers['x-vestibule-flow'], /^\w{4}-\w{4}$/);
});

test('a fixed credential', async () => {
  assert.equal(bearer(await received('fixed')), 'backend-secret');
  const { headers } = await received('named');
  assert.deepEqual([headers.authorization, headers['x-api-key']], [undefined, 'backend-secret']);
});

test('a signed assertion, which a server in use believes as it comes', async () => {
  const told = await received('assertion');
  assert.equal(told.claims.name, PEOPLE.ada.name);
  assert.equal(told.claims.email, PEOPLE.ada.email);
  assert.equal(told.claims.idp_iss, provider.issuer);
  assert.equal(told.claims.aud, believing.url);
  // Nothing else is believed there, and it opens nothing here.
  const without = await post(believing.url, 'tools/list', {}, { token: told.tokens.access_token });
  assert.equal(without.status, 401);
  const here = await post(told.url, 'tools/list', {}, { token: bearer(told) });
  assert.equal(here.status, 401);
});

test("the person's token at the provider", async () => {
  const told = await received('theirs');
  assert.equal(await whose(provider, bearer(told)), ADA);
});

test('a token that was exchanged for the server', { skip: GIVES_NONE }, async () => {
  provider.forget();
  const told = await received('exchanged');
  assert.equal(await whose(provider, bearer(told)), ADA);
  const exchanges = provider.to('token').filter(({ form }) => form.grant_type.endsWith('token-exchange'));
  assert.equal(exchanges.length, 1, 'asked for once');
  assert.equal(exchanges[0].form.audience, 'weather');
  assert.notEqual(exchanges[0].form.subject_token, bearer(told));
});

test('a token on behalf of the person', { skip: GIVES_NONE }, async () => {
  provider.forget();
  const told = await received('behalf');
  assert.equal(await whose(provider, bearer(told)), ADA);
  const asked = provider.to('token').filter(({ form }) => form.requested_token_use === 'on_behalf_of');
  assert.deepEqual(asked.map(({ form }) => form.scope), ['api://weather/.default']);
});

test('what the provider wants of the person they confirm where the tool says', { skip: GIVES_NONE }, async () => {
  const page = await browser.person();
  Object.assign(provider.faults, { consent: 'api://weather/.default', claims: '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}' });
  const told = await received('behalf', { page });
  assert.match(told.error, new RegExp(`${gateway.url}/connections`));
  await open(page, `${gateway.url}/connections`);
  await page.getByRole('button', { name: 'Confirm: behalf' }).waitFor();
  await judge(page, 'connections-confirm');
  provider.forget();
  await page.getByRole('button', { name: 'Confirm: behalf' }).click();
  await page.getByRole('button', { name: 'Connect: Tickets' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Confirm: behalf' }).count(), 0);
  const [asked] = provider.to('authorization');
  assert.equal(asked.query.prompt, 'consent');
  assert.equal(asked.query.claims, provider.faults.claims);
  assert.equal(await whose(provider, bearer(await told.again('2025-11-25'))), ADA);
  await page.context().close();
});

test('an account that the person connected elsewhere', async () => {
  const page = await browser.person();
  const told = await received('tickets', { page });
  assert.match(told.error, new RegExp(`${gateway.url}/connections`));
  await open(page, `${gateway.url}/connections`);
  await page.getByRole('heading').first().waitFor();
  await judge(page, 'connections-none');
  await page.getByRole('button', { name: /Connect/ }).click();
  // At the service the person is somebody else.
  await signInAtProvider(page, 'bob', other);
  await page.getByText('Connected to').waitFor();
  await judge(page, 'connections');
  const connected = await told.again('2025-11-25');
  assert.equal(await whose(service, bearer(connected)), `pairwise-${PEOPLE.bob.oid}`);
  assert.equal(await whose(provider, bearer(connected)), 401);
  await page.getByRole('button', { name: /Disconnect/ }).click();
  await page.getByText('Not connected').waitFor();
  assert.match((await told.again('2025-11-25')).error, /connect it there/);
  await page.context().close();
});

test('what a server gets is written into no log', async () => {
  for (const secret of ['backend-secret', service.clientSecret, provider.clientSecret]) {
    assert.ok(!gateway.log.includes(secret), 'a secret is in the log');
  }
});
