// What every page has to be, whatever it shows.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { e2e } from './python.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Where pictures are kept. */
export const PICTURES = join(e2e, 'artifacts', 'pages');
await mkdir(PICTURES, { recursive: true });

/** Opens a page, and returns what it weighed and whom it asked. */
export async function open(page, url, origin = new URL(url).origin) {
  const asked = [];
  const watch = (request) => asked.push(request);
  page.on('request', watch);
  const shown = await page.goto(url, { waitUntil: 'load' });
  page.off('request', watch);
  assert.doesNotMatch(await shown.text(), /<script(?! src="\/assets\/flow\.js" defer><\/script>)|<style|\sstyle=|\son[a-z]+=/i, 'nothing inline');
  let weight = 0;
  for (const request of asked) {
    assert.equal(new URL(request.url()).origin, origin, 'no other host is asked');
    const response = await request.response();
    weight += response ? (await response.body()).length : 0;
  }
  return weight;
}

/** Judges what is shown, in both widths and colours, and keeps a picture of each. */
export async function judge(page, name, { lang = 'en', dir = 'ltr' } = {}) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const told = await page.evaluate(() => ({
        over: document.documentElement.scrollWidth - innerWidth,
        headings: document.querySelectorAll('h1').length,
        title: document.title,
        lang: document.documentElement.lang,
        dir: document.documentElement.dir,
      }));
      assert.ok(told.over <= 0, `${name} at ${width}: ${told.over} px too wide`);
      assert.equal(told.headings, 1, `${name}: one heading`);
      assert.ok(told.title.length > 5 && told.lang === lang && told.dir === dir, `${name}: ${JSON.stringify(told)}`);
      // Through the debugger, which the page's own policy does not bind.
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() =>
        globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      const words = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => node.html).join('\n  ')}`);
      assert.deepEqual(words, [], `${name} at ${width}, ${colorScheme}`);
      await page.screenshot({ path: join(PICTURES, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
}
