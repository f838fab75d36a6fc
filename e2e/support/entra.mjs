// `vestibule entra …` as somebody types it, with stand-ins in place of Azure: graph.mjs is Microsoft Graph, oidc-provider.mjs is
// Microsoft Entra, az/ is the Azure CLI.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binary, toml } from './gateway.mjs';
import { startGraph } from './graph.mjs';
import { Child } from './process.mjs';
import { TENANT, startProvider } from './oidc-provider.mjs';
import { Pile } from './stack.mjs';
import { within } from './wait.mjs';

const AZ = join(dirname(fileURLToPath(import.meta.url)), 'az');

export { TENANT };

/** A tenant: Graph, Entra, and a person who is signed in to the Azure CLI. */
export async function startTenant() {
  const pile = new Pile();
  const graph = await pile.add(startGraph());
  const provider = await pile.add(startProvider({ directory: graph }));
  return {
    graph,
    provider,
    /** A directory in which nobody has registered anything, and which does as it should. */
    empty() {
      for (const all of [graph.apps, graph.deleted, graph.principals]) all.clear();
      for (const all of [graph.faults, graph.requests]) all.splice(0);
      Object.assign(graph, { meet: () => {}, meetProgram: () => {}, programFault: undefined, lag: 0, secretLag: 0, domains: ['example.com'] });
    },
    stop: () => pile.stop(),
  };
}

/** A folder with a configuration, from which commands are run. */
export async function startFolder({ graph, provider }, over = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-entra-'));
  const az = join(dir, 'az.json');
  const children = new Set();
  const folder = {
    dir,
    publicUrl: 'https://mcp.example.com',
    path: (name) => join(dir, name),
    read: (name) => readFile(join(dir, name), 'utf8'),
    has: (name) => readFile(join(dir, name)).then(() => true, () => false),
    /** What the Azure CLI does from now on. */
    az: (mode = 'signed-in', token = graph.token()) => writeFile(az, JSON.stringify({ mode, token, tenant: TENANT })),
    azCalls: async () => (await readFile(`${az}.calls`, 'utf8')).trim().split('\n').map((line) => JSON.parse(line)),
    async configure(change = {}) {
      const { idp = {}, entra = {}, ...more } = change;
      await writeFile(join(dir, 'vestibule.toml'), toml({
        public_url: folder.publicUrl,
        listen: '127.0.0.1:0',
        tls: 'behind-proxy',
        trusted_proxies: ['127.0.0.0/8'],
        idp: { kind: 'entra', tenant: TENANT, client_id: { file: 'entra/client_id' }, client_secret: { file: 'entra/client_secret' }, ...idp },
        entra: { authority: provider.origin, graph: graph.origin, ...entra },
        servers: { weather: { path: '/weather/mcp', upstream: 'http://127.0.0.1:9/mcp', title: 'Weather' } },
        ...more,
      }));
    },
    /** Lines of the journal. */
    async journal() {
      if (!(await folder.has('entra/journal.jsonl'))) return [];
      return (await folder.read('entra/journal.jsonl')).split('\n').filter(Boolean).map((line) => JSON.parse(line));
    },
    /** Starts a command, and gives it while it runs. */
    begin(arguments_, { env = {}, noAz = false } = {}) {
      const path = noAz ? '/nowhere' : `${AZ}:${process.env.PATH}`;
      const child = new Child(binary(), arguments_, { cwd: dir, env: { PATH: path, AZ_STANDIN: az, AZ_NODE: process.execPath, ...env } });
      children.add(child);
      return child;
    },
    /** Runs a command to its end. */
    async run(arguments_, options) {
      const child = folder.begin(arguments_, options);
      const ended = await within(child.exited, `vestibule ${arguments_.join(' ')}`, 90_000);
      return { code: ended.code, signal: ended.signal, output: child.output, stdout: child.stdout };
    },
    entra: (command, ...more) => folder.run(['entra', command, ...more]),
    async stop() {
      for (const child of children) if (!child.ended) await child.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await folder.az();
  await folder.configure(over);
  return folder;
}
