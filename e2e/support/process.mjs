import { spawn } from 'node:child_process';
import { within } from './wait.mjs';

const running = new Set();

// A test that dies must not leave servers behind that hold the ports of the next one.
process.on('exit', () => {
  for (const child of running) signal(child, 'SIGKILL');
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => process.exit(1));
}

function signal(child, name) {
  try {
    process.kill(-child.pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/**
 * A child process in a process group of its own, its output kept.
 * `exited` resolves to `{ code, signal }`.
 */
export class Child {
  constructor(command, args, { cwd, env = {}, stdin = 'ignore' } = {}) {
    this.name = `${command} ${args.join(' ')}`;
    this.output = '';
    this.process = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: [stdin, 'pipe', 'pipe'],
    });
    this.stdout = '';
    this.process.stdout.on('data', (chunk) => {
      this.stdout += chunk;
      this.output += chunk;
    });
    this.process.stderr.on('data', (chunk) => {
      this.output += chunk;
    });
    running.add(this.process);
    this.exited = new Promise((resolve) => {
      this.process.once('error', (error) => {
        this.output += `\n${error.message}\n`;
        this.ended = { code: null, signal: null, error };
        running.delete(this.process);
        resolve(this.ended);
      });
      this.process.once('close', (code, signalName) => {
        this.ended = { code, signal: signalName };
        running.delete(this.process);
        resolve(this.ended);
      });
    });
  }

  /** For probes: tells a child that is starting from one that never will. */
  get alive() {
    return !this.ended;
  }

  async stop(deadline = 10_000) {
    if (!this.ended) signal(this.process, 'SIGTERM');
    try {
      return await within(this.exited, `${this.name} to stop`, deadline);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async kill() {
    if (!this.ended) signal(this.process, 'SIGKILL');
    return this.exited;
  }
}
