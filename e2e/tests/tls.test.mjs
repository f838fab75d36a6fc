import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { allowAndSignIn, decide, follow, watching } from '../support/browser.mjs';
import { binary, startGateway } from '../support/gateway.mjs';
import { BareClient, MODERN, post, weatherIn } from '../support/oauth.mjs';
import { Child } from '../support/process.mjs';
import { startProvider } from '../support/provider.mjs';
import { MemoryOAuth } from '../support/sdk.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { startTls, trust } from '../support/tls.mjs';
import { until, within } from '../support/wait.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

let stack;
before(async () => {
  stack = await startStack({ tls: true });
  trust(stack.gateway.ca);
});
after(() => stack?.stop());

/** Cookies are told apart by host alone, so the provider's on the same host are left out by their name. */
const ours = async (page) => (await page.context().cookies()).filter((cookie) => !cookie.name.startsWith('contoso_'));

test('over TLS: a whole login, and every cookie of the gateway is bound to the host', async () => {
  const page = await stack.browser.person();
  const planted = [];
  page.on('response', async (response) => {
    if (!response.url().startsWith(stack.gateway.url)) return;
    for (const { name, value } of await response.headersArray()) {
      if (name.toLowerCase() === 'set-cookie') planted.push(value);
    }
  });

  const client = new BareClient(stack.url, { redirectUri: stack.callback.url });
  await client.discover();
  assert.equal(client.metadata.issuer, stack.gateway.url);
  assert.equal((await client.register()).status, 201);
  const request = client.authorization();
  await watching(page, 'tls', async () => {
    await page.goto(request.url);
    await decide(page, 'allow');
    await until(() => page.url().startsWith(stack.provider.origin), 'the provider');
    assert.ok((await ours(page)).length > 0, 'the approval has bound this browser');
    for (const cookie of await ours(page)) {
      assert.match(cookie.name, /^__Host-/);
      assert.ok(cookie.secure, cookie.name);
      assert.ok(cookie.httpOnly, cookie.name);
      assert.equal(cookie.sameSite, 'Lax', cookie.name);
      assert.equal(cookie.path, '/', cookie.name);
    }
    await follow(page, { arrived: (address) => address.startsWith(stack.callback.url) });
  });

  const answer = await stack.callback.next();
  assert.equal(answer.iss, stack.gateway.url);
  const token = await client.redeem(answer.code, request.verifier);
  assert.equal(token.status, 200, token.text);
  assert.ok(planted.length > 0);
  for (const cookie of planted) {
    assert.match(cookie, /^__Host-/);
    assert.match(cookie, /;\s*secure/i);
    assert.match(cookie, /;\s*httponly/i);
    // That of a person's own session is shown to no other site's link either.
    const sameSite = cookie.startsWith('__Host-vestibule_session=') ? 'strict' : 'lax';
    assert.match(cookie, new RegExp(`;\\s*samesite=${sameSite}(;|$)`, 'i'));
    assert.match(cookie, /;\s*path=\/(;|$)/i);
    assert.doesNotMatch(cookie, /;\s*domain=/i);
  }
  await page.context().close();
});

test('over TLS: TypeScript SDK, from the first 401 to the weather in Oslo', async () => {
  const oauth = new MemoryOAuth(stack.callback.url);
  const first = new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth });
  const newClient = () => new Client({ name: 'typescript-sdk', version: '1.32.2' }, { capabilities: {} });
  await assert.rejects(newClient().connect(first), UnauthorizedError);
  const page = await stack.browser.person();
  assert.deepEqual(await allowAndSignIn(page, oauth.authorizationUrl.href, { person: 'bob' }), ['consent', 'provider']);
  await first.finishAuth((await stack.callback.next()).code);
  const client = newClient();
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth }));
  assert.deepEqual(weatherIn(await client.callTool({ name: 'get_weather', arguments: { city: 'Oslo' } })), OSLO);
  await client.close();
  await page.context().close();
});

test('over TLS: the challenge and the metadata name the public address, whatever the proxy was asked for', async () => {
  const answer = await post(stack.url, 'ping', {});
  assert.equal(answer.status, 401);
  assert.ok(answer.headers.get('www-authenticate').includes(`"${stack.gateway.url}/.well-known/oauth-protected-resource/weather/mcp"`));
});

