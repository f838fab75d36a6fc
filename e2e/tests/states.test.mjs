// The pages that people see when something is new, odd or wrong: judged like those of the usual way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decide, follow } from '../support/browser.mjs';
import { weatherServer } from '../support/gateway.mjs';
import { BareClient, connect } from '../support/oauth.mjs';
import { judge, open } from '../support/pages.mjs';
import { startStack } from '../support/stack.mjs';
import { until } from '../support/wait.mjs';

let stack;
before(async () => {
  stack = await startStack({
    servers: (weather) => ({
      weather: weatherServer(weather.url),
      team: weatherServer(weather.url, { path: '/team/mcp', title: 'Team notes', allow: ['group:nobody-has-this'] }),
    }),
    clients: (callback) => ({ notes: { name: 'Notes of the house', redirect_uris: [callback.url] } }),
    clock: true,
    config: { tokens: { device: true }, registration: { private_schemes: ['com.example.phone'] } },
  });
});
after(() => stack?.stop());

const of = (path) => `${stack.gateway.url}${path}`;
const words = (page) => page.locator('main').innerText();

/** A client that registers itself. */
async function registered(metadata = {}, server = stack.url) {
  const client = new BareClient(server, { redirectUri: metadata.redirect_uris?.[0] ?? stack.callback.url });
  await client.discover();
  const answer = await client.register(metadata);
  assert.equal(answer.status, 201, answer.text);
  return client;
}

/** The consent page of a client of this kind. */
async function consentOf(page, metadata) {
  const client = await registered(metadata);
  const weight = await open(page, String(client.authorization().url));
  assert.ok(weight <= 20_000, `consent weighs ${weight}`);
  return client;
}

test('consent, of apps that are not what they seem', async () => {
  const page = await stack.browser.person();
  await consentOf(page, { client_name: 'Visual Studio Code', redirect_uris: ['https://vscode.example/callback'] });
  assert.match(await words(page), /Visual Studio Code[\s\S]*Visual Studio Code/);
  await judge(page, 'consent-look-alike');
  await consentOf(page, { client_name: 'Сlаudе' });
  assert.match(await words(page), /alphabets/);
  await judge(page, 'consent-mixed');
  await consentOf(page, { client_name: 'A phone app', redirect_uris: ['com.example.phone:/callback'], application_type: 'native' });
  await judge(page, 'consent-scheme');
  await page.context().close();
});

test('consent, when the answer goes elsewhere than before, and when somebody else comes back', async () => {
  const page = await stack.browser.person();
  const { port, pathname } = new URL(stack.callback.url);
  const elsewhere = `http://localhost:${port}${pathname}`;
  const client = await registered({ client_name: 'An app that moves', redirect_uris: [stack.callback.url, elsewhere] });
  const request = client.authorization();
  await page.goto(String(request.url));
  await decide(page);
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
  const { code } = await stack.callback.next();
  assert.equal((await client.redeem(code, request.verifier)).status, 200);
  client.redirectUri = elsewhere;
  await open(page, String(client.authorization().url));
  assert.match(await words(page), /localhost/);
  await judge(page, 'consent-elsewhere');
  // The provider forgets who was there; somebody else sits down.
  await page.context().clearCookies({ name: /^(?!.*vestibule)/ });
  await decide(page);
  await follow(page, { person: 'ada', arrived: (address) => address.startsWith(of('/oauth-callback')) });
  await page.getByRole('alert').waitFor();
  await judge(page, 'consent-somebody-else');
  await page.context().close();
});

test('consent pages that are used, or of another browser', async () => {
  const page = await stack.browser.person();
  const client = await registered();
  await page.goto(String(client.authorization().url));
  // Decided in another tab, as by a second press that comes too late.
  const target = (name) => page.locator('form[action="/consent/decision"]').evaluate((form, to) => { form.target = to; }, name);
  await target('_blank');
  await page.locator('button[value=deny]').click();
  assert.equal((await stack.callback.next()).error, 'access_denied');
  await target('');
  await page.locator('button[value=allow]').click();
  await page.getByText('V-CON-004').waitFor();
  await judge(page, 'consent-used');
  await open(page, String(client.authorization().url));
  await page.context().clearCookies();
  await page.locator('button[value=allow]').click();
  await page.getByText('V-CON-001').waitFor();
  await judge(page, 'consent-another-browser');
  await page.context().close();
});

test('consent, when the app is described otherwise than before', async () => {
  const page = await stack.browser.person();
  const notes = async () => {
    const client = new BareClient(stack.url, { redirectUri: stack.callback.url, clientId: 'notes' });
    await client.discover();
    return client.authorization({ scope: 'weather:read' });
  };
  await page.goto(String((await notes()).url));
  await decide(page);
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
  assert.ok((await stack.callback.next()).code);
  await stack.gateway.rewrite((text) => text.replace('Notes of the house', 'Notes and calendar'));
  await stack.gateway.restart();
  await open(page, String((await notes()).url));
  assert.match(await words(page), /Notes and calendar[\s\S]*describes itself differently/);
  await judge(page, 'consent-changed');
  await page.context().close();
});

