import { createServer } from 'node:http';
import { listen, shut, within } from './wait.mjs';

/**
 * The loopback listener of a native client: hands each redirect it receives to `next()`
 * as `{ code, state, iss, error, … }`.
 */
export async function startCallback({ host = '127.0.0.1', port = 0, path = '/callback' } = {}) {
  const seen = [];
  const arrived = [];
  const waiting = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    if (url.pathname !== path) {
      response.writeHead(404).end();
      return;
    }
    const answer = Object.fromEntries(url.searchParams);
    seen.push(answer);
    const waiter = waiting.shift();
    if (waiter) waiter(answer);
    else arrived.push(answer);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', connection: 'close' });
    response.end('<!doctype html><title>Signed in</title><p id="arrived">You may close this page.</p>');
  });
  const bound = await listen(server, port, '127.0.0.1');
  return {
    url: `http://${host}:${bound}${path}`,
    port: bound,
    seen,
    next(deadline = 20_000) {
      if (arrived.length) return Promise.resolve(arrived.shift());
      return within(new Promise((resolve) => waiting.push(resolve)), 'a redirect to the client', deadline);
    },
    stop: () => shut(server),
  };
}
