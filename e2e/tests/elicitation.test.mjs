// A tool that needs an account which its person has not connected: clients that can show an address are asked to (URL mode
// elicitation), in each revision as it has it, and the person's own browser does the rest.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client as ClientNow, StreamableHTTPClientTransport as TransportNow } from '@modelcontextprotocol/client';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js';
import { allowAndSignIn, signInAtProvider, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { startGateway } from '../support/gateway.mjs';
import { MODERN, post } from '../support/oauth.mjs';
import { open } from '../support/pages.mjs';
import * as service from '../support/oidc-provider.mjs';
import { startProvider } from '../support/provider.mjs';
import { startReceived } from '../support/received.mjs';
import { MemoryOAuth } from '../support/sdk.mjs';
import { Pile } from '../support/stack.mjs';
import { until } from '../support/wait.mjs';

const pile = new Pile();
let provider;
let gateway;
let callback;
let browser;
let url;

before(async () => {
  provider = await pile.add(startProvider());
  const tickets = await pile.add(service.startProvider({ clientId: 'vestibule-at-tickets' }));
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser());
  const received = await pile.add(startReceived({ path: '/mcp' }));
  gateway = await pile.add(startGateway({
    provider,
    servers: {
      tickets: {
        upstream: received.url,
        title: 'Tickets',
        upstream_auth: 'connection',
        connection: {
          issuer: tickets.issuer, client_id: tickets.clientId, client_secret: { env: 'TICKETS' }, scopes: ['openid', 'profile', 'offline_access'],
        },
      },
    },
    env: { TICKETS: tickets.clientSecret },
  }));
  await tickets.allowRedirect(`${gateway.url}/oauth-callback/connect/tickets`);
  url = new URL(gateway.server('/tickets/mcp'));
});
after(() => pile.stop());

/** Signed in, with tokens that a client can go on with; and the browser of whoever did it. */
async function signedIn() {
  const oauth = new MemoryOAuth(callback.url);
  const first = new StreamableHTTPClientTransport(url, { authProvider: oauth });
  await assert.rejects(new Client({ name: 'x', version: '1' }).connect(first), UnauthorizedError);
  const page = await browser.person();
  await allowAndSignIn(page, oauth.open(), { redirectUri: callback.url });
  const { code } = await callback.next();
  await first.finishAuth(code);
  return { oauth, page };
}

/** What a person does who is sent to an address by their client. */
async function connectAccount(page, address) {
  assert.equal(address, `${gateway.url}/connections`);
  await open(page, address);
  await page.getByRole('button', { name: /Connect/ }).click();
  await signInAtProvider(page, 'bob', service);
  await page.getByText('Connected to').waitFor();
}

async function disconnect(page) {
  await open(page, `${gateway.url}/connections`);
  await page.getByRole('button', { name: /Disconnect/ }).click();
  await page.getByText('Not connected').waitFor();
}

const told = (result) => result.content.find(({ type }) => type === 'text').text;
const CALL = { name: 'received', arguments: {} };

test('P5 MOD-8 2025-11-25, TypeScript SDK 1.32.2: the error that asks to open an address, and the call again', async () => {
  const { oauth, page } = await signedIn();
  const client = new Client({ name: 'x', version: '1' }, { capabilities: { elicitation: { url: {} } } });
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider: oauth }));
  const error = await client.callTool(CALL).then(() => assert.fail('it was answered'), (refused) => refused);
  assert.ok(error instanceof UrlElicitationRequiredError, String(error));
  assert.equal(error.code, -32042);
  assert.equal(error.elicitations.length, 1);
  const [asked] = error.elicitations;
  assert.equal(asked.mode, 'url');
  assert.match(asked.elicitationId, /^[\w-]{22}$/);
  assert.match(asked.message, /account of yours/);
  await connectAccount(page, asked.url);
  assert.match(told(await client.callTool(CALL)), /"authorization"/);
  await client.close();

  // A client that did not say that it can is told in the tool's words, in the same minute.
  await disconnect(page);
  const plain = new Client({ name: 'x', version: '1' }, { capabilities: { elicitation: { form: {} } } });
  await plain.connect(new StreamableHTTPClientTransport(url, { authProvider: oauth }));
  const result = await plain.callTool(CALL);
  assert.equal(result.isError, true);
  assert.match(told(result), /connect it there/);
  await plain.close();
  await page.context().close();
});

test('P5 MOD-8 2026-07-28, TypeScript client 2.4.0: asked within the call, waited for, and answered', async () => {
  const { oauth, page } = await signedIn();
  const asked = [];
  let person = async () => 'decline';
  const client = new ClientNow({ name: 'x', version: '1' }, { capabilities: { elicitation: { url: {} } }, versionNegotiation: { mode: { pin: MODERN } } });
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    asked.push(params);
    return { action: await person(params) };
  });
  await client.connect(new TransportNow(url, { authProvider: oauth }));
  // Whoever does not want to is not asked again for this call.
  const declined = await client.callTool(CALL);
  assert.equal(declined.isError, true);
  assert.match(told(declined), /connect it there/);
  assert.equal(asked.length, 1);
  assert.equal(asked[0].mode, 'url');
  // The client answers as soon as the address is open; what the person does there takes longer.
  let going;
  person = async ({ url: address }) => {
    going = connectAccount(page, address);
    return 'accept';
  };
  assert.match(told(await client.callTool(CALL)), /"authorization"/);
  assert.equal(asked.length, 2);
  await going;
  assert.match(told(await client.callTool(CALL)), /"authorization"/);
  assert.equal(asked.length, 2, 'nobody is asked any more');
  await client.close();

  await disconnect(page);
  const plain = new ClientNow({ name: 'x', version: '1' }, { capabilities: {}, versionNegotiation: { mode: { pin: MODERN } } });
  await plain.connect(new TransportNow(url, { authProvider: oauth }));
  assert.match(told(await plain.callTool(CALL)), /connect it there/);
  await plain.close();
  await page.context().close();
});

test('P5 PX-10 a call that waits for its person is asked again by a gateway that ends', async () => {
  const { oauth, page } = await signedIn();
  const waited = () => gateway.log.match(/server\.credential_failed/g)?.length ?? 0;
  const before = waited();
  const going = post(url, 'tools/call', {
    ...CALL,
    inputResponses: { 'vestibule.account': { action: 'accept' } },
    _meta: { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } } },
  }, { token: oauth.saved.access_token, version: MODERN });
  await until(() => waited() > before, 'the call to be held');
  await gateway.restart();
  const { json } = await going;
  assert.equal(json.result.resultType, 'input_required');
  assert.equal(json.result.inputRequests['vestibule.account'].params.url, `${gateway.url}/connections`);
  await page.context().close();
});
