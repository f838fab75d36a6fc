import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PEOPLE } from './people.mjs';
import { Child } from './process.mjs';
import { Hopeless, freePort, listen, shut, until } from './wait.mjs';

const PORTAL = '/usr/share/lemonldap-ng/portal';

/** The form that a person fills in here. */
export const LOGIN_FORM = 'form#lform';

/** In its demonstration mode a person's password is their name. */
export async function fillLoginForm(page, person) {
  await page.locator(`${LOGIN_FORM} input[name=user]`).fill(person);
  await page.locator(`${LOGIN_FORM} input[name=password]`).fill(person);
  await page.locator(`${LOGIN_FORM} button[type=submit]`).click();
}

/**
 * LemonLDAP::NG as it is packaged, on a folder and a port of its own. In front of it is a relay that notes who asked what,
 * and answers the token endpoint in its place while `faults.token` says how: `{ status, body }`.
 */
export async function startProvider({ clientId = 'vestibule', people = PEOPLE } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'vestibule-lemonldap-'));
  const at = (name) => join(dir, name);
  const behind = await freePort();
  const server = createServer(relay);
  const port = await listen(server);
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}/`;
  // It does not undo the form encoding of a secret in HTTP Basic (RFC 6749 §2.3.1), and takes one in the form.
  const clientSecret = `${randomBytes(24).toString('base64')} /+%`;
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const redirectUris = [];
  const requests = [];
  const faults = {};
  const paths = {
    discovery: '/.well-known/openid-configuration',
    authorization: '/oauth2/authorize',
    token: '/oauth2/token',
    jwks: '/oauth2/jwks',
    userinfo: '/oauth2/userinfo',
    end_session: '/oauth2/logout',
    login: '/',
  };
  let child;

  const files = (name) => ({ Directory: at(name), LockDirectory: at(`${name}/lock`) });
  const cache = (name) => ({ namespace: name, cache_root: at('cache'), cache_depth: 1, default_expires_in: 600 });
  const configuration = () => ({
    cfgNum: 1,
    cfgDate: 1,
    cfgAuthor: 'end-to-end tests',
    key: randomBytes(16).toString('hex'),
    portal: issuer,
    domain: '127.0.0.1',
    // As the other provider's, so that tests can leave them out.
    cookieName: 'contoso_session',
    securedCookie: 0,
    authentication: 'Demo',
    userDB: 'Same',
    passwordDB: 'Null',
    demoExportedVars: { uid: 'uid', cn: 'cn', mail: 'mail' },
    locationRules: {},
    // These would ask for modules that draw pictures and send mail.
    captcha: '::Main::Plugin',
    portalDisplayResetPassword: 0,
    globalStorage: 'Apache::Session::File',
    globalStorageOptions: files('sessions'),
    persistentStorage: 'Apache::Session::File',
    persistentStorageOptions: files('people'),
    localSessionStorage: 'Cache::FileCache',
    localSessionStorageOptions: cache('sessions'),
    // A browser's sign-in that was begun and left would be answered in place of a later one, for two minutes.
    issuersTimeout: -1,
    issuerDBOpenIDConnectActivation: 1,
    oidcServicePrivateKeySig: key.privateKey.export({ type: 'pkcs1', format: 'pem' }),
    oidcServicePublicKeySig: key.publicKey.export({ type: 'spki', format: 'pem' }),
    oidcServiceKeyIdSig: randomBytes(8).toString('hex'),
    oidcRPMetaDataOptions: {
      vestibule: {
        oidcRPMetaDataOptionsClientID: clientId,
        oidcRPMetaDataOptionsClientSecret: clientSecret,
        oidcRPMetaDataOptionsRedirectUris: redirectUris.join(' '),
        oidcRPMetaDataOptionsRequirePKCE: 1,
        oidcRPMetaDataOptionsBypassConsent: 1,
        oidcRPMetaDataOptionsAllowOffline: 1,
        oidcRPMetaDataOptionsRefreshToken: 1,
        oidcRPMetaDataOptionsIDTokenSignAlg: 'RS256',
        oidcRPMetaDataOptionsUserIDAttr: 'uid',
      },
    },
    oidcRPMetaDataOptionsExtraClaims: { vestibule: { profile: 'name preferred_username groups' } },
    oidcRPMetaDataExportedVars: {
      // As it is: at the userinfo endpoint only, and a single group is text and no list.
      vestibule: { name: 'cn', preferred_username: 'mail', email: 'mail', groups: 'groups' },
    },
  });

  const ini = `[all]
