import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { e2e } from './python.mjs';
import { Hopeless, until } from './wait.mjs';

/** For programs that open a browser themselves: `env` makes them tell the address instead. */
export async function startOpener() {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-opened-'));
  const file = join(dir, 'urls');
  const bin = join(e2e, 'support', 'bin');
  return {
    env: {
      E2E_OPENED: file,
      BROWSER: join(bin, 'xdg-open'),
      PATH: `${bin}${delimiter}${process.env.PATH}`,
      DISPLAY: ':0',
    },
    /** The `n`th address that `child` wanted to open. */
    async opened(child, n = 0) {
      return until(
        async () => {
          if (!child.alive) throw new Hopeless(`${child.name} ended:\n${child.output}`);
          const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
          return lines[n];
        },
        () => `${child.name} to open a browser:\n${child.output}`,
        60_000,
      );
    },
    /** How many addresses were opened so far. */
    count: async () => (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean).length,
    stop: () => rm(dir, { recursive: true, force: true }),
  };
}
