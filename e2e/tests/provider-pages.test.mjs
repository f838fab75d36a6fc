// The page of each identity provider, as it is written but for the addresses that are the reader's own: what it says to type is
// typed, at a provider of that kind under its own name; whom its rule lets in gets the weather, and nobody else.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { follow, startBrowser } from '../support/browser.mjs';
import { startCallback } from '../support/callback.mjs';
import { startGitHub } from '../support/github.mjs';
import { KINDS, startKind } from '../support/kinds.mjs';
import { startNames } from '../support/names.mjs';
import { startOpener } from '../support/opener.mjs';
import { judge } from '../support/pages.mjs';
import { commandsOf, pageOf, startReader, weatherThrough } from '../support/reader.mjs';
import { Pile } from '../support/stack.mjs';
import { OSLO, startWeather } from '../support/weather.mjs';

const pile = new Pile();
let weather;
let callback;
before(async () => {
  weather = await pile.add(startWeather());
  callback = await pile.add(startCallback());
});
after(() => pile.stop());

/** Puts the settings of a page into a configuration, each table's behind its head. */
async function addSettings(file, text) {
  let written = await readFile(file, 'utf8');
  for (const [, block] of text.matchAll(/```toml\n([\s\S]*?)```/g)) {
    for (const [, head, lines] of block.matchAll(/^(\[[^\]]+\])\n((?:(?!\[).*\n)*)/gm)) {
      assert.ok(written.includes(`${head}\n`), `${head} in\n${written}`);
      written = written.replace(`${head}\n`, () => `${head}\n${lines}`);
    }
  }
  await writeFile(file, written);
}

for (const kind of [...Object.keys(KINDS), 'github']) {
  test(`providers/${kind}.md: from its commands to a login`, async () => {
    const own = new Pile();
    try {
      const provider = await own.add(kind === 'github' ? startGitHub() : startKind(kind));
      const names = await own.add(startNames(provider.services));
      const browser = await own.add(startBrowser({ ignoreCertificates: true, rules: names.rules }));
      const opener = await own.add(startOpener());
      const reader = await own.add(startReader({ weather, env: names.env }));
      const page = await pageOf(`providers/${kind}.md`);
      const [init, check, serve, ...more] = (await commandsOf(`providers/${kind}.md`)).map(reader.own);
      assert.deepEqual([check, serve, more], ['vestibule check --login', 'vestibule serve', []]);
      await writeFile(reader.path('idp-secret'), provider.clientSecret);
      const told = await reader.run(init);
      const redirect = `${reader.publicUrl}/oauth-callback`;
      assert.ok(told.includes(redirect), told);
      assert.ok(page.includes('https://mcp.example.com/oauth-callback'), 'the page says what to register');
      provider.allowRedirect(redirect);
      await addSettings(reader.path('vestibule.toml'), page);

      const tried = await reader.run(check, {
        env: { ...opener.env, PATH: `${reader.path('bin')}:${opener.env.PATH}` },
        drive: async (child) => {
          const person = await browser.person();
          await person.goto(await opener.opened(child));
          await follow(person, { arrived: (address) => address.startsWith(redirect) });
          await person.context().close();
        },
      });
      assert.match(tried, /signed in as/);
      // What the page's rule names came with the login, and so that the person can be asked after.
      for (const [, group] of page.matchAll(/"(group:[^"]+)"/g)) assert.ok(tried.includes(group), `${group} in\n${tried}`);
      if (kind !== 'github') assert.match(tried, /refresh token works/);

      const gateway = await reader.serve(serve);
      assert.deepEqual(await weatherThrough(reader.publicUrl, { browser, callback }), OSLO);
      const person = await browser.person();
      const other = weatherThrough(reader.publicUrl, { browser, callback, person: 'bob', page: person });
      // Google tells no groups, and whose account it is.
      await assert.rejects(other, kind === 'google' ? /V-IDP-023/ : /V-POL-001/);
      if (kind === 'google') await judge(person, 'other-organization');
      await person.context().close();
      assert.equal((await gateway.stop()).code, 0);
    } finally {
      await own.stop();
    }
  });
}
