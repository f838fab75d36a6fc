import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate as soon } from 'node:timers/promises';
import { listen, shut } from './wait.mjs';

// An MCP server of both eras that has what the official suites look for: every kind of answer, requests of the
// server to the client, streams that break off, input asked for in rounds, subscriptions, mirrored headers.

const MODERN = '2026-07-28';
const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26'];
const META = 'io.modelcontextprotocol/';
const INFO = { name: 'specimen', version: '1.0.0' };

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const SILENCE = Buffer.concat([
  Buffer.from('RIFF'), le(36), Buffer.from('WAVEfmt '), le(16), Buffer.from([1, 0, 1, 0]), le(8000), le(8000),
  Buffer.from([1, 0, 8, 0]), Buffer.from('data'), le(0),
]).toString('base64');

function le(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

class RpcError extends Error {
  constructor(code, message, { data, status = 400 } = {}) {
    super(message);
    Object.assign(this, { code, data, status });
  }
}

const invalid = (message, data) => new RpcError(-32602, message, { data });
const mismatch = (message) => new RpcError(-32020, message);
const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const said = (value) => ({ content: [text(value)] });
const strings = (...names) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
  required: names,
});
const ask = (message, requestedSchema) => ({ method: 'elicitation/create', params: { message, requestedSchema } });
const sample = (prompt, maxTokens = 100) => ({
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: text(prompt) }], maxTokens },
});
const roots = { method: 'roots/list', params: {} };
const CONFIRM = ask('Please confirm', { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] });
const NAME = ask('What is your name?', strings('name'));

const stateKey = randomBytes(32);
const seal = (value) => `${value}.${createHmac('sha256', stateKey).update(value).digest('base64url')}`;
function unseal(state) {
  const value = String(state).split('.')[0];
  if (state !== seal(value)) throw invalid('requestState was changed');
  return value;
}

/** Asks for what is still missing among `wanted`; otherwise answers with `done`. */
function rounds(call, wanted, done, state) {
  const given = call.params.inputResponses;
  if (call.params.requestState !== undefined) unseal(call.params.requestState);
  if (given !== undefined && (given === null || typeof given !== 'object')) throw invalid('inputResponses must be an object');
  for (const key of Object.keys(wanted)) {
    if (given?.[key] !== undefined && (given[key] === null || typeof given[key] !== 'object')) throw invalid(`${key} must be an object`);
  }
  const missing = Object.fromEntries(Object.entries(wanted).filter(([key]) => given?.[key] === undefined));
  if (Object.keys(missing).length === 0) return done(given);
  return { resultType: 'input_required', inputRequests: missing, ...(state && { requestState: seal(state) }) };
}

async function talk(call, request, words) {
  const answer = await call.request(request);
  return said(words(answer));
}

const elicited = (answer) => `Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`;

async function progress(call) {
  const progressToken = call.params._meta?.progressToken;
  if (progressToken !== undefined) {
    for (const step of [0, 50, 100]) {
      call.notify('notifications/progress', { progressToken, progress: step, total: 100 });
      await soon();
    }
  }
  return said('Done.');
}

async function logging(call) {
  for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    if (!call.modern || call.params._meta?.[`${META}logLevel`]) {
      call.notify('notifications/message', { level: 'info', logger: 'specimen', data });
    }
    await soon();
  }
  return said('Done.');
}

const SCHEMA_2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const titled = (word, kind) => ['First', 'Second', 'Third'].map((nth, i) => ({ const: `${word}${i + 1}`, title: `${nth} ${kind}` }));
const OPTIONS = ['option1', 'option2', 'option3'];

