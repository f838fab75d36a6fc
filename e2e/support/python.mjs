import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const e2e = fileURLToPath(new URL('..', import.meta.url));

/** The interpreter of the environment that `scripts/e2e` made for a requirements file. */
export function python(requirements) {
  const hash = createHash('sha256').update(readFileSync(join(e2e, requirements))).digest('hex');
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const path = join(cache, 'vestibule', `venv-${hash.slice(0, 16)}`, 'bin', 'python');
  if (!existsSync(path)) throw new Error(`no environment for ${requirements}; run scripts/e2e, it makes one`);
  return path;
}
