import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { startOpener } from '../support/opener.mjs';
import { Child } from '../support/process.mjs';
import { e2e, python } from '../support/python.mjs';
import { startStack } from '../support/stack.mjs';
import { within } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
let opener;
before(async () => {
  opener = await startOpener();
  stack = await startStack();
});
after(async () => {
  await stack?.stop();
  await opener?.stop();
});

test('FastMCP client 4.1.2: it looks at the authorization URL before the browser does, and still gets the weather', async () => {
  const child = new Child(
    python('python/requirements-fastmcp.txt'),
    [join(e2e, 'python/fastmcp_client.py'), stack.url],
    { env: opener.env },
  );
  try {
    const url = await opener.opened(child);
    assert.equal(new URL(new URL(url).searchParams.get('redirect_uri')).hostname, 'localhost');
    const page = await stack.browser.person();
    assert.deepEqual(await allowAndSignIn(page, url), ['consent', 'provider']);
    const { code } = await within(child.exited, 'the script to end', 60_000);
    assert.equal(code, 0, child.output);
    const answer = JSON.parse(child.stdout.trim().split('\n').at(-1));
    assert.ok(answer.tools.includes('get_weather'));
    assert.deepEqual(answer.weather, OSLO);
    await page.context().close();
  } finally {
    await child.kill();
  }
});
