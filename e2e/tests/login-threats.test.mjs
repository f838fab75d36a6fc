import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowAndSignIn, decide, follow, signInAtProvider, watching } from '../support/browser.mjs';
import { weatherServer } from '../support/gateway.mjs';
import { BareClient, LEGACY, MODERN, challengeOf, connect, post, weatherIn } from '../support/oauth.mjs';
import { startStack } from '../support/stack.mjs';
import { until } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
before(async () => {
  stack = await startStack({
    servers: (weather) => ({
      weather: weatherServer(weather.url),
      other: weatherServer(weather.url, { path: '/other/mcp', title: 'Other weather' }),
    }),
    clients: (callback) => ({
      desktop: { name: 'Desktop app', redirect_uris: [callback.url], auth_method: 'none' },
    }),
  });
});
after(() => stack?.stop());

async function newClient(path = '/weather/mcp') {
  const client = new BareClient(stack.gateway.server(path), { redirectUri: stack.callback.url });
  await client.discover();
  const registered = await client.register();
  assert.equal(registered.status, 201, registered.text);
  return client;
}

/** A whole login; `page` lets it happen in a browser that has been used before. */
async function signIn({ client, page, person = 'ada' } = {}) {
  client ??= await newClient();
  const own = page === undefined;
  page ??= await stack.browser.person();
  const request = client.authorization();
  const pages = await allowAndSignIn(page, request.url, { person });
  if (own) await page.context().close();
  const answer = await stack.callback.next();
  assert.equal(answer.state, request.state);
  assert.equal(answer.iss, stack.gateway.url);
  assert.match(answer.code, /^vac_/);
  const token = await client.redeem(answer.code, request.verifier);
  assert.equal(token.status, 200, token.text);
  return { client, tokens: token.json, code: answer.code, verifier: request.verifier, pages };
}

async function oslo(url, token) {
  const session = await connect(url, { token });
  const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  assert.equal(answer.status, 200, answer.text);
  return weatherIn(answer.json.result);
}

const isRefused = async (url, token) => (await post(url, 'ping', {}, { token })).status === 401;

test('T-CON-02 a sign-in that was approved in one browser cannot be finished in another', async () => {
  const client = await newClient();
  const request = client.authorization();
  const attacker = await stack.browser.person();
  const victim = await stack.browser.person();
  const before = stack.callback.seen.length;
  stack.provider.forget();

  await watching(attacker, 'T-CON-02 attacker', async () => {
    await attacker.goto(request.url);
    await decide(attacker, 'allow');
    await until(() => attacker.url().startsWith(stack.provider.origin), 'the attacker to be sent to the provider');
  });
  const [captured] = stack.provider.to('authorization');
  const upstream = `${stack.provider.origin}${captured.path}?${new URLSearchParams(captured.query)}`;

  const answers = [];
  victim.on('response', (response) => {
    if (new URL(response.url()).pathname === '/oauth-callback') answers.push(response.status());
  });
  await watching(victim, 'T-CON-02 victim', async () => {
    await victim.goto(upstream);
    await signInAtProvider(victim, 'bob');
    await until(() => answers.length, 'the callback to answer the victim');
    await victim.waitForLoadState('domcontentloaded');
  });
  assert.ok(answers[0] >= 400 && answers[0] < 500, `the callback answered ${answers[0]}`);
  assert.equal(new URL(victim.url()).pathname, '/oauth-callback', 'the victim stays at the gateway');
  assert.equal(stack.callback.seen.length, before, 'no code went to the client');
  assert.equal(stack.provider.to('token').length, 0, "the provider's code was not redeemed");

  // Neither browser is spoiled for an honest login.
  for (const [page, person] of [[victim, 'bob'], [attacker, 'ada']]) {
    const { tokens } = await signIn({ page, person });
    assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
    await page.context().close();
  }
});

test('T-CON-03 showing the consent page to a browser does not make it the approving one', async () => {
  const client = await newClient();
  const request = client.authorization();
  const attacker = await stack.browser.person();
  const victim = await stack.browser.person();
  stack.provider.forget();
  await victim.goto(request.url);
  await attacker.goto(request.url);
  await decide(attacker, 'allow');
  await until(() => attacker.url().startsWith(stack.provider.origin), 'the attacker to be sent to the provider');
  const [captured] = stack.provider.to('authorization');
  const answers = [];
  victim.on('response', (response) => {
    if (new URL(response.url()).pathname === '/oauth-callback') answers.push(response.status());
  });
  await victim.goto(`${stack.provider.origin}${captured.path}?${new URLSearchParams(captured.query)}`);
  await signInAtProvider(victim, 'bob');
  await until(() => answers.length, 'the callback to answer the victim');
  assert.ok(answers[0] >= 400 && answers[0] < 500, `the callback answered ${answers[0]}`);
  assert.equal(stack.provider.to('token').length, 0);
  await attacker.context().close();
  await victim.context().close();
});

