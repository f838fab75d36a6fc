import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as forward } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { listen, shut } from './wait.mjs';

const run = promisify(execFile);

/** A certificate for loopback, signed by an authority made for the occasion. */
async function makeCertificate() {
  // Programs that tests start trust an authority by a file that was there before them.
  const ready = process.env.E2E_TLS_DIR;
  if (ready) {
    const [ca, cert, key] = await Promise.all(
      ['ca.pem', 'leaf.pem', 'leaf.key'].map((name) => readFile(join(ready, name), 'utf8')),
    );
    return { ca, cert, key };
  }
  return makeCertificateIn();
}

/** Makes one in a folder of its own, or in `keep`, where its files stay; for these `names` besides. */
export async function makeCertificateIn(keep, names = []) {
  const dir = keep ?? await mkdtemp(join(tmpdir(), 'vestibule-tls-'));
  const at = (name) => join(dir, name);
  try {
    await run('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=Vestibule test authority', '-keyout', at('ca.key'), '-out', at('ca.pem'),
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign',
    ]);
    await run('openssl', [
      'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-subj', '/CN=localhost', '-keyout', at('leaf.key'), '-out', at('leaf.csr'),
    ]);
    const all = ['localhost', ...names].map((name) => `DNS:${name}`);
    await writeFile(at('ext'), `subjectAltName=${all.join(',')},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n`);
    await run('openssl', [
      'x509', '-req', '-in', at('leaf.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'),
      '-set_serial', '2', '-days', '2', '-extfile', at('ext'), '-out', at('leaf.pem'),
    ]);
    const [ca, cert, key] = await Promise.all(['ca.pem', 'leaf.pem', 'leaf.key'].map((name) => readFile(at(name), 'utf8')));
    return { ca, cert, key };
  } finally {
    if (!keep) await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Passes a request on to a port of this computer, with these headers in place of what was said of addresses; `change` gets the
 * headers of the answer, names and values by turns.
 */
export function passOn(request, response, port, forwarded, change = (raw) => raw) {
  const { 'x-forwarded-for': _, ...headers } = request.headers;
  const onward = forward({
    host: '127.0.0.1',
    port,
    method: request.method,
    path: request.url,
    headers: { ...headers, ...forwarded, 'x-forwarded-proto': 'https', 'x-forwarded-host': request.headers.host },
  });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode, change(answer.rawHeaders));
    // An event stream must get its headers through before its first event.
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

/** What proxies do to `X-Forwarded-For`. */
const STYLES = {
  replace: (_, address) => ({ 'x-forwarded-for': address }),
  append: (said, address) => ({ 'x-forwarded-for': [said, address].filter(Boolean).join(', ') }),
  pass: (said) => (said ? { 'x-forwarded-for': said } : {}),
  none: () => ({}),
};

/** The reverse proxy that ends TLS before a gateway, and says so in the usual headers; `style` and `change` may be changed. */
export async function startTls({ target }) {
  const { ca, cert, key } = await makeCertificate();
  const front = { style: 'replace', change: undefined };
  const server = createServer({ cert, key }, (request, response) => {
    const said = request.headers['x-forwarded-for'];
    passOn(request, response, target, STYLES[front.style](said, request.socket.remoteAddress), front.change);
  });
  const port = await listen(server);
  return Object.assign(front, { url: `https://127.0.0.1:${port}`, port, ca, stop: () => shut(server) });
}

/** Lets the clients inside this process accept the certificate of `startTls`. */
export function trust(ca) {
  setDefaultCACertificates([...getCACertificates('default'), ca]);
}
