import assert from 'node:assert/strict';
import { join } from 'node:path';
import { follow, watching } from './browser.mjs';
import { startOpener } from './opener.mjs';
import { Child } from './process.mjs';
import { e2e } from './python.mjs';
import { Hopeless, freePort, until } from './wait.mjs';
import { OSLO } from './weather.mjs';

async function start(script, args, env, token) {
  const opener = await startOpener();
  const child = new Child(process.execPath, [join(e2e, 'node_modules', script), ...args], {
    env: { ...opener.env, MCP_AUTO_OPEN_ENABLED: 'false', ...env },
  });
  try {
    const address = await until(
      () => {
        if (!child.alive) throw new Hopeless(`the Inspector ended:\n${child.output}`);
        return child.output.match(new RegExp(`http://\\S+${token}=\\S+`))?.[0];
      },
      () => `the Inspector's address:\n${child.output}`,
      30_000,
    );
    return {
      address,
      child,
      async stop() {
        await child.stop();
        await opener.stop();
      },
    };
  } catch (error) {
    await child.kill();
    await opener.stop();
    throw error;
  }
}

/** It forgets another proxy port than its own 6277 on the way through the login, so both ports are its fixed ones. */
export const startInspector1 = () =>
  start('inspector-1/cli/build/cli.js', [], { HOST: 'localhost' }, 'MCP_PROXY_AUTH_TOKEN');

export async function startInspector2(url) {
  const port = await freePort();
  const inspector = await start(
    'inspector-2/clients/launcher/build/index.js',
    ['--web', '--transport', 'http', '--server-url', url],
    {
      HOST: '127.0.0.1',
      CLIENT_PORT: String(port),
      MCP_SANDBOX_PORT: String(await freePort()),
      // Keeps it off the keychain of the machine.
      MCP_INSPECTOR_SECRET_STORE: 'memory',
    },
    'MCP_INSPECTOR_API_TOKEN',
  );
  return { ...inspector, origin: `http://127.0.0.1:${port}` };
}

const button = (page, name) => page.getByRole('button', { name, exact: true });

/** The lab's steps in version 1, up to the token that is copied from the last box. */
async function quickFlow(page, inspector, url, connection) {
  await page.goto(inspector.address);
  await page.getByLabel('Transport Type').click();
  await page.getByRole('option', { name: 'Streamable HTTP' }).click();
  await page.getByRole('textbox', { name: 'URL', exact: true }).fill(url);
  await page.getByRole('combobox', { name: 'Connection Type' }).click();
  await page.getByRole('option', { name: connection }).click();
  await button(page, 'Open Auth Settings').click();
  await button(page, 'Quick OAuth Flow').click();
  let left = false;
  const pages = await follow(page, {
    arrived: (address) => {
      const home = new URL(address).origin === new URL(inspector.address).origin;
      left ||= !home;
      return left && home;
    },
  });
  const tokens = page.locator('details').filter({ hasText: 'Access Tokens' });
  await tokens.locator('summary').click();
  const { access_token: token } = JSON.parse(await tokens.locator('pre').innerText());
  return { token, pages };
}

/** The token in the header box, the connection, and the tool. */
async function useToken(page, token) {
  await button(page, 'Authentication').click();
  await page.getByRole('textbox', { name: 'Header Value' }).fill(`Bearer ${token}`);
  const enabled = page.getByRole('switch');
  if (!(await enabled.isChecked())) await enabled.click();
  await button(page, 'Connect').click();
  await page.getByRole('tab', { name: 'Tools' }).click();
  await button(page, 'List Tools').click();
  await page.getByText('Get Weather', { exact: true }).first().click();
  await page.getByRole('textbox', { name: 'city' }).fill('Oslo');
  await button(page, 'Run Tool').click();
  await page.getByText('Success', { exact: false }).first().waitFor();
  const text = await page.locator('body').innerText();
  assert.ok(text.includes(OSLO.condition), text);
  assert.ok(text.includes(String(OSLO.humidity)), text);
}

/** A person who follows the lab: Quick OAuth Flow, the token copied and pasted, Connect, get_weather. */
export async function walkInspector1({ page, inspector, url, connection }) {
  await watching(page, `inspector-1-${connection}`, async () => {
    const { token, pages } = await quickFlow(page, inspector, url, connection);
    assert.deepEqual(pages, ['consent', 'provider']);
    assert.match(token, /^vat_/);
    await useToken(page, token);
  });
}
