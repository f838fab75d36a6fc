import { join } from 'node:path';
import { Child } from './process.mjs';
import { e2e, python } from './python.mjs';
import { Hopeless, freePort, until } from './wait.mjs';

/** What the weather server says of Oslo, every time. */
export const OSLO = { city: 'Oslo', condition: 'Sunny', temperature: 8, humidity: 48 };

export async function startWeather({ port, path = '/weather/mcp' } = {}) {
  port ??= await freePort();
  const child = new Child(python('weather/requirements.txt'), [
    join(e2e, 'weather/server.py'),
    '--port', String(port),
    '--path', path,
  ]);
  const url = `http://127.0.0.1:${port}${path}`;
  await until(
    async () => {
      if (!child.alive) throw new Hopeless(`the weather server ended:\n${child.output}`);
      const answer = await fetch(url, { headers: { accept: 'application/json' } });
      await answer.body?.cancel();
      return answer.status < 500;
    },
    () => `the weather server at ${url}:\n${child.output}`,
    60_000,
  );
  return { url, port, child, stop: () => child.stop() };
}
