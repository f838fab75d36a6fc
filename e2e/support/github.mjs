// GitHub as an identity provider, as documented: an OAuth app with PKCE and its secret in the form, refusals with status 200, and an
// API that wants a user agent and tells lists by pages.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { collect, escape } from './oidc-provider.mjs';
import { PEOPLE } from './people.mjs';
import { listen, shut } from './wait.mjs';

const MEMBERS = { ada: { orgs: [9919], teams: [1234] }, bob: { orgs: [9919], teams: [] } };
const FORM = 'application/x-www-form-urlencoded';

export async function startGitHub() {
  const clientSecret = randomBytes(20).toString('hex');
  const redirectUris = [];
  const codes = new Map();
  const tokens = new Map();
  const ids = Object.keys(PEOPLE).map((username, at) => ({ username, id: 583_231 + at }));

  const page = (query) => `<!doctype html><html lang="en"><title>Sign in to GitHub</title>
<form id="contoso-login" method="post" action="/login/oauth/authorize?${escape(query)}"><input name="username"><button type="submit">Sign in</button></form></html>`;

  function authorize(url, body, response) {
    const asked = Object.fromEntries(url.searchParams);
    if (asked.client_id !== 'vestibule') return response.writeHead(404).end();
    if (!redirectUris.includes(asked.redirect_uri) || asked.code_challenge_method !== 'S256') return response.writeHead(400).end();
    const one = ids.find(({ username }) => username === body.get('username'));
    if (!one) return response.writeHead(200, { 'content-type': 'text/html' }).end(page(url.search.slice(1)));
    const code = randomBytes(10).toString('hex');
    codes.set(code, { ...asked, one });
    const back = new URL(asked.redirect_uri);
    back.search = new URLSearchParams({ code, state: asked.state, iss: 'https://github.com/login/oauth' });
    return response.writeHead(302, { location: back.href }).end();
  }

  function redeem(request, form) {
    const no = (error) => ({ error, error_description: 'as documented', error_uri: 'https://docs.github.com' });
    if (form.get('client_id') !== 'vestibule' || form.get('client_secret') !== clientSecret) return no('incorrect_client_credentials');
    const asked = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    if (!asked || createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url') !== asked.code_challenge) return no('bad_verification_code');
    if (asked.redirect_uri !== form.get('redirect_uri')) return no('redirect_uri_mismatch');
    const token = `gho_${randomBytes(18).toString('hex')}`;
    tokens.set(token, asked);
    return { access_token: token, token_type: 'bearer', scope: asked.scope.replaceAll(' ', ',') };
  }

  function told(request, url) {
    if (!request.headers['user-agent']) return [403, { message: 'Request forbidden by administrative rules.' }];
    const asked = tokens.get(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]);
    if (!asked) return [401, { message: 'Bad credentials' }];
    const { username, id } = asked.one;
    const { name, email } = PEOPLE[username];
    if (url.pathname === '/user') return [200, { id, login: username, name, email }];
    const kind = /^\/user\/(orgs|teams)$/.exec(url.pathname)?.[1];
    if (!kind) return [404, { message: 'Not Found' }];
    if (!asked.scope.split(' ').includes('read:org')) return [403, { message: 'Needs read:org' }];
    const size = Math.min(Number(url.searchParams.get('per_page') ?? 30), 100);
    const from = size * (Number(url.searchParams.get('page') ?? 1) - 1);
    return [200, MEMBERS[username][kind].slice(from, from + size).map((of) => ({ id: of, login: 'x' }))];
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, `https://${request.headers.host}`);
    const raw = (await collect(request)).toString();
    const form = new URLSearchParams(request.headers['content-type']?.startsWith(FORM) ? raw : '');
    const json = (status, body) => response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
    switch (`${url.host}${url.pathname}`) {
      case 'github.com/login/oauth/authorize':
        return authorize(url, form, response);
      case 'github.com/login/oauth/access_token': {
        const answer = redeem(request, form);
        if (request.headers.accept === 'application/json') return json(200, answer);
        return response.writeHead(200, { 'content-type': FORM }).end(new URLSearchParams(answer).toString());
      }
      default:
        if (url.host !== 'api.github.com') return response.writeHead(404).end();
        return json(...told(request, url));
    }
  });
  const port = await listen(server);
  return {
    clientSecret,
    services: { 'github.com': port, 'api.github.com': port },
    allowRedirect: (uri) => void redirectUris.push(uri),
    stop: () => shut(server),
  };
}
