// D14: any identity provider, from its address to a login that was tried, before anybody else can fail at it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { follow, startBrowser } from '../support/browser.mjs';
import { binary } from '../support/gateway.mjs';
import { startOpener } from '../support/opener.mjs';
import { PEOPLE } from '../support/people.mjs';
import { Child } from '../support/process.mjs';
import { startProvider } from '../support/provider.mjs';
import { Pile } from '../support/stack.mjs';
import { freePort, within } from '../support/wait.mjs';

const pile = new Pile();
let provider;
let browser;
let dir;
let url;
before(async () => {
  provider = await pile.add(startProvider());
  browser = await pile.add(startBrowser());
  dir = await mkdtemp(join(tmpdir(), 'vestibule-init-'));
});
after(async () => {
  await pile.stop();
  await rm(dir, { recursive: true, force: true });
});

async function run(args, { env = {}, drive } = {}) {
  const child = new Child(binary(), args, { cwd: dir, env });
  if (drive) await drive(child);
  const { code } = await within(child.exited, 'the command to end', 60_000);
  return { code, output: child.output };
}

/** A person who goes where the command sends them. */
async function signingIn(opener, child, arrived) {
  const page = await browser.person();
  await page.goto(await opener.opened(child));
  await follow(page, { arrived });
  await page.context().close();
}

test('D14 init asks, writes, says what to register, and a real login is tried', async () => {
  url = `http://127.0.0.1:${await freePort()}`;
  await writeFile(join(dir, 'from-there'), provider.clientSecret);
  const init = ['init', '--idp', 'oidc', '--client-id', provider.clientId, '--client-secret-file', 'from-there',
    '--public-url', url, '--server', 'weather=http://127.0.0.1:9/mcp'];
  // An issuer that is nearly right is found out, with the right one.
  const near = provider.issuer.endsWith('/') ? provider.issuer.slice(0, -1) : `${provider.issuer}/`;
  const wrong = await run([...init, '--issuer', near]);
  assert.equal(wrong.code, 2, wrong.output);
  assert.match(wrong.output, /V-INI-006/);
  assert.ok(wrong.output.includes(`--issuer ${provider.issuer}`), wrong.output);
  const good = await run([...init, '--issuer', provider.issuer]);
  assert.equal(good.code, 0, good.output);
  for (const part of [`redirect address  ${url}/oauth-callback`, `${url}/backchannel-logout`, 'openid profile email offline_access', 'check -c vestibule.toml --login']) {
    assert.ok(good.output.includes(part), `${part} in\n${good.output}`);
  }
  assert.ok(!(await readFile(join(dir, 'vestibule.toml'), 'utf8')).includes(provider.clientSecret));

  // Registered as it was said, it works, and what came is told as rules name it.
  await provider.allowRedirect(`${url}/oauth-callback`);
  const opener = await startOpener();
  const told = await run(['check', '--login'], {
    env: opener.env,
    drive: (child) => signingIn(opener, child, (address) => address.startsWith(`${url}/oauth-callback`)),
  });
  assert.equal(told.code, 0, told.output);
  assert.ok(told.output.includes(`signed in as ${PEOPLE.ada.email}`), told.output);
  assert.ok(told.output.includes(`group:${PEOPLE.ada.groups[0]}`), told.output);
  assert.match(told.output, /refresh token works/);
  assert.ok(!told.output.includes(provider.clientSecret), told.output);
  await opener.stop();
});

test('D14 what is wrong with a registration is said before anybody else meets it', async () => {
  const write = (change) => readFile(join(dir, 'vestibule.toml'), 'utf8').then((text) => writeFile(join(dir, 'vestibule.toml'), change(text)));
  await writeFile(join(dir, 'from-there'), 'another secret');
  const opener = await startOpener();
  const told = await run(['check', '--login'], {
    env: opener.env,
    drive: (child) => signingIn(opener, child, (address) => address.includes('/oauth-callback')),
  });
  assert.equal(told.code, 5, told.output);
  assert.match(told.output, /error\[V-IDP-01[34]\]/);
  assert.match(told.output, /fix: /);
  await opener.stop();
  // The same address twice at once: the gateway itself is there.
  const taken = createServer().listen(new URL(url).port, '127.0.0.1');
  await once(taken, 'listening');
  const busy = await run(['check', '--login']);
  assert.equal(busy.code, 4, busy.output);
  assert.match(busy.output, /V-RUN-001[\s\S]*stop the gateway/);
  taken.close();
  // A provider that is not what it is said to be.
  await write((text) => text.replace('[idp]', '[idp]\nkind = "google"'));
  const kind = await run(['check', '--login']);
  assert.equal(kind.code, 2, kind.output);
  assert.match(kind.output, /V-CFG-051[\s\S]*V-CFG-052/);
  const unnamed = await run(['init', '--idp', 'keycloak', '--server', 'a=http://127.0.0.1:9/', '-c', 'other.toml']);
  assert.equal(unnamed.code, 2, unnamed.output);
  assert.match(unnamed.output, /V-INI-009[\s\S]*realms/);
});
