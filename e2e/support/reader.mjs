// Somebody who does what a page of the documentation says, as it is written there but for the addresses that are the reader's own.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowAndSignIn } from './browser.mjs';
import { binary } from './gateway.mjs';
import { BareClient, connect, weatherIn } from './oauth.mjs';
import { Child } from './process.mjs';
import { freePort, untilReady, within } from './wait.mjs';

const HOW_TO = fileURLToPath(new URL('../../docs/how-to', import.meta.url));

export const pageOf = (name) => readFile(join(HOW_TO, name), 'utf8');

/** The first block of settings of a page, from a heading on. */
export async function settingsOf(page, heading) {
  const text = await pageOf(page);
  return /```toml\n([\s\S]*?)```/.exec(text.slice(text.indexOf(heading)))[1];
}

/** The commands of a page's first block, one to a line, without what is said beside them. */
export async function commandsOf(page) {
  const [, block] = /```sh\n([\s\S]*?)```/.exec(await pageOf(page));
  return block.trim().replaceAll('\\\n', ' ').split('\n').map((line) => line.replace(/\s+#.*$/, '').replace(/\s+/g, ' '));
}

/** An empty folder, in which lines are typed; `weather` is the reader's own server. */
export async function startReader({ weather, env = {}, path = [] }) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-reader-'));
  const at = (name) => join(dir, name);
  await mkdir(at('bin'));
  await symlink(binary(), at('bin/vestibule'));
  const publicUrl = `http://127.0.0.1:${await freePort()}`;
  const admin = `127.0.0.1:${await freePort()}`;
  const children = new Set();
  const own = { PATH: [at('bin'), ...path, process.env.PATH].join(delimiter), VESTIBULE_ADMIN__LISTEN: admin, ...env };
  const type = (line, more) => {
    const child = new Child('sh', ['-c', `exec ${line}`], { cwd: dir, env: { ...own, ...more } });
    children.add(child);
    return child;
  };
  return {
    dir,
    path: at,
    publicUrl,
    /** What is in the environment of each line from now on. */
    env: (more) => void Object.assign(own, more),
    own: (line) => line.replace('https://mcp.example.com', publicUrl).replace(/http:\/\/127\.0\.0\.1:8123[^\s"]*/, weather.url),
    type,
    async run(line, { codes = [0], env: more, drive } = {}) {
      const child = type(line, more);
      if (drive) await drive(child);
      const { code } = await within(child.exited, line, 90_000);
      assert.ok(codes.includes(code), `${line}: ${code}\n${child.output}`);
      return child.output;
    },
    async serve(line) {
      const child = type(line);
      await untilReady(child, `http://${admin}/readyz`);
      return child;
    },
    async stop() {
      for (const child of children) if (!child.ended) await child.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** What a client gets that was told nothing but the address of the weather server: an answer, or what refused its login. */
export async function weatherThrough(publicUrl, { browser, callback, person = 'ada', page: own }) {
  const server = `${publicUrl}/weather/mcp`;
  const client = new BareClient(server, { redirectUri: callback.url });
  await client.discover();
  await client.register();
  const request = client.authorization();
  const page = own ?? await browser.person();
  await allowAndSignIn(page, request.url, { person, redirectUri: callback.url });
  if (!own) await page.context().close();
  const answer = await callback.next();
  if (!answer.code) return answer;
  const { json: tokens } = await client.redeem(answer.code, request.verifier);
  const session = await connect(server, { token: tokens.access_token });
  const called = await session.call('tools/call', { name: 'get_weather', arguments: { city: 'Oslo' } });
  return weatherIn(called.json.result);
}
