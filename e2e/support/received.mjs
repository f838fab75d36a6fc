import { join } from 'node:path';
import { Child } from './process.mjs';
import { e2e, python } from './python.mjs';
import { Hopeless, freePort, until } from './wait.mjs';

/** An MCP server (FastMCP) that tells what it received; with `issuer` it believes only that gateway's assertions. */
export async function startReceived({ path, issuer, port } = {}) {
  port ??= await freePort();
  const child = new Child(python('weather/requirements.txt'), [
    join(e2e, 'received/server.py'),
    '--port', String(port),
    '--path', path,
    ...(issuer ? ['--issuer', issuer] : []),
  ]);
  const url = `http://127.0.0.1:${port}${path}`;
  await until(
    async () => {
      if (!child.alive) throw new Hopeless(`the server ended:\n${child.output}`);
      const answer = await fetch(url, { headers: { accept: 'application/json' } });
      await answer.body?.cancel();
      return answer.status < 500;
    },
    () => `the server at ${url}:\n${child.output}`,
    60_000,
  );
  return { url, child, stop: () => child.stop() };
}