logLevel = warn
[configuration]
type = File
dirName = ${at('conf')}
localStorage = Cache::FileCache
localStorageOptions = ${perl(cache('conf'))}
[portal]
staticPrefix = /static
templateDir = ${PORTAL}/templates
languages = en
`;

  const gone = new Set();

  /** Its demonstration mode has people of its own, whose place these take. */
  function app() {
    const there = Object.entries(people).filter(([uid]) => !gone.has(uid));
    const accounts = there.map(([uid, { name, email }]) => [uid, { uid, cn: name, mail: email }]);
    const groups = Map.groupBy(
      there.flatMap(([uid, person]) => person.groups.map((group) => ({ uid, group }))),
      ({ group }) => group,
    );
    const members = [...groups].map(([group, list]) => [group, list.map(({ uid }) => uid)]);
    return `use Plack::Builder;
use Lemonldap::NG::Portal::Main;
use Lemonldap::NG::Portal::UserDB::Demo;
%Lemonldap::NG::Portal::UserDB::Demo::demoAccounts = %{+${perl(Object.fromEntries(accounts))}};
%Lemonldap::NG::Portal::UserDB::Demo::demoGroups = %{+${perl(Object.fromEntries(members))}};
builder {
  enable 'Static', path => qr{^/static/}, root => '${PORTAL}/htdocs';
  enable 'Static', path => qr{^/javascript/}, root => '/usr/share';
  Lemonldap::NG::Portal::Main->run({});
};
`;
  }

  async function start() {
    await writeFile(at('conf/lmConf-1.json'), JSON.stringify(configuration()));
    await writeFile(at('app.psgi'), app());
    child = new Child(
      'starman',
      // Connections that are kept would each hold a worker.
      ['--listen', `127.0.0.1:${behind}`, '--workers', '3', '--disable-keepalive', '--env', 'deployment', at('app.psgi')],
      { cwd: dir, env: { LLNG_DEFAULTCONFFILE: at('lemonldap-ng.ini') } },
    );
    await until(
      async () => {
        if (!child.alive || /Initialization failed|Error while loading/.test(child.output)) {
          throw new Hopeless(`LemonLDAP::NG does not start:\n${child.output}`);
        }
        // It listens before anybody is there to answer.
        const answer = await fetch(`http://127.0.0.1:${behind}${paths.discovery}`, { signal: AbortSignal.timeout(5000) });
        await answer.body?.cancel();
        return answer.status === 200;
      },
      () => `LemonLDAP::NG to be ready:\n${child.output}`,
      30_000,
    );
  }

  async function anew() {
    await child.stop();
    await start();
  }

  async function relay(incoming, response) {
    const body = Buffer.concat(await Array.fromAsync(incoming));
    const url = new URL(incoming.url, origin);
    const endpoint = Object.keys(paths).find((name) => paths[name] === url.pathname) ?? 'other';
    requests.push({
      endpoint,
      method: incoming.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      form: Object.fromEntries(new URLSearchParams(body.toString())),
      headers: incoming.headers,
    });
    if (endpoint === 'token' && faults.token) {
      const { status, body: said } = faults.token;
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
      return;
    }
    const onward = forward({ host: '127.0.0.1', port: behind, method: incoming.method, path: incoming.url, headers: incoming.headers });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    onward.end(body);
  }

  async function stop() {
    await shut(server);
    await child?.stop();
    await rm(dir, { recursive: true, force: true });
  }

  try {
    for (const name of ['conf', 'cache', 'sessions/lock', 'people/lock']) await mkdir(at(name), { recursive: true });
    await writeFile(at('lemonldap-ng.ini'), ini);
    await start();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    origin,
    issuer,
    port,
    clientId,
    clientSecret,
    faults,
    requests,
    paths,
    /** The requests to one endpoint: discovery, authorization, token, jwks, login. */
    to: (endpoint) => requests.filter((request) => request.endpoint === endpoint),
    forget: () => void requests.splice(0),
    /** Gateways choose their ports after the provider; it reads its configuration anew, and its sessions outlast that. */
    async allowRedirect(uri) {
      redirectUris.push(uri);
      await anew();
    },
    /** Disables somebody's account. */
    async letGo(username) {
      gone.add(username);
      await anew();
    },
    async takeBack(username) {
      gone.delete(username);
      await anew();
    },
    stop,
  };
}

/** As Perl writes it: text, numbers, lists and tables. */
function perl(value) {
  if (Array.isArray(value)) return `[${value.map(perl).join(', ')}]`;
  if (typeof value === 'object') return `{ ${Object.entries(value).map((pair) => pair.map(perl).join(' => ')).join(', ')} }`;
  return typeof value === 'number' ? String(value) : `'${value.replace(/[\\']/g, '\\$&')}'`;
}
