import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { packaged } from '../support/conformance.mjs';
import { weatherIn } from '../support/oauth.mjs';
import { startOpener } from '../support/opener.mjs';
import { startStack } from '../support/stack.mjs';
import { Hopeless, freePort, until } from '../support/wait.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
let opener;
let home;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'vestibule-mcp-remote-'));
  opener = await startOpener();
  stack = await startStack();
});
after(async () => {
  await stack?.stop();
  await opener?.stop();
  if (home) await rm(home, { recursive: true, force: true });
});

test('mcp-remote 0.15.1: a program that speaks over its standard streams gets the weather in Oslo', async () => {
  const child = packaged(
    'mcp-remote/dist/proxy.js',
    [stack.url, String(await freePort()), '--allow-http'],
    { env: { ...opener.env, MCP_REMOTE_CONFIG_DIR: home }, stdin: 'pipe' },
  );
  const say = (message) => child.process.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const answer = (id) => until(
    () => {
      if (!child.alive) throw new Hopeless(`mcp-remote ended:\n${child.output}`);
      return child.stdout.split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)).find((each) => each.id === id);
    },
    () => `an answer to ${id}:\n${child.output}`,
    60_000,
  );
  try {
    const page = await stack.browser.person();
    const url = await until(() => {
      if (!child.alive) throw new Hopeless(`mcp-remote ended:\n${child.output}`);
      return child.output.match(/^https?:\/\/\S+[?&]code_challenge=\S+/m)?.[0];
    }, () => `the address for the browser:\n${child.output}`, 60_000);
    assert.deepEqual(await allowAndSignIn(page, url), ['consent', 'provider']);
    say({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'host', version: '1' } },
    });
    assert.ok((await answer(1)).result.serverInfo);
    say({ method: 'notifications/initialized' });
    say({ id: 2, method: 'tools/call', params: { name: 'get_weather', arguments: { city: 'Oslo' } } });
    assert.deepEqual(weatherIn((await answer(2)).result), OSLO);
    await page.context().close();
  } finally {
    await child.kill();
  }
});
