import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { follow, watching } from '../support/browser.mjs';
import { startInspector2 } from '../support/inspector.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { OSLO } from '../support/weather.mjs';

const pile = new Pile();
let stack;
let inspector;
before(async () => {
  stack = await pile.add(startStack());
  inspector = await pile.add(startInspector2(stack.url));
});
after(() => pile.stop());

test('Inspector 2.12.0 web: its switch, the login that the 401 starts, the weather in Oslo', async () => {
  const page = await stack.browser.person();
  await watching(page, 'inspector-2', async () => {
    // Its page asks the network for a font, so "load" would depend on the world outside.
    await page.goto(inspector.address, { waitUntil: 'domcontentloaded' });
    await page.getByRole('switch').click({ force: true });
    const pages = await follow(page, {
      arrived: (address) => address.startsWith(inspector.origin) && new URL(address).searchParams.has('code'),
    });
    assert.deepEqual(pages, ['consent', 'provider']);
    await page.getByText('Tools', { exact: true }).first().click();
    await page.getByText('get_weather', { exact: true }).first().click();
    await page.getByRole('textbox', { name: 'city' }).fill('Oslo');
    await page.getByRole('button', { name: /^(Execute|Run|Call)/ }).click();
    await page.getByText(OSLO.condition).first().waitFor();
    assert.ok((await page.locator('body').innerText()).includes(String(OSLO.humidity)));
  });
  await page.context().close();
});
