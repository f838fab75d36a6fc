import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { packaged } from '../support/conformance.mjs';
import { BareClient } from '../support/oauth.mjs';
import { startOpener } from '../support/opener.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { Hopeless, freePort, until, within } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

const pile = new Pile();
let stack;
before(async () => {
  stack = await pile.add(startStack());
});
after(() => pile.stop());

const CALL = ['--method', 'tools/call', '--tool-name', 'get_weather', '--tool-arg', 'city=Oslo'];

/** What the tool said, out of whatever else the program prints. */
function weather(output) {
  const result = JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1));
  return JSON.parse((result.content ?? result.result.content)[0].text);
}

test('Inspector 1.0.3 on the command line: a token in a header', async () => {
  const client = await new BareClient(stack.url, { redirectUri: stack.callback.url }).discover();
  assert.equal((await client.register()).status, 201);
  const request = client.authorization();
  const page = await stack.browser.person();
  await allowAndSignIn(page, request.url);
  await page.context().close();
  const token = await client.redeem((await stack.callback.next()).code, request.verifier);
  const run = async (authorization) => {
    const child = packaged('inspector-1/cli/build/cli.js', ['--cli', stack.url, '--transport', 'http', '--header', `Authorization: ${authorization}`, ...CALL]);
    const { code } = await within(child.exited, 'the Inspector to end', 60_000);
    return { code, child };
  };
  const good = await run(`Bearer ${token.json.access_token}`);
  assert.equal(good.code, 0, good.child.output);
  assert.deepEqual(weather(good.child.stdout), OSLO);
  const bad = await run('Bearer vat_wrong');
  assert.notEqual(bad.code, 0, bad.child.output);
});

for (const era of ['legacy', 'modern']) {
  test(`Inspector 2.12.0 on the command line, ${era} era: it signs in by a browser and calls`, async () => {
    const opener = await startOpener();
    const home = await mkdtemp(join(tmpdir(), 'vestibule-inspector-'));
    const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
    const child = packaged('inspector-2/clients/launcher/build/index.js', [
      '--cli', '--server-url', stack.url, '--transport', 'http', '--protocol-era', era, '--callback-url', callback, ...CALL,
    ], { env: { ...opener.env, HOME: home, MCP_INSPECTOR_SECRET_STORE: 'memory', MCP_AUTO_OPEN_ENABLED: 'true' } });
    try {
      const url = await until(() => {
        if (!child.alive) throw new Hopeless(`the Inspector ended:\n${child.output}`);
        return child.output.match(/^Please navigate to: (\S+)/m)?.[1];
      }, () => `the address for the browser:\n${child.output}`, 60_000);
      assert.equal(new URL(url).searchParams.get('redirect_uri'), callback);
      const page = await stack.browser.person();
      assert.deepEqual(await allowAndSignIn(page, url), ['consent', 'provider']);
      const { code } = await within(child.exited, 'the Inspector to end', 60_000);
      assert.equal(code, 0, child.output);
      assert.deepEqual(weather(child.stdout), OSLO);
      await page.context().close();
    } finally {
      await child.kill();
      await opener.stop();
      await rm(home, { recursive: true, force: true });
    }
  });
}