const TOOLS = {
  test_simple_text: [() => said('This is a simple text response for testing.')],
  test_image_content: [() => ({ content: [image] })],
  test_audio_content: [() => ({ content: [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }] })],
  test_embedded_resource: [() => ({
    content: [{
      type: 'resource',
      resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' },
    }],
  })],
  test_multiple_content_types: [() => ({
    content: [
      text('Multiple content types test:'),
      image,
      {
        type: 'resource',
        resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' },
      },
    ],
  })],
  test_tool_with_logging: [logging],
  test_logging_tool: [logging],
  test_tool_with_progress: [progress],
  test_error_handling: [() => ({ isError: true, ...said('This tool intentionally returns an error for testing') })],
  test_sampling: [
    (call) => talk(call, sample(call.arguments.prompt), (answer) => `LLM response: ${answer.content?.text}`),
    strings('prompt'),
  ],
  test_elicitation: [
    (call) => talk(call, ask(call.arguments.message, strings('username', 'email')),
      (answer) => `User response: action: ${answer.action}, content: ${JSON.stringify(answer.content ?? {})}`),
    strings('message'),
  ],
  test_elicitation_sep1034_defaults: [(call) => talk(call, ask('Please fill in', {
    type: 'object',
    properties: {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    },
  }), elicited)],
  test_elicitation_sep1330_enums: [(call) => talk(call, ask('Please choose', {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: OPTIONS },
      titledSingle: { type: 'string', oneOf: titled('value', 'Option') },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
      titledMulti: { type: 'array', items: { anyOf: titled('value', 'Choice') } },
    },
  }), elicited)],
  test_reconnection: [(call) => call.breakOff(said('Reconnected.'))],
  json_schema_2020_12_tool: [() => said('ok'), SCHEMA_2020],
  test_custom_header: [
    (call) => said(`Region ${call.arguments.region}`),
    { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
  ],
  test_missing_capability: [(call) => {
    if (call.modern && !call.capabilities.sampling) {
      throw new RpcError(-32021, 'The client cannot sample', { data: { requiredCapabilities: { sampling: {} } } });
    }
    return said('ok');
  }],
  test_streaming_elicitation: [(call) => {
    call.notify('notifications/progress', { progressToken: 'streaming', progress: 1 });
    return rounds(call, { user_name: NAME }, () => said('ok'));
  }],
  test_trigger_tool_change: [(call) => {
    call.changed('tools');
    return said('ok');
  }],
  test_trigger_prompt_change: [(call) => {
    call.changed('prompts');
    return said('ok');
  }],
  test_input_required_result_elicitation: [(call) =>
    rounds(call, { user_name: NAME }, ({ user_name: answer }) => said(`Hello, ${answer.content?.name}!`))],
  test_input_required_result_sampling: [(call) =>
    rounds(call, { capital_question: sample('What is the capital of France?') }, ({ capital_question: answer }) => said(answer.content?.text ?? ''))],
  test_input_required_result_list_roots: [(call) =>
    rounds(call, { client_roots: roots }, ({ client_roots: answer }) => said(`Roots: ${answer.roots?.map((root) => root.uri).join(', ')}`))],
  test_input_required_result_request_state: [(call) => rounds(call, { confirm: CONFIRM }, () => {
    unseal(call.params.requestState);
    return said('state-ok');
  }, 'confirm')],
  test_input_required_result_tampered_state: [(call) => rounds(call, { confirm: CONFIRM }, () => said('state-ok'), 'tampered')],
  test_input_required_result_multiple_inputs: [(call) => rounds(call, {
    user_name: NAME, greeting: sample('Generate a greeting', 50), client_roots: roots,
  }, () => said('ok'), 'multiple')],
  test_input_required_result_multi_round: [(call) => {
    const reached = call.params.requestState === undefined ? 'start' : unseal(call.params.requestState);
    const next = (key, question, state) => ({ resultType: 'input_required', inputRequests: { [key]: question }, requestState: seal(state) });
    if (reached === 'start') return next('step1', ask('Step 1: What is your name?', strings('name')), 'one');
    if (reached === 'one' && call.params.inputResponses?.step1) {
      return next('step2', ask('Step 2: What is your favorite color?', strings('color')), 'two');
    }
    if (reached === 'two' && call.params.inputResponses?.step2) return said('Done.');
    throw invalid('This round is missing its answer');
  }],
  test_input_required_result_capabilities: [(call) => rounds(call, {
    ...(call.capabilities.elicitation && { user_name: NAME }),
    ...(call.capabilities.sampling && { greeting: sample('Generate a greeting') }),
    ...(call.capabilities.roots && { client_roots: roots }),
  }, () => said('ok'))],
};

const user = (content) => ({ role: 'user', content });
const PROMPTS = {
  test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [['arg1', 'arg2'], ({ arg1, arg2 }) =>
    [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))]],
  test_prompt_with_embedded_resource: [['resourceUri'], ({ resourceUri }) => [
    user({ type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
    user(text('Please process the embedded resource above.')),
  ]],
  test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
  test_input_required_result_prompt: [[], () => [user(text('With the context given.'))]],
};

function readResource(uri) {
  if (uri === 'test://static-text') return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' };
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: PIXEL };
  if (uri === 'test://watched-resource') return { uri, mimeType: 'text/plain', text: 'Watched.' };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id) return { uri, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) };
  throw invalid('Resource not found', { uri });
}

const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);
const cached = (result) => ({ ...result, ttlMs: 0, cacheScope: 'private' });

