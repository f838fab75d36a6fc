// Identity providers that companies use, each as its documentation has it: addresses, scopes, where it tells groups, and when it
// gives a refresh token. Under the hood it is oidc-provider; what is not documented is refused.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { collect, escape, memory } from './oidc-provider.mjs';
import { PEOPLE } from './people.mjs';
import { listen, shut } from './wait.mjs';

const USUAL = ['openid', 'profile', 'email', 'offline_access'];
const GROUPS_OF = { ada: ['staff'], bob: [] };
const groups = (of) => ({ groups: of });

/**
 * - `endpoints`: paths
 * - `scopes`: all that it knows; whoever asks for another is refused
 * - `claims`: what each scope tells besides `sub`, name and address
 * - `tells(groups, person)`: those claims
 * - `atUserinfo`: ID tokens tell nobody's claims
 * - `refreshes(request)`: whether an authorization request ends in a refresh token
 */
export const KINDS = {
  oidc: {
    issuer: 'https://id.example.com',
    endpoints: { authorization: '/authorize', token: '/token', jwks: '/keys', userinfo: '/userinfo' },
    claims: { profile: ['groups'] },
    tells: groups,
  },
  keycloak: {
    issuer: 'https://id.example.com/realms/company',
    endpoints: {
      authorization: '/realms/company/protocol/openid-connect/auth',
      token: '/realms/company/protocol/openid-connect/token',
      jwks: '/realms/company/protocol/openid-connect/certs',
      userinfo: '/realms/company/protocol/openid-connect/userinfo',
    },
    // The mapper of the page; roles of the realm are in access tokens, unless another one puts them here.
    claims: { openid: ['groups'] },
    tells: groups,
    refreshes: () => true,
  },
  okta: {
    issuer: 'https://example.okta.com',
    endpoints: { authorization: '/oauth2/v1/authorize', token: '/oauth2/v1/token', jwks: '/oauth2/v1/keys', userinfo: '/oauth2/v1/userinfo' },
    scopes: [...USUAL, 'groups'],
    claims: { groups: ['groups'] },
    tells: groups,
  },
  auth0: {
    issuer: 'https://example.eu.auth0.com/',
    endpoints: { authorization: '/authorize', token: '/oauth/token', jwks: '/.well-known/jwks.json', userinfo: '/userinfo' },
    claims: { openid: ['https://example.com/roles'] },
    tells: (of) => ({ 'https://example.com/roles': of }),
  },
  google: {
    issuer: 'https://accounts.google.com',
    endpoints: { authorization: '/o/oauth2/v2/auth', token: '/token', jwks: '/oauth2/v3/certs', userinfo: '/v1/userinfo' },
    hosts: { token_endpoint: 'oauth2.googleapis.com', jwks_uri: 'www.googleapis.com', userinfo_endpoint: 'openidconnect.googleapis.com' },
    scopes: ['openid', 'profile', 'email'],
    claims: { openid: ['hd'] },
    // Personal accounts are of no domain.
    tells: (of) => (of.length > 0 ? { hd: 'example.com' } : {}),
    refreshes: ({ access_type, prompt }) => access_type === 'offline' && prompt === 'consent',
  },
  authentik: {
    issuer: 'https://auth.example.com/application/o/vestibule/',
    endpoints: {
      authorization: '/application/o/authorize/',
      token: '/application/o/token/',
      jwks: '/application/o/vestibule/jwks/',
      userinfo: '/application/o/userinfo/',
    },
    claims: { profile: ['groups'] },
    tells: groups,
  },
  authelia: {
    issuer: 'https://auth.example.com',
    endpoints: { authorization: '/api/oidc/authorization', token: '/api/oidc/token', jwks: '/jwks.json', userinfo: '/api/oidc/userinfo' },
    scopes: [...USUAL, 'groups'],
    claims: { groups: ['groups'] },
    tells: groups,
    atUserinfo: true,
  },
  zitadel: {
    issuer: 'https://example.zitadel.cloud',
    endpoints: { authorization: '/oauth/v2/authorize', token: '/oauth/v2/token', jwks: '/oauth/v2/keys', userinfo: '/oidc/v1/userinfo' },
    scopes: [...USUAL, 'urn:zitadel:iam:org:project:roles'],
    claims: { 'urn:zitadel:iam:org:project:roles': ['urn:zitadel:iam:org:project:roles'] },
    tells: (of) => ({ 'urn:zitadel:iam:org:project:roles': Object.fromEntries(of.map((role) => [role, { 1234: 'example.zitadel.cloud' }])) }),
    atUserinfo: true,
  },
  dex: {
    issuer: 'https://dex.example.com',
    endpoints: { authorization: '/auth', token: '/token', jwks: '/keys', userinfo: '/userinfo' },
    scopes: [...USUAL, 'groups'],
    claims: { groups: ['groups'] },
    tells: groups,
  },
  kanidm: {
    issuer: 'https://idm.example.com/oauth2/openid/vestibule',
    endpoints: { authorization: '/ui/oauth2', token: '/oauth2/token', jwks: '/oauth2/openid/vestibule/public_key.jwk', userinfo: '/oauth2/openid/vestibule/userinfo' },
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: { groups: ['groups'] },
    tells: (of) => ({ groups: of.flatMap((group) => [`${group}@idm.example.com`, '5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11']) }),
    refreshes: () => true,
    algorithm: 'ES256',
  },
  ory: {
    issuer: 'https://example.projects.oryapis.com',
    endpoints: { authorization: '/oauth2/auth', token: '/oauth2/token', jwks: '/.well-known/jwks.json', userinfo: '/userinfo' },
    claims: { openid: ['groups'] },
    tells: groups,
  },
};

