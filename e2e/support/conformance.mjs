import { createServer, request as forward } from 'node:http';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Child } from './process.mjs';
import { e2e } from './python.mjs';
import { Hopeless, freePort, listen, shut, until, within } from './wait.mjs';

const LOOPBACK = pathToFileURL(join(e2e, 'support', 'loopback.mjs')).href;

/** A Node program of a package, kept on loopback unless it may listen `anywhere`. */
export const packaged = (path, args, { anywhere = false, ...options } = {}) =>
  new Child(process.execPath, [...(anywhere ? [] : ['--import', LOOPBACK]), join(e2e, 'node_modules', path), ...args], options);

export async function startEverything() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const child = packaged('@modelcontextprotocol/server-everything/dist/index.js', ['streamableHttp'], { env: { PORT: String(port) } });
  await until(
    async () => {
      if (!child.alive) throw new Hopeless(`the everything server ended:\n${child.output}`);
      const answer = await fetch(url);
      await answer.body?.cancel();
      return true;
    },
    () => `the everything server:\n${child.output}`,
    30_000,
  );
  return { url, child, stop: () => child.stop() };
}

/**
 * Puts a bearer token on what the suite sends, which has no option for it. Its own address is replaced by the
 * gateway's; a foreign one is passed on, since the suite sends those to see them refused.
 */
export async function startRelay({ target, token }) {
  const to = new URL(target);
  const server = createServer((request, response) => {
    const mine = `127.0.0.1:${server.address().port}`;
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    if (headers.host === mine) headers.host = to.host;
    if (headers.origin === `http://${mine}`) headers.origin = to.origin;
    const onward = forward({ host: to.hostname, port: to.port, method: request.method, path: request.url, headers });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}${to.pathname}`, stop: () => shut(server) };
}

async function results(dir) {
  const checks = new Map();
  const files = (await readdir(dir, { recursive: true })).filter((file) => file.endsWith('checks.json'));
  for (const file of files.sort()) {
    // The folder's name is the scenario's between a prefix and the time.
    const scenario = dirname(file).replace(/^(server|authorization)-/, '').replace(/-\d{4}-\d\d-\d\dT[\w-]+$/, '');
    const seen = new Map();
    for (const check of JSON.parse(await readFile(join(dir, file), 'utf8'))) {
      if (check.status === 'INFO') continue;
      const n = (seen.get(check.id) ?? 0) + 1;
      seen.set(check.id, n);
      checks.set(`${scenario} / ${check.id}${n > 1 ? ` #${n}` : ''}`, check);
    }
  }
  return checks;
}

/** One run of a suite: its checks by name. `during` may act while it runs, on the child. */
export async function runSuite(suite, args, { during, env, anywhere, deadline = 300_000 } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-conformance-'));
  const child = packaged(`${suite}/dist/index.js`, [...args, '--output-dir', dir], { env, anywhere });
  try {
    await during?.(child);
    const { code } = await within(child.exited, `${suite} ${args[0]} to end`, deadline);
    return { code, checks: await results(dir), output: child.output };
  } finally {
    await child.kill();
    await rm(dir, { recursive: true, force: true });
  }
}

/** What passed without the gateway and not with it, in words; and what else differs. */
export function compare(direct, through) {
  const broken = [];
  const others = [];
  for (const [name, before] of direct) {
    const after = through.get(name);
    if (before.status === after?.status) continue;
    const line = `${name}: ${before.status} directly, ${after?.status ?? 'absent'} through the gateway${after?.errorMessage ? `: ${after.errorMessage}` : ''}`;
    (before.status === 'SUCCESS' ? broken : others).push(line);
  }
  for (const [name, after] of through) {
    if (!direct.has(name)) others.push(`${name}: only through the gateway, ${after.status}`);
  }
  return { broken, others };
}
