import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { IncomingMessage, createServer } from 'node:http';
import { SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import Provider, { errors, interactionPolicy } from 'oidc-provider';
import { PEOPLE } from './people.mjs';
import { listen, shut } from './wait.mjs';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export const TENANT = '5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11';

/** The form that a person fills in here. */
export const LOGIN_FORM = 'form#contoso-login';

export async function fillLoginForm(page, person) {
  await page.locator(`${LOGIN_FORM} input[name=username]`).fill(person);
  await page.locator(`${LOGIN_FORM} button`).click();
}

// The numbers that the real provider puts in front of its error texts.
const NUMBERS = {
  invalid_client: 7000215,
  invalid_grant: 70008,
  invalid_request: 900144,
  invalid_scope: 70011,
  invalid_target: 9010010,
  unauthorized_client: 700016,
  unsupported_grant_type: 70003,
  unsupported_response_type: 700025,
};

function aadsts(error, description, number = NUMBERS[error] ?? 90000) {
  return {
    error,
    error_description: `AADSTS${number}: ${description} Trace ID: ${randomUUID()}`,
    error_codes: [number],
    timestamp: new Date().toISOString(),
    trace_id: randomUUID(),
    correlation_id: randomUUID(),
  };
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig', alg: 'RS256' };
}

export const escape = (text) =>
  String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/**
 * An OpenID provider with the habits of Entra ID's v2.0 endpoints.
 *
 * `faults` may be changed at any time:
 * - `token`: `{ status, body, type }` answers the token endpoint so; `'hang'` leaves it unanswered until `release()`
 * - `authorize`: `{ error, error_description }` is sent to the redirect URI in place of a sign-in
 * - `idToken`: `(claims, header) => void` changes the ID token, which is then signed again with the true key
 * - `discovery`, `keys`: as `token`
 * - `consent`: a scope for which nobody acts on behalf of anybody until they confirmed it, and `claims` with which they must
 *
 * With `issues`, scopes by the address of an API, clients register by themselves and get signed access tokens for that API.
 *
 * With a `directory` (graph.mjs) its application is the client, with whatever credentials it has at the time.
 */
export async function startProvider({
  port = 0,
  redirectUris,
  clientId = 'vestibule',
  clientSecret = `s3cret/+ ${randomBytes(12).toString('base64url')}`,
  clientKeys,
  directory,
  people = PEOPLE,
  silent = true,
  groups = true,
  moreScopes = [],
  issues,
} = {}) {
  const server = createServer();
  const bound = await listen(server, port);
  const origin = `http://127.0.0.1:${bound}`;
  const base = `/${TENANT}`;
  const issuer = `${origin}${base}/v2.0`;
  const paths = {
    discovery: `${base}/v2.0/.well-known/openid-configuration`,
    authorization: `${base}/oauth2/v2.0/authorize`,
    token: `${base}/oauth2/v2.0/token`,
    jwks: `${base}/discovery/v2.0/keys`,
    userinfo: `${base}/oidc/userinfo`,
    end_session: `${base}/oauth2/v2.0/logout`,
    login: `${base}/login`,
  };

  const requests = [];
  const faults = {};
  const held = new Set();
  const offline = new Set();
  const gone = new Set();
  const cookieKeys = [randomBytes(24).toString('base64url')];
  const registered = { clientId, redirectUris: [...(redirectUris ?? [])] };
  const Adapter = memory();
  const subjectOf = (username) => `pairwise-${people[username].oid}`;
  let keys = [newKey()];
  let provider;

  // Keys belong to the provider's configuration; its sessions and codes live outside it and outlast a change.
  function build() {
    const policy = interactionPolicy.base();
    policy.remove('consent');
    if (!silent) {
      policy.get('login').checks.add(
        new interactionPolicy.Check('always', 'Sign in every time', (ctx) => !ctx.oidc.result?.login),
      );
    }
    provider = new Provider(issuer, {
      adapter: Adapter,
      clients: [
        {
          client_id: registered.clientId,
          ...(clientKeys
            ? { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: clientKeys } }
            : { client_secret: clientSecret }),
          redirect_uris: registered.redirectUris,
          post_logout_redirect_uris: [],
          grant_types: ['authorization_code', 'refresh_token', TOKEN_EXCHANGE, JWT_BEARER],
          response_types: ['code'],
        },
      ],
      jwks: { keys },
      cookies: {
        keys: cookieKeys,
        names: { session: 'contoso_session', interaction: 'contoso_login', resume: 'contoso_resume' },
        long: { path: base },
      },
      routes: {
        authorization: paths.authorization,
        token: paths.token,
        jwks: paths.jwks,
        userinfo: paths.userinfo,
        end_session: paths.end_session,
      },
      features: {
        devInteractions: { enabled: false },
        dPoP: { enabled: false },
        pushedAuthorizationRequests: { enabled: false },
        registration: { enabled: Boolean(issues) },
        revocation: { enabled: false },
        introspection: { enabled: false },
        resourceIndicators: {
          enabled: Boolean(issues),
          defaultResource: () => undefined,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, resource) => {
            if (!issues?.[resource]) throw new errors.InvalidTarget();
            return { scope: issues[resource], audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
          },
        },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: (ctx, form) => {
            ctx.body = `<!doctype html><title>Sign out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`;
          },
          postLogoutSuccessSource: (ctx) => {
            ctx.body = '<!doctype html><title>Signed out</title>';
          },
        },
      },
      scopes: ['openid', 'profile', 'email', 'offline_access', ...moreScopes],
      claims: {
        openid: ['sub', 'oid', 'tid', 'ver', ...(groups ? ['groups'] : [])],
        profile: ['name', 'preferred_username'],
        email: ['email'],
      },
      responseTypes: ['code'],
      conformIdTokenClaims: false,
      pkce: { required: () => false },
      clientBasedCORS: () => false,
      interactions: { policy, url: (_ctx, interaction) => `${paths.login}/${interaction.uid}` },
      findAccount: (_ctx, sub) => {
        const username = Object.keys(people).find((name) => subjectOf(name) === sub);
        if (!username || gone.has(username)) return undefined;
        return {
          accountId: sub,
          claims: () => ({ sub, tid: TENANT, ver: '2.0', ...people[username] }),
        };
      },
      // Nobody is asked for consent here, so the grant holds whatever was asked for.
      loadExistingGrant: async (ctx) => {
        const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
        const grant = (known && (await ctx.oidc.provider.Grant.find(known)))
          || new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
        for (const [resource, scope] of Object.entries(issues ?? {})) grant.addResourceScope(resource, scope);
        grant.addOIDCScope(['openid profile email offline_access', ...moreScopes].join(' '));
        await grant.save();
        return grant;
      },
      extraTokenClaims: (_ctx, token) => {
        const { name, groups: of } = Object.entries(people).find(([each]) => subjectOf(each) === token.accountId)?.[1] ?? {};
        return issues ? { name, groups: of } : undefined;
      },
      // The real provider hands out refresh tokens for the scope alone, without prompt=consent.
      issueRefreshToken: (_ctx, _client, source) => offline.has(source.codeChallenge),
      expiresWithSession: () => false,
      rotateRefreshToken: () => true,
      ttl: {
        AccessToken: 3600, AuthorizationCode: 60, Grant: 86_400, IdToken: 3600,
        Interaction: 600, RefreshToken: 86_400, Session: 86_400,
      },
      renderError: (ctx, out) => {
        const number = /redirect_uri/.test(out.error_description ?? out.error) ? 50011 : NUMBERS[out.error];
        const { error_description: text } = aadsts(out.error, out.error_description ?? '', number);
        ctx.type = 'html';
        ctx.body = `<!doctype html><title>Sign in to your account</title><h1>Sorry</h1><p id="error">${escape(text)}</p>`;
      },
    });
    offerTokensForOthers(provider, faults);
    provider.use(async (ctx, next) => {
      await next();
      const route = ctx.oidc?.route;
      if (route === 'discovery') {
        const { code_challenge_methods_supported: _, authorization_response_iss_parameter_supported: __, ...rest } = ctx.body;
        ctx.body = { ...rest, tenant_region_scope: 'EU', cloud_instance_name: 'contoso.example' };
      } else if (route === 'authorization' || route === 'resume') {
        leaveOutIss(ctx);
      } else if (route === 'token') {
        await changeTokenAnswer(ctx);
      }
    });
  }

  // The real provider sends no `iss`, but a `session_state`.
  function leaveOutIss(ctx) {
    const location = ctx.response.get('location');
    if (!location || !URL.canParse(location)) return;
    const url = new URL(location);
    if (!url.searchParams.has('iss')) return;
    url.searchParams.delete('iss');
    if (url.searchParams.has('code')) url.searchParams.set('session_state', randomUUID());
    ctx.response.set('location', url.href);
  }

  async function changeTokenAnswer(ctx) {
    if (ctx.body?.error) {
      const asked = ctx.body.error === 'interaction_required' && { claims: faults.claims };
      ctx.body = { ...aadsts(ctx.body.error, ctx.body.error_description ?? ''), ...asked };
      return;
    }
    if (!ctx.body?.id_token || !faults.idToken) return;
    const claims = decodeJwt(ctx.body.id_token);
    const header = decodeProtectedHeader(ctx.body.id_token);
    faults.idToken(claims, header);
    const key = await importJWK(keys.at(-1), 'RS256');
    ctx.body = { ...ctx.body, id_token: await new SignJWT(claims).setProtectedHeader(header).sign(key) };
  }

  const loginPage = (uid, problem = '') => `<!doctype html>
<html lang="en"><title>Sign in to your account</title>
<h1>Sign in</h1>${problem && `<p role="alert">${escape(problem)}</p>`}
<form id="contoso-login" method="post" action="${paths.login}/${escape(uid)}">
<label>Account <input name="username" autofocus></label> <button type="submit">Sign in</button>
</form></html>`;

  async function login(request, response, body) {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('cache-control', 'no-store');
    let details;
    try {
      details = await provider.interactionDetails(request, response);
    } catch {
      response.writeHead(400).end('<!doctype html><title>Sorry</title><p id="error">AADSTS50058: This sign-in has ended.</p>');
      return;
    }
    if (request.method !== 'POST') {
      response.end(loginPage(details.uid));
      return;
    }
    const username = body.get('username') ?? '';
    if (!Object.hasOwn(people, username)) {
      response.writeHead(401).end(loginPage(details.uid, 'AADSTS50034: This account does not exist.'));
      return;
    }
    await provider.interactionFinished(request, response, { login: { accountId: subjectOf(username) } });
  }

  function sendFault(fault, response) {
    if (fault === 'hang') {
      held.add(response);
      return;
    }
    const { status = 500, type = 'application/json', body = aadsts('server_error', 'Something went wrong.') } = fault;
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }

  function redirectError(response, parameters, { error, error_description: description }) {
    const target = new URL(parameters.get('redirect_uri'));
    target.searchParams.set('error', error);
    if (description) target.searchParams.set('error_description', description);
    if (parameters.has('state')) target.searchParams.set('state', parameters.get('state'));
    response.writeHead(303, { location: target.href }).end();
  }

  server.on('request', async (incoming, response) => {
    const raw = await collect(incoming);
    const url = new URL(incoming.url, origin);
    const body = new URLSearchParams(raw.toString());
    const endpoint = Object.keys(paths).find((name) => paths[name] === url.pathname)
      ?? (url.pathname.startsWith(`${paths.login}/`) ? 'login' : 'other');
    requests.push({
      endpoint,
      method: incoming.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      form: Object.fromEntries(body),
      headers: incoming.headers,
    });

    if (faults[endpoint] && endpoint !== 'authorization') return sendFault(faults[endpoint], response);
    const parameters = incoming.method === 'POST' ? body : url.searchParams;
    const allowed = registered.redirectUris.includes(parameters.get('redirect_uri'));
    if (endpoint === 'authorization' && allowed) {
      if (!issues && parameters.has('resource')) {
        const { error, error_description } = aadsts(
          'invalid_target',
          'The resource parameter provided in the request does not match with the requested scopes.',
        );
        return redirectError(response, parameters, { error, error_description });
      }
      // Whoever confirms it, and shows what was asked for, has.
      if (faults.consent && parameters.get('scope')?.split(' ').includes(faults.consent)
        && parameters.get('prompt') === 'consent' && parameters.get('claims') === faults.claims) {
        delete faults.consent;
        for (const name of ['prompt', 'claims', 'scope']) url.searchParams.delete(name);
        url.searchParams.set('scope', 'openid profile email offline_access');
        incoming.url = `${url.pathname}${url.search}`;
      }
      if (faults.authorize) return redirectError(response, parameters, faults.authorize);
      if (parameters.get('scope')?.split(' ').includes('offline_access')) {
        offline.add(parameters.get('code_challenge'));
      }
    }
    const own = directory?.entra(url.pathname, body, aadsts);
    if (own) return sendFault(own, response);
    if (endpoint === 'token' && directory) admit(incoming, body);
    if (!issues && endpoint === 'token' && parameters.has('resource')) {
      return sendFault({
        status: 400,
        body: aadsts('invalid_target', 'The resource parameter provided in the request does not match with the requested scopes.'),
      }, response);
    }
    const replayed = replay(incoming, directory && endpoint === 'token' ? Buffer.from(body.toString()) : raw);
    if (endpoint === 'login') return login(replayed, response, body);
    // The library knows its discovery document only under its own root.
    if (endpoint === 'discovery') replayed.url = '/.well-known/openid-configuration';
    return provider.callback()(replayed, response);
  });

  // The library knows one secret of a client; the directory knows all that are good at the time.
  function admit(incoming, form) {
    const [, basic] = /^Basic (.+)$/.exec(incoming.headers.authorization ?? '') ?? [];
    const [id, shown] = basic
      ? Buffer.from(basic, 'base64').toString().split(':').map((part) => decodeURIComponent(part.replaceAll('+', ' ')))
      : [form.get('client_id'), form.get('client_secret')];
    const good = directory.admits(id, { secret: shown, assertion: form.get('client_assertion') });
    for (const name of ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type']) form.delete(name);
    const pair = `${encodeURIComponent(id)}:${encodeURIComponent(good ? clientSecret : 'wrong')}`;
    incoming.headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    incoming.headers['content-length'] = String(Buffer.byteLength(form.toString()));
  }

  build();
  directory?.onChange(() => {
    // An API is nobody's to sign in to.
    const app = [...directory.apps.values()].find(({ identifierUris, web }) => identifierUris.length === 0 || web.redirectUris.length > 0);
    registered.clientId = app?.appId ?? clientId;
    registered.redirectUris = [...(app?.web.redirectUris ?? [])];
    build();
  });

  return {
    origin,
    issuer,
    port: bound,
    clientId,
    clientSecret,
    faults,
    requests,
    paths,
    /** The requests to one endpoint: discovery, authorization, token, jwks, login. */
    to: (endpoint) => requests.filter((request) => request.endpoint === endpoint),
    forget: () => void requests.splice(0),
    /** Gateways choose their ports after the provider, so their address is told later. */
    allowRedirect(uri) {
      registered.redirectUris.push(uri);
      build();
    },
    /** From now on a new key signs; the old one is gone from the document unless kept. */
    rotateKeys({ keepOld = false } = {}) {
      keys = keepOld ? [...keys, newKey()] : [newKey()];
      if (keepOld) keys.reverse();
      build();
    },
    /** Disables somebody's account. */
    letGo: (username) => void gone.add(username),
    takeBack: (username) => void gone.delete(username),
    /** A back-channel logout token about somebody (OpenID Connect Back-Channel Logout 1.0 §2.4). */
    async logoutToken(username) {
      const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
      // As the gateway knows people here: by the subject.
      return new SignJWT({ events, sub: subjectOf(username), jti: randomUUID() })
        .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: keys.at(-1).kid })
        .setIssuer(issuer).setAudience(registered.clientId).setIssuedAt().setExpirationTime('2m')
        .sign(await importJWK(keys.at(-1), 'RS256'));
    },
    /**
     * An access token of version 2 for an API of the directory, as Entra gives it to a client about which nobody is asked;
     * `scope` has the Application ID URI before each name.
     */
    async apiToken(username, { client, scope }) {
      const asked = scope.split(' ');
      const api = [...directory.apps.values()].find((app) => app.identifierUris.some((uri) => asked[0].startsWith(`${uri}/`)));
      if (!api) throw new Error(`AADSTS500011: The resource principal for ${scope} was not found in the tenant.`);
      const names = asked.map((each) => each.slice(each.lastIndexOf('/') + 1));
      const ids = names.map((name) => api.api.oauth2PermissionScopes.find(({ value, isEnabled }) => value === name && isEnabled)?.id);
      if (ids.includes(undefined)) throw new Error('AADSTS70011: The provided value for the input parameter scope is not valid.');
      const known = api.api.preAuthorizedApplications.find(({ appId }) => appId === client);
      if (!ids.every((id) => known?.delegatedPermissionIds.includes(id))) throw new Error('AADSTS65001: The user has not consented to use the application.');
      if (!directory.principals.has(api.appId)) throw new Error('AADSTS650052: The app is not in the tenant.');
      if (api.api.requestedAccessTokenVersion !== 2) throw new Error('a token of version 1');
      const { oid, name, preferred_username, groups: of } = people[username];
      const told = api.groupMembershipClaims === 'SecurityGroup' && of.length > 0 && { groups: of };
      return new SignJWT({ oid, name, preferred_username, scp: names.join(' '), azp: client, azpacr: '0', tid: TENANT, uti: randomUUID(), ver: '2.0', ...told })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: keys.at(-1).kid })
        .setIssuer(issuer).setAudience(api.appId).setSubject(subjectOf(username)).setIssuedAt().setNotBefore('0s').setExpirationTime('1h')
        .sign(await importJWK(keys.at(-1), 'RS256'));
    },
    /** Lets go of the answers that the fault `hang` holds back, by cutting them off. */
    release() {
      for (const response of held) response.destroy();
      held.clear();
    },
    async stop() {
      this.release();
      await shut(server);
    },
    /** After `stop()`: the same provider at the same address. */
    async start() {
      await listen(server, bound);
    },
  };
}

