import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { startGateway, weatherServer } from '../support/gateway.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import { startProvider } from '../support/provider.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { until } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
let client;
before(async () => {
  stack = await startStack();
  client = await newClient(stack.url);
});
after(() => stack?.stop());
afterEach(() => {
  for (const name of Object.keys(stack.provider.faults)) delete stack.provider.faults[name];
});

async function newClient(url) {
  const made = new BareClient(url, { redirectUri: stack.callback.url });
  await made.discover();
  assert.equal((await made.register()).status, 201);
  return made;
}

async function login(who = client) {
  const request = who.authorization();
  const page = await stack.browser.person();
  try {
    await allowAndSignIn(page, request.url);
    return { request, answer: await stack.callback.next() };
  } finally {
    await page.context().close();
  }
}

async function worksAgain(who = client) {
  const { request, answer } = await login(who);
  assert.ok(answer.code, JSON.stringify(answer));
  const token = await who.redeem(answer.code, request.verifier);
  assert.equal(token.status, 200, token.text);
  const session = await connect(who.server, { token: token.json.access_token });
  const result = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  assert.deepEqual(weatherIn(result.json.result), OSLO);
}

/** The client hears of it in words of our own, with issuer and state, and gets no code. */
function assertTold({ request, answer }, expected) {
  assert.equal(answer.code, undefined);
  assert.match(answer.error, expected);
  assert.equal(answer.state, request.state);
  assert.equal(answer.iss, stack.gateway.url);
  assert.doesNotMatch(JSON.stringify(answer), /AADSTS/, "the provider's text is for the operator");
}

const FAILED = /^(server_error|temporarily_unavailable|access_denied)$/;

// The gateway asks for keys again only every few seconds, so the first login after a change may fail, not the later ones.
test('provider: its keys were changed since the gateway read them: logins work again without a restart', async () => {
  await worksAgain();
  stack.provider.rotateKeys();
  await until(async () => {
    await worksAgain();
    return true;
  }, 'a login with the new key', 30_000);
});

for (const [title, faults] of [
  ['the token endpoint answers 400', { token: { status: 400, body: { error: 'invalid_grant', error_description: 'AADSTS70008: The code has expired.' } } }],
  ['the token endpoint refuses our own secret', { token: { status: 401, body: { error: 'invalid_client', error_description: 'AADSTS7000222: The secret has expired.' } } }],
  ['the token endpoint answers 500', { token: { status: 500 } }],
  ['the token endpoint answers with a page', { token: { status: 200, type: 'text/html', body: '<h1>AADSTS: We are working on it</h1>' } }],
  ['T-IDP-04 the nonce is another', { idToken: (claims) => { claims.nonce = 'another'; } }],
  ['T-IDP-04 the nonce is missing', { idToken: (claims) => { delete claims.nonce; } }],
  ['T-IDP-06 the audience is another', { idToken: (claims) => { claims.aud = 'another'; } }],
  ['the issuer is another', { idToken: (claims) => { claims.iss = claims.iss.replace(/\/v2\.0$/, '/v1.0'); } }],
  ['the ID token has expired', { idToken: (claims) => { claims.exp = claims.iat - 3600; } }],
  ['T-IDP-05 the key is unknown', { idToken: (_claims, header) => { header.kid = 'unknown'; } }],
]) {
  test(`provider: ${title}: the client is told, and the next login works`, async () => {
    Object.assign(stack.provider.faults, faults);
    assertTold(await login(), FAILED);
    for (const name of Object.keys(faults)) delete stack.provider.faults[name];
    await worksAgain();
  });
}

test('provider: the person cancels there: the client hears access_denied', async () => {
  stack.provider.faults.authorize = { error: 'access_denied', error_description: 'AADSTS65004: The user declined.' };
  assertTold(await login(), /^access_denied$/);
  delete stack.provider.faults.authorize;
  await worksAgain();
});

test('provider: it breaks off while the code is redeemed: the client is told, and the next login works', async () => {
  stack.provider.faults.token = 'hang';
  stack.provider.forget();
  const attempt = login();
  // Every attempt is cut off, should the gateway try more than once.
  const cut = until(() => {
    stack.provider.release();
    return stack.provider.to('token').length > 0;
  }, 'the gateway to redeem the code').then(() => {
    stack.provider.faults.token = { status: 503 };
    stack.provider.release();
  });
  const [outcome] = await Promise.all([attempt, cut]);
  assertTold(outcome, FAILED);
  delete stack.provider.faults.token;
  await worksAgain();
});

test('provider: down when the gateway starts: the gateway is ready, and logins work once it is up', async () => {
  const pile = new Pile();
  try {
    const provider = await pile.add(startProvider());
    await provider.stop();
    const gateway = await pile.add(startGateway({ provider, servers: { weather: weatherServer(stack.weather.url) } }));
    await provider.start();
    await worksAgain(await newClient(gateway.server('/weather/mcp')));
  } finally {
    await pile.stop();
  }
});
