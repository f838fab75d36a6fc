// The commands of the pages about Microsoft Entra, as they are written there but for the addresses that are the reader's own, with
// stand-ins in place of Azure: each page ends in a login in a browser and a tool's answer.
import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { TENANT, startTenant } from '../support/entra.mjs';
import { connect, weatherIn } from '../support/oauth.mjs';
import { commandsOf, pageOf, settingsOf, startReader, weatherThrough } from '../support/reader.mjs';
import { Pile } from '../support/stack.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

const AZ = fileURLToPath(new URL('../support/az', import.meta.url));
const pile = new Pile();
let tenant;
let weather;
let browser;
let callback;
before(async () => {
  tenant = await pile.add(startTenant());
  weather = await pile.add(startWeather());
  callback = await pile.add(startCallback());
  browser = await pile.add(startBrowser());
});
after(() => pile.stop());

/** A reader whose cloud is here, and who is signed in to the Azure CLI. */
async function startAzureReader() {
  const { graph, provider } = tenant;
  tenant.empty();
  const reader = await pile.add(startReader({ weather, path: [AZ] }));
  const signedIn = reader.path('az.json');
  await writeFile(signedIn, JSON.stringify({ mode: 'signed-in', token: graph.token(), tenant: TENANT }));
  reader.env({
    AZ_STANDIN: signedIn,
    AZ_NODE: process.execPath,
    VESTIBULE_ENTRA__AUTHORITY: provider.origin,
    VESTIBULE_ENTRA__GRAPH: graph.origin,
  });
  return reader;
}

const toWeather = (reader) => weatherThrough(reader.publicUrl, { browser, callback });

test('entra.md: from nothing to a login', async () => {
  const reader = await startAzureReader();
  const commands = await commandsOf('entra.md');
  assert.deepEqual(commands.map((line) => line.split(' ').slice(0, 3).join(' ')), [
    'vestibule init --idp', 'az login --tenant', 'vestibule entra plan', 'vestibule entra apply', 'vestibule serve',
  ]);
  const [init, az, plan, apply, serve] = commands.map((line) => reader.own(line).replace('contoso.com', TENANT));
  await reader.run(`${init} --authority ${tenant.provider.origin} --graph ${tenant.graph.origin}`);
  await reader.run(az);
  assert.match(await reader.run(plan), /create +app/);
  // Where the reader presses y.
  await reader.run(`${apply} --yes`);
  const gateway = await reader.serve(serve);
  assert.deepEqual(await toWeather(reader), OSLO);
  assert.equal((await gateway.stop()).code, 0);
});

test('from-the-azure-lab.md: the registration that the lab made is used on', async () => {
  const reader = await startAzureReader();
  const { graph } = tenant;
  const app = graph.make({ displayName: 'mcp-lab', web: { redirectUris: ['https://lab.azure-api.net/oauth-callback'] } });
  const { secretText } = graph.secret(app);
  await writeFile(reader.path('params.json'), JSON.stringify({
    parameters: {
      entraIDTenantId: { value: TENANT },
      entraIDClientId: { value: app.appId },
      entraIDClientSecret: { value: secretText },
      oauthScopes: { value: 'openid https://graph.microsoft.com/.default' },
      encryptionIV: { value: 'x' },
      encryptionKey: { value: 'y' },
    },
  }));
  const commands = await commandsOf('from-the-azure-lab.md');
  const [load, doctor, az, adopt, serve] = commands.map((line) => reader.own(line).replace('CLIENT_ID', app.appId));
  assert.match(load, /^vestibule import apim-lab params\.json/);
  assert.match(await reader.run(load), new RegExp(`entra adopt .*--app-id ${app.appId}`));
  // The lab's registration has no redirect address of this gateway yet.
  await reader.run(doctor, { codes: [0, 5] });
  await reader.run(az);
  await reader.run(`${adopt} --yes`);
  assert.deepEqual(new Set(app.web.redirectUris), new Set(['https://lab.azure-api.net/oauth-callback', `${reader.publicUrl}/oauth-callback`]));
  const gateway = await reader.serve(serve);
  assert.deepEqual(await toWeather(reader), OSLO);
  assert.equal((await gateway.stop()).code, 0);
});

test('direct.md: a server is an app of its own at Entra, whose tokens the gateway takes', async () => {
  const reader = await startAzureReader();
  const { graph, provider } = tenant;
  const [init, az] = (await commandsOf('entra.md')).map((line) => reader.own(line).replace('contoso.com', TENANT));
  await reader.run(`${init} --authority ${provider.origin} --graph ${graph.origin}`);
  await reader.run(az);
  const settings = (await readFile(reader.path('vestibule.toml'), 'utf8')).split('[servers.weather]')[0];
  await writeFile(reader.path('vestibule.toml'), settings + reader.own(await settingsOf('direct.md', '## Microsoft Entra')));
  // An address of this computer is under no domain of a tenant's; the page says what to write then.
  const prefix = /`scope_prefix = "(\S+)"`/.exec(await pageOf('direct.md'))[1].replace('TENANT-ID', TENANT);
  await appendFile(reader.path('vestibule.toml'), `scope_prefix = "${prefix}"\n`);
  const commands = (await commandsOf('direct.md')).map(reader.own);
  assert.deepEqual(commands, ['entra plan --server weather', 'entra apply --server weather', 'entra apply', 'check', 'serve'].map((line) => `vestibule ${line}`));
  const [plan, server, own, check, serve] = commands;
  assert.match(await reader.run(plan), /create +app "Vestibule weather"/);
  await reader.run(`${server} --yes`);
  await reader.run(`${own} --yes`);
  await reader.run(check);
  const gateway = await reader.serve(serve);
  // A client that knows the provider by the server's metadata alone.
  const url = `${reader.publicUrl}/weather/mcp`;
  const metadata = await (await fetch(`${reader.publicUrl}/.well-known/oauth-protected-resource/weather/mcp`)).json();
  assert.deepEqual(metadata.authorization_servers, [provider.issuer]);
  const token = await provider.apiToken('ada', { client: 'aebc6443-996d-45c2-90f0-388ff96faa56', scope: metadata.scopes_supported.join(' ') });
  const session = await connect(url, { token });
  const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  assert.deepEqual(weatherIn(answer.json.result), OSLO);
  // The gateway's own app is another audience.
  const foreign = [...graph.apps.values()].find(({ displayName }) => displayName === 'Vestibule');
  assert.notEqual(foreign.appId, await readFile(reader.path('entra/weather/client_id'), 'utf8'));
  assert.equal((await gateway.stop()).code, 0);
});