/**
 * Tokens for other services: exchanged (RFC 8693), or on the person's behalf as Entra's documentation has it. Only a live
 * access token of this very client counts; on behalf of somebody it must be one that is for the client itself.
 */
function offerTokensForOthers(provider, faults) {
  const grant = (name, parameters, subjectIn, judge) => provider.registerGrantType(name, async (ctx) => {
    const { client, params } = ctx.oidc;
    const subject = params[subjectIn] && (await provider.AccessToken.find(params[subjectIn]));
    if (!subject || subject.clientId !== client.clientId) throw new errors.InvalidGrant('the token is not one of this client');
    judge(params, subject);
    const token = new provider.AccessToken({
      accountId: subject.accountId, client, grantId: subject.grantId, gty: name, sessionUid: subject.sessionUid,
      scope: 'openid', extra: { for: params.audience ?? params.scope },
    });
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: token.expiration,
    };
  }, parameters);
  grant(TOKEN_EXCHANGE, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope'], 'subject_token', (params) => {
    if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('subject_token_type');
    if (!params.audience) throw new errors.InvalidTarget('audience');
  });
  grant(JWT_BEARER, ['assertion', 'requested_token_use', 'scope'], 'assertion', (params, subject) => {
    if (params.requested_token_use !== 'on_behalf_of' || !params.scope) throw new errors.InvalidRequest('requested_token_use');
    if (faults.consent === params.scope) throw Object.assign(new errors.InvalidGrant('consent'), { error: 'interaction_required', message: 'interaction_required' });
    if (!subject.scope.split(' ').includes(`${subject.clientId}/.default`)) {
      throw new errors.InvalidGrant('the assertion is for another application');
    }
  });
}

