// A person whom the identity provider lets go: on refresh, on an open stream, on a live token, and on /apps in a browser; by the
// provider's signal at once, and without one within `idp.recheck`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowAndSignIn } from '../support/browser.mjs';
import { BareClient, connect, post } from '../support/oauth.mjs';
import { open } from '../support/pages.mjs';
import { PEOPLE } from '../support/people.mjs';
import { PROVIDER } from '../support/provider.mjs';
import { startStack } from '../support/stack.mjs';
import { within } from '../support/wait.mjs';

const RECHECK_MINUTES = 20;
let stack;

before(async () => {
  stack = await startStack({ clock: true, tls: false, config: { idp: { recheck: `${RECHECK_MINUTES}m` }, tokens: { access_ttl: '1h' } } });
});
after(() => stack?.stop());

/** Somebody's app at work: tokens, an open stream, and their browser at /apps. */
async function atWork(person) {
  const { browser, callback, url, gateway } = stack;
  const client = new BareClient(url, { redirectUri: callback.url });
  await client.discover();
  await client.register({ client_name: 'Desktop app' });
  const request = client.authorization({ scope: undefined });
  const page = await browser.person();
  await allowAndSignIn(page, request.url, { person, redirectUri: callback.url });
  const { code } = await callback.next();
  const { json: tokens } = await client.redeem(code, request.verifier);
  const { session } = await connect(url, { token: tokens.access_token });
  const stream = await fetch(url, {
    headers: { authorization: `Bearer ${tokens.access_token}`, accept: 'text/event-stream', 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' },
  });
  assert.equal(stream.status, 200);
  const ended = (async () => {
    try {
      for await (const _ of stream.body);
    } catch {
      // A stream that is cut off has ended, too.
    }
    return true;
  })();
  const isAtApps = async () => {
    await open(page, `${gateway.url}/apps`);
    const known = await page.getByText(PEOPLE[person].preferred_username).count();
    const asked = await page.getByRole('link', { name: /Sign in/ }).count();
    assert.equal(known > 0, asked === 0, 'either somebody is known or they are asked to sign in');
    return known > 0;
  };
  const call = async () => (await post(url, 'tools/list', {}, { token: tokens.access_token, session })).status;
  assert.deepEqual([await call(), await isAtApps()], [200, true]);
  return { client, tokens, ended, isAtApps, call, close: () => page.context().close() };
}

const NO_SIGNAL = PROVIDER === 'lemonldap' && 'that of Debian sends no logout tokens';
test("at the provider's signal all of it is over at once, and for nobody else", { skip: NO_SIGNAL }, async () => {
  const { provider, gateway } = stack;
  const [ada, bob] = [await atWork('ada'), await atWork('bob')];
  const body = new URLSearchParams({ logout_token: await provider.logoutToken('ada') });
  const told = await fetch(`${gateway.url}/backchannel-logout`, { method: 'POST', body });
  assert.equal(told.status, 200, await told.text());
  assert.equal(await within(ada.ended, 'the stream to end', 5000), true);
  assert.equal(await ada.call(), 401);
  assert.equal((await ada.client.refresh(ada.tokens.refresh_token)).json.error, 'invalid_grant');
  assert.equal(await ada.isAtApps(), false);
  assert.deepEqual([await bob.call(), await bob.isAtApps()], [200, true]);
  await ada.close();
  await bob.close();
});

test('without a signal within the recheck, and a live token with it', async () => {
  const { provider, gateway } = stack;
  const [ada, bob] = [await atWork('ada'), await atWork('bob')];
  await provider.letGo('ada');
  // Its last word holds until then.
  assert.deepEqual([await ada.call(), await ada.isAtApps()], [200, true]);
  await gateway.ahead(RECHECK_MINUTES + 1);
  const refused = await ada.client.refresh(ada.tokens.refresh_token);
  assert.equal(refused.json?.error, 'invalid_grant', refused.text);
  assert.equal(await within(ada.ended, 'the stream to end', 5000), true);
  assert.equal(await ada.call(), 401);
  assert.equal(await ada.isAtApps(), false);
  const renewed = await bob.client.refresh(bob.tokens.refresh_token);
  assert.equal(renewed.status, 200, renewed.text);
  assert.equal(await bob.call(), 200);
  await provider.takeBack('ada');
  await gateway.ahead(0);
  await ada.close();
  await bob.close();
});