test('T-TOK-01 a code redeemed twice is refused, and its first token stops working', async () => {
  const { client, tokens, code, verifier } = await signIn();
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  const again = await client.redeem(code, verifier);
  assert.equal(again.status, 400);
  assert.equal(again.json.error, 'invalid_grant');
  assert.match(again.headers.get('cache-control'), /no-store/);
  assert.ok(await isRefused(stack.url, tokens.access_token), 'the access token of the first redemption');
  const refreshed = await client.refresh(tokens.refresh_token);
  assert.equal(refreshed.status, 400);
  assert.equal(refreshed.json.error, 'invalid_grant');
});

test('T-GRD-03 a token for one server opens no other', async () => {
  const { tokens } = await signIn();
  const other = stack.gateway.server('/other/mcp');
  for (const [version, method] of [[LEGACY, 'initialize'], [MODERN, 'tools/list']]) {
    const answer = await post(other, method, method === 'initialize' ? {
      protocolVersion: version, capabilities: {}, clientInfo: { name: 'bare-client', version: '1' },
    } : {}, { token: tokens.access_token, version });
    assert.equal(answer.status, 401);
    const challenge = challengeOf(answer);
    assert.equal(challenge.resource_metadata, stack.gateway.server('/.well-known/oauth-protected-resource/other/mcp'));
    assert.equal(challenge.error, 'invalid_token');
  }
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO, 'it still opens its own');
});

test('deny: the client hears access_denied, with issuer and state, and may ask again', async () => {
  const client = await newClient();
  const page = await stack.browser.person();
  const request = client.authorization();
  assert.deepEqual(await allowAndSignIn(page, request.url, { decision: 'deny' }), ['consent']);
  const answer = await stack.callback.next();
  assert.equal(answer.error, 'access_denied');
  assert.equal(answer.state, request.state);
  assert.equal(answer.iss, stack.gateway.url);
  assert.equal(answer.code, undefined);
  const { tokens } = await signIn({ client, page });
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  await page.context().close();
});

test('a second login of the same person in the same browser works like the first', async () => {
  const page = await stack.browser.person();
  const client = await newClient();
  const first = await signIn({ client, page });
  const second = await signIn({ client, page });
  assert.deepEqual(first.pages, ['consent', 'provider']);
  assert.ok(!second.pages.includes('provider'), 'the provider knows the browser by now');
  assert.notEqual(first.tokens.access_token, second.tokens.access_token);
  for (const { tokens } of [first, second]) assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  await page.context().close();
});

test('two people, one browser: the grant belongs to whoever came back from the provider', async () => {
  const page = await stack.browser.person();
  const first = await signIn({ page, person: 'ada' });
  await page.context().clearCookies();
  const second = await signIn({ page, person: 'bob' });
  assert.ok(second.pages.includes('consent'), 'what Ada allowed says nothing about Bob');
  for (const { tokens } of [first, second]) assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  await page.context().close();
});

test('two tabs at once: both logins arrive, whichever finishes first', async () => {
  const one = await stack.browser.person();
  const two = await one.context().newPage();
  const clients = [await newClient(), await newClient()];
  const requests = clients.map((client) => client.authorization());
  await one.goto(requests[0].url);
  await two.goto(requests[1].url);
  await decide(one, 'allow');
  await until(() => one.url().startsWith(stack.provider.origin), 'the first tab at the provider');
  await decide(two, 'allow');
  await until(() => two.url().startsWith(stack.provider.origin), 'the second tab at the provider');
  const arrived = (address) => address.startsWith(stack.callback.url);
  await watching(two, 'second tab', () => follow(two, { arrived }));
  await watching(one, 'first tab', () => follow(one, { arrived }));
  const answers = [await stack.callback.next(), await stack.callback.next()];
  for (const [index, client] of clients.entries()) {
    const answer = answers.find(({ state }) => state === requests[index].state);
    assert.ok(answer?.code, `an answer for tab ${index + 1}`);
    const token = await client.redeem(answer.code, requests[index].verifier);
    assert.equal(token.status, 200, token.text);
    assert.deepEqual(await oslo(stack.url, token.json.access_token), OSLO);
  }
  await one.context().close();
});

