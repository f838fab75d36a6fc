import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { LEGACY, MODERN } from '../support/oauth.mjs';
import { Child } from '../support/process.mjs';
import { e2e, python } from '../support/python.mjs';
import { startStack } from '../support/stack.mjs';
import { Hopeless, until, within } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
before(async () => {
  stack = await startStack();
});
after(() => stack?.stop());

/** The objects that the script has printed so far. */
const said = (child) => child.stdout.split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));

async function run(requirements, script, ...more) {
  const child = new Child(python(requirements), [join(e2e, 'python', script), stack.url, stack.callback.url, ...more], { stdin: 'pipe' });
  try {
    const authorize = await until(() => {
      if (!child.alive) throw new Hopeless(`the script ended:\n${child.output}`);
      return said(child).find((each) => each.authorize)?.authorize;
    }, () => `the address for the browser:\n${child.output}`, 60_000);
    const page = await stack.browser.person();
    await allowAndSignIn(page, authorize);
    await page.context().close();
    child.process.stdin.end(`${JSON.stringify(await stack.callback.next())}\n`);
    const { code } = await within(child.exited, 'the script to end', 60_000);
    assert.equal(code, 0, child.output);
    return { authorize: new URL(authorize), ...said(child).at(-1) };
  } finally {
    await child.kill();
  }
}

for (const [title, requirements, script, version, ...more] of [
  ['2.3.0, which tries 2026-07-28 first', 'python/requirements-mcp-2.txt', 'sdk_2.py', MODERN, 'auto'],
  ['2.3.0 of the earlier era', 'python/requirements-mcp-2.txt', 'sdk_2.py', LEGACY, 'legacy'],
  ['1.30.0', 'python/requirements-mcp-1.txt', 'sdk_1.py', LEGACY],
]) {
  test(`Python SDK ${title}: from the first 401 to the weather in Oslo`, async () => {
    const answer = await run(requirements, script, ...more);
    assert.equal(answer.version, version);
    assert.ok(answer.tools.includes('get_weather'));
    assert.deepEqual(answer.weather, OSLO);
    assert.equal(answer.authorize.searchParams.get('resource'), stack.url);
    assert.ok(answer.auth_method, 'the answer to the registration names the method, which the request did not');
    assert.ok(answer.refreshable);
  });
}
