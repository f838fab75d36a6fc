/**
 * One process of a client that shares its credentials file with others, and takes no lock on it.
 * Started with the file and the address of the MCP server. A round has two messages, so that all can have read the
 * file before one of them spends what is in it.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { BareClient, MODERN, post } from './oauth.mjs';

const [, , file, server] = process.argv;

let credentials;

/** The token whose answer was lost: this process knows of no other, whatever the file has by now. */
let kept;

async function load() {
  credentials = JSON.parse(await readFile(file, 'utf8'));
  return {};
}

/** Whoever renames last wins; nobody reads half a file. */
async function store(tokens) {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, JSON.stringify({ ...credentials, ...tokens }), { mode: 0o600 });
  await rename(draft, file);
}

function ask(token) {
  const client = new BareClient(server, { clientId: credentials.client_id });
  client.metadata = { token_endpoint: credentials.token_endpoint };
  client.resource = { resource: credentials.resource };
  return client.refresh(token);
}

async function canCall(token) {
  const answer = await post(server, 'tools/list', {}, { token, version: MODERN });
  const tools = answer.json?.result?.tools ?? [];
  return answer.status === 200 && tools.some(({ name }) => name === 'get_weather');
}

async function refresh({ delay, lost, call }) {
  const again = kept !== undefined;
  const token = kept ?? credentials.refresh_token;
  await pause(delay);
  const { status, text, json } = await ask(token);
  const report = { again, status, text, token: json?.refresh_token };
  if (status !== 200) return report;
  kept = lost ? token : undefined;
  if (lost) return report;
  const { access_token, refresh_token } = json;
  // The answer to an old token may be older than what the file has.
  if (!again) await store({ access_token, refresh_token });
  if (call) report.called = await canCall(access_token);
  return report;
}

process.on('message', async (step) => process.send(await (step.what === 'read' ? load() : refresh(step))));