const METHODS = {
  'tools/list': () => cached({
    tools: Object.entries(TOOLS).map(([name, [, inputSchema = { type: 'object', properties: {} }]]) => ({
      name, description: `The tool ${name}`, inputSchema,
    })),
  }),
  'tools/call': (call) => {
    const tool = own(TOOLS, call.params.name);
    if (!tool) throw invalid(`Unknown tool: ${call.params.name}`);
    return tool[0](call);
  },
  'prompts/list': () => cached({
    prompts: Object.entries(PROMPTS).map(([name, [names]]) => ({
      name, description: `The prompt ${name}`, arguments: names.map((each) => ({ name: each, required: true })),
    })),
  }),
  'prompts/get': (call) => {
    const prompt = own(PROMPTS, call.params.name);
    if (!prompt) throw invalid(`Unknown prompt: ${call.params.name}`);
    const done = () => ({ messages: prompt[1](call.arguments) });
    if (call.params.name !== 'test_input_required_result_prompt') return done();
    return rounds(call, { user_context: ask('What context should the prompt use?', strings('context')) }, done);
  },
  'resources/list': () => cached({
    resources: [
      { uri: 'test://static-text', name: 'Static text', mimeType: 'text/plain' },
      { uri: 'test://static-binary', name: 'Static binary', mimeType: 'image/png' },
      { uri: 'test://watched-resource', name: 'Watched', mimeType: 'text/plain' },
    ],
  }),
  'resources/templates/list': () => cached({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'Template', mimeType: 'application/json' }],
  }),
  'resources/read': (call) => cached({ contents: [readResource(call.params.uri)] }),
  'completion/complete': () => ({ completion: { values: ['paris', 'park', 'party'], total: 3, hasMore: false } }),
};

const LEGACY_METHODS = {
  ...METHODS,
  ping: () => ({}),
  'logging/setLevel': () => ({}),
  'resources/subscribe': () => ({}),
  'resources/unsubscribe': () => ({}),
};

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true },
  completions: {},
  logging: {},
};

const MODERN_METHODS = {
  ...METHODS,
  'server/discover': () => ({ supportedVersions: [MODERN], capabilities: CAPABILITIES, instructions: 'For tests.' }),
};

/** A mirrored header's value: plain, or Base64 in its wrapper. */
function mirrored(value) {
  const inner = /^=\?base64\?(.*)\?=$/.exec(value)?.[1];
  if (inner === undefined) return value;
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(inner)) throw mismatch('A mirrored header is not Base64');
  return Buffer.from(inner, 'base64').toString();
}

function judgeModern(message, headers) {
  const meta = message.params?._meta;
  const version = meta?.[`${META}protocolVersion`];
  if (typeof version !== 'string') throw invalid('The protocol version is missing from _meta');
  if (headers['mcp-protocol-version'] !== version) throw mismatch('MCP-Protocol-Version is not that of the body');
  if (version !== MODERN) {
    throw new RpcError(-32022, 'Unsupported protocol version', { data: { supported: [MODERN], requested: version } });
  }
  if (typeof meta[`${META}clientCapabilities`] !== 'object') throw invalid('The client capabilities are missing from _meta');
  if (headers['mcp-method'] !== message.method) throw mismatch('Mcp-Method is not that of the body');
  const name = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri' }[message.method];
  if (name && mirrored(headers['mcp-name'] ?? '') !== message.params[name]) throw mismatch('Mcp-Name is not that of the body');
  if (message.method === 'tools/call') {
    const properties = own(TOOLS, message.params.name)?.[1]?.properties ?? {};
    for (const [key, { 'x-mcp-header': header }] of Object.entries(properties)) {
      if (!header) continue;
      const sent = headers[`mcp-param-${header.toLowerCase()}`];
      const value = message.params.arguments?.[key];
      if (sent === undefined && value === undefined) continue;
      if (sent === undefined || mirrored(sent) !== String(value)) throw mismatch(`Mcp-Param-${header} is not that of the body`);
    }
  }
}

const isLocal = (host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '');

