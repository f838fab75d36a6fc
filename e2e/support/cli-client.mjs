// Our own command line as the client that the official suite tests: it lists the tools of the server in the last
// argument and calls each, signing in where it is asked to.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const server = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const home = await mkdtemp(join(tmpdir(), 'vestibule-home-'));

/** What the scenario says of clients that were added by hand, or have a document. */
async function who() {
  if (scenario === 'auth/basic-cimd') return ['--client-id', 'https://conformance-test.local/client-metadata.json'];
  if (!context.client_id) return [];
  const file = join(home, 'client-secret');
  if (context.client_secret) await writeFile(file, context.client_secret);
  return ['--client-id', context.client_id, ...(context.client_secret ? ['--client-secret-file', file] : [])];
}

function call(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.env.VESTIBULE_BIN, ['call', ...args], {
      env: { ...process.env, XDG_CONFIG_HOME: home, BROWSER: join(here, 'bin', 'follow'), E2E_NODE: process.execPath },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (data) => { out += data; });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out }));
  });
}

try {
  const more = await who();
  const list = await call([server, ...more, '--json']);
  if (list.code !== 0) process.exitCode = list.code;
  else {
    for (const tool of JSON.parse(list.out)) {
      const { code } = await call([server, tool.name, ...more]);
      if (code !== 0) process.exitCode = code;
    }
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
