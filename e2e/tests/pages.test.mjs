// What people see: each page in each state, judged by axe-core, without a mouse, at both widths and in both
// colours. What is asked of the network and what a page weighs is counted in the browser itself.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decide, follow } from '../support/browser.mjs';
import { BareClient, connect, post } from '../support/oauth.mjs';
import { judge, open, PICTURES } from '../support/pages.mjs';
import { PEOPLE } from '../support/provider.mjs';
import { startStack } from '../support/stack.mjs';
import { until } from '../support/wait.mjs';

let stack;
let client;
before(async () => {
  stack = await startStack({
    clients: (callback) => ({
      desktop: { name: 'Desktop app', redirect_uris: [callback.url], auth_method: 'none' },
    }),
    config: { admin: { groups: PEOPLE.ada.groups } },
  });
  client = new BareClient(stack.url, { redirectUri: stack.callback.url });
  await client.discover();
  assert.equal((await client.register({ client_name: 'A quite long name of an app' })).status, 201);
});
after(() => stack?.stop());

const of = (path) => `${stack.gateway.url}${path}`;

/** The flow that a page's foot names. */
const flowOn = (page) => page.locator('a[href^="/flows/"]').first().getAttribute('href');

async function consent(page) {
  const request = client.authorization();
  const weight = await open(page, String(request.url));
  return { request, weight, flow: await flowOn(page) };
}

test('pages that need no login', async () => {
  const page = await stack.browser.person();
  for (const [name, path, most] of [
    ['landing', '/', 20_000],
    ['connect', '/connect/weather', 20_000],
    ['errors', '/errors', 30_000],
    ['error', '/errors/V-IDP-014', 20_000],
    ['nothing', '/nothing/here', 20_000],
    ['refusal', '/authorize?client_id=vcl_unknown', 20_000],
    ['not-for-you', '/flows/0000-0000', 20_000],
  ]) {
    const weight = await open(page, of(path));
    assert.ok(weight <= most, `${name} weighs ${weight}`);
    await judge(page, name);
  }
  await page.context().close();
});

test('consent, of an app that registered itself and of one that an operator added', async () => {
  const page = await stack.browser.person();
  const { weight } = await consent(page);
  assert.ok(weight <= 20_000, `consent weighs ${weight}`);
  await judge(page, 'consent');
  const operator = new BareClient(stack.url, { redirectUri: stack.callback.url, clientId: 'desktop' });
  await operator.discover();
  await open(page, String(operator.authorization().url));
  await judge(page, 'consent-operator');
  await page.context().close();
});

test('the record of a login while it waits, when it failed, and when it succeeded', async () => {
  const page = await stack.browser.person();
  const { flow } = await consent(page);
  await open(page, of(flow));
  assert.match(await page.locator('main').innerText(), /Waiting for the person to decide/);
  await judge(page, 'flow-waiting');

  stack.provider.faults.token = {
    status: 401,
    body: { error: 'invalid_client', error_description: 'AADSTS7000222: The secret is expired.' },
  };
  const failing = await consent(page);
  await decide(page);
  await follow(page, { arrived: (address) => address.startsWith(stack.callback.url) });
  delete stack.provider.faults.token;
  assert.equal((await stack.callback.next()).error, 'server_error');
  const weight = await open(page, of(failing.flow));
  assert.ok(weight <= 60_000, `the record weighs ${weight}`);
  const text = await page.locator('main').innerText();
  for (const part of ['V-IDP-014', 'Cause', 'Fix', 'Who can', 'Not the cause', 'idp.client_secret']) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
  await judge(page, 'flow-failed');

  const good = await consent(page);
  // In another tab it goes on by itself, and what somebody does there is not disturbed.
  const watched = await page.context().newPage();
  const refused = [];
  watched.on('console', (message) => refused.push(message.text()));
  assert.ok((await open(watched, of(good.flow))) <= 60_000);
  await watched.getByRole('region').focus();
  await watched.evaluate(() => { globalThis.untouched = true; });
  await decide(page);
  await follow(page, { arrived: (address) => address.startsWith(stack.callback.url) });
  const { code } = await stack.callback.next();
  assert.equal((await client.redeem(code, good.request.verifier)).status, 200);
  await watched.getByText('Succeeded.').waitFor();
  await watched.getByText('Look again').waitFor({ state: 'detached' });
  assert.match(await watched.locator('ol.steps').innerText(), /was shown[\s\S]*allowed it[\s\S]*signed in/);
  assert.ok(await watched.evaluate(() => globalThis.untouched && document.activeElement.matches('[data-live=drawing]')));
  assert.deepEqual(refused, []);
  await judge(watched, 'flow-live');
  await watched.close();
  await open(page, of(good.flow));
  assert.match(await page.locator('main').innerText(), /Succeeded\.[\s\S]*exchanged its code for access/);
  await judge(page, 'flow-succeeded');
  await page.context().close();
});

