// Microsoft Graph v1.0 and the parts of Microsoft Entra ID that a program meets, as documented and no more: whatever is not
// documented is refused, so that a request which only works here is found here.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { TENANT } from './oidc-provider.mjs';
import { listen, shut } from './wait.mjs';

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// Properties that may be written, and what they must be.
const text = (value) => typeof value === 'string';
const flag = (value) => typeof value === 'boolean';
const texts = (value) => Array.isArray(value) && value.every(text);
const shape = (of) => (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
  && Object.entries(value).every(([name, item]) => of[name]?.(item));
const list = (of) => (value) => Array.isArray(value) && value.every(shape(of));
const address = (value) => {
  const url = URL.canParse(value) && new URL(value);
  // Plain HTTP is for localhost alone; 127.0.0.1 is taken where the manifest is written by a program.
  return url && (url.protocol === 'https:' || ['localhost', '127.0.0.1'].includes(url.hostname)) && !url.hash && !value.includes('*');
};
const guid = (value) => GUID.test(value);
const API = {
  requestedAccessTokenVersion: (value) => [null, 1, 2].includes(value),
  oauth2PermissionScopes: list({
    id: guid,
    value: (value) => /^[\w!#$%&'()*+,\-./:;<=>?@[\]^`{|}~]{1,120}$/.test(value) && !value.startsWith('.'),
    type: (value) => ['User', 'Admin'].includes(value),
    isEnabled: flag,
    adminConsentDisplayName: (value) => text(value) && value.length > 0 && value.length <= 100,
    adminConsentDescription: (value) => text(value) && value.length > 0 && value.length <= 1024,
    userConsentDisplayName: (value) => text(value) && value.length <= 100,
    userConsentDescription: (value) => text(value) && value.length <= 1024,
  }),
  preAuthorizedApplications: list({ appId: guid, delegatedPermissionIds: (value) => texts(value) && value.every(guid) }),
};
const APPLICATION = {
  identifierUris: (value) => texts(value) && value.every((uri) => /^(https|api):\/\/[^\s]+[^/]$/.test(uri)),
  api: shape(API),
  displayName: (value) => text(value) && value.length > 0 && value.length <= 256,
  signInAudience: (value) => ['AzureADMyOrg', 'AzureADMultipleOrgs', 'AzureADandPersonalMicrosoftAccount', 'PersonalMicrosoftAccount'].includes(value),
  isFallbackPublicClient: flag,
  groupMembershipClaims: (value) => ['None', 'SecurityGroup', 'DirectoryRole', 'ApplicationGroup', 'All'].includes(value),
  tags: texts,
  web: shape({
    redirectUris: (value) => texts(value) && value.length <= 256 && value.every(address),
    implicitGrantSettings: shape({ enableAccessTokenIssuance: flag, enableIdTokenIssuance: flag }),
  }),
  requiredResourceAccess: list({
    resourceAppId: (value) => GUID.test(value),
    resourceAccess: list({ id: (value) => GUID.test(value), type: (value) => ['Scope', 'Role'].includes(value) }),
  }),
  keyCredentials: list({
    type: (value) => value === 'AsymmetricX509Cert',
    usage: (value) => value === 'Verify',
    displayName: text,
    key: (value) => value === null || text(value),
    keyId: (value) => GUID.test(value),
    customKeyIdentifier: (value) => value === null || text(value),
    startDateTime: text,
    endDateTime: text,
  }),
};
const PASSWORD = { displayName: text, endDateTime: (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value), startDateTime: text };
const FEDERATED = {
  name: (value) => /^[A-Za-z0-9][A-Za-z0-9_-]{0,119}$/.test(value),
  issuer: (value) => text(value) && value.startsWith('https://'),
  subject: (value) => text(value) && value.length > 0,
  audiences: (value) => texts(value) && value.length === 1,
  description: text,
};

class Refused extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }
}
const bad = (message) => new Refused(400, 'Request_BadRequest', message);
const missing = (id) => new Refused(404, 'Request_ResourceNotFound', `Resource '${id}' does not exist or one of its queried reference-property objects are not present.`);

/** A quoted OData literal, in which quotes are doubled. */
function literal(written) {
  const inner = /^'((?:[^']|'')*)'$/.exec(written)?.[1];
  if (inner === undefined) throw bad('Syntax error: a literal is not closed.');
  return inner.replaceAll("''", "'");
}

