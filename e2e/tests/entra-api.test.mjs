// `vestibule entra … --server NAME`: a server in direct mode is an application of its own at Entra, an API with its scopes; and one
// application that several tenants sign in to.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { TENANT, startFolder, startTenant } from '../support/entra.mjs';

const URI = 'https://mcp.example.com/weather/mcp';
const VS_CODE = 'aebc6443-996d-45c2-90f0-388ff96faa56';
const PARTNER = '11111111-2222-3333-4444-555555555555';
const server = (over = {}) => ({
  weather: {
    path: '/weather/mcp',
    upstream: 'http://127.0.0.1:9/mcp',
    mode: 'direct',
    audience: { file: 'entra/weather/client_id' },
    scopes: { 'weather.read': 'Read the weather', 'weather.write': '' },
    preauthorized: [VS_CODE],
    ...over,
  },
});

let tenant;
let graph;
let folder;
before(async () => {
  tenant = await startTenant();
  graph = tenant.graph;
});
after(() => tenant?.stop());
beforeEach(async () => {
  tenant.empty();
  folder = await startFolder(tenant, { servers: server() });
});
afterEach(() => folder?.stop());

async function expecting(code, command, ...more) {
  const ran = await folder.entra(command, ...more);
  assert.equal(ran.code, code, ran.output);
  return ran.output;
}
const ofServer = (command, ...more) => expecting(0, command, '--server', 'weather', ...more);
const writes = () => graph.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path.replace(/\(.*\)/, '()')}`);
const scopesOf = (app) => app.api.oauth2PermissionScopes.map(({ value, isEnabled }) => `${value} ${isEnabled}`);

test('P4: a server is an app with its address, scopes, tokens of version 2 and the clients nobody is asked about', async () => {
  const plan = await ofServer('plan');
  assert.match(plan, /create +app "Vestibule weather"\n +Application ID URI https:\/\/mcp\.example\.com\/weather\/mcp\n +scopes weather\.read, weather\.write\n/);
  assert.match(plan, /Apply with: {2}vestibule entra apply --server weather\n/);
  assert.deepEqual(writes(), []);
  const output = await ofServer('apply', '--yes');
  assert.match(output, /3 changed, 0 unchanged, 0 failed/);
  const app = graph.only();
  assert.equal(app.signInAudience, 'AzureADMyOrg');
  assert.deepEqual(app.identifierUris, [URI]);
  assert.equal(app.api.requestedAccessTokenVersion, 2);
  assert.deepEqual(scopesOf(app), ['weather.read true', 'weather.write true']);
  assert.deepEqual(app.api.preAuthorizedApplications.map(({ appId }) => appId), [VS_CODE]);
  assert.equal(app.api.preAuthorizedApplications[0].delegatedPermissionIds.length, 2);
  assert.deepEqual(app.web.redirectUris, [], 'nobody signs in to it');
  assert.deepEqual(app.passwordCredentials, [], 'nobody acts as it');
  assert.deepEqual(app.tags, ['vestibule-server:mcp.example.com/weather']);
  assert.ok(graph.principals.has(app.appId));
  assert.equal(await folder.read('entra/weather/client_id'), app.appId);
  graph.requests.length = 0;
  assert.match(await ofServer('apply', '--yes'), /0 changed, \d unchanged, 0 failed/);
  assert.deepEqual(writes(), []);
});

test('P4: the gateway’s own app stands beside it, and the configuration is whole then', async () => {
  await ofServer('apply', '--yes');
  await expecting(0, 'apply', '--yes');
  assert.deepEqual([...graph.apps.values()].map(({ displayName }) => displayName).sort(), ['Vestibule', 'Vestibule weather']);
  const { code, output } = await folder.run(['check']);
  assert.equal(code, 0, output);
});

test('P4: killed at each request, and run again: one app, each scope once', async () => {
  for (const at of [0, 1, 2]) {
    graph.apps.clear();
    graph.principals.clear();
    await folder.stop();
    folder = await startFolder(tenant, { servers: server() });
    let written = 0;
    let child;
    graph.meet = ({ method, done }) => {
      if (method !== 'GET' && done && written++ === at) child.kill();
    };
    child = folder.begin(['entra', 'apply', '--yes', '--server', 'weather']);
    await child.exited;
    graph.meet = () => {};
    await ofServer('apply', '--yes');
    const app = graph.only();
    assert.deepEqual(scopesOf(app), ['weather.read true', 'weather.write true']);
    assert.equal(app.api.preAuthorizedApplications.length, 1);
    assert.equal(await folder.read('entra/weather/client_id'), app.appId);
  }
});

test('P4: another scope is added, what others put there stays, and is pointed at', async () => {
  await ofServer('apply', '--yes');
  const app = graph.only();
  app.api.oauth2PermissionScopes.push({ ...app.api.oauth2PermissionScopes[0], id: PARTNER, value: 'theirs' });
  await folder.configure({ servers: server({ scopes: { 'weather.read': 'Read', forecast: 'Forecasts' } }) });
  const output = await ofServer('apply', '--yes');
  assert.match(output, /\+ scope forecast/);
  assert.match(output, /scopes that the server does not have: weather\.write, theirs/);
  assert.deepEqual(scopesOf(app), ['weather.read true', 'weather.write true', 'theirs true', 'forecast true']);
  const forecast = app.api.oauth2PermissionScopes.at(-1).id;
  assert.ok(app.api.preAuthorizedApplications[0].delegatedPermissionIds.includes(forecast));
  assert.match(await ofServer('destroy', '--dry-run'), /permissions that it defines/);
});

test('P4: a domain that is not the tenant’s is said, with what to write in its place', async () => {
  graph.domains = ['elsewhere.example'];
  const output = await expecting(6, 'apply', '--yes', '--server', 'weather');
  assert.match(output, /V-ENT-016/);
  assert.match(output, /scope_prefix = "api:/);
  assert.equal(graph.apps.size, 0, output);
  await folder.configure({ servers: server({ scope_prefix: `api://${TENANT}/weather/` }) });
  await ofServer('apply', '--yes');
  assert.deepEqual(graph.only().identifierUris, [`api://${TENANT}/weather`]);
});

