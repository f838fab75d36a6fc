import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runSuite } from '../support/conformance.mjs';
import { binary } from '../support/gateway.mjs';
import { e2e } from '../support/python.mjs';

const COMMAND = `${process.execPath} ${join(e2e, 'support', 'cli-client.mjs')}`;

/** Grants without a person, which are a program's own and not this command's. */
const NOT_OURS = ['client-credentials-jwt', 'client-credentials-basic', 'enterprise-managed-authorization', 'dpop', 'dpop-nonce', 'wif-jwt-bearer'];

/** What the suite has of each revision, and the fewest scenarios of it that must have run. */
for (const [title, which, fewest] of [
  ['2025-03-26', ['--suite', 'backcompat', '--spec-version', '2025-03-26'], 2],
  ['2025-06-18', ['--suite', 'auth', '--spec-version', '2025-06-18'], 3],
  ['2025-11-25', ['--suite', 'auth', '--spec-version', '2025-11-25'], 14],
  ['2026-07-28', ['--requirements', '2026-07-28'], 25],
]) {
  test(`official client suite ${title}, sign-in: vestibule call passes every check`, async (t) => {
    const { checks, output } = await runSuite(
      'conformance-next',
      ['client', '--command', COMMAND, ...which],
      // It asks a server for its port in the same breath in which it lets it listen.
      { env: { VESTIBULE_BIN: binary() }, anywhere: true },
    );
    const scenarioOf = (name) => name.split(' / ')[0].split('/').at(-1);
    const ours = [...checks].filter(([name]) => name.includes('auth/') && !NOT_OURS.includes(scenarioOf(name)));
    const scenarios = new Set(ours.map(([name]) => scenarioOf(name)));
    t.diagnostic(`${scenarios.size} scenarios, ${ours.length} checks`);
    assert.ok(scenarios.size >= fewest, `${[...scenarios]}\n${output}`);
    const unwell = ours.filter(([, { status }]) => status !== 'SUCCESS' && status !== 'SKIPPED');
    assert.deepEqual(unwell.map(([name, check]) => `${check.status} ${name}: ${check.errorMessage ?? JSON.stringify(check.details)}`), [], output);
  });
}
