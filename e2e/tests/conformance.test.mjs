import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { compare, runSuite, startEverything, startRelay } from '../support/conformance.mjs';
import { weatherServer } from '../support/gateway.mjs';
import { BareClient } from '../support/oauth.mjs';
import { startSpecimen } from '../support/specimen.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { Hopeless, freePort, until } from '../support/wait.mjs';

const RELEASED = 'conformance-released';
const NEXT = 'conformance-next';

const pile = new Pile();
let stack;
const behind = {};
let callbackPort;
before(async () => {
  behind.everything = await pile.add(startEverything());
  behind.specimen = await pile.add(startSpecimen());
  callbackPort = await freePort();
  stack = await pile.add(startStack({
    servers: (weather) => ({
      weather: weatherServer(weather.url),
      ...Object.fromEntries(Object.entries(behind).map(([name, { url }]) => [name, {
        path: `/${name}/mcp`,
        upstream: url,
        title: name,
        scopes: { [`${name}:use`]: 'Use everything' },
        default_scopes: [`${name}:use`],
      }])),
    }),
    clients: () => ({
      conformance: {
        name: 'Conformance suite',
        redirect_uris: [`http://127.0.0.1:${callbackPort}/callback`],
        auth_method: 'none',
      },
    }),
    // The suite can leave `resource` out.
    config: { default_server: 'weather' },
  }));
});
after(() => pile.stop());

async function tokenFor(path) {
  const client = new BareClient(stack.gateway.server(path), { redirectUri: stack.callback.url });
  await client.discover();
  assert.equal((await client.register()).status, 201);
  const request = client.authorization();
  const page = await stack.browser.person();
  await allowAndSignIn(page, request.url);
  await page.context().close();
  const answer = await stack.callback.next();
  assert.ok(answer.code, JSON.stringify(answer));
  const token = await client.redeem(answer.code, request.verifier);
  assert.equal(token.status, 200, token.text);
  return token.json.access_token;
}

const failures = (checks) =>
  [...checks].filter(([, check]) => check.status === 'FAILURE').map(([name, check]) => `${name}: ${check.errorMessage}`);

for (const [title, more] of [
  ['with a resource', () => ['--resource', stack.url]],
  ['without a resource', () => []],
]) {
  test(`OPS-5 official authorization suite, ${title}`, async (t) => {
    const { checks, output } = await runSuite(NEXT, [
      'authorization', '--url', stack.gateway.url, '--client-id', 'conformance', '--port', String(callbackPort), ...more(),
    ], {
      async during(child) {
        const url = await until(() => {
          if (!child.alive) throw new Hopeless(`the suite ended:\n${child.output}`);
          return child.output.match(/https?:\/\/\S+[?&]code_challenge=\S+/)?.[0];
        }, () => `the suite to ask for a browser:\n${child.output}`, 60_000);
        const page = await stack.browser.person();
        await allowAndSignIn(page, url);
        await page.context().close();
      },
    });
    for (const [name, { status, errorMessage }] of checks) t.diagnostic(`${status} ${name} ${errorMessage ?? ''}`);
    assert.deepEqual(failures(checks), [], output);
    const grant = [...checks].find(([name]) => name.includes('authorization-code-grant'));
    assert.equal(grant?.[1].status, 'SUCCESS', output);
  });
}

const SUITES = [
  [RELEASED],
  [NEXT, '--spec-version', '2025-03-26'],
  [NEXT, '--spec-version', '2025-06-18'],
  [NEXT, '--spec-version', '2025-11-25'],
  [NEXT, '--spec-version', '2026-07-28'],
];

// The everything server is what people know, but lacks most of what the suites ask for; the specimen has it all.
for (const name of ['specimen', 'everything']) {
  for (const [suite, ...revision] of SUITES) {
    test(`official server suite ${[suite, revision.at(-1)].filter(Boolean).join(' ')} on the ${name} server: what passes directly passes through`, async (t) => {
      const relay = await startRelay({
        target: stack.gateway.server(`/${name}/mcp`),
        token: await tokenFor(`/${name}/mcp`),
      });
      try {
        const run = (url) => runSuite(suite, ['server', '--url', url, '--suite', 'all', ...revision]);
        const direct = await run(behind[name].url);
        const through = await run(relay.url);
        const passed = [...direct.checks.values()].filter(({ status }) => status === 'SUCCESS').length;
        t.diagnostic(`${passed} of ${direct.checks.size} checks pass directly`);
        assert.ok(passed > 0, direct.output);
        if (name === 'specimen') assert.equal(passed, direct.checks.size, failures(direct.checks).join('\n'));
        const { broken, others } = compare(direct.checks, through.checks);
        for (const line of others) t.diagnostic(line);
        assert.deepEqual(broken, []);
      } finally {
        await relay.stop();
      }
    });
  }
}
