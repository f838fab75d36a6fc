import { createHash } from 'node:crypto';

/**
 * The part of an OAuth client that both generations of the TypeScript SDK leave to the application:
 * keeps what it is given and hands the authorization URL to the test.
 */
export class MemoryOAuth {
  constructor(redirectUrl, metadata = {}) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: 'TypeScript SDK',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      ...metadata,
    };
    this.expectedState = crypto.randomUUID();
    this.verifiers = new Map();
  }

  state() {
    return this.expectedState;
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
  }

  tokens() {
    return this.saved;
  }

  saveTokens(tokens) {
    this.saved = tokens;
  }

  redirectToAuthorization(url) {
    this.authorizationUrl = url;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
    this.verifiers.set(createHash('sha256').update(verifier).digest('base64url'), verifier);
  }

  /** That of the address which was opened: a stream that reconnects meanwhile begins a sign-in of its own. */
  codeVerifier() {
    return this.verifiers.get(this.opened?.searchParams.get('code_challenge')) ?? this.verifier;
  }

  /** Where the person is sent now. */
  open() {
    this.opened = this.authorizationUrl;
    return this.opened.href;
  }

  /** What the SDK found out to be worth nothing any more. */
  invalidateCredentials(which) {
    if (which === 'all' || which === 'client') this.client = undefined;
    if (which === 'all' || which === 'tokens') this.saved = undefined;
    if (which === 'all' || which === 'verifier') this.verifier = undefined;
    if (which === 'all' || which === 'discovery') this.discovery = undefined;
  }

  discoveryState() {
    return this.discovery;
  }

  saveDiscoveryState(state) {
    this.discovery = state;
  }
}

/** Notes every request of a client, to tell afterwards what it went through. */
export function recorder() {
  const log = [];
  const recording = async (input, init) => {
    const response = await fetch(input, init);
    const url = new URL(input instanceof Request ? input.url : input);
    log.push({ method: init?.method ?? 'GET', path: url.pathname, status: response.status, headers: response.headers });
    return response;
  };
  return { log, fetch: recording };
}
