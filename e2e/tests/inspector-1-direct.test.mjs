import { after, before, test } from 'node:test';
import { weatherServer } from '../support/gateway.mjs';
import { startInspector1, walkInspector1 } from '../support/inspector.mjs';
import { Pile, startStack } from '../support/stack.mjs';

const pile = new Pile();
let stack;
let inspector;
before(async () => {
  stack = await pile.add(startStack({
    // The Inspector's own page calls the server here, so its origin must be among those let in.
    servers: (weather) => ({ weather: weatherServer(weather.url, { origins: ['http://localhost:6274'] }) }),
  }));
  inspector = await pile.add(startInspector1());
});
after(() => pile.stop());

test('Inspector 1.0.3, Direct: Quick OAuth Flow, the token pasted, the weather in Oslo', async () => {
  const page = await stack.browser.person();
  await walkInspector1({ page, inspector, url: stack.url, connection: 'Direct' });
  await page.context().close();
});
