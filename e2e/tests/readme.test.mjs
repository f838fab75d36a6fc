import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { allowAndSignIn, follow, startBrowser, watching } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { BareClient, connect, weatherIn } from '../support/oauth.mjs';
import { Child } from '../support/process.mjs';
import { startProvider } from '../support/provider.mjs';
import { untilReady, within } from '../support/wait.mjs';
import { startWeather } from '../support/weather.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
// A cold release build is part of the first command.
const BUILD = 30 * 60_000;

let readme;
let commands;
let dir;
let browser;
before(async () => {
  readme = await readFile(join(root, 'README.md'), 'utf8');
  commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block.trim().split('\n'));
  dir = await mkdtemp(join(tmpdir(), 'vestibule-readme-'));
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

// The demo opens a browser where there is one; here the test is the browser.
const shell = (line, options) => new Child('sh', ['-c', `exec ${line}`], { ...options });

test('the README’s first command, as written: the weather from /try', { timeout: BUILD + 60_000 }, async () => {
  const [first] = commands;
  assert.deepEqual(first, ['cargo run --release -- demo']);
  const child = shell(first[0], { cwd: root });
  try {
    const [address] = /http:\/\/127\.0\.0\.1:\d+\/try/.exec(readme);
    await untilReady(child, address, BUILD);
    const page = await browser.person();
    await watching(page, 'readme-demo', async () => {
      await page.goto(address);
      await page.locator('button').click();
      await follow(page, {
        arrived: async (url) => new URL(url).pathname === '/try/callback' && (await page.locator('#weather').count()) === 1,
      });
      assert.match(await page.locator('#weather').innerText(), /°C/);
    });
    await page.context().close();
  } finally {
    await child.stop();
  }
});

test('the README’s three commands, as written but for the addresses that are yours', { timeout: BUILD + 120_000 }, async () => {
  const [, three] = commands;
  assert.equal(three.length, 3);
  const [install] = /cargo install [^`]*/.exec(readme);
  const installed = shell(install, { cwd: root, env: { CARGO_INSTALL_ROOT: join(dir, 'installed') } });
  assert.equal((await within(installed.exited, 'the installation', BUILD)).code, 0, installed.output);
  const env = { PATH: `${join(dir, 'installed', 'bin')}:${process.env.PATH}` };

  const provider = await startProvider();
  const weather = await startWeather();
  const callback = await startCallback();
  let serving;
  try {
    const [init, check, serve] = three.map((line) => line
      .replace('https://id.example.com', provider.issuer)
      .replace('http://127.0.0.1:8123/mcp', weather.url));
    const asked = new Child('sh', ['-c', `exec ${init}`], { cwd: dir, env, stdin: 'pipe' });
    asked.process.stdin.end(`${provider.clientSecret}\n`);
    assert.equal((await within(asked.exited, 'init', 30_000)).code, 0, asked.output);
    const [redirect] = /http\S*\/oauth-callback/.exec(asked.stdout);
    provider.allowRedirect(redirect);
    const checked = shell(check, { cwd: dir, env });
    assert.equal((await within(checked.exited, 'check', 30_000)).code, 0, checked.output);
    serving = shell(serve, { cwd: dir, env });
    const gateway = new URL(redirect).origin;
    await untilReady(serving, `${gateway}/.well-known/oauth-authorization-server`, 30_000);

    const client = new BareClient(`${gateway}/weather/mcp`, { redirectUri: callback.url });
    await client.discover();
    await client.register();
    const { url, verifier } = client.authorization();
    const page = await browser.person();
    await watching(page, 'readme-own', () => allowAndSignIn(page, url, { redirectUri: callback.url }));
    await page.context().close();
    const { code } = await callback.next();
    const tokens = await client.redeem(code, verifier);
    assert.equal(tokens.status, 200, tokens.text);
    const session = await connect(`${gateway}/weather/mcp`, { token: tokens.json.access_token });
    const answer = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
    assert.equal(weatherIn(answer.result ?? answer.json?.result).city, 'Oslo');
  } finally {
    await serving?.stop();
    await callback.stop();
    await weather.stop();
    await provider.stop();
  }
});

test('every page that the README links is there', async () => {
  for (const [, target] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
    await readFile(join(root, target)).catch(async (error) => {
      if (error.code !== 'EISDIR') assert.fail(`${target}: ${error.message}`);
    });
  }
  assert.ok(dirname(root));
});
