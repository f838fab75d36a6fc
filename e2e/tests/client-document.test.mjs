import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { startGateway, weatherServer } from '../support/gateway.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import { judge, open } from '../support/pages.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { makeCertificateIn } from '../support/tls.mjs';
import { listen, shut } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

const pile = new Pile();
let dir;
let documents;
let stack;

/** Publishes client documents; `answers` says what each path does, and `asked` who came. */
async function startDocuments(keep) {
  const { cert, key } = await makeCertificateIn(keep);
  const answers = new Map();
  const asked = [];
  const server = createServer({ cert, key }, (request, response) => {
    asked.push(request.url);
    const answer = answers.get(request.url);
    if (!answer) response.writeHead(404).end();
    else answer(response);
  });
  const port = await listen(server);
  const origin = `https://localhost:${port}`;
  return {
    origin,
    asked,
    connections: 0,
    answer(path, how) {
      answers.set(path, how);
      return `${origin}${path}`;
    },
    publish(path, over = {}) {
      const id = `${origin}${path}`;
      const body = JSON.stringify({
        client_id: id,
        client_name: 'Documented client',
        redirect_uris: [stack.callback.url],
        token_endpoint_auth_method: 'none',
        ...over,
      });
      return this.answer(path, (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body));
    },
    stop: () => {
      server.closeAllConnections();
      return shut(server);
    },
  };
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vestibule-documents-'));
  documents = await pile.add(startDocuments(dir));
  stack = await pile.add(startStack({
    config: {
      registration: { unsafe_document_addresses: ['127.0.0.0/8', '::1/128'] },
      outbound: { extra_ca_file: join(dir, 'ca.pem') },
    },
  }));
});
after(async () => {
  await pile.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

async function client(id, server = stack.url) {
  const bare = new BareClient(server, { redirectUri: stack.callback.url, clientId: id });
  await bare.discover();
  return bare;
}

async function honest({ look = false } = {}) {
  const bare = await client(documents.publish('/honest.json'));
  assert.equal(bare.metadata.client_id_metadata_document_supported, true);
  const { url, verifier } = bare.authorization();
  const page = await stack.browser.person();
  await page.goto(url);
  assert.match(await page.locator('main').innerText(), /Says it is from localhost/);
  if (look) await judge(page, 'consent-document');
  await allowAndSignIn(page, url, { redirectUri: stack.callback.url });
  await page.context().close();
  const { code } = await stack.callback.next();
  const tokens = await bare.redeem(code, verifier);
  assert.equal(tokens.status, 200, tokens.text);
  const session = await connect(stack.url, { token: tokens.json.access_token });
  const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  assert.deepEqual(weatherIn(answer.json.result), OSLO);
}

async function refused(id, server) {
  const bare = await client(id, server);
  const answer = await fetch(bare.authorization().url, { redirect: 'manual' });
  const text = await answer.text();
  assert.equal(answer.status, 400, text);
  assert.equal(answer.headers.get('location'), null);
  return text;
}

test('CIMD-1 CIMD-5 a client whose id is its document: from the first 401 to the weather', () => honest({ look: true }));

test('a document of a publisher on the operator\'s list is shown as verified', async () => {
  const trusting = await startStack({
    config: {
      registration: { unsafe_document_addresses: ['127.0.0.0/8', '::1/128'], trusted_hosts: ['localhost'] },
      outbound: { extra_ca_file: join(dir, 'ca.pem') },
    },
  });
  try {
    const id = documents.publish('/verified.json', { redirect_uris: [trusting.callback.url] });
    const bare = new BareClient(trusting.url, { redirectUri: trusting.callback.url, clientId: id });
    await bare.discover();
    const page = await trusting.browser.person();
    await open(page, String(bare.authorization().url));
    assert.match(await page.locator('main').innerText(), /Verified: published by localhost/);
    await judge(page, 'consent-verified');
    await page.context().close();
  } finally {
    await trusting.stop();
  }
});

test('T-REG-12 CIMD-2 CIMD-4 CIMD-8 T-REG-10 T-REG-13 documents that are none make no client, and all look alike', async () => {
  const good = documents.publish('/good.json');
  const pages = [];
  const cases = {
    '/moved.json': (response) => response.writeHead(302, { location: good }).end(),
    '/gone.json': (response) => response.writeHead(404).end(),
    '/error.json': (response) => response.writeHead(500).end(),
    '/page.json': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    '/large.json': (response) => response.writeHead(200, { 'content-type': 'application/json' })
      .end(`{"client_id":"x"${' '.repeat(5 * 1024)}}`),
    '/cut.json': (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"client_id":'),
  };
  for (const [path, how] of Object.entries(cases)) pages.push(await refused(documents.answer(path, how)));
  pages.push(await refused(documents.publish('/other.json', { client_id: good })));
  pages.push(await refused(documents.publish('/secret.json', { client_secret: 'x' })));
  const plain = (text) => text.replace(/[0-9A-Z]{4}-[0-9A-Z]{4}/g, 'FLOW');
  assert.equal(new Set(pages.map(plain)).size, 1, 'nobody learns why');
  assert.ok(!documents.asked.includes('/good.json'), 'a redirect is not followed');
  await honest();
});

test('CIMD-8 an error is not remembered', async () => {
  const id = documents.answer('/late.json', (response) => response.writeHead(500).end());
  await refused(id);
  documents.publish('/late.json');
  const bare = await client(id);
  assert.equal((await fetch(bare.authorization().url)).status, 200);
  await honest();
});

test('T-REG-13 CIMD-4 a document that does not end is given up, and delays nobody else', async () => {
  const id = documents.answer('/slow.json', (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{');
  });
  const slow = refused(id);
  await honest();
  await slow;
});

test('T-REG-09 CIMD-1 an id that is no proper address causes no request', async () => {
  const before = documents.asked.length;
  for (const id of [
    documents.origin,
    `${documents.origin}/`,
    `${documents.origin}/a/../good.json`,
    `${documents.origin}/%2e%2e/good.json`,
    `${documents.origin}/good.json?x=1`,
    `${documents.origin}/good.json#x`,
    documents.origin.replace('https://', 'https://user@') + '/good.json',
    documents.origin.replace('https://', 'http://') + '/good.json',
  ]) await refused(id);
  assert.equal(documents.asked.length, before);
  await honest();
});

test('T-REG-11 CIMD-3 without the exception no special address is asked', async () => {
  const strict = await startGateway({
    provider: stack.provider,
    servers: { weather: weatherServer(stack.weather.url) },
    config: { outbound: { extra_ca_file: join(dir, 'ca.pem') } },
  });
  try {
    const before = documents.asked.length;
    const { port } = new URL(documents.publish('/inner.json'));
    for (const host of ['localhost', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '10.0.0.5', '169.254.169.254']) {
      await refused(`https://${host}:${port}/inner.json`, strict.server('/weather/mcp'));
    }
    assert.equal(documents.asked.length, before, 'nobody came');
  } finally {
    await strict.stop();
  }
  await honest();
  assert.ok((await readFile(join(dir, 'ca.pem'), 'utf8')).includes('CERTIFICATE'));
});
