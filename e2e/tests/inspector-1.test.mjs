import { after, before, test } from 'node:test';
import { startInspector1, walkInspector1 } from '../support/inspector.mjs';
import { Pile, startStack } from '../support/stack.mjs';

const pile = new Pile();
let stack;
let inspector;
before(async () => {
  stack = await pile.add(startStack());
  inspector = await pile.add(startInspector1());
});
after(() => pile.stop());

test('Inspector 1.0.3, Via Proxy: Quick OAuth Flow, the token pasted, the weather in Oslo', async () => {
  const page = await stack.browser.person();
  await walkInspector1({ page, inspector, url: stack.url, connection: 'Via Proxy' });
  await page.context().close();
});
