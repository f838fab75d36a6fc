import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createServer } from 'node:net';

/**
 * Asks `probe` until it answers something truthy, and returns that.
 * A probe that throws counts as "not yet"; its last error is told when the deadline passes.
 */
export async function until(probe, what, deadline = 20_000) {
  const end = performance.now() + deadline;
  let last;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = undefined;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${deadline} ms in vain: ${typeof what === 'function' ? await what() : what}`, {
        cause: last,
      });
    }
    await pause(25);
  }
}

/** Thrown by a probe that knows that further asking is useless. */
export class Hopeless extends Error {}

/** Fails instead of hanging when `promise` does not settle in time. */
export async function within(promise, what, deadline = 20_000) {
  const abort = new AbortController();
  try {
    return await Promise.race([
      promise,
      pause(deadline, undefined, { signal: abort.signal }).then(() => {
        throw new Error(`waited ${deadline} ms in vain: ${what}`);
      }),
    ]);
  } finally {
    abort.abort();
  }
}

/** Waits until a program that was started answers at an address. */
export const untilReady = (child, address, deadline = 30_000) => until(
  async () => {
    if (!child.alive) throw new Hopeless(`${child.name} ended:\n${child.output}`);
    const answer = await fetch(address).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.status === 200;
  },
  () => `${address}:\n${child.output}`,
  deadline,
);

const handedOut = new Set();

/**
 * A loopback port that was free a moment ago and that this process has not handed out before. It lies below
 * those that the system gives to connections, so that none takes it before its use.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 30_000);
    if (handedOut.has(port)) continue;
    const free = await new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) {
      handedOut.add(port);
      return port;
    }
  }
}

export function listen(server, port = 0, host = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server.address().port);
    });
  });
}

/** Closes a listener together with the connections that clients keep open. */
export function shut(server) {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    server.close(() => resolve());
    server.closeAllConnections?.();
  });
}