/** Signs in to the gateway's own pages, as a person does: by the button. */
async function signInHere(page, person) {
  await open(page, of('/apps'));
  await page.getByRole('link', { name: /^Sign in at / }).click();
  await follow(page, { person, arrived: (address) => address === of('/apps') });
  await page.waitForLoadState('load');
}

test('a person sees what may act for them, and ends it', async () => {
  const page = await stack.browser.person();
  await open(page, of('/apps'));
  await judge(page, 'apps-sign-in');
  await signInHere(page, 'bob');
  await open(page, of('/apps'));
  assert.match(await page.locator('main').innerText(), /Signed in as bob[\s\S]*No app can act for you/);
  await judge(page, 'apps-empty');

  const tokens = [];
  for (const scope of ['weather:read', 'weather:read weather:write']) {
    const request = client.authorization({ scope });
    await open(page, String(request.url));
    const words = await page.locator('main').innerText();
    assert.match(words, /bob[^,]*, let this app use/);
    assert.equal(/It now asks for more/.test(words), scope.includes('write'), words);
    if (scope.includes('write')) await judge(page, 'consent-more');
    await decide(page);
    await follow(page, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
    const { code } = await stack.callback.next();
    const redeemed = await client.redeem(code, request.verifier);
    assert.equal(redeemed.status, 200);
    tokens.push(redeemed.json.access_token);
  }
  await open(page, String(client.authorization({ scope: 'weather:read' }).url));
  assert.match(await page.locator('main').innerText(), /You allowed this on/);
  await judge(page, 'consent-known');

  const weight = await open(page, of('/apps'));
  assert.ok(weight <= 20_000, `apps weighs ${weight}`);
  await judge(page, 'apps');
  assert.notEqual((await callWith(tokens[0])).status, 401);
  // By keyboard alone, to the first button.
  await page.locator('button', { hasText: 'Stop access' }).first().focus();
  await page.keyboard.press('Enter');
  await page.getByRole('status').waitFor();
  assert.match(await page.getByRole('status').innerText(), /Stopped: A quite long name of an app/);
  await judge(page, 'apps-stopped');
  for (const token of tokens) assert.equal((await callWith(token)).status, 401);

  await open(page, of('/logout'));
  await judge(page, 'sign-out');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are not signed in here' }).waitFor();
  await judge(page, 'signed-out');
  await page.context().close();
});

const callWith = (token) => post(stack.url, 'ping', {}, { token });

test('a name, a color and a picture of the operator\'s own', async () => {
  const logo = join(PICTURES, '..', 'logo.svg');
  await writeFile(logo, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><circle cx="10" cy="10" r="9" fill="#d08700"/></svg>');
  // A color that can be read on no light ground as it is.
  const own = await startStack({ config: { instance: { name: 'Contoso tools', color: '#ffd400', logo } } });
  try {
    const page = await own.browser.person();
    const { origin } = new URL(own.gateway.url);
    for (const [name, path] of [['brand-landing', '/'], ['brand-connect', '/connect/weather'], ['brand-apps', '/apps']]) {
      assert.ok((await open(page, origin + path, origin)) <= 20_000);
      assert.ok(await page.locator('img.logo').evaluate((image) => image.naturalWidth > 0), 'the picture is drawn');
      await judge(page, name);
    }
    await page.context().close();
  } finally {
    await own.stop();
  }
});

test('an operator sees what happens, and ends what must end', async () => {
  // Something to look at: a person with calls that were let through and not, and a failed login.
  const bob = await stack.browser.person();
  const request = client.authorization({ scope: 'weather:read' });
  await open(bob, String(request.url));
  await decide(bob);
  await follow(bob, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
  const { code } = await stack.callback.next();
  const token = (await client.redeem(code, request.verifier)).json.access_token;
  const session = await connect(stack.url, { token });
  await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Lisbon' } });
  await session.call('tools/call', { name: 'set_alert', arguments: {} });
  stack.provider.faults.token = { status: 401, body: { error: 'invalid_client' } };
  await open(bob, String(client.authorization().url));
  await decide(bob);
  await follow(bob, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
  delete stack.provider.faults.token;
  await stack.callback.next();

  const { admin } = stack.gateway;
  const page = await stack.browser.person();
  await page.goto(`${admin}/console`, { waitUntil: 'commit' });
  await follow(page, { person: 'ada', arrived: (address) => address.includes('/operator/pass/') });
  await judge(page, 'to-console');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.waitForURL(`${admin}/console`);
  await page.waitForLoadState('load');
  for (const [name, path] of [
    ['console', '/console'],
    ['console-flows', '/console/flows'],
    ['console-clients', '/console/clients'],
    ['console-people', '/console/people'],
    ['console-servers', '/console/servers'],
    ['console-calls', '/console/calls'],
    ['console-keys', '/console/keys'],
    ['console-health', '/console/health'],
  ]) {
    const weight = await open(page, `${admin}${path}`, admin);
    assert.ok(weight <= 60_000, `${name} weighs ${weight}`);
    await judge(page, name);
  }
  await open(page, `${admin}/console/servers`, admin);
  await page.getByRole('button', { name: 'Try Weather' }).click();
  await page.getByRole('heading', { name: /seen from outside/ }).waitFor();
  await judge(page, 'console-servers-tried');
  await open(page, `${admin}/console/people`, admin);
  await page.getByRole('link', { name: PEOPLE.bob.email }).click();
  await page.getByRole('heading', { name: 'What may act for them' }).waitFor();
  await judge(page, 'console-person');
  await page.getByRole('link', { name: 'A quite long name of an app' }).first().click();
  await page.getByRole('heading', { name: 'Decide' }).waitFor();
  await judge(page, 'console-client');
  await page.getByRole('button', { name: 'Vouch for it' }).click();
  await page.getByRole('status').waitFor();
  await open(bob, String(client.authorization().url));
  assert.match(await bob.locator('main').innerText(), /Checked by your administrator/);
  await judge(bob, 'consent-vouched');
  await page.locator('input[name=why]').fill('an old test');
  await page.locator('form', { hasText: 'Block it' }).locator('input[name=name]').fill('A quite long name of an app');
  await page.getByRole('button', { name: 'Block it' }).click();
  await page.getByRole('status').waitFor();
  assert.match(await page.getByRole('status').innerText(), /live grants and codes ended/);
  await judge(page, 'console-client-blocked');
  assert.equal((await callWith(token)).status, 401);
  await open(bob, String(client.authorization().url));
  assert.match(await bob.locator('main').innerText(), /An administrator of this gateway blocked that app/);
  await page.getByRole('button', { name: 'Let it in again' }).click();
  await page.getByRole('status').waitFor();
  await open(page, `${admin}/console/acts`, admin);
  assert.match(await page.locator('main').innerText(), /blocked \(an old test\) A quite long name of an app/);
  await judge(page, 'console-acts');
  await open(page, `${admin}/console/calls?outcome=denied`, admin);
  assert.match(await page.locator('main').innerText(), /set_alert/);
  // By keyboard alone to the last of the pages.
  await open(page, `${admin}/console`, admin);
  for (let tabs = 0; tabs < 12; tabs += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement?.textContent === 'Health')) break;
  }
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Health' }).waitFor();
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.getByRole('heading', { name: 'You are not signed in here' }).waitFor();
  // An operator's own page, and the logins of all, at the public address.
  await open(page, of('/operator'));
  await judge(page, 'operator');
  await open(page, of('/flows'));
  await judge(page, 'flows');
  await bob.context().close();
  await page.context().close();
});

test('pages in German, in a language that is longer, and written from the right', async () => {
  const page = await stack.browser.person();
  for (const [tag, dir, words] of [
    ['de', 'ltr', /Darf diese App/],
    ['en-XA', 'ltr', /Lét thís ápp/],
    ['ar-XB', 'rtl', /Lét thís ápp/],
  ]) {
    const url = new URL(String(client.authorization().url));
    url.searchParams.set('ui_locales', tag);
    const weight = await open(page, String(url));
    assert.ok(weight <= 20_000, `consent weighs ${weight} in ${tag}`);
    assert.match(await page.locator('main').innerText(), words);
    await judge(page, `consent-${tag}`, { lang: tag, dir });
    const flow = await flowOn(page);
    for (const [name, path] of [
      ['apps', '/apps'],
      ['landing', '/'],
      ['connect', '/connect/weather'],
      ['flow', flow],
      ['refusal', '/authorize?client_id=vcl_unknown'],
    ]) {
      const address = new URL(of(path));
      address.searchParams.set('ui_locales', tag);
      await open(page, String(address));
      await judge(page, `${name}-${tag}`, { lang: tag, dir });
    }
  }
  await page.context().close();
});

test('a person decides without a mouse, in the order of reading, and Enter alone decides nothing', async () => {
  const page = await stack.browser.person();
  await consent(page);
  await page.keyboard.press('Enter');
  const reached = [];
  for (let tabs = 0; tabs < 30; tabs += 1) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const focused = document.activeElement;
      if (!focused || focused === document.body) return undefined;
      const { top, left, width, height } = focused.getBoundingClientRect();
      const outline = getComputedStyle(focused).outlineStyle;
      return { value: focused.value ?? '', name: focused.name ?? '', tag: focused.tagName, top: Math.round(top + scrollY), left, width, height, outline };
    });
    if (!now) break;
    assert.notEqual(now.outline, 'none', `it is seen where one is: ${JSON.stringify(now)}`);
    if (now.tag === 'BUTTON') assert.ok(now.height >= 24 && now.width >= 24, 'large enough to hit');
    reached.push(now);
    if (now.value === 'deny') break;
  }
  const tops = reached.map(({ top }) => top);
  assert.deepEqual(tops, [...tops].sort((a, b) => a - b), 'from top to bottom');
  assert.equal(reached.at(-1)?.value, 'deny', JSON.stringify(reached));
  await page.keyboard.press('Enter');
  const answer = await stack.callback.next();
  assert.equal(answer.error, 'access_denied');
  await until(() => page.url().startsWith(stack.callback.url), 'the way back');
  await page.context().close();
});
