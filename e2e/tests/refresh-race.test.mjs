import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { allowAndSignIn } from '../support/browser.mjs';
import { BareClient, MODERN, post } from '../support/oauth.mjs';
import { Pile, startStack } from '../support/stack.mjs';
import { within } from '../support/wait.mjs';

const WORKER = new URL('../support/refresh-worker.mjs', import.meta.url);
const PROCESSES = 5;
const ROUNDS = 200;
const LOSS = 0.05;
const CALL_EVERY = 10;

/**
 * The gateway counts whole seconds, so a window of four lasts at least three. A token whose answer was lost is
 * used again in the next round, which is at most half a window and two answers after its rotation: that leaves
 * a second for a slow computer. A shorter window would leave too little.
 */
const WINDOW = 4_000;

/**
 * One delay in thirty is any up to half the window; the rest are short, so that there are races and the test ends.
 * With E2E_RACE=full every delay is any up to half the window, which takes six minutes.
 */
const LONG_DELAYS = process.env.E2E_RACE === 'full' ? 1 : 1 / 30;
const SHORT_DELAY = 20;

/** E2E_SEED repeats the delays and the losses of an earlier run. */
const SEED = process.env.E2E_SEED ?? String(randomInt(2 ** 31));

const pile = new Pile();
/** Every refresh token of the shared grant, in the order of their appearance. */
const generations = new Set();
let stack;
let client;
let file;
let other;

before(async () => {
  stack = await pile.add(startStack({
    config: { tokens: { access_ttl: '2s', refresh_window: `${WINDOW / 1000}s` } },
  }));
  const folder = await pile.add(startFolder());
  file = join(folder.path, 'credentials.json');
  client = await newClient();
  const page = await stack.browser.person();
  const shared = await signIn(page);
  other = await signIn(page);
  await page.context().close();
  generations.add(shared.refresh_token);
  await writeFile(file, JSON.stringify({
    client_id: client.clientId,
    token_endpoint: client.metadata.token_endpoint,
    resource: client.resource.resource,
    access_token: shared.access_token,
    refresh_token: shared.refresh_token,
  }));
});
after(() => pile.stop());

async function startFolder() {
  const path = await mkdtemp(join(tmpdir(), 'vestibule-client-'));
  return { path, stop: () => rm(path, { recursive: true, force: true }) };
}

async function newClient() {
  const fresh = new BareClient(stack.url, { redirectUri: stack.callback.url });
  await fresh.discover();
  const registered = await fresh.register();
  assert.equal(registered.status, 201, registered.text);
  return fresh;
}

async function signIn(page) {
  const request = client.authorization();
  await allowAndSignIn(page, request.url);
  const { code } = await stack.callback.next();
  const token = await client.redeem(code, request.verifier);
  assert.equal(token.status, 200, token.text);
  return token.json;
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function randomFrom(seed) {
  let drawn = 0;
  return () => createHash('sha256').update(`${seed} ${++drawn}`).digest().readUInt32BE() / 2 ** 32;
}

/**
 * What each process does in each round. Whoever lost an answer asks again soon and is not unlucky twice in a row,
 * and at most two lose one in the same round: so one is always left that stores the new token.
 */
function planRounds(random) {
  let unlucky = new Set();
  return Array.from({ length: ROUNDS }, (_, index) => {
    const losers = new Set();
    const steps = Array.from({ length: PROCESSES }, (_, number) => {
      const again = unlucky.has(number);
      const longest = !again && random() < LONG_DELAYS ? WINDOW / 2 : SHORT_DELAY;
      const delay = random() * longest;
      const lost = random() < LOSS && !again && losers.size < 2;
      if (lost) losers.add(number);
      return { delay, lost, call: (index + 1) % CALL_EVERY === 0 };
    });
    unlucky = losers;
    return steps;
  });
}

function startProcess(number) {
  // The standard output of a test file belongs to the runner.
  const child = fork(WORKER, [file, stack.url], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(`process ${number} ended with code ${code}, signal ${signal}`));
  });
  async function tell(step) {
    const report = once(child, 'message').then(([message]) => message);
    child.send(step);
    return within(Promise.race([report, ended.then((how) => assert.fail(how))]), `process ${number} to report`);
  }
  return {
    read: () => tell({ what: 'read' }),
    refresh: (step) => tell({ what: 'refresh', ...step }),
    async stop() {
      child.kill();
      await ended;
    },
  };
}

