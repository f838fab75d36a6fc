// Services under their own names: a program under test and a browser find them where this process serves them, over TLS, so that
// what is tried is what is written on a page.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeCertificateIn, passOn } from './tls.mjs';
import { listen, shut } from './wait.mjs';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('./names.c', import.meta.url));

/** `services`: by each name the port on this computer that answers for it, over plain HTTP. */
export async function startNames(services) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-names-'));
  const library = join(dir, 'names.so');
  await run('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-o', library, SOURCE, '-ldl']);
  const names = Object.keys(services);
  const { cert, key } = await makeCertificateIn(dir, names);
  const server = createServer({ cert, key }, (request, response) => {
    const target = services[request.headers.host];
    if (!target) response.writeHead(421).end();
    else passOn(request, response, target, { 'x-forwarded-for': '127.0.0.1' });
  });
  const port = await listen(server);
  return {
    /** For programs that look names up by the C library. */
    env: { LD_PRELOAD: library, E2E_NAMES: names.join('\n'), E2E_NAMES_PORT: String(port), SSL_CERT_FILE: join(dir, 'ca.pem') },
    /** For Chromium. */
    rules: names.map((name) => `MAP ${name}:443 127.0.0.1:${port}`).join(','),
    async stop() {
      await shut(server);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
