// How long it takes a person from the command `vestibule demo` to the first answer of a tool: a scripted browser that
// pauses as people do, again and again. Called by scripts/first-answer.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBrowser } from './support/browser.mjs';
import { binary } from './support/gateway.mjs';
import { Child } from './support/process.mjs';
import { freePort, until } from './support/wait.mjs';

/** Seconds that a person takes to read a page, to press something, and to fill a field. */
const [PAGE, CLICK, FIELD] = [1, 1.5, 3];
const runs = Number(process.argv[2] ?? 20);
const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

async function press(page, selector) {
  await page.locator(selector).waitFor();
  await pause(CLICK);
  await page.locator(selector).click();
}

async function fill(page, selector, text) {
  await pause(FIELD);
  await page.locator(selector).fill(text);
}

/** One run: seconds to the weather, and of these the program's own. */
async function run(browser) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-first-'));
  const origin = `http://127.0.0.1:${await freePort()}`;
  const begun = performance.now();
  const child = new Child(binary(), ['demo', '--port', new URL(origin).port, '--no-open'], { cwd: dir });
  const page = await browser.person();
  try {
    await until(() => child.output.includes('/try'), () => `the demo to say where it is:\n${child.output}`, 30_000);
    await page.goto(`${origin}/try`);
    await pause(PAGE);
    await press(page, 'button');
    await page.locator('form[action="/consent/decision"]').waitFor();
    await pause(PAGE);
    await press(page, 'button[value="allow"]');
    await page.locator('input[name=username]').waitFor();
    await pause(PAGE);
    await fill(page, 'input[name=username]', 'ada');
    await fill(page, 'input[name=password]', 'ada');
    await press(page, 'form:has(input[name=username]) button');
    await page.getByText(/humidity|temperature|°/i).first().waitFor();
    return (performance.now() - begun) / 1000;
  } finally {
    await page.context().close();
    await child.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const browser = await startBrowser();
const seconds = [];
try {
  for (let turn = 0; turn < runs; turn += 1) {
    seconds.push(await run(browser));
    process.stderr.write(`${turn + 1} of ${runs}: ${seconds.at(-1).toFixed(1)} s\n`);
  }
} finally {
  await browser.stop();
}
seconds.sort((a, b) => a - b);
const pauses = 3 * PAGE + 3 * CLICK + 2 * FIELD;
const median = seconds[Math.floor(seconds.length / 2)];
console.log(`demo to first answer: median ${median.toFixed(1)} s, worst ${seconds.at(-1).toFixed(1)} s of ${runs} runs, `
  + `${pauses.toFixed(1)} s of each the person's pauses`);
process.exitCode = seconds.at(-1) <= 30 ? 0 : 1;