test('the authorization URL survives being opened twice', async () => {
  const client = await newClient();
  const request = client.authorization();
  const peek = await fetch(request.url, { redirect: 'manual' });
  assert.ok([200, 302, 303, 307, 308].includes(peek.status), `${peek.status}`);
  await peek.body?.cancel();
  const page = await stack.browser.person();
  await page.goto(request.url);
  await allowAndSignIn(page, request.url);
  const answer = await stack.callback.next();
  assert.equal((await client.redeem(answer.code, request.verifier)).status, 200);
  await page.context().close();
});

test('a restart in the middle of use: access token and refresh token still work', async () => {
  const { client, tokens } = await signIn();
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  for (const how of ['restart', 'crash']) {
    await stack.gateway[how]();
    assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO, `access token after ${how}`);
    const refreshed = await client.refresh(tokens.refresh_token);
    assert.equal(refreshed.status, 200, `${how}: ${refreshed.text}`);
    assert.deepEqual(await oslo(stack.url, refreshed.json.access_token), OSLO);
    tokens.refresh_token = refreshed.json.refresh_token;
  }
});

test('a restart between the consent page and the answer to it does not lose the login', async () => {
  const client = await newClient();
  const request = client.authorization();
  const page = await stack.browser.person();
  await page.goto(request.url);
  await stack.gateway.restart();
  const arrived = (address) => address.startsWith(stack.callback.url);
  await watching(page, 'after the restart', () => follow(page, { arrived }));
  const answer = await stack.callback.next();
  assert.equal((await client.redeem(answer.code, request.verifier)).status, 200);
  await page.context().close();
});

test('refresh: new tokens work, and the same request sent twice at once gets the same ones', async () => {
  const { client, tokens } = await signIn();
  const [one, two] = await Promise.all([client.refresh(tokens.refresh_token), client.refresh(tokens.refresh_token)]);
  assert.equal(one.status, 200, one.text);
  assert.equal(two.status, 200, two.text);
  assert.notEqual(one.json.refresh_token, tokens.refresh_token);
  assert.equal(one.json.refresh_token, two.json.refresh_token);
  assert.deepEqual(await oslo(stack.url, one.json.access_token), OSLO);
  const next = await client.refresh(one.json.refresh_token);
  assert.equal(next.status, 200, next.text);
  assert.deepEqual(await oslo(stack.url, next.json.access_token), OSLO);
});

test('refresh: a token of another client changes nothing', async () => {
  const { client, tokens } = await signIn();
  const stranger = await newClient();
  stranger.clientId = 'desktop';
  const refused = await stranger.refresh(tokens.refresh_token);
  assert.ok([400, 401].includes(refused.status), refused.text);
  assert.match(refused.json.error, /^invalid_(grant|client)$/);
  assert.equal((await client.refresh(tokens.refresh_token)).status, 200);
});

test('revoke: the access token is refused as soon as the revocation is acknowledged', async () => {
  const { client, tokens } = await signIn();
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
  const revoked = await client.revoke(tokens.refresh_token, { token_type_hint: 'refresh_token' });
  assert.equal(revoked.status, 200, revoked.text);
  assert.ok(await isRefused(stack.url, tokens.access_token));
  const refreshed = await client.refresh(tokens.refresh_token);
  assert.equal(refreshed.status, 400);
  assert.equal(refreshed.json.error, 'invalid_grant');
  await stack.gateway.crash();
  assert.ok(await isRefused(stack.url, tokens.access_token), 'and it stays so after a power cut');
});

test('an operator-added client signs in without registering', async () => {
  const client = new BareClient(stack.url, { redirectUri: stack.callback.url, clientId: 'desktop' });
  await client.discover();
  const { tokens } = await signIn({ client });
  assert.deepEqual(await oslo(stack.url, tokens.access_token), OSLO);
});

test('both revisions on one address with one token', async () => {
  const { tokens } = await signIn();
  for (const version of [LEGACY, MODERN, LEGACY]) {
    const session = await connect(stack.url, { token: tokens.access_token, version });
    const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
    assert.deepEqual(weatherIn(answer.json.result), OSLO);
  }
});
