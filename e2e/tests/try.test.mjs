import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { follow, startBrowser, watching } from '../support/browser.mjs';
import { binary } from '../support/gateway.mjs';
import { Child } from '../support/process.mjs';
import { startTls } from '../support/tls.mjs';
import { Hopeless, freePort, until } from '../support/wait.mjs';

const OVER_TLS = process.env.E2E_TLS === '1';

let front;
let browser;
let child;
let address;
let dir;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vestibule-demo-'));
  const port = await freePort();
  front = OVER_TLS ? await startTls({ target: port }) : undefined;
  const origin = front?.url ?? `http://127.0.0.1:${port}`;
  address = `${origin}/try`;
  browser = await startBrowser({ ignoreCertificates: OVER_TLS });
  child = new Child(binary(), ['demo', '--port', String(port), '--no-open', ...(front ? ['--public-url', origin] : [])], { cwd: dir });
  await until(
    async () => {
      if (!child.alive) throw new Hopeless(`the demo ended:\n${child.output}`);
      const answer = await fetch(address);
      await answer.body?.cancel();
      return answer.status === 200;
    },
    () => `the demo at ${address}:\n${child.output}`,
    30_000,
  );
});
after(async () => {
  await browser?.stop();
  await child?.stop();
  await front?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

test('one command, one button, one sign-in, one Allow: the weather', async () => {
  const page = await browser.person();
  const started = performance.now();
  await watching(page, 'try', async () => {
    await page.goto(address);
    const buttons = page.locator('button, input[type=submit], a[role=button]');
    assert.equal(await buttons.count(), 1, 'the page has one button');
    await buttons.click();
    const pages = await follow(page, {
      arrived: async (url) => new URL(url).pathname.startsWith('/try')
        && /humidity|temperature|°/i.test(await page.locator('body').innerText()),
    });
    assert.deepEqual(pages, ['consent', 'demo']);
  });
  const seconds = (performance.now() - started) / 1000;
  assert.ok(seconds < 30, `it took ${seconds} s`);
  await page.context().close();
});

test('a refusal at the demo is told, and the button is there for another try', async () => {
  const page = await browser.person();
  await watching(page, 'try-denied', async () => {
    await page.goto(address);
    await page.locator('button, input[type=submit], a[role=button]').first().click();
    const pages = await follow(page, {
      decision: 'deny',
      arrived: async (url) => new URL(url).pathname.startsWith('/try') && new URL(url).href !== address,
    });
    assert.deepEqual(pages, ['consent']);
    assert.doesNotMatch(await page.locator('body').innerText(), /humidity|temperature|°/i);
  });
  await page.context().close();
});