test('P4 M4: what was made stays ours when the configuration says otherwise by now, or nothing', async () => {
  await ofServer('apply', '--yes');
  await folder.configure({ servers: server({ path: '/w/mcp', scopes: { forecast: '' } }) });
  await ofServer('apply', '--yes');
  const app = graph.only();
  assert.deepEqual(app.identifierUris, [URI, 'https://mcp.example.com/w/mcp']);
  assert.deepEqual(scopesOf(app), ['weather.read true', 'weather.write true', 'forecast true']);
  await folder.configure({ servers: { other: { path: '/other/mcp', upstream: 'http://127.0.0.1:9/mcp' } } });
  assert.match(await expecting(2, 'plan', '--server', 'weather'), /no app of its own/);
  await ofServer('destroy', '--yes');
  assert.equal(graph.apps.size, 0);
});

test('P4 M4: of an app that was somebody’s, what we let in is taken back, and the rest is pointed at', async () => {
  const theirs = { appId: PARTNER, delegatedPermissionIds: [] };
  const app = graph.make({ displayName: 'By hand', api: { oauth2PermissionScopes: [], preAuthorizedApplications: [theirs] } });
  await ofServer('adopt', '--app-id', app.appId, '--yes');
  assert.deepEqual(app.api.preAuthorizedApplications.map(({ appId }) => appId), [PARTNER, VS_CODE]);
  assert.equal(app.displayName, 'By hand');
  const output = await ofServer('destroy', '--yes');
  assert.match(output, /Application ID URI https:\/\/mcp\.example\.com\/weather\/mcp and its scopes stay/);
  assert.deepEqual(app.api.preAuthorizedApplications, [theirs]);
  assert.deepEqual(app.tags, []);
});

