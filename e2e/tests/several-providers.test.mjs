// Two identity providers at one gateway: the person chooses on the consent page, and what they see is theirs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowAndSignIn, signInAtProvider, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { startGateway, weatherServer } from '../support/gateway.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import * as other from '../support/oidc-provider.mjs';
import { judge, open } from '../support/pages.mjs';
import { PEOPLE } from '../support/people.mjs';
import { startProvider } from '../support/provider.mjs';
import { Pile } from '../support/stack.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

const OVER_TLS = process.env.E2E_TLS === '1';
const pile = new Pile();
let main;
let partner;
let gateway;
let callback;
let browser;

before(async () => {
  main = await pile.add(startProvider());
  partner = await pile.add(other.startProvider({ clientId: 'vestibule-there' }));
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser({ ignoreCertificates: OVER_TLS }));
  const weather = await pile.add(startWeather());
  gateway = await pile.add(startGateway({
    provider: main,
    tls: OVER_TLS,
    servers: {
      weather: weatherServer(weather.url, { idp: ['main', 'partner'] }),
      ours: weatherServer(weather.url, { path: '/ours/mcp', title: 'Our own weather' }),
    },
    config: {
      idp: { title: 'Contoso' },
      idps: {
        partner: {
          issuer: partner.issuer,
          client_id: partner.clientId,
          client_secret: { env: 'PARTNER' },
          title: 'Fabrikam & Sons',
        },
      },
    },
    env: { PARTNER: partner.clientSecret },
  }));
  await partner.allowRedirect(`${gateway.url}/oauth-callback/partner`);
});
after(() => pile.stop());

async function newClient(path) {
  const client = new BareClient(gateway.server(path), { redirectUri: callback.url });
  await client.discover();
  await client.register({ client_name: 'Desktop app' });
  return client;
}

async function weatherBy(client, request) {
  const { code } = await callback.next();
  const { json: tokens } = await client.redeem(code, request.verifier);
  const session = await connect(client.server, { token: tokens.access_token });
  const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  return weatherIn(answer.json.result);
}

test('the person chooses where they sign in, and comes back to the app', async () => {
  const page = await browser.person();
  const client = await newClient('/weather/mcp');
  const request = client.authorization();
  await open(page, request.url);
  await judge(page, 'consent-providers');
  await page.getByRole('radio', { name: 'Fabrikam & Sons' }).check();
  main.forget();
  partner.forget();
  await page.getByRole('button', { name: 'Allow' }).click();
  await signInAtProvider(page, 'bob', other);
  assert.deepEqual(await weatherBy(client, request), OSLO);
  assert.equal(main.to('authorization').length, 0, 'the other provider heard nothing');
  assert.ok(partner.to('token').length > 0);
  // What is theirs is at /apps, and the next consent page knows them and asks no more where.
  await open(page, `${gateway.url}/apps`);
  await page.getByText('Desktop app').first().waitFor();
  const again = await newClient('/weather/mcp');
  await open(page, again.authorization().url);
  await page.getByText(PEOPLE.bob.preferred_username).first().waitFor();
  assert.equal(await page.getByRole('radio').count(), 0);
  await page.context().close();
});

test('a server that does not name the further provider knows the main one alone', async () => {
  const page = await browser.person();
  const client = await newClient('/ours/mcp');
  const request = client.authorization();
  partner.forget();
  await allowAndSignIn(page, request.url, { redirectUri: callback.url });
  assert.deepEqual(await weatherBy(client, request), OSLO);
  assert.equal(partner.to('authorization').length, 0);
  await page.context().close();
});

test('our own pages let people choose, too', async () => {
  const page = await browser.person();
  await open(page, `${gateway.url}/apps`);
  await judge(page, 'sign-in-providers');
  await page.getByRole('link', { name: /Fabrikam/ }).click();
  await signInAtProvider(page, 'ada', other);
  await page.waitForURL(`${gateway.url}/apps`);
  await page.getByText(PEOPLE.ada.preferred_username).first().waitFor();
  await page.context().close();
});