/** A round is good when all were answered and it made one new token, the same for all who got one. */
function judgeRound(round, reports) {
  const where = `round ${round} of E2E_SEED=${SEED}`;
  for (const [index, { status, text, called }] of reports.entries()) {
    assert.equal(status, 200, `${where}, process ${index + 1}: ${status} ${text}`);
    assert.notEqual(called, false, `${where}, process ${index + 1}: its access token does not work`);
  }
  const born = new Set(reports.map(({ token }) => token).filter((token) => !generations.has(token)));
  assert.equal(born.size, 1, `${where}: ${born.size} new refresh tokens, not one`);
  for (const token of born) generations.add(token);
}

async function canCall(token) {
  const answer = await post(stack.url, 'tools/list', {}, { token, version: MODERN });
  assert.ok([200, 401].includes(answer.status), `${answer.status} ${answer.text}`);
  return answer.status === 200;
}

async function refresh(token) {
  const answer = await client.refresh(token);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

async function assertDead(token, what) {
  const { status, text, json } = await client.refresh(token);
  assert.equal(status, 400, `${what}: ${text}`);
  assert.equal(json.error, 'invalid_grant', what);
}

const race = 'TOK-14 TOK-16 T-TOK-12 five processes share a refresh token for 200 rounds, answers get lost, nobody is logged out';

test(race, { timeout: 900_000 }, async (t) => {
  t.diagnostic(`E2E_SEED=${SEED}`);
  const processes = await Promise.all(
    Array.from({ length: PROCESSES }, (_, index) => pile.add(startProcess(index + 1))),
  );
  const rounds = [];
  const started = performance.now();
  for (const [index, steps] of planRounds(randomFrom(SEED)).entries()) {
    await Promise.all(processes.map((each) => each.read()));
    const reports = await Promise.all(processes.map((each, number) => each.refresh(steps[number])));
    judgeRound(index + 1, reports);
    rounds.push({ steps, reports });
  }

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const steps = rounds.flatMap((round) => round.steps);
  const reports = rounds.flatMap((round) => round.reports);
  const lost = steps.filter((step) => step.lost).length;
  const again = reports.filter((report) => report.again).length;
  const calls = reports.filter((report) => report.called).length;
  const rotations = generations.size - 1;
  const longest = Math.max(...steps.map((step) => step.delay)) / 1000;
  t.diagnostic(`${rounds.length} rounds in ${seconds} s, delays up to ${longest.toFixed(2)} s of a window of ${WINDOW / 1000} s`);
  t.diagnostic(`${reports.length} refreshes: ${rotations} rotations, ${reports.length - rotations} repeats`);
  t.diagnostic(`${lost} answers lost, ${again} older tokens used again, ${calls} calls`);
  assert.equal(rotations, ROUNDS);
  assert.ok(lost > 0 && again > 0 && calls > 0);
});

/** Replays `spent` of the grant whose current refresh token is `current`; the other grant is there to be spared. */
async function assertReplayEnds(spent, current) {
  other = await refresh(other.refresh_token);
  const newest = await refresh(current);
  assert.ok(await canCall(newest.access_token), 'the newest access token before the replay');
  await assertDead(spent, 'the spent token');
  await assertDead(newest.refresh_token, 'the newest refresh token');
  assert.equal(await canCall(newest.access_token), false, 'the newest access token');
  // Older than the refused one, so it was not age that ended that.
  assert.ok(await canCall(other.access_token), 'the access token of the other grant');
  other = await refresh(other.refresh_token);
  assert.ok(await canCall(other.access_token), 'the other grant after a refresh');
}

test('TOK-15 T-TOK-11 the race was one family: its first token replayed ends it, and no other grant of the same person and client', async () => {
  assert.ok(generations.size > 1, 'there was a race');
  const [oldest] = generations;
  await assertReplayEnds(oldest, JSON.parse(await readFile(file, 'utf8')).refresh_token);
});

test('TOK-15 TOK-16 T-TOK-11 a spent token gets the current one within the window, and ends the grant after it', async () => {
  const page = await stack.browser.person();
  const { refresh_token: spent } = await signIn(page);
  await page.context().close();
  const { refresh_token: current } = await refresh(spent);
  assert.notEqual(current, spent);
  assert.equal((await refresh(spent)).refresh_token, current);
  // From outside, nothing shows that the window is over except the replay itself.
  await pause(WINDOW);
  await assertReplayEnds(spent, current);
});