test('P4: names and files of apps do not run into each other', async () => {
  await folder.configure({ servers: server({ audience: { file: 'entra/client_id' } }) });
  assert.match(await expecting(2, 'apply', '--yes', '--server', 'weather'), /V-CFG-057[^]*another app/);
  await folder.configure({ servers: { ...server(), '..': server().weather } });
  assert.match(await expecting(2, 'plan'), /V-CFG-059/);
  await folder.configure({ servers: server({ idp: ['main'], audience: ['api://x', VS_CODE] }) });
  assert.match(await expecting(6, 'plan', '--server', 'weather'), new RegExp(`audience is ${VS_CODE}`));
  // Another gateway whose name reads like this one's server.
  const other = graph.make({ tags: ['vestibule:mcp.example.com.weather'], uniqueName: 'vestibule-mcp.example.com.weather-1234' });
  await folder.configure({ servers: server() });
  await ofServer('apply', '--yes');
  await ofServer('destroy', '--yes');
  assert.equal(graph.only(), other);
});

test('P4 M1: destroy takes that app alone', async () => {
  await ofServer('apply', '--yes');
  await expecting(0, 'apply', '--yes');
  await ofServer('destroy', '--yes');
  assert.equal(graph.only().displayName, 'Vestibule');
  assert.equal(await folder.has('entra/weather/client_id'), false);
  assert.equal(await folder.has('entra/client_id'), true);
});

test('P4: on behalf of somebody is asked by the gateway’s own app, which is the API then', async () => {
  const own = server({ audience: { file: 'entra/client_id' }, upstream_auth: { 'on-behalf-of': 'api://other/.default' } });
  await folder.configure({ servers: own });
  assert.match(await expecting(2, 'plan', '--server', 'weather'), /no app of its own/);
  await expecting(0, 'apply', '--yes');
  const app = graph.only();
  assert.deepEqual(app.identifierUris, [URI]);
  assert.equal(app.web.redirectUris.length, 1);
  assert.equal(app.passwordCredentials.length, 1);
});

test('P4: a server without an app, and a rotation of none, are usage errors', async () => {
  assert.match(await expecting(2, 'plan', '--server', 'nope'), /these have: weather/);
  assert.match(await expecting(2, 'rotate', '--server', 'weather'), /no credential/);
  await folder.configure({ servers: server({ audience: undefined }) });
  assert.match(await expecting(2, 'plan', '--server', 'weather'), /audience = \{ file = "entra\/weather\/client_id" \}/);
  await folder.configure({ servers: server({ preauthorized: ['VS Code'] }) });
  assert.match(await expecting(2, 'plan'), /V-CFG-057[^]*aebc6443/);
});

test('UP-16: one app for several tenants, with a link for the administrator of each', async () => {
  await folder.configure({ idp: { tenant: 'organizations', tenants: [TENANT, PARTNER] }, servers: undefined });
  assert.match(await expecting(2, 'plan'), /V-CFG-058[^]*entra\.tenant/);
  await folder.configure({ idp: { tenant: 'organizations', tenants: [TENANT, PARTNER] }, entra: { tenant: TENANT } });
  const output = await expecting(0, 'apply', '--yes');
  const app = graph.only();
  assert.equal(app.signInAudience, 'AzureADMultipleOrgs');
  for (const id of [TENANT, PARTNER]) assert.ok(output.includes(`/${id}/adminconsent?client_id=${app.appId}`), output);
  assert.match(await expecting(0, 'apply', '--yes'), /0 changed/);
  // One tenant again: nobody else is let in.
  await folder.configure({});
  await expecting(0, 'apply', '--yes');
  assert.equal(app.signInAudience, 'AzureADMyOrg');
});
