import { createHash, randomBytes } from 'node:crypto';

const random = () => randomBytes(32).toString('base64url');

export function pkce() {
  const verifier = random();
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** An answer with its body read: `{ status, headers, text, json }`. */
async function read(response) {
  const text = await response.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** The parameters of the Bearer challenge of a 401 or 403. */
export function challengeOf(answer) {
  const header = answer.headers.get('www-authenticate') ?? '';
  if (!/^bearer\b/i.test(header)) return undefined;
  return Object.fromEntries([...header.matchAll(/([\w-]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value.replace(/\\(.)/g, '$1')]));
}

const META = (version) => ({
  'io.modelcontextprotocol/protocolVersion': version,
  'io.modelcontextprotocol/clientInfo': { name: 'bare-client', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
});

export const LEGACY = '2025-11-25';
export const MODERN = '2026-07-28';

let ids = 0;

/** One MCP message by hand. `version` decides the form: sessions and negotiation, or everything in each request. */
export async function post(url, method, params = {}, { token, version = LEGACY, session, headers = {}, notification = false } = {}) {
  const modern = version >= MODERN;
  const message = {
    jsonrpc: '2.0',
    ...(notification ? {} : { id: ++ids }),
    method,
    params: modern ? { ...params, _meta: { ...META(version), ...params._meta } } : params,
  };
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(method === 'initialize' ? {} : { 'mcp-protocol-version': version }),
      ...(modern && { 'mcp-method': method }),
      ...(modern && params.name && { 'mcp-name': params.name }),
      ...(session && { 'mcp-session-id': session }),
      ...(token && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: JSON.stringify(message),
  });
  const answer = await read(response);
  if (answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    const messages = answer.text
      .split(/\r?\n\r?\n/)
      .map((event) => event.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart()).join('\n'))
      .filter(Boolean)
      .map((data) => JSON.parse(data));
    answer.json = messages.find((each) => each.id === message.id);
  }
  return answer;
}

/** A session of the earlier revisions, or its like without a session in the later one. */
export async function connect(url, { token, version = LEGACY } = {}) {
  if (version >= MODERN) {
    return { call: (method, params) => post(url, method, params, { token, version }) };
  }
  const opened = await post(url, 'initialize', {
    protocolVersion: version,
    capabilities: {},
    clientInfo: { name: 'bare-client', version: '1.0.0' },
  }, { token, version });
  if (opened.status !== 200) throw new Error(`initialize: ${opened.status} ${opened.text}`);
  const session = opened.headers.get('mcp-session-id') ?? undefined;
  await post(url, 'notifications/initialized', {}, { token, version, session, notification: true });
  return {
    session,
    opened: opened.json.result,
    call: (method, params, over = {}) => post(url, method, params, { token, version, session, ...over }),
  };
}

/** What get_weather answered: the JSON in its text. */
export function weatherIn(result) {
  if (!result?.content) throw new Error(`no tool answer: ${JSON.stringify(result)}`);
  return JSON.parse(result.content.find((part) => part.type === 'text').text);
}

/** An OAuth client with nothing between the test and the wire. Answers are handed over unjudged. */
export class BareClient {
  constructor(server, { redirectUri, clientId, clientSecret } = {}) {
    this.server = server;
    this.redirectUri = redirectUri;
    this.clientId = clientId;
    this.clientSecret = clientSecret;
  }

  /** From the first 401 to the two metadata documents. */
  async discover() {
    const refused = await post(this.server, 'initialize', {
      protocolVersion: LEGACY,
      capabilities: {},
      clientInfo: { name: 'bare-client', version: '1.0.0' },
    });
    if (refused.status !== 401) throw new Error(`without a token: ${refused.status}, not 401`);
    this.challenge = challengeOf(refused);
    this.resource = (await read(await fetch(this.challenge.resource_metadata))).json;
    const issuer = this.resource.authorization_servers[0];
    const { origin, pathname } = new URL(issuer);
    const path = pathname === '/' ? '' : pathname;
    this.metadata = (await read(await fetch(`${origin}/.well-known/oauth-authorization-server${path}`))).json;
    return this;
  }

  async register(metadata = {}) {
    const answer = await read(await fetch(this.metadata.registration_endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Bare client',
        redirect_uris: [this.redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        ...metadata,
      }),
    }));
    if (answer.status === 201) {
      this.clientId = answer.json.client_id;
      this.clientSecret = answer.json.client_secret;
    }
    return answer;
  }

  /** An authorization request; a parameter given as undefined is left out. */
  authorization(over = {}) {
    const { verifier, challenge } = pkce();
    const state = random();
    const parameters = {
      response_type: 'code',
      client_id: this.clientId,
      redirect_uri: this.redirectUri,
      state,
      scope: this.challenge?.scope,
      resource: this.resource?.resource,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...over,
    };
    const url = new URL(this.metadata.authorization_endpoint);
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return { url: url.href, verifier, state };
  }

  async form(endpoint, parameters) {
    const all = {
      client_id: this.clientId,
      ...(this.clientSecret && { client_secret: this.clientSecret }),
      ...parameters,
    };
    const body = new URLSearchParams(Object.entries(all).filter(([, value]) => value !== undefined));
    return read(await fetch(endpoint, { method: 'POST', body }));
  }

  redeem(code, verifier, over = {}) {
    return this.form(this.metadata.token_endpoint, {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: this.redirectUri,
      resource: this.resource?.resource,
      ...over,
    });
  }

  refresh(token, over = {}) {
    return this.form(this.metadata.token_endpoint, {
      grant_type: 'refresh_token',
      refresh_token: token,
      resource: this.resource?.resource,
      ...over,
    });
  }

  revoke(token, over = {}) {
    return this.form(this.metadata.revocation_endpoint, { token, ...over });
  }
}