test('a consent page that was left open for eleven minutes', async () => {
  const page = await stack.browser.person();
  const client = await registered();
  await page.goto(String(client.authorization().url));
  await stack.gateway.ahead(11);
  try {
    await page.locator('button[value=allow]').click();
    await page.getByText('V-CON-003').waitFor();
    await judge(page, 'consent-expired');
  } finally {
    await stack.gateway.ahead(0);
  }
  await page.context().close();
});

test('whom a rule stops reads why, and whom to ask; the app hears it when they go back', async () => {
  const page = await stack.browser.person();
  const client = await registered({ client_name: 'A notes app' }, stack.gateway.server('/team/mcp'));
  await page.goto(String(client.authorization({ scope: undefined }).url));
  await decide(page);
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(of('/oauth-callback')) });
  await page.getByRole('heading', { name: 'You may not use Team notes' }).waitFor();
  assert.match(await words(page), /Ask your administrator[\s\S]*V-POL-001/);
  await judge(page, 'policy');
  await page.getByRole('link', { name: /^Back to/ }).focus();
  await page.keyboard.press('Enter');
  const answer = await stack.callback.next();
  assert.deepEqual([answer.error, answer.iss], ['access_denied', stack.gateway.url]);
  await page.context().close();
});

test('requests and ways back that are refused', async () => {
  const page = await stack.browser.person();
  const client = await registered({ redirect_uris: ['https://app.example/callback'] });
  const odd = new URL(String(client.authorization().url));
  odd.searchParams.set('scope', 'something:else');
  await open(page, String(odd));
  await page.getByText('V-AUT-003').waitFor();
  await judge(page, 'request-refused');
  await open(page, of('/oauth-callback'));
  await judge(page, 'return-incomplete');
  await open(page, of('/oauth-callback?code=c&state=unknown-state'));
  await judge(page, 'return-unknown');
  await page.context().close();
});

test('a device, from its code to its answer', async () => {
  const client = await registered({ client_name: 'A television', grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'authorization_code', 'refresh_token'] });
  const begin = async () => {
    const answer = await fetch(client.metadata.device_authorization_endpoint, {
      method: 'POST',
      body: new URLSearchParams({ client_id: client.clientId, resource: stack.url, scope: 'weather:read' }),
    });
    const json = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(json));
    return json;
  };
  const page = await stack.browser.person();
  const first = await begin();
  await open(page, of('/device'));
  await judge(page, 'device');
  // By keyboard alone: a code that is none, and then the one that is shown.
  await page.locator('input[name=user_code]').focus();
  await page.keyboard.type('BBBB-BBBB');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await judge(page, 'device-wrong');
  await page.locator('input[name=user_code]').fill(first.user_code);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Allow' }).waitFor();
  assert.ok((await words(page)).includes(first.user_code));
  await judge(page, 'consent-device');
  await decide(page);
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(of('/device/done')) });
  await page.waitForLoadState('load');
  await judge(page, 'device-done');
  await page.reload();
  await page.getByText('V-DEV-001').waitFor();
  await judge(page, 'device-refused');
  const second = await begin();
  await open(page, second.verification_uri_complete);
  await page.locator('main button').click();
  await decide(page, 'deny');
  await page.waitForURL(/\/device\/done/);
  await page.waitForLoadState('load');
  await judge(page, 'device-denied');
  await page.context().close();
});

test('the record of a login before it and after it, copied for whoever can help', async () => {
  const page = await stack.browser.person();
  const { origin } = new URL(stack.gateway.url);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
  const client = await registered({ client_name: 'An app with a past' });
  const request = client.authorization({ scope: 'weather:read' });
  await page.goto(String(request.url));
  const flow = await page.locator('a[href^="/flows/"]').first().getAttribute('href');
  await decide(page);
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(stack.callback.url) });
  const { code } = await stack.callback.next();
  const token = (await client.redeem(code, request.verifier)).json.access_token;
  const session = await connect(stack.url, { token });
  await session.call('tools/list', {});
  await session.call('tools/call', { name: 'set_alert', arguments: {} });
  await page.goto(of(flow));
  await until(async () => {
    await page.reload();
    return (await words(page)).includes('V-SRV-016');
  }, 'the refused call in the record');
  assert.ok((await open(page, of(flow))) <= 60_000);
  assert.match(await words(page), /Probably[\s\S]*registered itself[\s\S]*for the first time[\s\S]*which tools/);
  await judge(page, 'flow-afterwards');
  const read = () => page.evaluate(() => navigator.clipboard.readText());
  await page.getByRole('button', { name: 'Copy link' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('status').getByText('Copied').waitFor();
  assert.equal(await read(), of(flow));
  await page.getByRole('button', { name: 'Copy for a bug report' }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).includes('exchanged its code'));
  const report = await read();
  for (const part of [of(flow), 'registered itself', 'V-SRV-016', `vestibule login ${stack.url} --scope 'weather:read'`]) {
    assert.ok(report.includes(part), `${part} in\n${report}`);
  }
  assert.ok(!report.includes(token) && !report.includes(code) && !report.includes(request.verifier));
  await page.context().close();
});
