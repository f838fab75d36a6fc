// From an empty folder to a tool's answer, at a tenant of Microsoft Entra that has never heard of us.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { allowAndSignIn, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { TENANT, startFolder, startTenant } from '../support/entra.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import { Pile } from '../support/stack.mjs';
import { Hopeless, freePort, until, untilReady } from '../support/wait.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

const pile = new Pile();
let tenant;
let graph;
let weather;
let browser;
let callback;
before(async () => {
  tenant = await pile.add(startTenant());
  graph = tenant.graph;
  weather = await pile.add(startWeather());
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser());
});
after(() => pile.stop());

/** An empty folder in which `init` was run. */
async function initialized() {
  graph.apps.clear();
  graph.principals.clear();
  const folder = await pile.add(startFolder(tenant));
  await rm(folder.path('vestibule.toml'));
  folder.publicUrl = `http://127.0.0.1:${await freePort()}`;
  const ran = await folder.run([
    'init', '--idp', 'entra', '--tenant', TENANT, '--authority', tenant.provider.origin, '--graph', graph.origin,
    '--public-url', folder.publicUrl, '--server', `weather=${weather.url}`,
  ]);
  assert.equal(ran.code, 0, ran.output);
  return folder;
}

async function succeeds(folder, ...command) {
  const ran = await folder.entra(...command);
  assert.equal(ran.code, 0, ran.output);
  return ran.output;
}

async function serving(folder) {
  const admin = `127.0.0.1:${await freePort()}`;
  const child = folder.begin(['serve'], { env: { VESTIBULE_ADMIN__LISTEN: admin } });
  await untilReady(child, `http://${admin}/readyz`);
  return child;
}

/** All that there should be, however many runs it took. */
async function assertOneOfEach(folder) {
  const app = graph.only();
  assert.equal(await folder.read('entra/client_id'), app.appId);
  assert.deepEqual(app.web.redirectUris, [`${folder.publicUrl}/oauth-callback`]);
  assert.equal(graph.principals.size, 1);
  assert.equal(app.passwordCredentials.length, 1, 'one secret');
  assert.ok(graph.knows(app.appId, await folder.read('entra/client_secret')), 'and it is the one that is kept');
  assert.equal(await folder.has('entra/client_secret.new'), false);
  assert.match(await succeeds(folder, 'plan'), /Nothing is to be done/);
}

async function login(folder, page, person = 'ada') {
  const server = `${folder.publicUrl}/weather/mcp`;
  const client = new BareClient(server, { redirectUri: callback.url });
  await client.discover();
  const registered = await client.register();
  assert.equal(registered.status, 201, registered.text);
  const request = client.authorization();
  await allowAndSignIn(page, request.url, { person });
  const answer = await callback.next();
  assert.ok(answer.code, JSON.stringify(answer));
  const token = await client.redeem(answer.code, request.verifier);
  assert.equal(token.status, 200, token.text);
  return connect(server, { token: token.json.access_token });
}

test('init, plan, apply, serve, and a login in a browser that ends in a tool’s answer', async () => {
  const folder = await initialized();
  assert.match(await succeeds(folder, 'plan'), /\+ create +app/);
  assert.equal(graph.apps.size, 0);
  await succeeds(folder, 'apply', '--yes');
  await assertOneOfEach(folder);
  const gateway = await serving(folder);
  const page = await browser.person();
  const session = await login(folder, page);
  assert.deepEqual(weatherIn((await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } })).json.result), OSLO);
  await page.context().close();
  assert.equal((await gateway.stop()).code, 0);
});

const MOMENTS = ['PATCH app', 'POST principal', 'POST secret'].flatMap((what) => [false, true].map((done) => [what, done]));
const IS = {
  'PATCH app': ({ method, path }) => method === 'PATCH' && path.includes('uniqueName'),
  'POST principal': ({ method, path }) => method === 'POST' && path === '/servicePrincipals',
  'POST secret': ({ path }) => path.endsWith('/addPassword'),
};
for (const [what, done] of [...MOMENTS, ['trying the secret', true]]) {
  test(`killed ${done ? 'after' : 'before'} ${what}, and resumed: the same end`, async () => {
    const folder = await initialized();
    let child;
    let killed = false;
    const kill = () => {
      killed ||= child.process.kill('SIGKILL');
    };
    if (IS[what]) graph.meet = (request) => request.done === done && IS[what](request) && kill();
    else graph.meetProgram = kill;
    child = folder.begin(['entra', 'apply', '--yes']);
    assert.equal((await child.exited).signal, 'SIGKILL', child.output);
    assert.ok(killed);
    Object.assign(graph, { meet: () => {}, meetProgram: () => {} });
    await succeeds(folder, 'apply', '--yes', '--resume');
    await assertOneOfEach(folder);
    });
}

test('rotate while people sign in: no login fails, and the secret before is gone', async () => {
  const folder = await initialized();
  await succeeds(folder, 'apply', '--yes');
  const gateway = await serving(folder);
  const first = await folder.read('entra/client_secret');
  let rotating = true;
  let logins = 0;
  const signIn = async (person) => {
    const page = await browser.person();
    while (rotating) {
      const session = await login(folder, page, person);
      await session.call('tools/list', {});
      logins += 1;
    }
    await page.context().close();
  };
  // The callback gives its answers in order, so one at a time.
  const people = signIn('ada').catch((error) => error);
  for (let round = 0; round < 4; round += 1) {
    const before = logins;
    await succeeds(folder, 'rotate', '--yes', '--grace', '0s');
    await until(async () => {
      const failed = await Promise.race([people, undefined]);
      if (failed) throw new Hopeless(failed.stack);
      return logins > before + 1;
    }, 'logins with the new secret');
  }
  rotating = false;
  assert.equal(await people, undefined);
  assert.ok(logins >= 8, `${logins} logins`);
  const app = graph.only();
  assert.equal(app.passwordCredentials.length, 1);
  assert.ok(!graph.knows(app.appId, first));
  assert.equal((await gateway.stop()).code, 0, gateway.output);
});