/** Storage that outlives the provider object, which is built anew whenever its configuration changes. */
export function memory() {
  const rows = new Map();
  return class {
    constructor(model) {
      this.model = model;
    }

    async upsert(id, payload, expiresIn) {
      rows.set(`${this.model}:${id}`, { ...payload, until: expiresIn && Date.now() + expiresIn * 1000 });
    }

    async find(id) {
      const row = rows.get(`${this.model}:${id}`);
      if (!row || (row.until && row.until < Date.now())) return undefined;
      const { until: _, ...payload } = row;
      return payload;
    }

    async findByUid(uid) {
      for (const [key, row] of rows) {
        if (key.startsWith(`${this.model}:`) && row.uid === uid) return this.find(key.slice(this.model.length + 1));
      }
      return undefined;
    }

    async consume(id) {
      rows.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
      rows.delete(`${this.model}:${id}`);
    }

    async revokeByGrantId(grantId) {
      for (const [key, row] of rows) if (row.grantId === grantId) rows.delete(key);
    }
  };
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The same request with its body unread again, for the library to read. */
function replay(request, body) {
  const copy = new IncomingMessage(request.socket);
  copy.method = request.method;
  copy.url = request.url;
  copy.headers = request.headers;
  copy.rawHeaders = request.rawHeaders;
  copy.httpVersion = request.httpVersion;
  // Otherwise its end would look like a request cut short, and take the connection along.
  copy.complete = true;
  copy.push(body);
  copy.push(null);
  return copy;
}
