import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, IssuerMismatchError, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { allowAndSignIn } from '../support/browser.mjs';
import { LEGACY, MODERN, weatherIn } from '../support/oauth.mjs';
import { MemoryOAuth, recorder } from '../support/sdk.mjs';
import { startStack } from '../support/stack.mjs';
import { OSLO } from '../support/weather.mjs';

let stack;
before(async () => {
  stack = await startStack();
});
after(() => stack?.stop());

const newClient = (mode) =>
  new Client({ name: 'typescript-client', version: '2.4.0' }, { capabilities: {}, versionNegotiation: { mode } });

/** The refused first attempt, and the person's half of the login. */
async function reachCallback(mode, { decision = 'allow' } = {}) {
  const oauth = new MemoryOAuth(stack.callback.url, { client_name: 'TypeScript client 2' });
  const seen = recorder();
  const transport = new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth, fetch: seen.fetch });
  await assert.rejects(newClient(mode).connect(transport), UnauthorizedError);
  assert.equal(seen.log[0].status, 401, 'the first request, of whatever revision, is refused for want of a token');
  const page = await stack.browser.person();
  await allowAndSignIn(page, oauth.authorizationUrl.href, { decision });
  await page.context().close();
  const answer = await stack.callback.next();
  assert.equal(answer.state, oauth.expectedState);
  return { oauth, transport, seen, answer };
}

for (const [mode, revision] of [['legacy', LEGACY], [{ pin: MODERN }, MODERN], ['auto', MODERN]]) {
  const title = typeof mode === 'string' ? mode : `pinned to ${mode.pin}`;
  test(`TypeScript client 2.4.0, ${title}: from the first 401 to the weather in Oslo`, async () => {
    const { oauth, transport, seen, answer } = await reachCallback(mode);
    await transport.finishAuth(new URLSearchParams(answer));

    const client = newClient(mode);
    await client.connect(new StreamableHTTPClientTransport(new URL(stack.url), { authProvider: oauth, fetch: seen.fetch }));
    assert.equal(client.getNegotiatedProtocolVersion(), revision);
    const { tools } = await client.listTools();
    assert.ok(tools.some((tool) => tool.name === 'get_weather'));
    assert.deepEqual(weatherIn(await client.callTool({ name: 'get_weather', arguments: { city: 'Oslo' } })), OSLO);
    await client.close();
  });
}

test('TypeScript client 2.4.0: a refusal carries the issuer, so the client believes it', async () => {
  const { transport, answer } = await reachCallback('legacy', { decision: 'deny' });
  assert.equal(answer.error, 'access_denied');
  await assert.rejects(
    transport.finishAuth(new URLSearchParams(answer)),
    (error) => !(error instanceof IssuerMismatchError) && /access_denied/.test(`${error.message} ${error.code ?? ''} ${error.errorCode ?? ''}`),
  );
});
