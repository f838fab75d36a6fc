import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { LOGIN_FORM, fillLoginForm } from './provider.mjs';
import { e2e } from './python.mjs';
import { Hopeless, until } from './wait.mjs';

const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** `rules`: where names lead, as Chromium writes it (`MAP name:port address:port`). */
export async function startBrowser({ ignoreCertificates = false, rules } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.E2E_CHROMIUM || '/usr/bin/chromium',
    args: [
      ...ARGUMENTS,
      ...(ignoreCertificates ? ['--ignore-certificate-errors'] : []),
      ...(rules ? [`--host-resolver-rules=${rules}`] : []),
    ],
  });
  return {
    /** A page in a browser profile of its own: cookies are not shared with other people's. */
    async person() {
      const context = await browser.newContext();
      return context.newPage();
    },
    stop: () => browser.close(),
  };
}

let pictures = 0;

/** Keeps what the page showed, for whoever has to find out why a test failed. */
export async function keepEvidence(page, name = 'failure') {
  const folder = join(e2e, 'artifacts');
  const stem = join(folder, `${process.pid}-${++pictures}-${name.replace(/\W+/g, '-')}`);
  await mkdir(folder, { recursive: true });
  try {
    await page.screenshot({ path: `${stem}.png`, fullPage: true });
    await writeFile(`${stem}.html`, `<!-- ${page.url()} -->\n${await page.content()}`);
  } catch {
    // A page that is gone or navigating has nothing to show; the error that led here is what counts.
  }
  return `${stem}.png`;
}

/** Runs `action`; when it fails, what the page shows goes into the artifacts and into the error. */
export async function watching(page, name, action) {
  try {
    return await action();
  } catch (error) {
    const picture = await keepEvidence(page, name);
    const text = await page.locator('body').innerText({ timeout: 2000 }).catch(() => '');
    throw new Error(`${name}: ${error.message}\nat ${page.url()}\n${text.slice(0, 1500)}\nsee ${picture}`, { cause: error });
  }
}

const CONSENT = 'form[method="post" i][action="/consent/decision"]';
const FORMS = { consent: CONSENT, provider: LOGIN_FORM };

/** Which of the pages of a login this is; undefined for one on which there is nothing to do, or nothing left. */
function look({ consent, provider }) {
  const root = document.documentElement;
  if (root.dataset.done || document.readyState === 'loading') return undefined;
  if (document.querySelector(consent)) return 'consent';
  if (document.querySelector(provider)) return 'provider';
  if (document.querySelector('input[name=username]') && document.querySelector('input[name=password]')) return 'demo';
  return undefined;
}

const mark = () => {
  document.documentElement.dataset.done = 'yes';
};

/** Answers the consent page that is shown. */
export async function decide(page, decision = 'allow') {
  await until(() => page.evaluate(look, FORMS).then((kind) => kind === 'consent'), 'the consent page');
  const form = page.locator(CONSENT);
  // The caution for programs on this computer asks for a tick before it believes an Allow.
  if (decision === 'allow') {
    for (const box of await form.locator('input[type=checkbox]').all()) await box.check();
  }
  await page.evaluate(mark);
  await form.locator(`button[name="decision"][value="${decision}"]`).click();
}

/** Signs in at the provider, whose form is shown; at another one than this run's if that is given. */
export async function signInAtProvider(page, person, of = { LOGIN_FORM, fillLoginForm }) {
  await page.locator(of.LOGIN_FORM).waitFor();
  await page.evaluate(mark);
  await of.fillLoginForm(page, person);
}

async function signInAtDemo(page, person) {
  await page.evaluate(mark);
  await page.locator('input[name=username]').fill(person);
  await page.locator('input[name=password]').fill(person);
  const form = page.locator('form').filter({ has: page.locator('input[name=username]') });
  await form.locator('button, input[type=submit]').first().click();
}

/**
 * Goes through whatever pages a login shows from here until `arrived(url)`.
 * Answers with the list of pages that asked something.
 */
export async function follow(page, { person = 'ada', decision = 'allow', arrived, deadline = 30_000 }) {
  const seen = [];
  let refused;
  const watch = (response) => {
    const request = response.request();
    if (request.isNavigationRequest() && request.frame() === page.mainFrame() && response.status() >= 400) {
      refused = `${response.status()} from ${response.url()}`;
    }
  };
  page.on('response', watch);
  try {
    await until(
      async () => {
        if (await arrived(page.url())) return true;
        if (refused) {
          await page.waitForLoadState('domcontentloaded');
          // The answer is known before the address bar is; a client's own page may say 4xx.
          if (await arrived(page.url())) return true;
          throw new Hopeless(refused);
        }
        const kind = await page.evaluate(look, FORMS);
        if (!kind) return false;
        seen.push(kind);
        if (kind === 'consent') await decide(page, decision);
        else if (kind === 'provider') await signInAtProvider(page, person);
        else await signInAtDemo(page, person);
        return false;
      },
      () => `the login to arrive; pages so far: ${seen.join(', ') || 'none'}`,
      deadline,
    );
  } finally {
    page.off('response', watch);
  }
  return seen;
}

/**
 * The person's half of a login: opens the authorization URL, answers the consent page, signs in at the
 * provider, and waits until the browser is back at the client.
 */
export async function allowAndSignIn(page, url, { person = 'ada', decision = 'allow', redirectUri } = {}) {
  const target = redirectUri ?? new URL(url).searchParams.get('redirect_uri');
  return watching(page, `login-${person}`, async () => {
    await page.goto(String(url), { waitUntil: 'commit' });
    return follow(page, { person, decision, arrived: (address) => address.split(/[?#]/)[0] === target });
  });
}
