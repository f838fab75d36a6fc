// Takes the pictures of docs/explanation/pages.md, and prints what the records of three failed logins say. Called by
// scripts/pictures.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decide, follow } from './support/browser.mjs';
import { weatherServer } from './support/gateway.mjs';
import { BareClient, connect } from './support/oauth.mjs';
import { PEOPLE } from './support/provider.mjs';
import { startStack } from './support/stack.mjs';
import { freePort, until } from './support/wait.mjs';

const FOLDER = join(import.meta.dirname, '..', 'docs', 'explanation', 'pictures');

const nowhere = await freePort();
const stack = await startStack({
  servers: (weather) => ({
    weather: weatherServer(weather.url),
    team: weatherServer(weather.url, { path: '/team/mcp', title: 'Team notes', allow: ['group:nobody-has-this'] }),
    gone: weatherServer(`http://127.0.0.1:${nowhere}/mcp`, { path: '/gone/mcp', title: 'Orders' }),
  }),
  config: { instance: { name: 'Contoso tools' }, admin: { groups: PEOPLE.ada.groups } },
});
const of = (path) => `${stack.gateway.url}${path}`;

/** Keeps a picture, small. */
async function picture(page, name, width = 640) {
  await page.setViewportSize({ width, height: 400 });
  // What is further down is the list of the same, and how to take it along.
  const height = Math.min(1100, await page.evaluate(() => document.documentElement.scrollHeight));
  const png = await page.screenshot({ fullPage: true, clip: { x: 0, y: 0, width, height } });
  const blank = await page.context().newPage();
  const webp = await blank.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.7).split(',')[1];
  }, `data:image/png;base64,${png.toString('base64')}`);
  await blank.close();
  const bytes = Buffer.from(webp, 'base64');
  await writeFile(join(FOLDER, `${name}.webp`), bytes);
  console.error(`${name}: ${bytes.length} bytes`);
}

async function app(name, server) {
  const client = new BareClient(stack.gateway.server(server), { redirectUri: stack.callback.url });
  await client.discover();
  await client.register({ client_name: name });
  return client;
}

/** A login of bob up to where it ends; its record's path, and the tokens if it has any. */
async function login(page, client, { scope, look } = {}) {
  const request = client.authorization({ scope });
  await page.goto(String(request.url));
  if (look) await picture(page, look);
  const flow = await page.locator('a[href^="/flows/"]').first().getAttribute('href');
  await decide(page);
  const [callback, ours] = [stack.callback.url, of('/oauth-callback')];
  await follow(page, { person: 'bob', arrived: (address) => address.startsWith(callback) || address.startsWith(ours) });
  if (page.url().startsWith(ours)) {
    await page.getByRole('heading').first().waitFor();
    return { flow };
  }
  const { code } = await stack.callback.next();
  return { flow, tokens: code && (await client.redeem(code, request.verifier)).json };
}

async function record(page, flow, name, shows) {
  await until(async () => {
    await page.goto(of(flow));
    return (await page.locator('main').innerText()).includes(shows);
  }, `the record to say ${shows}`);
  await picture(page, name);
  console.log(`## ${name}\n\n${await page.locator('main').innerText()}\n`);
}

try {
  await mkdir(FOLDER, { recursive: true });
  const page = await stack.browser.person();
  await page.emulateMedia({ colorScheme: 'light' });
  const weather = await app('Trip planner', '/weather/mcp');
  const good = await login(page, weather, { scope: 'weather:read offline_access', look: 'consent' });
  const session = await connect(stack.url, { token: good.tokens.access_token });
  await session.call('tools/list', {});
  for (const city of ['Lisbon', 'Oslo']) await session.call('tools/call', { name: 'get_weather', arguments: { city } });
  await until(async () => {
    await page.goto(of(good.flow));
    return (await page.locator('main').innerText()).includes('which tools there are');
  }, 'the first calls');
  await picture(page, 'record');

  stack.provider.faults.token = {
    status: 401,
    body: { error: 'invalid_client', error_description: 'AADSTS7000222: The provided client secret keys are expired.' },
  };
  const expired = await login(page, weather);
  delete stack.provider.faults.token;
  await record(page, expired.flow, 'failed-secret', 'V-IDP-014');

  const stopped = await login(page, await app('Trip planner', '/team/mcp'));
  await picture(page, 'policy');
  await record(page, stopped.flow, 'failed-rule', 'V-POL-001');

  const orders = await app('Trip planner', '/gone/mcp');
  const gone = await login(page, orders);
  await fetch(stack.gateway.server('/gone/mcp'), {
    method: 'POST',
    headers: { authorization: `Bearer ${gone.tokens.access_token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  });
  await record(page, gone.flow, 'failed-server', 'V-SRV-001');

  await page.goto(of('/apps'));
  await picture(page, 'apps');

  const { admin } = stack.gateway;
  const ada = await stack.browser.person();
  await ada.goto(`${admin}/console`, { waitUntil: 'commit' });
  await follow(ada, { person: 'ada', arrived: (address) => address.includes('/operator/pass/') });
  await ada.getByRole('button', { name: 'Go on' }).click();
  await ada.waitForURL(`${admin}/console`);
  await picture(ada, 'console', 1000);
} finally {
  await stack.stop();
}