export async function startSpecimen() {
  const sessions = new Map();
  const pending = new Map();
  const resumable = new Map();
  const listeners = new Set();
  let sent = 0;

  const send = (response, status, body, headers = {}) => {
    response.writeHead(status, { ...(body && { 'content-type': 'application/json' }), ...headers });
    response.end(body && JSON.stringify(body));
  };
  const refuse = (response, id, error) => send(response, error.status ?? 500, {
    jsonrpc: '2.0',
    id: id ?? null,
    error: { code: error.code ?? -32603, message: error.message, ...(error.data && { data: error.data }) },
  });

  function changed(kind) {
    for (const { response, filter, id } of listeners) {
      if (filter[`${kind}ListChanged`]) {
        event(response, {
          jsonrpc: '2.0', method: `notifications/${kind}/list_changed`, params: { _meta: { [`${META}subscriptionId`]: id } },
        });
      }
    }
  }

  function open(response) {
    if (response.headersSent) return;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.flushHeaders();
  }

  function event(response, message) {
    open(response);
    response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }

  async function serve(message, response, modern) {
    const call = {
      modern,
      params: message.params ?? {},
      arguments: message.params?.arguments ?? {},
      capabilities: message.params?._meta?.[`${META}clientCapabilities`] ?? {},
      changed,
      notify: (method, params) => event(response, { jsonrpc: '2.0', method, params }),
      request: ({ method, params }) => new Promise((resolve, reject) => {
        const id = `specimen-${++sent}`;
        pending.set(id, { resolve, reject });
        event(response, { jsonrpc: '2.0', id, method, params });
      }),
      // The connection ends before the answer; whoever comes back with the event's id gets it.
      breakOff(result) {
        const id = randomUUID();
        resumable.set(id, { jsonrpc: '2.0', id: message.id, result });
        open(response);
        response.end(`id: ${id}\nretry: 100\ndata: \n\n`);
        return undefined;
      },
    };
    const method = own(modern ? MODERN_METHODS : LEGACY_METHODS, message.method);
    if (!method) throw new RpcError(-32601, `Method not found: ${message.method}`, { status: modern ? 404 : 200 });
    let result = await method(call);
    if (result === undefined) return;
    if (modern) {
      result = { resultType: 'complete', ...result, _meta: { ...result._meta, [`${META}serverInfo`]: INFO } };
    }
    const answer = { jsonrpc: '2.0', id: message.id, result };
    const streams = response.headersSent || (!modern && message.method === 'tools/call');
    if (!streams) return send(response, 200, answer);
    event(response, answer);
    response.end();
  }

  async function post(request, response, message) {
    const { headers } = request;
    const header = headers['mcp-protocol-version'];
    const modern = (header !== undefined && !LEGACY.includes(header)) || message.params?._meta?.[`${META}protocolVersion`] !== undefined;
    if (modern) {
      judgeModern(message, headers);
      if (message.id === undefined) return send(response, 202);
      if (message.method !== 'subscriptions/listen') return serve(message, response, true);
      const filter = message.params.notifications ?? {};
      const listener = { response, filter, id: message.id };
      event(response, {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: filter, _meta: { [`${META}subscriptionId`]: message.id } },
      });
      listeners.add(listener);
      response.on('close', () => listeners.delete(listener));
      return undefined;
    }
    if (message.method === 'initialize') {
      const session = randomUUID();
      const asked = message.params?.protocolVersion;
      const version = LEGACY.includes(asked) ? asked : LEGACY[0];
      sessions.set(session, version);
      return send(response, 200, {
        jsonrpc: '2.0', id: message.id, result: { protocolVersion: version, capabilities: CAPABILITIES, serverInfo: INFO },
      }, { 'mcp-session-id': session });
    }
    if (!headers['mcp-session-id']) throw new RpcError(-32600, 'Mcp-Session-Id is missing');
    if (!sessions.has(headers['mcp-session-id'])) throw new RpcError(-32001, 'Session not found', { status: 404 });
    if (message.method === undefined) {
      const waiting = pending.get(message.id);
      pending.delete(message.id);
      if (message.error) waiting?.reject(new RpcError(message.error.code, message.error.message, { status: 200 }));
      else waiting?.resolve(message.result);
      return send(response, 202);
    }
    if (message.id === undefined) return send(response, 202);
    return serve(message, response, false);
  }

  const server = createServer(async (request, response) => {
    const origin = request.headers.origin;
    if (!isLocal(request.headers.host) || (origin && !(URL.canParse(origin) && isLocal(new URL(origin).host)))) {
      send(response, 403, { error: 'forbidden' });
      return;
    }
    const session = request.headers['mcp-session-id'];
    if (request.method === 'POST') {
      let message;
      try {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        message = JSON.parse(Buffer.concat(chunks).toString());
      } catch {
        refuse(response, null, new RpcError(-32700, 'Parse error'));
        return;
      }
      try {
        await post(request, response, message);
      } catch (error) {
        if (!response.headersSent) refuse(response, message.id, error);
        else {
          event(response, { jsonrpc: '2.0', id: message.id, error: { code: error.code ?? -32603, message: error.message } });
          response.end();
        }
      }
    } else if (!session || !['GET', 'DELETE'].includes(request.method)) {
      send(response, 405, undefined, { allow: 'POST' });
    } else if (!sessions.has(session)) {
      send(response, 404);
    } else if (request.method === 'DELETE') {
      sessions.delete(session);
      send(response, 204);
    } else {
      open(response);
      const id = request.headers['last-event-id'];
      if (resumable.has(id)) {
        event(response, resumable.get(id));
        response.end();
      }
    }
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}/mcp`, stop: () => shut(server) };
}
