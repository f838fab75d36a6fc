// The lab's set-up cells, row by row, and what a product does in their place (the numbers are those of the rows).
import assert from 'node:assert/strict';
import { chmod, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { TENANT, startFolder, startTenant } from '../support/entra.mjs';

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
  folder = await startFolder(tenant);
});
afterEach(() => folder?.stop());

const REDIRECT = 'https://mcp.example.com/oauth-callback';
const writes = () => graph.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path.replace(/[0-9a-f-]{36}/g, 'ID').replace(/vestibule-[^']*/, 'NAME')}`);
const once = (times) => (request) => times(request);
const fails = (on, status, code, message, more = {}) => graph.faults.push({ on: once(on), status, code, message, ...more });

/** Runs, and expects this exit code. */
async function expecting(code, command, ...more) {
  const ran = await folder.entra(command, ...more);
  assert.equal(ran.code, code, ran.output);
  return ran.output;
}
const apply = (...more) => expecting(0, 'apply', '--yes', ...more);

test('D1 D4 D13: one app, found again by what it is and not by its label', async () => {
  const output = await apply();
  const app = graph.only();
  assert.deepEqual(app.web.redirectUris, [REDIRECT]);
  assert.deepEqual(app.tags, ['vestibule:mcp.example.com']);
  assert.equal((await folder.read('entra/client_id')), app.appId);
  assert.match(output, /3 changed, 0 unchanged, 0 failed/);
  assert.deepEqual(writes(), [
    "PATCH /applications(uniqueName='NAME')",
    'POST /servicePrincipals',
    'POST /applications/ID/addPassword',
  ]);
  graph.requests.length = 0;
  app.displayName = 'Renamed in the portal';
  const again = await apply();
  assert.equal(graph.only(), app);
  assert.equal(app.displayName, 'Vestibule');
  assert.match(again, /1 changed, 3 unchanged/);
  graph.requests.length = 0;
  assert.match(await apply(), /0 changed, 4 unchanged/);
  assert.deepEqual(writes(), []);
});

test('D2: two apps of one tag are listed with date and owner, and none is taken', async () => {
  graph.make({ tags: ['vestibule:mcp.example.com'], displayName: 'Vestibule', createdDateTime: '2026-10-01T00:00:00Z' });
  const second = graph.make({ tags: ['vestibule:mcp.example.com'], displayName: 'Vestibule', owners: [] });
  graph.make({ tags: ['vestibule:mcp.example.com'], displayName: 'Vestibule' });
  const output = await expecting(6, 'apply', '--yes');
  assert.match(output, /V-ENT-006[\s\S]*3 apps[\s\S]*2026-10-01[\s\S]*ada@contoso.example[\s\S]*owned by nobody[\s\S]*adopt --app-id/);
  assert.deepEqual(writes(), []);
  await expecting(0, 'adopt', '--app-id', second.appId, '--yes');
  assert.deepEqual(second.web.redirectUris, [REDIRECT]);
  await apply();
  assert.equal(graph.apps.size, 3);
});

for (const [status, code, exit, error] of [
  [401, 'InvalidAuthenticationToken', 3, 'V-ENT-002'],
  [403, 'Authorization_RequestDenied', 6, 'V-ENT-005'],
  [500, 'InternalServerError', 4, 'V-ENT-004'],
]) {
  test(`D3 Q2: a list that answers ${status} is no empty list`, async () => {
    fails(({ method, path }) => method === 'GET' && path === '/applications', status, code, 'No.');
    const output = await expecting(exit, 'apply', '--yes');
    assert.match(output, new RegExp(`${error}[\\s\\S]*it said  ${code} No\\.[\\s\\S]*nothing was changed`));
    assert.deepEqual(writes(), []);
    assert.equal(await folder.has('entra/client_id'), false);
  });
}

test('D3 Q2: a network that is down is no empty list', async () => {
  await folder.configure({ entra: { authority: tenant.provider.origin, graph: 'http://127.0.0.1:9' } });
  await folder.az('signed-in', graph.token({ aud: 'http://127.0.0.1:9' }));
  assert.match(await expecting(4, 'apply', '--yes'), /V-ENT-004[\s\S]*nothing was changed/);
});

test('D4: killed just after the app was made, and run again: one app', async () => {
  let child;
  graph.meet = ({ method, path, done }) => {
    if (done && method === 'PATCH' && path.includes('uniqueName')) child.process.kill('SIGKILL');
  };
  child = folder.begin(['entra', 'apply', '--yes']);
  assert.equal((await child.exited).signal, 'SIGKILL');
  graph.meet = () => {};
  const made = graph.only();
  assert.match(await apply(), /0 failed/);
  assert.equal(graph.only(), made);
  assert.equal(await folder.read('entra/client_id'), made.appId);
});

test('D5: a public client only where that is wanted', async () => {
  await apply();
  assert.equal(graph.only().isFallbackPublicClient, false);
  graph.only().isFallbackPublicClient = true;
  assert.match(await expecting(0, 'plan'), /~ change[\s\S]*is no public client any more/);
  await apply();
  assert.equal(graph.only().isFallbackPublicClient, false);
  await folder.configure({ entra: { authority: tenant.provider.origin, graph: graph.origin, allow_public_client: true } });
  await apply();
  assert.equal(graph.only().isFallbackPublicClient, true);
});

test('D6: a second run resets no secret, a rotation keeps the one before until the new one works', async () => {
  await apply();
  const app = graph.only();
  const theirs = graph.secret(app);
  const first = await folder.read('entra/client_secret');
  await apply();
  assert.equal(await folder.read('entra/client_secret'), first);
  assert.equal(app.passwordCredentials.length, 2);

  graph.secretLag = 2;
  const output = await expecting(0, 'rotate', '--yes', '--grace', '1h');
  assert.match(output, /not known everywhere yet[\s\S]*1 changed/);
  const second = await folder.read('entra/client_secret');
  assert.notEqual(second, first);
  assert.ok(graph.knows(app.appId, first) && graph.knows(app.appId, second), 'both work');
  assert.match(await expecting(0, 'plan'), /the one before; kept for (59|60) min/);

  graph.secretLag = 0;
  graph.requests.length = 0;
  await expecting(0, 'rotate', '--yes', '--grace', '0s');
  const order = writes();
  assert.equal(order[0], 'POST /applications/ID/addPassword');
  assert.ok(!graph.knows(app.appId, second), 'the one before is gone');
  assert.ok(graph.knows(app.appId, await folder.read('entra/client_secret')));
  assert.ok(graph.knows(app.appId, theirs.secretText), 'what we did not make stays');
});

test('Q′: doctor says when the secret ends that was made here', async () => {
  await folder.configure({ entra: { secret_life: '20d' } });
  await apply();
  const { output } = await folder.run(['doctor', '--offline']);
  assert.match(output, /note +client secret +it ends in (19|20) days\n +fix: vestibule entra rotate/);
});

test('D6: a new secret that is never taken does not replace the one in use', async () => {
  await apply();
  const first = await folder.read('entra/client_secret');
  graph.secretLag = 1000;
  const { code, output } = await folder.entra('rotate', '--yes', '--grace', '0s', '--wait', '3s');
  assert.equal(code, 5, output);
  assert.match(output, /V-ENT-010[\s\S]*the one before is still in use[\s\S]*AADSTS7000215/);
  assert.equal(await folder.read('entra/client_secret'), first);
  assert.equal(await folder.has('entra/client_secret.new'), false);
  assert.ok(graph.knows(graph.only().appId, first));
  graph.secretLag = 0;
  assert.match(await apply(), /- remove +secret[\s\S]*was cut off/);
  assert.equal(graph.only().passwordCredentials.length, 1);
  assert.equal(await folder.read('entra/client_secret'), first);
});

test('D7: the secret is in one file, for one user, and nowhere else', async () => {
  const output = [await apply('--verbose'), await expecting(0, 'plan', '--verbose', '--json'), await expecting(0, 'rotate', '--yes'), await expecting(0, 'whoami', '--json')].join('\n');
  const secret = await folder.read('entra/client_secret');
  assert.ok(secret.length > 30);
  const token = JSON.parse(await folder.read('az.json')).token;
  const everything = output + await folder.read('entra/journal.jsonl') + await folder.read('vestibule.toml') + await folder.read('entra/client_id');
  for (const each of graph.only().secrets.values()) assert.ok(!everything.includes(each.text));
  assert.ok(!everything.includes(token) && !everything.includes(token.split('.')[1]));
  assert.equal((await stat(folder.path('entra/client_secret'))).mode & 0o777, 0o600);
  assert.equal((await stat(folder.path('entra'))).mode & 0o777, 0o700);
  assert.equal((await stat(folder.path('entra/journal.jsonl'))).mode & 0o777, 0o600);
  assert.equal(await folder.has('entra/client_secret.new'), false);
});

test('D8 Q3: no step runs without what it needs, and no None is carried on', async () => {
  const output = await expecting(2, 'apply', '--yes', '--only', 'credential');
  assert.match(output, /V-ENT-009[\s\S]*step "credential" needs the app that step "app" makes/);
  assert.doesNotMatch(output, /None|null|undefined/);
  assert.deepEqual(writes(), []);
});

test('D9: the service principal is made, also if somebody makes it at the same time', async () => {
  await apply('--only', 'app');
  assert.equal(graph.principals.size, 0);
  graph.meet = ({ method, path, done }) => {
    const { appId } = graph.only();
    if (!done && method === 'POST' && path === '/servicePrincipals') graph.principals.set(appId, { id: 'theirs', appId });
  };
  await apply();
  assert.equal(graph.principals.size, 1);
});

test('D10: what people are asked for is shown, and how an administrator says yes for all', async () => {
  const planned = await expecting(0, 'plan', '--verbose');
  assert.match(planned, /asks people for openid, profile, email, offline_access/);
  const output = await apply();
  const link = new URL(/https?:\S+adminconsent\S+/.exec(output)[0]);
  assert.equal(link.searchParams.get('client_id'), graph.only().appId);
  assert.equal(link.searchParams.get('redirect_uri'), REDIRECT);
  assert.equal(graph.only().requiredResourceAccess[0].resourceAccess.length, 4);
});

test('D10: what it asks Graph by itself is an administrator\'s to give, and is said', async () => {
  await apply();
  await folder.configure({ idp: { groups_from_graph: true } });
  assert.match(await expecting(0, 'plan'), /asks an administrator for GroupMember\.Read\.All/);
  assert.match(await apply(), /To let it ask for groups, an administrator opens once/);
  const [access] = graph.only().requiredResourceAccess;
  assert.ok(access.resourceAccess.some(({ id, type }) => type === 'Role' && id === '98830695-27a2-44f7-8c18-0c3ebc9698f6'));
  assert.match(await apply(), /0 changed/);
});

test('D11: a federated credential for the tokens that the platform makes', async () => {
  const claims = { iss: 'https://oidc.example/cluster', sub: 'system:serviceaccount:mcp:vestibule', aud: 'api://AzureADTokenExchange', exp: 4070908800 };
  await writeFile(folder.path('assertion'), `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`);
  await folder.configure({ idp: { client_secret: undefined, credential: { assertion: 'assertion' } } });
  await apply();
  const [made] = graph.only().federated;
  assert.deepEqual([made.issuer, made.subject, made.audiences], [claims.iss, claims.sub, [claims.aud]]);
  assert.deepEqual(graph.only().passwordCredentials, [], 'and no secret');
  assert.match(await apply(), /0 changed/);
});

test('D12: a name with a quote stays a name', async () => {
  await folder.configure({ instance: { name: "O'Brien's" }, entra: { authority: tenant.provider.origin, graph: graph.origin, app_name: "O'Brien's gateway" } });
  await apply();
  assert.equal(graph.only().displayName, "O'Brien's gateway");
  assert.deepEqual(graph.only().tags, ["vestibule:O'Brien's"]);
  assert.match(await apply(), /0 changed/);
  await rm(folder.path('entra'), { recursive: true });
  assert.match(await expecting(6, 'apply', '--yes'), /V-ENT-006/, 'found by its tag');
});

test('H1 H2 H3: our address is added, those of others stay, and a near miss is named', async () => {
  const app = graph.make({ web: { redirectUris: ['https://theirs.example/cb', `${REDIRECT}/`] } });
  const output = await expecting(0, 'adopt', '--app-id', app.appId, '--yes');
  assert.match(output, /a slash at the end[\s\S]*byte by byte/);
  assert.match(output, /\+ https:\/\/mcp.example.com\/oauth-callback[\s\S]*= 2 of others stay/);
  assert.deepEqual(app.web.redirectUris, ['https://theirs.example/cb', `${REDIRECT}/`, REDIRECT]);
  assert.equal(app.displayName, 'By hand');
});

test('H4 Q8: each line has its time and run, and a run that stopped is told as of then', async () => {
  fails(({ path }) => path.endsWith('/addPassword'), 400, 'Request_BadRequest', 'No more passwords.');
  const stopped = await expecting(7, 'apply', '--yes');
  assert.match(stopped, /V-ENT-007[\s\S]*No more passwords[\s\S]*2 changed before, which stays[\s\S]*Resume with/);
  const lines = await folder.journal();
  assert.ok(lines.every(({ time, at, run }) => time > 1e9 && /^20\d\d-/.test(at) && run === lines[0].run));
  assert.match(await expecting(0, 'plan'), /\(before: apply of 20\S+ \S+, run \S+, stopped at step "credential", 20\S+ \S+ \(V-ENT-007\)/);
  await apply();
  assert.notEqual((await folder.journal()).at(-1).run, lines[0].run);
  assert.match(await expecting(0, 'plan'), /came to its end/);
});

test('H5: what is printed is for people, and --json is JSON alone', async () => {
  for (const [command, ...more] of [['whoami'], ['plan'], ['apply', '--yes'], ['rotate', '--yes'], ['destroy', '--dry-run']]) {
    const plain = await folder.entra(command, ...more);
    assert.equal(plain.code, 0, plain.output);
    assert.doesNotMatch(plain.output, /0x[0-9a-f]{4}|\bSome\(|\bNone\b| \{ |Timestamp|undefined/);
    const { stdout } = await folder.entra(command, ...more, '--json');
    assert.doesNotThrow(() => JSON.parse(stdout), stdout);
  }
});

test('H6: another public address is a change of issuer, and its old redirect goes', async () => {
  await apply();
  folder.publicUrl = 'https://new.example.com';
  await folder.configure({ instance: { name: 'mcp.example.com' } });
  assert.match(await expecting(0, 'plan'), /\+ https:\/\/new.example.com\/oauth-callback[\s\S]*- https:\/\/mcp.example.com\/oauth-callback[\s\S]*clients must connect and register again/);
  await apply();
  assert.deepEqual(graph.only().web.redirectUris, ['https://new.example.com/oauth-callback']);
});

test('M1 M3 M4 M5: destroy lists, asks, deletes what is ours, and for good only if that is said', async () => {
  await apply();
  assert.match(await expecting(6, 'destroy'), /- remove +app[\s\S]*V-ENT-013[\s\S]*nothing was removed/);
  assert.match(await expecting(0, 'destroy', '--dry-run'), /Nothing was removed/);
  assert.equal(graph.apps.size, 1);
  assert.match(await expecting(0, 'destroy', '--yes'), /thirty days/);
  assert.deepEqual([graph.apps.size, graph.deleted.size, graph.principals.size], [0, 1, 0]);
  assert.equal(await folder.has('entra/client_secret'), false);
  assert.equal(await folder.has('entra/client_id'), false);
  assert.match(await expecting(0, 'destroy', '--yes'), /no such app/);
  await apply();
  await expecting(0, 'destroy', '--yes', '--purge');
  assert.deepEqual([graph.apps.size, graph.deleted.size], [0, 1]);
});

test('M2: killed in the middle, or without its journal, it is still destroyed', async () => {
  let child;
  graph.meet = ({ path, done }) => {
    if (done && path.endsWith('/addPassword')) child.process.kill('SIGKILL');
  };
  child = folder.begin(['entra', 'apply', '--yes']);
  await child.exited;
  graph.meet = () => {};
  assert.equal(graph.only().passwordCredentials.length, 1);
  await expecting(0, 'destroy', '--yes');
  assert.equal(graph.apps.size, 0);
  await apply();
  await rm(folder.path('entra'), { recursive: true });
  await expecting(0, 'destroy', '--yes');
  assert.equal(graph.apps.size, 0);
});

test('M4: what others put there keeps the app, and stays in it', async () => {
  await apply();
  const app = graph.only();
  app.web.redirectUris.push('https://theirs.example/cb');
  const theirs = graph.secret(app);
  assert.match(await expecting(0, 'destroy', '--yes'), /stays, since others use it/);
  assert.deepEqual(app.web.redirectUris, ['https://theirs.example/cb']);
  assert.deepEqual(app.passwordCredentials.map(({ keyId }) => keyId), [theirs.keyId]);
  assert.deepEqual(app.tags, []);
  const byHand = graph.make({ web: { redirectUris: [REDIRECT] }, tags: ['theirs'] });
  await expecting(0, 'adopt', '--app-id', byHand.appId, '--yes');
  await expecting(0, 'destroy', '--yes');
  assert.deepEqual([byHand.web.redirectUris, byHand.tags, byHand.passwordCredentials], [[REDIRECT], ['theirs'], []]);
  assert.equal(graph.apps.size, 2);
});

test('M6: one failure in the middle of destroy is told, the rest goes on, and the next run finds what is left', async () => {
  await apply();
  const app = graph.only();
  app.web.redirectUris.push('https://theirs.example/cb');
  fails(({ path }) => path.endsWith('/removePassword'), 500, 'InternalServerError', 'Later.');
  const output = await expecting(7, 'destroy', '--yes');
  assert.match(output, /V-ENT-004[\s\S]*Later\.[\s\S]*destroy --dry-run/);
  assert.doesNotMatch(output, /panicked|backtrace/);
  assert.deepEqual(app.web.redirectUris, ['https://theirs.example/cb']);
  assert.equal(app.passwordCredentials.length, 1);
  await expecting(0, 'destroy', '--yes');
  assert.equal(app.passwordCredentials.length, 0);
});

test('Q1: a profile without a token is not signed in', async () => {
  await folder.az('cached');
  for (const command of ['whoami', 'plan']) {
    const output = await expecting(3, command);
    assert.match(output, new RegExp(`V-ENT-002[\\s\\S]*${TENANT}[\\s\\S]*it said  ERROR: User 'ada@contoso.example' does not exist[\\s\\S]*az login --tenant ${TENANT}[\\s\\S]*--auth device`));
  }
  const [call] = await folder.azCalls();
  assert.deepEqual(call, ['account', 'get-access-token', '--resource', graph.origin, '--tenant', TENANT, '--output', 'json']);
});

test('Q4 Q10: the first failure stops, and one cause is told once', async () => {
  await folder.az('cached');
  const output = await expecting(3, 'apply', '--yes');
  assert.equal(output.match(/error\[/g).length, 1);
  assert.match(output, /sign-in +FAIL[\s\S]*4 steps not run: app, redirect, principal, credential/);
  assert.equal(graph.requests.length, 0);
  await folder.az();
  fails(({ method, path }) => method === 'POST' && path === '/servicePrincipals', 403, 'Authorization_RequestDenied', 'Insufficient privileges.');
  const stopped = await expecting(7, 'apply', '--yes');
  assert.match(stopped, /V-ENT-005[\s\S]*Application Developer[\s\S]*1 changed before, which stays; 1 step not run: credential/);
  assert.equal(graph.requests.filter(({ path }) => path.endsWith('/addPassword')).length, 0);
});

test('Q5: inputs are checked before any call, and what others say has no empty lines', async () => {
  await folder.configure({ idp: { tenant: undefined } });
  assert.match(await expecting(2, 'apply', '--yes'), /idp\.tenant is missing/);
  await folder.configure({ entra: { graph: 'http://graph.example.com' } });
  assert.match(await expecting(2, 'apply', '--yes'), /V-CFG-047/);
  assert.equal(graph.requests.length, 0);
  await folder.configure();
  await folder.az('cached');
  assert.doesNotMatch(await expecting(3, 'apply', '--yes'), /\n\s*\n/);
});

test('Q6: a read that fails after a write is a failure', async () => {
  await apply();
  fails(({ method, path }) => method === 'GET' && path.startsWith('/servicePrincipals'), 500, 'InternalServerError', 'Later.');
  assert.match(await expecting(4, 'plan'), /V-ENT-004/);
});

test('Q7: a step names the one whose output it needs, when that failed, and how to go on', async () => {
  fails(({ method, path }) => method === 'PATCH' && path.includes('uniqueName'), 400, 'Request_BadRequest', 'No.');
  await expecting(1, 'apply', '--yes');
  const output = await expecting(2, 'apply', '--yes', '--from', 'principal');
  assert.match(output, /step "principal" needs the app that step "app" makes, which is not there, and step "app" failed at 20\d\d-\d\d-\d\d[\s\S]*apply --from app/);
  await apply('--from', 'app');
});

test('Q9: a command without its address is a usage error that says so', async () => {
  const ran = await folder.run(['probe']);
  assert.equal(ran.code, 2, ran.output);
  assert.match(ran.output, /<URL>/i);
});

describe('signing in', () => {
  test('C2 C4: who it is, where, and with what', async () => {
    const output = await expecting(0, 'whoami');
    assert.match(output, new RegExp(`${TENANT}  \\(Contoso\\)[\\s\\S]*ada@contoso.example, by the Azure CLI[\\s\\S]*Application.ReadWrite.All[\\s\\S]*token ends +20`));
    await folder.az('signed-in', graph.token({ scp: 'User.Read' }));
    assert.match(await expecting(5, 'whoami'), /FAIL it lacks Application.ReadWrite.All/);
    await folder.az('signed-in', graph.token({ tid: '11111111-2222-3333-4444-555555555555' }));
    assert.match(await expecting(3, 'apply', '--yes'), new RegExp(`V-ENT-003[\\s\\S]*11111111-2222[\\s\\S]*${TENANT}`));
    await folder.az('signed-in', graph.token({ exp: 1 }));
    assert.match(await expecting(3, 'plan'), /V-ENT-002[\s\S]*has ended already/);
    await folder.az('signed-in', graph.token({ aud: 'https://management.core.windows.net/' }));
    assert.match(await expecting(3, 'plan'), /V-ENT-002[\s\S]*not for Microsoft Graph/);
  });

  test('N3 N4: a warning on stderr is talk, anything on stdout beside JSON is an error that shows no token', async () => {
    await folder.az('warning');
    await expecting(0, 'plan');
    await folder.az('noise');
    const output = await expecting(3, 'plan');
    assert.match(output, /V-ENT-012/);
    assert.ok(!output.includes(JSON.parse(await folder.read('az.json')).token));
  });

  test('A10: without the Azure CLI, on another screen', async () => {
    const without = await folder.run(['entra', 'plan'], { noAz: true });
    assert.equal(without.code, 3);
    assert.match(without.output, /V-ENT-001[\s\S]*--auth device/);
    graph.screen = { waits: 2, answer: 'ok' };
    const ran = await folder.run(['entra', 'plan', '--auth', 'device'], { noAz: true });
    assert.equal(ran.code, 0, ran.output);
    assert.match(ran.output, /open https:\/\/microsoft.com\/devicelogin on any screen and type the code BCDFGHJKL/);
    graph.screen = { waits: 0, answer: 'declined' };
    const declined = await folder.run(['entra', 'plan', '--auth', 'device'], { noAz: true });
    assert.equal(declined.code, 3);
    assert.match(declined.output, /AADSTS70046/);
  });

  test('A9 A10: as a program with a secret, whose permissions are what counts', async () => {
    const program = graph.make({ displayName: 'Pipeline', roles: ['Application.ReadWrite.OwnedBy'] });
    graph.principals.set(program.appId, { id: 'p', appId: program.appId });
    const { secretText } = graph.secret(program);
    await writeFile(folder.path('pipeline'), `${secretText}\n`);
    const as = ['--auth', 'secret', '--client-id', program.appId, '--client-secret-file', 'pipeline'];
    await expecting(0, 'apply', '--yes', ...as);
    assert.equal(graph.apps.size, 2);
    program.roles = [];
    assert.match(await expecting(6, 'plan', ...as), /V-ENT-005/);
    await writeFile(folder.path('pipeline'), 'wrong');
    assert.match(await expecting(3, 'plan', ...as), /V-ENT-002[\s\S]*AADSTS7000215/);
    assert.match(await expecting(2, 'plan', '--auth', 'secret'), /V-ENT-014/);
  });
});

test('Q′: what Graph asks to wait for is waited for, and an app that is not everywhere yet', async () => {
  graph.lag = 2;
  fails(({ method, path }) => method === 'GET' && path === '/applications', 429, 'TooManyRequests', 'Wait.', { headers: { 'retry-after': '1' } });
  const output = await apply();
  assert.match(output, /Microsoft Graph asks to wait: once more in 1\.0 s/);
  assert.match(output, /the application is not everywhere yet/);
  assert.equal(graph.only().passwordCredentials.length, 1);
});

test('D6: a certificate is registered beside those of others, tried, and retired when another is in use', async () => {
  const { makeCertificateIn } = await import('../support/tls.mjs');
  for (const name of ['one', 'two']) {
    await mkdir(folder.path(name));
    const { cert, key } = await makeCertificateIn(folder.path(name));
    await writeFile(folder.path(`${name}/c.pem`), cert);
    await writeFile(folder.path(`${name}/k.pem`), key);
  }
  const by = (name) => folder.configure({ idp: { client_secret: undefined, credential: { certificate: `${name}/c.pem`, key: { file: `${name}/k.pem` } } } });
  await by('one');
  await apply();
  const app = graph.only();
  app.keyCredentials.push({ keyId: '99999999-2222-3333-4444-555555555555', type: 'AsymmetricX509Cert', usage: 'Verify', displayName: 'theirs', key: 'AAAA' });
  assert.match(await apply(), /0 changed/);
  await by('two');
  await apply();
  const names = () => app.keyCredentials.map(({ displayName }) => displayName.slice(0, 21)).sort();
  // A gateway that runs still has the one before.
  const all = ['theirs', 'vestibule certificate', 'vestibule certificate'];
  assert.deepEqual(names(), all);

  // One that comes back, in a run that is killed once it is registered.
  await by('one');
  let child;
  graph.meetProgram = () => child.process.kill('SIGKILL');
  child = folder.begin(['entra', 'apply', '--yes']);
  assert.equal((await child.exited).signal, 'SIGKILL', child.output);
  graph.meetProgram = () => {};
  await apply();
  assert.deepEqual(names(), all);
  assert.match(await apply(), /0 changed/);

  // From a certificate to a secret: the gateway that runs still has the certificate.
  await folder.configure();
  assert.match(await apply(), /1 changed/);
  assert.match(await expecting(0, 'plan'), /certificate[\s\S]*kept for 24 h/);
  assert.deepEqual(names(), all);
});

test('two runs at once: the second one waits for nobody and says so', async () => {
  let second;
  graph.meet = async ({ path, done }) => {
    if (second || done || path !== '/servicePrincipals') return;
    second = folder.entra('apply', '--yes');
    await second;
  };
  await apply();
  const { code, output } = await second;
  assert.equal(code, 6, output);
  assert.match(output, /V-ENT-008[\s\S]*another vestibule entra/);
  assert.equal(graph.only().passwordCredentials.length, 1);
});

test('a folder that cannot be written stops before anything is made', async () => {
  if (process.getuid() === 0) return;
  await chmod(folder.dir, 0o500);
  assert.match(await expecting(1, 'apply', '--yes'), /V-ENT-008/);
  assert.equal(graph.apps.size, 0);
});

test('D6 D7: killed between the journal and the file, the secret that is written down gets into its place', async () => {
  await apply();
  const app = graph.only();
  const first = await folder.read('entra/client_secret');
  await expecting(0, 'rotate', '--yes', '--grace', '0s');
  const second = await folder.read('entra/client_secret');
  // As the disk is when the process ends there.
  await writeFile(folder.path('entra/client_secret.new'), second, { mode: 0o600 });
  await writeFile(folder.path('entra/client_secret'), first);
  assert.match(await expecting(0, 'plan'), /Nothing is to be done/);
  assert.match(await apply(), /0 changed/);
  assert.equal(await folder.read('entra/client_secret'), second);
  assert.ok(graph.knows(app.appId, second));
  // And one that nobody wrote down is thrown away.
  await writeFile(folder.path('entra/client_secret.new'), 'of a run that was cut off before');
  await apply();
  assert.equal(await folder.read('entra/client_secret'), second);
  assert.equal(await folder.has('entra/client_secret.new'), false);
});

test('D6: a file that holds something else is noticed, and what it held is kept beside it', async () => {
  await apply();
  await writeFile(folder.path('entra/client_secret'), 'typed by hand\n');
  assert.match(await expecting(0, 'plan'), /does not hold the one before/);
  await apply();
  assert.ok(graph.knows(graph.only().appId, await folder.read('entra/client_secret')));
  assert.equal(await folder.read('entra/client_secret.before'), 'typed by hand\n');
});

test('D6: a token endpoint that fails does not say that a secret is taken', async () => {
  await apply();
  const first = await folder.read('entra/client_secret');
  for (const error of ['temporarily_unavailable', 'server_error']) {
    let asked = 0;
    graph.meetProgram = () => {
      asked += 1;
      graph.programFault = asked === 1 ? { status: 503, error } : undefined;
    };
    await expecting(0, 'rotate', '--yes', '--grace', '1h');
    assert.equal(asked, 2, error);
  }
  graph.meetProgram = () => { graph.programFault = { status: 503, error: 'server_error' }; };
  const second = await folder.read('entra/client_secret');
  await expecting(5, 'rotate', '--yes', '--grace', '0s', '--wait', '2s');
  graph.meetProgram = () => {};
  graph.programFault = undefined;
  assert.equal(await folder.read('entra/client_secret'), second);
  assert.ok(graph.knows(graph.only().appId, second) && first !== second);
});

test('A11: a step alone takes away nothing that is in use', async () => {
  await apply();
  const secret = await folder.read('entra/client_secret');
  await rm(folder.path('entra/client_secret'));
  await apply('--only', 'retire');
  await apply('--from', 'retire');
  assert.ok(graph.knows(graph.only().appId, secret));
});

test('D4: an app that was made just now and is not shown is not made again', async () => {
  await apply('--only', 'app');
  graph.only().lag = 1000;
  const output = await expecting(4, 'apply', '--yes', '--wait', '1s');
  assert.match(output, /V-ENT-004[\s\S]*does not show it yet[\s\S]*nothing was changed/);
  assert.equal(graph.apps.size, 1);
  assert.match(await expecting(4, 'destroy', '--yes', '--wait', '1s'), /nothing was removed/);
  graph.only().lag = 0;
  await apply();
  assert.equal(graph.apps.size, 1);
});

test('M4: destroy goes for the journal’s own app only, and for what has our tag without it', async () => {
  await apply();
  const theirs = graph.make();
  const tagged = graph.make({ tags: ['vestibule:other.example.com'], uniqueName: 'vestibule-other.example.com-1' });
  for (const { appId } of [theirs, tagged]) {
    assert.match(await expecting(6, 'destroy', '--yes', '--app-id', appId, '--even-if-shared'), /V-ENT-015[\s\S]*nothing was removed/);
    assert.match(await expecting(6, 'adopt', '--yes', '--app-id', appId), /V-ENT-015[\s\S]*another app already/);
  }
  await rm(folder.path('entra'), { recursive: true });
  assert.match(await expecting(6, 'destroy', '--yes', '--app-id', tagged.appId), /V-ENT-015/);
  assert.equal(graph.apps.size, 3);
});

test('M2 M3: an app that is going goes for good in the next run, with its files', async () => {
  await apply();
  let child;
  graph.meet = ({ method, path, done }) => {
    if (done && method === 'DELETE' && path.startsWith('/applications/')) child.process.kill('SIGKILL');
  };
  child = folder.begin(['entra', 'destroy', '--yes', '--purge']);
  await child.exited;
  graph.meet = () => {};
  assert.deepEqual([graph.apps.size, graph.deleted.size, await folder.has('entra/client_secret')], [0, 1, true]);
  await expecting(0, 'destroy', '--yes', '--purge');
  assert.deepEqual([graph.deleted.size, await folder.has('entra/client_secret'), await folder.has('entra/client_id')], [0, false, false]);
});

test('M2: a lost journal, an adoption, and a destruction leave no secret of ours', async () => {
  await apply();
  const app = graph.only();
  await rm(folder.path('entra'), { recursive: true });
  await expecting(0, 'adopt', '--yes', '--app-id', app.appId);
  assert.equal(app.passwordCredentials.length, 2);
  await expecting(0, 'destroy', '--yes');
  assert.equal(graph.apps.size, 0);
});

test('M4: an app that others use as an API, or on devices, stays', async () => {
  await apply();
  graph.only().identifierUris = ['api://theirs'];
  assert.match(await expecting(0, 'destroy', '--yes'), /stays, since others use it[\s\S]*an API that it exposes/);
  assert.equal(graph.apps.size, 1);
  const device = graph.make({ isFallbackPublicClient: true });
  await rm(folder.path('entra'), { recursive: true, force: true });
  await mkdir(folder.path('entra'));
  await writeFile(folder.path('entra/client_secret'), 'by hand');
  assert.match(await expecting(0, 'adopt', '--yes', '--app-id', device.appId), /is a public client, too/);
  assert.equal(device.isFallbackPublicClient, true);
  assert.equal(await folder.read('entra/client_secret.before'), 'by hand');
});

test('C4: a domain is no tenant id in a configuration', async () => {
  await folder.configure({ idp: { tenant: 'contoso.com' } });
  assert.match(await expecting(2, 'plan'), /V-CFG-049[\s\S]*init --idp entra --tenant/);
});