test('TLS-5 an MCP server is reached over TLS that verifies, and over none that does not', async () => {
  const pile = new Pile();
  try {
    const provider = await pile.add(startProvider());
    const weather = await pile.add(startWeather());
    const front = await pile.add(startTls({ target: new URL(weather.url).port }));
    const upstream = weather.url.replace(/^http:\/\/[^/]+/, `https://localhost:${front.port}`);
    const servers = { weather: { path: '/weather/mcp', upstream, public: true } };
    const strict = await pile.add(startGateway({ provider, servers }));
    const refused = await post(strict.server('/weather/mcp'), 'ping', {});
    assert.equal(refused.status, 502, 'nobody vouches for that certificate');

    const dir = await mkdtemp(join(tmpdir(), 'vestibule-ca-'));
    const file = join(dir, 'ca.pem');
    await writeFile(file, front.ca);
    const trusting = await pile.add(startGateway({ provider, servers, config: { outbound: { extra_ca_file: file } } }));
    const answer = await post(trusting.server('/weather/mcp'), 'tools/list', {}, { version: MODERN });
    assert.equal(answer.status, 200, answer.text);
    await rm(dir, { recursive: true });
  } finally {
    await pile.stop();
  }
});

test('Q′: doctor looks at what clients find at the public address, and at what the proxy in front makes of it', async () => {
  const { gateway } = stack;
  const ca = join(gateway.dir, 'ca.pem');
  await writeFile(ca, gateway.ca);
  const doctor = async (about) => {
    const child = new Child(binary(), ['doctor', '--json', '-c', gateway.file], { cwd: gateway.dir, env: { VESTIBULE_OUTBOUND__EXTRA_CA_FILE: ca } });
    await within(child.exited, 'doctor to end', 60_000);
    const found = JSON.parse(child.stdout).filter((one) => one.about === about);
    assert.equal(found.length, 1, child.output);
    return `${found[0].state}: ${found[0].what}`;
  };
  assert.match(await doctor('metadata'), /^ok: .*401 and document agree/);
  // Made for this test, for two days.
  assert.match(await doctor('certificate'), /^ok: .* ends in 1 days/);
  assert.match(await doctor('cookies'), /^ok: /);
  gateway.front.change = (raw) => raw.map((value) => value.replace('; Path=/', '; Path=/gateway'));
  assert.match(await doctor('cookies'), /^wrong: they are changed on the way/);
  gateway.front.change = (raw) => raw.filter((value, at) => !/^set-cookie$/i.test(raw[at - (at % 2)]));
  assert.match(await doctor('cookies'), /^wrong: the sign-in sets none/);
  gateway.front.change = (raw) => raw.map((value, at) => (/^www-authenticate$/i.test(value) && at % 2 === 0 ? 'x-challenge' : value));
  assert.match(await doctor('metadata'), /^wrong: .* its 401 does not say where to log in/);
  gateway.front.change = undefined;
  // Without the authority that signed it.
  const child = new Child(binary(), ['doctor', '-c', gateway.file], { cwd: gateway.dir });
  assert.equal((await within(child.exited, 'doctor to end', 60_000)).code, 5, child.output);
  assert.match(child.output, /WRONG +certificate +somebody answers at 127\.0\.0\.1, and not with a certificate that is good for it/);
  for (const [style, told] of [
    ['replace', /^ok: 127\.0\.0\.1 is believed/],
    // Here the proxy's network is this computer's own.
    ['append', /^note: 127\.0\.0\.1 is in trusted_proxies/],
    ['none', /^wrong: 127\.0\.0\.1 does not say whose/],
    ['pass', /^wrong: 127\.0\.0\.1 passes on what anybody writes/],
  ]) {
    gateway.front.style = style;
    assert.match(await doctor('proxy in front'), told);
  }
  gateway.front.style = 'replace';
  await gateway.rewrite((text) => text.replace('127.0.0.0/8', '10.0.0.0/8'));
  await gateway.restart();
  assert.match(await doctor('proxy in front'), /^wrong: 127\.0\.0\.1 passes requests on and is not believed/);
  await gateway.rewrite((text) => text.replace('10.0.0.0/8', '127.0.0.0/8'));
  await gateway.restart();
});
