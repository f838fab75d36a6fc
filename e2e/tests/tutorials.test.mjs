// The commands of the pages about Microsoft Entra, as they are written there but for the addresses that are the reader's own, with
// stand-ins in place of Azure: each page ends in a login in a browser and a tool's answer.
import assert from 'node:assert/strict';
import { appendFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { allowAndSignIn, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { TENANT, startFolder, startTenant } from '../support/entra.mjs';
import { binary } from '../support/gateway.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import { Child } from '../support/process.mjs';
import { Pile } from '../support/stack.mjs';
import { freePort, untilReady, within } from '../support/wait.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

const HOW_TO = fileURLToPath(new URL('../../docs/how-to', import.meta.url));
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

/** The first block of settings of a page, from a heading on. */
async function settingsOf(page, heading) {
  const text = await readFile(join(HOW_TO, page), 'utf8');
  return /```toml\n([\s\S]*?)```/.exec(text.slice(text.indexOf(heading)))[1];
}

/** The commands of a page's first block, one to a line, without what is said beside them. */
async function commandsOf(page) {
  const text = await readFile(join(HOW_TO, page), 'utf8');
  const [, block] = /```sh\n([\s\S]*?)```/.exec(text);
  return block.trim().replaceAll('\\\n', ' ').split('\n').map((line) => line.replace(/\s+#.*$/, '').replace(/\s+/g, ' '));
}

/** An empty folder, in which lines are typed. */
async function startReader() {
  const folder = await pile.add(startFolder(tenant));
  await rm(folder.path('vestibule.toml'));
  await mkdir(folder.path('bin'));
  await symlink(binary(), folder.path('bin/vestibule'));
  const publicUrl = `http://127.0.0.1:${await freePort()}`;
  const admin = `127.0.0.1:${await freePort()}`;
  const env = {
    PATH: `${folder.path('bin')}:${AZ}:${process.env.PATH}`,
    AZ_STANDIN: folder.path('az.json'),
    AZ_NODE: process.execPath,
    // Where this reader's cloud is.
    VESTIBULE_ENTRA__AUTHORITY: tenant.provider.origin,
    VESTIBULE_ENTRA__GRAPH: tenant.graph.origin,
    VESTIBULE_ADMIN__LISTEN: admin,
  };
  const type = (line) => new Child('sh', ['-c', `exec ${line}`], { cwd: folder.dir, env });
  return {
    folder,
    publicUrl,
    own: (line) => line.replace('https://mcp.example.com', publicUrl).replace(/http:\/\/127\.0\.0\.1:8123[^\s"]*/, weather.url),
    async run(line, codes = [0]) {
      const child = type(line);
      const { code } = await within(child.exited, line, 90_000);
      assert.ok(codes.includes(code), `${line}: ${code}\n${child.output}`);
      return child.output;
    },
    async serve(line) {
      const child = type(line);
      await untilReady(child, `http://${admin}/readyz`);
      return child;
    },
  };
}

async function weatherThrough(publicUrl) {
  const server = `${publicUrl}/weather/mcp`;
  const client = new BareClient(server, { redirectUri: callback.url });
  await client.discover();
  await client.register();
  const request = client.authorization();
  const page = await browser.person();
  await allowAndSignIn(page, request.url, { redirectUri: callback.url });
  await page.context().close();
  const { code } = await callback.next();
  const { json: tokens } = await client.redeem(code, request.verifier);
  const session = await connect(server, { token: tokens.access_token });
  const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  return weatherIn(answer.json.result);
}

test('entra.md: from nothing to a login', async () => {
  tenant.graph.apps.clear();
  tenant.graph.principals.clear();
  const reader = await startReader();
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
  assert.deepEqual(await weatherThrough(reader.publicUrl), OSLO);
  assert.equal((await gateway.stop()).code, 0);
});

test('from-the-azure-lab.md: the registration that the lab made is used on', async () => {
  const reader = await startReader();
  const { graph } = tenant;
  graph.apps.clear();
  graph.principals.clear();
  const app = graph.make({ displayName: 'mcp-lab', web: { redirectUris: ['https://lab.azure-api.net/oauth-callback'] } });
  const { secretText } = graph.secret(app);
  await writeFile(reader.folder.path('params.json'), JSON.stringify({
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
  await reader.run(doctor, [0, 5]);
  await reader.run(az);
  await reader.run(`${adopt} --yes`);
  assert.deepEqual(new Set(app.web.redirectUris), new Set(['https://lab.azure-api.net/oauth-callback', `${reader.publicUrl}/oauth-callback`]));
  const gateway = await reader.serve(serve);
  assert.deepEqual(await weatherThrough(reader.publicUrl), OSLO);
  assert.equal((await gateway.stop()).code, 0);
});

test('direct.md: a server is an app of its own at Entra, whose tokens the gateway takes', async () => {
  const reader = await startReader();
  const { graph, provider } = tenant;
  graph.apps.clear();
  graph.principals.clear();
  const [init, az] = (await commandsOf('entra.md')).map((line) => reader.own(line).replace('contoso.com', TENANT));
  await reader.run(`${init} --authority ${provider.origin} --graph ${graph.origin}`);
  await reader.run(az);
  const settings = (await readFile(reader.folder.path('vestibule.toml'), 'utf8')).split('[servers.weather]')[0];
  await writeFile(reader.folder.path('vestibule.toml'), settings + reader.own(await settingsOf('direct.md', '## Microsoft Entra')));
  // An address of this computer is under no domain of a tenant's; the page says what to write then.
  const prefix = /`scope_prefix = "(\S+)"`/.exec(await readFile(join(HOW_TO, 'direct.md'), 'utf8'))[1].replace('TENANT-ID', TENANT);
  await appendFile(reader.folder.path('vestibule.toml'), `scope_prefix = "${prefix}"\n`);
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
  assert.notEqual(foreign.appId, await reader.folder.read('entra/weather/client_id'));
  assert.equal((await gateway.stop()).code, 0);
});