function newKey(algorithm) {
  const { privateKey } = algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig', alg: algorithm };
}

/** One of them, on a port of this computer; `hosts` are the names under which it must be found. */
export async function startKind(name) {
  const { issuer, endpoints, hosts = {}, scopes = USUAL, claims, tells, atUserinfo = false, algorithm = 'RS256' } = KINDS[name];
  const refreshes = KINDS[name].refreshes ?? (({ scope }) => scope.split(' ').includes('offline_access'));
  const clientSecret = `s3cret/+ ${randomBytes(12).toString('base64url')}`;
  const asked = new Map();
  const redirectUris = [];
  const Adapter = memory();
  const client = () => ({
    client_id: 'vestibule', client_secret: clientSecret, redirect_uris: redirectUris, response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: algorithm,
  });
  const cookies = { keys: [randomBytes(24).toString('base64url')] };
  const jwks = { keys: [newKey(algorithm)] };
  const subjects = Object.fromEntries(Object.entries(PEOPLE).map(([username, { oid }]) => [`id-of-${oid}`, username]));
  let provider;

  function build() {
    provider = new Provider(issuer, {
      adapter: Adapter,
      clients: [client()],
      cookies,
      jwks,
      routes: endpoints,
      features: { devInteractions: { enabled: false }, pushedAuthorizationRequests: { enabled: false }, rpInitiatedLogout: { enabled: false } },
      scopes,
      claims: {
        openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'],
        ...Object.fromEntries(Object.entries(claims).map(([scope, told]) => [scope, scope === 'openid' ? ['sub', ...told] : scope === 'profile' ? ['name', 'preferred_username', ...told] : told])),
      },
      responseTypes: ['code'],
      conformIdTokenClaims: atUserinfo,
      pkce: { required: () => true },
      enabledJWA: { idTokenSigningAlgValues: [algorithm] },
      interactions: { url: (_ctx, { uid }) => `/sign-in/${uid}` },
      findAccount: (_ctx, sub) => {
        const username = subjects[sub];
        const { name: full, preferred_username, email } = PEOPLE[username];
        return { accountId: sub, claims: () => ({ sub, name: full, preferred_username, email, ...tells(GROUPS_OF[username], username) }) };
      },
      // Whoever runs it consented for everybody.
      loadExistingGrant: async (ctx) => {
        const { session, client: of } = ctx.oidc;
        const grant = new ctx.oidc.provider.Grant({ clientId: of.clientId, accountId: session.accountId });
        grant.addOIDCScope(scopes.join(' '));
        await grant.save();
        return grant;
      },
      issueRefreshToken: (_ctx, _client, source) => refreshes(asked.get(source.codeChallenge) ?? { scope: '' }),
      expiresWithSession: () => false,
      ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86_400, IdToken: 3600, Interaction: 600, RefreshToken: 86_400, Session: 86_400 },
      renderError: (ctx, out) => {
        ctx.type = 'html';
        ctx.body = `<!doctype html><title>Sorry</title><p id="error">${escape(`${out.error} ${out.error_description}`)}</p>`;
      },
    });
    provider.proxy = true;
    provider.use(async (ctx, next) => {
      await next();
      if (ctx.oidc?.route !== 'discovery') return;
      for (const [endpoint, host] of Object.entries(hosts)) {
        const url = new URL(ctx.body[endpoint]);
        url.host = host;
        ctx.body[endpoint] = url.href;
      }
    });
  }

  const page = (uid) => `<!doctype html><html lang="en"><title>Sign in</title><h1>Sign in</h1>
<form id="contoso-login" method="post" action="/sign-in/${escape(uid)}"><label>Account <input name="username"></label> <button type="submit">Sign in</button></form></html>`;

  async function signIn(request, response) {
    const body = new URLSearchParams((await collect(request)).toString());
    const details = await provider.interactionDetails(request, response);
    if (request.method !== 'POST') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page(details.uid));
      return;
    }
    const accountId = Object.keys(subjects).find((sub) => subjects[sub] === body.get('username'));
    await provider.interactionFinished(request, response, accountId ? { login: { accountId }, consent: {} } : { error: 'access_denied' });
  }

  /** A request with what is not documented does not get to the library, which would let it pass. */
  function refused(url, response) {
    if (url.pathname !== endpoints.authorization) return false;
    const parameters = Object.fromEntries(url.searchParams);
    asked.set(parameters.code_challenge, parameters);
    const unknown = (parameters.scope ?? '').split(' ').filter((scope) => !scopes.includes(scope));
    if (unknown.length === 0 || !redirectUris.includes(parameters.redirect_uri)) return false;
    const back = new URL(parameters.redirect_uri);
    back.search = new URLSearchParams({ error: 'invalid_scope', error_description: unknown.join(' '), state: parameters.state });
    response.writeHead(303, { location: back.href }).end();
    return true;
  }

  build();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname.startsWith('/sign-in/')) {
      await signIn(request, response).catch(() => response.writeHead(400).end());
      return;
    }
    // A provider with a path has its discovery document below it.
    const path = new URL(issuer).pathname.replace(/\/$/, '');
    if (url.pathname === `${path}/.well-known/openid-configuration`) request.url = '/.well-known/openid-configuration';
    if (!refused(url, response)) provider.callback()(request, response);
  });
  const port = await listen(server);
  return {
    issuer,
    clientSecret,
    services: Object.fromEntries([new URL(issuer).host, ...Object.values(hosts)].map((host) => [host, port])),
    allowRedirect(uri) {
      redirectUris.push(uri);
      build();
    },
    stop: () => shut(server),
  };
}