function judged(body, of, needed = []) {
  for (const [name, value] of Object.entries(body)) {
    if (!of[name]) throw bad(`Invalid property '${name}'.`);
    if (!of[name](value)) throw bad(`Invalid value specified for property '${name}'.`);
  }
  for (const name of needed) if (!(name in body)) throw bad(`Property '${name}' is required.`);
  return body;
}

/**
 * The directory of one tenant, with Graph in front.
 *
 * - `faults`: `{ on: (request) => boolean, status, code, message, headers, times }`, taken in order
 * - `meet(request)`: called before a request is carried out and after, `request.done` telling which; may kill who asks
 */
export async function startGraph({ pageSize = 2 } = {}) {
  const server = createServer();
  const port = await listen(server);
  const origin = `http://127.0.0.1:${port}`;
  const apps = new Map();
  const deleted = new Map();
  const principals = new Map();
  const tokens = new Map();
  const requests = [];
  const listeners = [];

  const graph = {
    origin,
    port,
    apps,
    deleted,
    principals,
    requests,
    faults: [],
    meet: () => {},
    /** Called when a program asks for a token. */
    meetProgram: () => {},
    /** What a program's next request for a token is answered in place of a token. */
    programFault: undefined,
    /** How many requests about a new application find it not there yet. */
    lag: 0,
    /** How many token requests a new secret is not known to. */
    secretLag: 0,
    /** What the next person types on another screen: 'ok', 'declined' or how often to wait first. */
    screen: { waits: 1, answer: 'ok' },
    organization: 'Contoso',
    /** Domains that the tenant has verified. */
    domains: ['example.com'],
    onChange: (listener) => listeners.push(listener),
    /** A token of somebody, as one that the directory issued. */
    token(claims = {}) {
      const payload = {
        aud: origin, iss: `https://sts.windows.net/${TENANT}/`, tid: TENANT, exp: Math.floor(Date.now() / 1000) + 3600,
        upn: 'ada@contoso.example', scp: 'User.Read Application.ReadWrite.All', ...claims,
      };
      const made = `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${randomBytes(24).toString('base64url')}`;
      tokens.set(made, payload);
      return made;
    },
    /** An application, as somebody makes it in the portal. */
    make(over = {}) {
      const app = {
        id: randomUUID(), appId: randomUUID(), displayName: 'By hand', uniqueName: null, createdDateTime: new Date().toISOString(),
        isFallbackPublicClient: null, signInAudience: 'AzureADMyOrg', groupMembershipClaims: null, tags: [],
        web: { redirectUris: [], implicitGrantSettings: { enableAccessTokenIssuance: false, enableIdTokenIssuance: false } },
        identifierUris: [], api: { oauth2PermissionScopes: [] }, appRoles: [], spa: { redirectUris: [] }, publicClient: { redirectUris: [] }, requiredResourceAccess: [], passwordCredentials: [],
        keyCredentials: [], owners: ['ada@contoso.example'], federated: [], secrets: new Map(), lag: 0, ...over,
      };
      apps.set(app.id, app);
      changed();
      return app;
    },
    /** The one application that there is. */
    only() {
      if (apps.size !== 1) throw new Error(`there are ${apps.size} applications`);
      return [...apps.values()][0];
    },
    byClient: (appId) => [...apps.values()].find((app) => app.appId === appId),
    /** Whether this is a secret of that client, now. */
    knows(appId, secret) {
      const app = this.byClient(appId);
      const found = app && [...app.secrets.values()].find((each) => each.text === secret);
      if (!found) return false;
      if (found.lag > 0) {
        found.lag -= 1;
        return false;
      }
      return new Date(found.endDateTime) > new Date();
    },
    /** Whether a client proves itself by what it shows. */
    admits(appId, { secret, assertion }) {
      if (secret) return this.knows(appId, secret);
      const app = this.byClient(appId);
      return Boolean(app && assertion && (certified(app, assertion) || federated(app, assertion)));
    },
    /** Makes a secret as somebody does by hand. */
    secret(app, displayName = 'by hand') {
      return addPassword(app, { displayName, endDateTime: '2099-01-01T00:00:00Z' });
    },
    entra,
    stop: () => {
      server.closeAllConnections();
      return shut(server);
    },
  };
  const changed = () => listeners.forEach((listener) => listener());

  const shown = (app) => {
    const { owners: _, federated: __, secrets: ___, lag: ____, ...rest } = app;
    return {
      ...rest,
      // The text of a secret and the bytes of a certificate are told nowhere.
      passwordCredentials: app.passwordCredentials.map((each) => ({ ...each, secretText: null })),
      keyCredentials: app.keyCredentials.map((each) => ({ ...each, key: null })),
    };
  };

  function addPassword(app, body) {
    const keyId = randomUUID();
    const secretText = `${randomBytes(3).toString('hex').slice(0, 3)}8Q~${randomBytes(24).toString('base64url')}`;
    const made = { customKeyIdentifier: null, keyId, startDateTime: new Date().toISOString(), hint: secretText.slice(0, 3), ...body };
    app.passwordCredentials = [...app.passwordCredentials, made];
    app.secrets.set(keyId, { text: secretText, endDateTime: made.endDateTime ?? '2099-01-01T00:00:00Z', lag: graph.secretLag });
    changed();
    return { '@odata.context': `${origin}/v1.0/$metadata#microsoft.graph.passwordCredential`, ...made, secretText };
  }

  function write(app, body) {
    judged(body, APPLICATION);
    if (body.keyCredentials) {
      // The list is replaced as a whole; one that is sent back without its bytes must be one that is there.
      body.keyCredentials = body.keyCredentials.map((each) => {
        const there = app.keyCredentials.find(({ keyId }) => keyId === each.keyId);
        if (!there && !each.key) throw bad('Key credential must have a key.');
        return there ?? { keyId: randomUUID(), customKeyIdentifier: null, ...each };
      });
    }
    judgeApi(app, body);
    const web = body.web && { ...app.web, ...body.web };
    const api = body.api && { ...app.api, ...body.api };
    Object.assign(app, body, web && { web }, api && { api });
    changed();
  }

  /** What Graph asks of an application as an API, besides its shape. */
  function judgeApi(app, body) {
    const added = (body.identifierUris ?? []).filter((uri) => !app.identifierUris.includes(uri));
    for (const uri of added) {
      if ([...apps.values()].some((other) => other !== app && other.identifierUris.includes(uri))) {
        throw bad('Another object with the same value for property identifierUris already exists.');
      }
      const { protocol, hostname, pathname } = new URL(uri);
      const ours = [...graph.domains, TENANT, app.appId];
      const named = protocol === 'api:' ? [hostname, ...pathname.split('/')] : [hostname];
      if (!named.some((part) => ours.some((name) => part === name || part.endsWith(`.${name}`)))) {
        throw new Refused(400, 'HostNameNotOnVerifiedDomain', `Values of identifierUris property must use a verified domain of the organization or its subdomain: '${uri}'`);
      }
    }
    const there = app.api.oauth2PermissionScopes;
    const scopes = body.api?.oauth2PermissionScopes;
    if (scopes) {
      if (new Set(scopes.map(({ id }) => id)).size !== scopes.length) throw bad('It contains duplicate value.');
      const lost = there.find((scope) => scope.isEnabled && !scopes.some(({ id }) => id === scope.id));
      if (lost) throw new Refused(400, 'CannotDeleteOrUpdateEnabledEntitlement', 'Property value cannot be deleted unless it is disabled first.');
    }
    // A permission is named once it is there, not with the request that makes it.
    const authorized = (body.api?.preAuthorizedApplications ?? []).flatMap(({ delegatedPermissionIds }) => delegatedPermissionIds);
    const unknown = authorized.find((id) => !there.some((scope) => scope.id === id));
    if (unknown) throw bad(`Property api.preAuthorizedApplications references permission ${unknown} that cannot be found.`);
    const audience = body.signInAudience ?? app.signInAudience;
    const version = body.api?.requestedAccessTokenVersion ?? app.api.requestedAccessTokenVersion;
    if (/Personal/.test(audience) && version !== 2) throw bad('Property api.requestedAccessTokenVersion is invalid.');
  }

  // A replica that does not have it yet.
  const isLate = (app) => app.lag > 0 && app.lag-- > 0;
  const application = (id) => {
    const app = apps.get(id);
    if (!app) throw missing(id);
    if (isLate(app)) throw missing(id);
    return app;
  };

  const json = (status, body) => ({ status, body });
  const nothing = { status: 204 };

  /** Each documented request, and nothing else. */
  const ROUTES = [
    ['GET', /^\/organization$/, ['$select'], () => json(200, { value: [{ id: TENANT, displayName: graph.organization }] })],
    ['GET', /^\/applications$/, ['$filter', '$skiptoken'], ({ query }) => {
      const found = /^tags\/any\(t:t eq (.*)\)$/s.exec(query.get('$filter') ?? '');
      if (!found) throw bad(`Invalid filter clause: ${query.get('$filter')}`);
      const tag = literal(found[1]);
      const all = [...apps.values()].filter((app) => app.tags.includes(tag) && app.lag <= 0);
      const from = Number(query.get('$skiptoken') ?? 0);
      const next = new URLSearchParams({ $filter: query.get('$filter'), $skiptoken: String(from + pageSize) });
      return json(200, {
        value: all.slice(from, from + pageSize).map(shown),
        ...(from + pageSize < all.length && { '@odata.nextLink': `${origin}/v1.0/applications?${next}` }),
      });
    }],
    ['GET', /^\/applications\(appId=(.*)\)$/, [], ({ parts: [id] }) => {
      const app = graph.byClient(literal(id));
      if (!app) throw missing(id);
      return json(200, shown(app));
    }],
    ['PATCH', /^\/applications\(uniqueName=(.*)\)$/, [], ({ parts: [name], body, headers }) => {
      const uniqueName = literal(name);
      const there = [...apps.values()].find((app) => app.uniqueName === uniqueName);
      if (there) {
        write(there, body);
        return nothing;
      }
      if (headers.prefer !== 'create-if-missing') throw missing(uniqueName);
      if ([...deleted.values()].some((app) => app.uniqueName === uniqueName)) {
        throw new Refused(409, 'Request_MultipleObjectsWithSameKeyValue', 'Another object with the same value for property uniqueName already exists.');
      }
      judged(body, APPLICATION, ['displayName']);
      const app = graph.make({ uniqueName, displayName: body.displayName, lag: graph.lag });
      try {
        write(app, body);
      } catch (error) {
        apps.delete(app.id);
        throw error;
      }
      return json(201, shown(app));
    }],
    ['GET', /^\/applications\/([^/]+)$/, [], ({ parts: [id] }) => json(200, shown(application(id)))],
    ['PATCH', /^\/applications\/([^/]+)$/, [], ({ parts: [id], body }) => {
      write(application(id), body);
      return nothing;
    }],
    ['DELETE', /^\/applications\/([^/]+)$/, [], ({ parts: [id] }) => {
      const app = application(id);
      apps.delete(id);
      deleted.set(id, app);
      principals.delete(app.appId);
      changed();
      return nothing;
    }],
    ['GET', /^\/applications\/([^/]+)\/owners$/, [], ({ parts: [id] }) =>
      json(200, { value: application(id).owners.map((name) => ({ '@odata.type': '#microsoft.graph.user', id: randomUUID(), userPrincipalName: name })) })],
    ['POST', /^\/applications\/([^/]+)\/addPassword$/, [], ({ parts: [id], body }) => {
      judged(body, { passwordCredential: shape(PASSWORD) });
      return json(200, addPassword(application(id), body.passwordCredential ?? {}));
    }],
    ['POST', /^\/applications\/([^/]+)\/removePassword$/, [], ({ parts: [id], body }) => {
      judged(body, { keyId: (value) => GUID.test(value) }, ['keyId']);
      const app = application(id);
      if (!app.secrets.delete(body.keyId)) throw bad(`No password credential found with keyId ${body.keyId}.`);
      app.passwordCredentials = app.passwordCredentials.filter(({ keyId }) => keyId !== body.keyId);
      changed();
      return nothing;
    }],
    ['GET', /^\/applications\/([^/]+)\/federatedIdentityCredentials$/, [], ({ parts: [id] }) => json(200, { value: application(id).federated })],
    ['POST', /^\/applications\/([^/]+)\/federatedIdentityCredentials$/, [], ({ parts: [id], body }) => {
      judged(body, FEDERATED, ['name', 'issuer', 'subject', 'audiences']);
      const app = application(id);
      if (app.federated.some(({ issuer, subject }) => issuer === body.issuer && subject === body.subject)) {
        throw new Refused(409, 'Request_MultipleObjectsWithSameKeyValue', 'FederatedIdentityCredential with the same issuer and subject already exists.');
      }
      const made = { id: randomUUID(), ...body };
      app.federated.push(made);
      return json(201, made);
    }],
    ['DELETE', /^\/applications\/([^/]+)\/federatedIdentityCredentials\/([^/]+)$/, [], ({ parts: [id, which] }) => {
      const app = application(id);
      if (!app.federated.some((each) => each.id === which)) throw missing(which);
      app.federated = app.federated.filter((each) => each.id !== which);
      return nothing;
    }],
    ['GET', /^\/servicePrincipals\(appId=(.*)\)$/, ['$select'], ({ parts: [id] }) => {
      const principal = principals.get(literal(id));
      if (!principal) throw missing(id);
      return json(200, principal);
    }],
    ['POST', /^\/servicePrincipals$/, [], ({ body }) => {
      judged(body, { appId: (value) => GUID.test(value) }, ['appId']);
      if (!graph.byClient(body.appId) || isLate(graph.byClient(body.appId))) throw bad(`The appId '${body.appId}' of the service principal does not reference a valid application object.`);
      if (principals.has(body.appId)) {
        throw new Refused(409, 'Request_MultipleObjectsWithSameKeyValue', `The service principal cannot be created because the service principal name ${body.appId} is already in use.`);
      }
      const made = { id: randomUUID(), appId: body.appId };
      principals.set(body.appId, made);
      return json(201, made);
    }],
    ['DELETE', /^\/directory\/deletedItems\/([^/]+)$/, [], ({ parts: [id] }) => {
      if (!deleted.delete(id)) throw missing(id);
      return nothing;
    }],
  ];

  function allowed(claims, method, path) {
    if (path === '/organization') {
      if (claims.roles && !claims.roles.includes('Organization.Read.All')) throw forbidden();
      return;
    }
    const held = [...(claims.scp ?? '').split(' '), ...(claims.roles ?? [])];
    if (!held.some((name) => ['Application.ReadWrite.All', 'Application.ReadWrite.OwnedBy', 'Directory.AccessAsUser.All'].includes(name))) {
      throw forbidden();
    }
  }
  const forbidden = () => new Refused(403, 'Authorization_RequestDenied', 'Insufficient privileges to complete the operation.');

  function carryOut(request) {
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const claims = tokens.get(bearer);
    if (!claims || claims.exp * 1000 < Date.now()) {
      throw new Refused(401, 'InvalidAuthenticationToken', 'Access token validation failure.');
    }
    const fault = graph.faults.find((each) => each.on(request));
    if (fault) {
      fault.times = (fault.times ?? 1) - 1;
      if (fault.times <= 0) graph.faults.splice(graph.faults.indexOf(fault), 1);
      throw new Refused(fault.status, fault.code ?? 'UnknownError', fault.message ?? '', fault.headers);
    }
    for (const [method, pattern, known, act] of ROUTES) {
      const found = pattern.exec(request.path);
      if (method !== request.method || !found) continue;
      for (const name of request.query.keys()) if (!known.includes(name)) throw bad(`Invalid query option: ${name}`);
      allowed(claims, method, request.path);
      if (['POST', 'PATCH'].includes(method)) {
        if (!/^application\/json(;|$)/.test(request.headers['content-type'] ?? '')) throw bad('Write requests must contain the Content-Type header declaration.');
        try {
          request.body = JSON.parse(request.raw);
        } catch {
          throw bad('Unable to read JSON request payload.');
        }
      }
      return act({ ...request, parts: found.slice(1) });
    }
    throw new Refused(400, 'BadRequest', `Resource not found for the segment '${request.path}'.`);
  }

  server.on('request', async (incoming, response) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const url = new URL(incoming.url, origin);
    const requestId = randomUUID();
    const request = {
      method: incoming.method,
      path: decodeURIComponent(url.pathname.replace(/^\/v1\.0/, '')),
      query: url.searchParams,
      headers: incoming.headers,
      raw: Buffer.concat(chunks).toString(),
      version: url.pathname.split('/')[1],
    };
    requests.push(request);
    await graph.meet({ ...request, done: false });
    let answer;
    try {
      if (request.version !== 'v1.0') throw new Refused(400, 'BadRequest', 'Invalid version.');
      answer = carryOut(request);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const inner = { date: new Date().toISOString(), 'request-id': requestId, 'client-request-id': requestId };
      answer = { status: error.status, body: { error: { code: error.code, message: error.message, innerError: inner } }, headers: error.headers };
    }
    await graph.meet({ ...request, done: true });
    const type = answer.body && { 'content-type': 'application/json;odata.metadata=minimal;charset=utf-8' };
    response.writeHead(answer.status, { 'request-id': requestId, ...type, ...answer.headers });
    response.end(answer.body && JSON.stringify(answer.body));
  });

  /** What Entra's token and device endpoints say to programs; answers nothing for what is not its. */
  function entra(path, form, aadsts) {
    const refuse = (status, error, number, words) => ({ status, body: aadsts(error, words, number) });
    if (path === `/${TENANT}/oauth2/v2.0/devicecode`) {
      if (!GUID.test(form.get('client_id')) || !form.get('scope')?.startsWith(`${origin}/`)) return refuse(400, 'invalid_request', 900144, 'The request body must contain client_id and scope.');
      graph.screen.code = randomUUID();
      return { status: 200, body: { device_code: graph.screen.code, user_code: 'BCDFGHJKL', verification_uri: 'https://microsoft.com/devicelogin', expires_in: 900, interval: 0, message: '' } };
    }
    if (path !== `/${TENANT}/oauth2/v2.0/token`) return undefined;
    switch (form.get('grant_type')) {
      case 'urn:ietf:params:oauth:grant-type:device_code': {
        if (form.get('device_code') !== graph.screen.code) return refuse(400, 'invalid_grant', 70000, 'The device code is malformed.');
        if (graph.screen.waits-- > 0) return refuse(400, 'authorization_pending', 70016, 'The user has not typed the code yet.');
        if (graph.screen.answer !== 'ok') return refuse(400, 'authorization_declined', 70046, 'The user declined.');
        return { status: 200, body: { token_type: 'Bearer', expires_in: 3600, access_token: graph.token() } };
      }
      case 'client_credentials': {
        graph.meetProgram();
        if (graph.programFault) {
          const fault = graph.programFault;
          graph.programFault = undefined;
          return refuse(fault.status, fault.error, 90033, 'A transient error has occurred.');
        }
        const app = graph.byClient(form.get('client_id'));
        if (!app || !principals.has(app.appId)) return refuse(400, 'unauthorized_client', 700016, `Application with identifier '${form.get('client_id')}' was not found in the directory '${TENANT}'.`);
        if (form.get('scope') !== `${origin}/.default`) return refuse(400, 'invalid_scope', 1002012, 'The provided value for scope is not valid.');
        const secret = form.get('client_secret');
        const assertion = form.get('client_assertion');
        if (secret !== null && !graph.knows(app.appId, secret)) return refuse(401, 'invalid_client', 7000215, 'Invalid client secret provided.');
        if (assertion !== null && !certified(app, assertion)) return refuse(401, 'invalid_client', 700027, 'The certificate with identifier used to sign the client assertion is not registered on application.');
        if (secret === null && assertion === null) return refuse(401, 'invalid_client', 7000218, 'The request body must contain client_assertion or client_secret.');
        return { status: 200, body: { token_type: 'Bearer', expires_in: 3600, access_token: graph.token({ scp: undefined, upn: undefined, appid: app.appId, roles: app.roles ?? [] }) } };
      }
      default:
        return undefined;
    }
  }

  const certified = (app, assertion) => {
    const header = JSON.parse(Buffer.from(assertion.split('.')[0], 'base64url'));
    return header['x5t#S256'] !== undefined && app.keyCredentials.some(({ key }) => sha256(Buffer.from(key, 'base64')) === header['x5t#S256']);
  };

  const federated = (app, assertion) => {
    const claims = JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url'));
    return app.federated.some(({ issuer, subject, audiences }) =>
      issuer === claims.iss && subject === claims.sub && audiences[0] === claims.aud && claims.exp * 1000 > Date.now());
  };

  return graph;
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('base64url');
