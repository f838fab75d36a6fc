//! What clients that people use do on the wire, replayed one by one: ports that change,
//! schemes, second registrations, scopes left out or repeated, refreshes side by side,
//! resources in another spelling, secrets in the header or the form.

mod support;

use serde_json::{Value, json};
use support::{
    Browser, Gate, PING, Tokens, query_of,
    signer::{Signer, jti},
    site::Site,
    tool_call,
    wire::Answer,
};
use vestibule::world::World;
use vestibule_core::{pkce::CodeVerifier, preset, uri::with_query};

/// How a client sends its secret.
#[derive(Clone, Copy, PartialEq)]
enum Sends {
    Nothing,
    Basic,
    Post,
}

/// A client as it behaves.
struct Visitor<'g> {
    gate: &'g Gate,
    id: String,
    secret: String,
    sends: Sends,
    redirect: String,
    /// What it asks for, letter for letter; `None` leaves it out.
    scope: Option<String>,
    resource: Option<String>,
    more: Vec<(&'static str, &'static str)>,
}

impl<'g> Visitor<'g> {
    fn named(gate: &'g Gate, id: &str, redirect: &str) -> Self {
        Self {
            gate,
            id: id.to_owned(),
            secret: String::new(),
            sends: Sends::Nothing,
            redirect: redirect.to_owned(),
            scope: None,
            resource: Some(gate.resource("a")),
            more: Vec::new(),
        }
    }

    /// Registers with `metadata` and goes on as the answer says.
    fn registered(gate: &'g Gate, metadata: &Value) -> Self {
        let answer = register(gate, metadata);
        assert_eq!(answer.status, 201, "{metadata}: {}", answer.text());
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let sends = match text("token_endpoint_auth_method").as_str() {
            "none" => Sends::Nothing,
            "client_secret_basic" => Sends::Basic,
            "client_secret_post" => Sends::Post,
            other => panic!("the answer names {other}"),
        };
        assert_eq!(
            answer.get("client_secret").is_some(),
            sends != Sends::Nothing,
            "a secret goes with a method that needs one, and with no other"
        );
        let redirect = metadata["redirect_uris"][0].as_str().expect("one");
        Self {
            secret: text("client_secret"),
            sends,
            ..Self::named(gate, &text("client_id"), redirect)
        }
    }

    fn authorize(&self) -> (String, CodeVerifier) {
        let verifier = CodeVerifier::from_random(&World::real().random());
        let challenge = verifier.challenge().text();
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", self.redirect.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("state", "a state / with + signs"),
        ];
        if let Some(scope) = &self.scope {
            params.push(("scope", scope));
        }
        if let Some(resource) = &self.resource {
            params.push(("resource", resource));
        }
        params.extend_from_slice(&self.more);
        (with_query("/authorize", &params), verifier)
    }

    /// The person's part and the redemption.
    fn logs_in(&self) -> Tokens {
        let (path, verifier) = self.authorize();
        let location = Browser::new("ada").answer(self.gate, &path);
        assert!(location.starts_with(&self.redirect), "{location}");
        let state = query_of(&location, "state");
        assert_eq!(state.as_deref(), Some("a state / with + signs"));
        let code = query_of(&location, "code").unwrap_or_else(|| panic!("{location}"));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", self.redirect.as_str()),
        ];
        if let Some(resource) = &self.resource {
            form.push(("resource", resource));
        }
        let answer = self.token(&form);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let tokens = Tokens::of(&answer.json());
        let call = self.gate.call("a", &tokens.access, PING);
        assert_eq!(call.status, 200, "{}", call.text());
        tokens
    }

    fn token(&self, form: &[(&str, &str)]) -> Answer {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut form = form.to_vec();
        let encoded = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let basic = format!("{}:{}", encoded(&self.id), encoded(&self.secret));
        let basic = format!("Basic {}", STANDARD.encode(basic));
        let mut headers = Vec::new();
        match self.sends {
            Sends::Nothing => form.push(("client_id", &self.id)),
            Sends::Basic => headers.push(("authorization", basic.as_str())),
            Sends::Post => {
                form.push(("client_id", &self.id));
                form.push(("client_secret", &self.secret));
            }
        }
        let gate = self.gate;
        gate.wire()
            .post_form(&gate.host(), "/token", &form, &headers)
    }

    fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend_from_slice(more);
        self.token(&form)
    }

    /// A refresh that works, with another refresh token in its answer.
    fn refreshes(&self, tokens: &Tokens, more: &[(&str, &str)]) -> Tokens {
        let answer = self.refresh(&tokens.refresh, more);
        assert_eq!(answer.status, 200, "{more:?}: {}", answer.text());
        let next = Tokens::of(&answer.json());
        assert!(next.refresh.starts_with("vrt_") && next.refresh != tokens.refresh);
        assert_eq!(self.gate.call("a", &next.access, PING).status, 200);
        next
    }
}

fn register(gate: &Gate, metadata: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = metadata.to_string();
    gate.wire()
        .request(&gate.host(), "POST", "/register", &headers, body.as_bytes())
}

/// A gateway that fetches documents of `site`.
#[test]
fn habits_of_claude_two_registrations_a_secret_in_the_form_and_a_second_look() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "Claude",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "a:read",
    });
    // Twice for each attempt: the second one counts, and the first is in nobody's way.
    let first = Visitor::registered(&gate, &metadata);
    let mut claude = Visitor::registered(&gate, &metadata);
    assert!(claude.sends == Sends::Post && claude.id != first.id);
    claude.scope = Some("a:read offline_access".to_owned());
    claude.more = vec![("prompt", "consent")];
    let tokens = claude.logs_in();
    // The first request of each session comes without its token; the answer must be a 401.
    assert_eq!(gate.post_mcp("a", &[], PING).status, 401);
    let tokens = claude.refreshes(&tokens, &[]);
    // It forgets the scope, or repeats what it once asked for.
    claude.refreshes(&tokens, &[("scope", "a:read offline_access")]);
    // A public registration made twice is one client.
    let public = json!({
        "client_name": "Claude",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
        "token_endpoint_auth_method": "none",
    });
    let twins = [(); 2].map(|()| Visitor::registered(&gate, &public).id);
    assert_eq!(twins[0], twins[1]);
    // It registers again only on 401 invalid_client.
    let lost = Visitor {
        id: format!("{}x", twins[0]),
        ..Visitor::named(&gate, "", "https://claude.ai/api/mcp/auth_callback")
    };
    let answer = lost.refresh("vrt_x", &[]);
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (401, &json!("invalid_client"))
    );
    // And a person who is stuck with the dead id is told what to do in Claude.
    let page = gate.get(&lost.authorize().0);
    assert_eq!(page.status, 400);
    assert!(
        page.text().contains("In Claude, open Settings"),
        "{}",
        page.text()
    );
}

#[test]
fn habits_of_claude_an_operator_s_entry_by_preset() {
    let gate = Gate::start_in(
        "[clients.claude]\npreset = \"claude\"\nsecret = { env = \"CLAUDE\" }\n",
        &[("CLAUDE", "a-secret-of-32-characters-or-more")],
    );
    let claude = Visitor {
        secret: "a-secret-of-32-characters-or-more".to_owned(),
        sends: Sends::Post,
        ..Visitor::named(&gate, "claude", "https://claude.ai/api/mcp/auth_callback")
    };
    let tokens = claude.logs_in();
    claude.refreshes(&tokens, &[]);
    let page = gate.get(&claude.authorize().0).text();
    assert!(page.contains("Added by your administrator"), "{page}");
}

#[test]
fn habits_of_claude_code_a_document_a_random_port_no_scope_and_five_processes() {
    let site = Site::start();
    let gate = Gate::start_beside(&site);
    let id = format!("{}/oauth/claude-code-client-metadata", site.origin);
    let document = json!({
        "client_id": id, "client_name": "Claude Code",
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    site.publish(
        "/oauth/claude-code-client-metadata",
        200,
        &document.to_string(),
    );
    let code = Visitor::named(&gate, &id, "http://localhost:53129/callback");
    let tokens = code.logs_in();
    assert_eq!(
        tokens.scope, "a:read",
        "the default, since it asks for nothing"
    );
    // Several processes share the one refresh token and ask at the same moment.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| code.refresh(&tokens.refresh, &[])))
            .collect();
        all.into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let next: Vec<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.text());
            Tokens::of(&answer.json()).refresh
        })
        .collect();
    assert!(next.iter().all(|token| *token == next[0]), "{next:?}");
    // Another port the next time.
    let again = Visitor::named(&gate, &id, "http://localhost:61018/callback");
    let tokens = again.logs_in();
    // It shows a 403 as "token expired" and logs in for what the 403 named.
    let refused = gate.call("a", &tokens.access, &tool_call("set_x"));
    assert_eq!(refused.status, 403);
    let challenge = refused.one("www-authenticate");
    assert!(
        challenge.contains("scope=\"a:read a:write\""),
        "{challenge}"
    );
    let wider = Visitor {
        scope: Some("a:read a:write".to_owned()),
        ..again
    };
    let tokens = wider.logs_in();
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("set_x")).status,
        200
    );
}

#[test]
fn habits_of_vs_code_four_addresses_and_another_port_than_registered() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "Visual Studio Code",
        "client_uri": "https://code.visualstudio.com",
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
            "http://127.0.0.1/", "http://127.0.0.1:33418/", "http://localhost/", "http://localhost:33418/",
        ],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"], "application_type": "native",
        "token_endpoint_auth_method": "none",
    });
    let mut code = Visitor::registered(&gate, &metadata);
    for redirect in [
        "http://127.0.0.1:33418/",
        "http://127.0.0.1:58213/",
        "http://localhost:40001/",
        "https://vscode.dev/redirect",
    ] {
        code.redirect = redirect.to_owned();
        let tokens = code.logs_in();
        code.refreshes(&tokens, &[]);
    }
    // Registered elsewhere in one run of it and used in the next: the same client.
    assert_eq!(Visitor::registered(&gate, &metadata).id, code.id);
    // At its own address a person reads whose it is.
    let page = gate.get(&code.authorize().0).text();
    assert!(
        page.contains("belongs to the makers of Visual Studio Code"),
        "{page}"
    );
    // It takes the flag for documents from OpenID discovery.
    let document = gate.get("/.well-known/openid-configuration").json();
    assert_eq!(document["client_id_metadata_document_supported"], true);
}

#[test]
fn habits_of_cursor_a_scheme_of_its_own_and_the_type_web() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "Cursor",
        "redirect_uris": [
            "cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost:8787/callback",
        ],
        "application_type": "web",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let mut cursor = Visitor::registered(&gate, &metadata);
    let page = gate.get(&cursor.authorize().0).text();
    assert!(page.contains("claims this kind of address"), "{page}");
    let tokens = cursor.logs_in();
    cursor.refreshes(&tokens, &[]);
    cursor.redirect = "http://localhost:8787/callback".to_owned();
    cursor.logs_in();
    // Its scheme is exact, like everything that is not a port of this computer.
    cursor.redirect = "cursor://anysphere.cursor-mcp/oauth/other".to_owned();
    assert_eq!(gate.get(&cursor.authorize().0).status, 400);
}

#[test]
fn habits_of_chatgpt_a_document_and_an_address_for_each_connector() {
    let site = Site::start();
    let gate = Gate::start_beside(&site);
    let id = format!("{}/oauth/c0ffee/client.json", site.origin);
    let redirects = json!([
        "https://chatgpt.com/connector/oauth/c0ffee",
        "https://chatgpt.com/connector_platform_oauth_redirect",
    ]);
    let document = json!({
        "client_id": id, "client_name": "ChatGPT", "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    site.publish("/oauth/c0ffee/client.json", 200, &document.to_string());
    for redirect in redirects.as_array().expect("two") {
        let chat = Visitor::named(&gate, &id, redirect.as_str().expect("text"));
        let tokens = chat.logs_in();
        chat.refreshes(&tokens, &[]);
    }
    let other = Visitor::named(&gate, &id, "https://chatgpt.com/connector/oauth/dead");
    assert_eq!(
        gate.get(&other.authorize().0).status,
        400,
        "another connector's"
    );
    // This site is not ChatGPT's, whatever its document says.
    let chat = Visitor::named(&gate, &id, "https://chatgpt.com/connector/oauth/c0ffee");
    let page = gate.get(&chat.authorize().0).text();
    assert!(page.contains("It calls itself like ChatGPT"), "{page}");
}

#[test]
fn habits_of_codex_scopes_of_the_metadata_and_none_at_registration() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "Codex", "redirect_uris": ["http://127.0.0.1:41231/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let mut codex = Visitor::registered(&gate, &metadata);
    // The authorization server's whole list, in order.
    let document = gate.get("/.well-known/oauth-authorization-server").json();
    let all: Vec<&str> = document["scopes_supported"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(all.contains(&"offline_access"), "{all:?}");
    codex.scope = Some(all.join(" "));
    let mut tokens = codex.logs_in();
    // An answer without a refresh token would make it forget the one that it has.
    for _ in 0..3 {
        tokens = codex.refreshes(&tokens, &[]);
    }
}

#[test]
fn habits_of_gemini_cli_the_resource_to_the_letter_and_a_port_that_ignores_the_configuration() {
    let gate = Gate::start();
    let document = gate
        .get("/.well-known/oauth-protected-resource/a/mcp")
        .json();
    assert_eq!(document["resource"], gate.resource("a"), "to the letter");
    let metadata = json!({
        "client_name": "Gemini CLI MCP Client",
        "redirect_uris": ["http://localhost:7777/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
        "scope": "a:read",
    });
    let mut gemini = Visitor::registered(&gate, &metadata);
    gemini.redirect = "http://localhost:39917/oauth/callback".to_owned();
    let tokens = gemini.logs_in();
    gemini.refreshes(&tokens, &[("resource", gate.resource("a").as_str())]);
}

#[test]
fn habits_of_copilot_cli_another_port_and_foreign_scopes_at_each_refresh() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "GitHub Copilot CLI", "redirect_uris": ["http://127.0.0.1:50001/"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let mut copilot = Visitor::registered(&gate, &metadata);
    copilot.redirect = "http://127.0.0.1:50877/".to_owned();
    copilot.scope = Some("a:read offline_access openid profile".to_owned());
    let tokens = copilot.logs_in();
    let scopes = "a:read offline_access openid profile https://mcp.example.com/.default";
    let next = copilot.refreshes(&tokens, &[("scope", scopes)]);
    assert_eq!(next.scope, "a:read");
    // A scope of this server that was not granted is another matter (TOK-17).
    let wider = copilot.refresh(&next.refresh, &[("scope", "a:read a:write")]);
    assert_eq!(
        (wider.status, &wider.json()["error"]),
        (400, &json!("invalid_scope"))
    );
    copilot.refreshes(&next, &[]);
}

#[test]
fn habits_of_copilot_studio_an_address_for_each_tool_and_a_secret_in_the_header() {
    let gate = Gate::start();
    let metadata = |tool: &str| {
        json!({
            "client_name": "Microsoft Copilot Studio",
            "redirect_uris": [format!("https://global.consent.azure-apim.net/redirect/{tool}")],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        })
    };
    let mut ids = Vec::new();
    for tool in ["cr1a2-weather-5fd", "cr1a2-weather-77c"] {
        // It names no method, which means Basic (RFC 7591 §2).
        let mut studio = Visitor::registered(&gate, &metadata(tool));
        assert!(studio.sends == Sends::Basic);
        studio.resource = None;
        studio.scope = Some("a:read".to_owned());
        // Several servers and no resource: it is told, and its maker can name one.
        let told = gate.get(&studio.authorize().0);
        assert!(told.text().contains("resource"), "{}", told.text());
        studio.resource = Some(gate.resource("a"));
        let tokens = studio.logs_in();
        studio.refreshes(&tokens, &[]);
        // A secret in the form is not what it registered.
        let wrong = Visitor {
            sends: Sends::Post,
            ..studio
        };
        assert_eq!(wrong.refresh(&tokens.refresh, &[]).status, 401);
        ids.push(wrong.id);
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn habits_of_the_inspector_script_in_a_page_two_addresses_and_an_empty_scope() {
    let gate = Gate::start();
    let origin = ("origin", "http://localhost:6274");
    for (path, method) in [
        ("/.well-known/oauth-protected-resource/a/mcp", "GET"),
        ("/.well-known/oauth-authorization-server", "GET"),
        ("/register", "POST"),
        ("/token", "POST"),
    ] {
        let asked = [
            origin,
            ("access-control-request-method", method),
            (
                "access-control-request-headers",
                "content-type,mcp-protocol-version",
            ),
        ];
        let answer = gate
            .wire()
            .request(&gate.host(), "OPTIONS", path, &asked, b"");
        assert!(
            matches!(answer.status, 200 | 204),
            "{path}: {}",
            answer.status
        );
        assert_eq!(answer.one("access-control-allow-origin"), "*", "{path}");
        let allowed = answer.one("access-control-allow-headers").to_lowercase();
        assert!(
            allowed.contains("mcp-protocol-version"),
            "{path}: {allowed}"
        );
    }
    let metadata = json!({
        "client_name": "MCP Inspector", "client_uri": "https://github.com/modelcontextprotocol/inspector",
        "redirect_uris": ["http://localhost:6274/oauth/callback", "http://localhost:6274/oauth/callback/debug"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none", "scope": "",
    });
    let mut inspector = Visitor::registered(&gate, &metadata);
    inspector.scope = Some(String::new());
    let tokens = inspector.logs_in();
    inspector.redirect = "http://localhost:6274/oauth/callback/debug".to_owned();
    inspector.logs_in();
    inspector.refreshes(&tokens, &[]);
}

#[test]
fn habits_of_opencode_documents_only_beside_none_and_consent_each_time() {
    let gate = Gate::start();
    let document = gate.get("/.well-known/oauth-authorization-server").json();
    let methods = document["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("\"none\""), "{methods}");
    let metadata = json!({
        "client_name": "OpenCode", "client_uri": "https://opencode.ai",
        "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let mut opencode = Visitor::registered(&gate, &metadata);
    opencode.more = vec![("prompt", "consent")];
    opencode.scope = Some("a:read offline_access".to_owned());
    let tokens = opencode.logs_in();
    opencode.refreshes(&tokens, &[]);
}

#[test]
fn habits_of_mcp_remote_a_get_first_much_metadata_and_no_resource() {
    let gate = Gate::start_in("", &[("VESTIBULE_DEFAULT_SERVER", "a")]);
    let accept = [("accept", "text/event-stream")];
    for _ in 0..2 {
        let answer = gate.wire().get(&gate.host(), "/a/mcp", &accept);
        assert_eq!(answer.status, 401);
        assert!(
            answer
                .one("www-authenticate")
                .contains("resource_metadata=")
        );
    }
    let version = [("mcp-protocol-version", "2025-11-25")];
    for path in [
        "/.well-known/oauth-protected-resource/a/mcp",
        "/.well-known/oauth-authorization-server",
    ] {
        let with = gate.wire().get(&gate.host(), path, &version);
        assert_eq!(
            (with.status, with.body),
            (200, gate.get(path).body),
            "{path}"
        );
    }
    let metadata = json!({
        "client_name": "MCP CLI Proxy", "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
        "redirect_uris": ["http://localhost:3334/oauth/callback"],
        "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d", "software_version": "0.15.1",
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let mut remote = Visitor::registered(&gate, &metadata);
    // Its switch for providers that choke on it.
    remote.resource = None;
    let tokens = remote.logs_in();
    remote.refreshes(&tokens, &[]);
}

#[test]
fn habits_of_python_and_fastmcp_no_method_an_empty_scope_and_two_visits() {
    let gate = Gate::start();
    let metadata = json!({
        "client_name": "Python", "redirect_uris": ["http://localhost:44321/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "scope": "",
    });
    let python = Visitor::registered(&gate, &metadata);
    // FastMCP looks at the address itself, without cookies, before it opens a browser.
    let (path, verifier) = python.authorize();
    let look = gate.get(&path);
    assert!(
        [200, 302, 303, 307, 308].contains(&look.status),
        "{}",
        look.status
    );
    let code = Browser::new("ada").code(&gate, &path);
    let answer = python.token(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", verifier.expose()),
        ("redirect_uri", &python.redirect),
    ]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    python.refreshes(&Tokens::of(&answer.json()), &[]);
}

#[test]
fn habits_in_spelling_a_resource() {
    let gate = Gate::start();
    let port = gate.port;
    let metadata = json!({ "redirect_uris": [support::REDIRECT] });
    let mut client = Visitor::registered(&gate, &metadata);
    for resource in [
        format!("http://127.0.0.1:{port}/a/mcp"),
        format!("http://127.0.0.1:{port}/a/mcp/"),
        format!("HTTP://127.0.0.1:{port}/a/mcp"),
    ] {
        client.resource = Some(resource);
        let tokens = client.logs_in();
        let resource = client.resource.clone().expect("set");
        client.refreshes(&tokens, &[("resource", &resource)]);
    }
    for resource in [
        format!("http://127.0.0.1:{port}/A/mcp"),
        format!("http://127.0.0.1:{port}/a/mcp?x"),
        format!("http://127.0.0.1:{port}/a"),
        // Several servers live here, so the origin is none of them.
        format!("http://127.0.0.1:{port}/"),
        "https://evil.example/a/mcp".to_owned(),
    ] {
        client.resource = Some(resource.clone());
        let told = gate.get(&client.authorize().0).one("location");
        let error = query_of(&told, "error");
        assert_eq!(error.as_deref(), Some("invalid_target"), "{resource}");
    }
}

#[test]
fn every_known_client_has_its_habits_replayed() {
    let source = include_str!("habits.rs");
    let page = include_str!("../../docs/reference/clients.md");
    for preset in preset::KNOWN {
        let name = preset.id.replace('-', "_");
        let spoken = match preset.id {
            "vscode" => "vs_code",
            "inspector" => "the_inspector",
            _ => &name,
        };
        let test = format!("fn habits_of_{spoken}_");
        assert!(source.contains(&test), "no test begins with {test}");
        let row = format!("| `{}` | {}", preset.id, preset.title);
        assert!(page.contains(&row), "no row of the page begins with {row}");
    }
}

#[test]
fn cimd_10_t_reg_09_documents_of_hosts_that_are_not_listed_are_not_even_fetched() {
    let site = Site::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &site.certificate).expect("written");
    let gate = Gate::start_with(&format!(
        "[registration]\nunsafe_document_addresses = [\"127.0.0.0/8\", \"::1/128\"]\n\
         documents = \"allowlist\"\nallowed_hosts = [\"localhost\"]\n\
         [outbound]\nextra_ca_file = \"{}\"\n",
        file.display()
    ));
    let publish = |path: &str| {
        let id = format!("{}{path}", site.origin);
        let document = json!({ "client_id": id, "client_name": "C",
                               "redirect_uris": [support::REDIRECT] });
        site.publish(path, 200, &document.to_string());
        id
    };
    let listed = publish("/listed.json");
    Visitor::named(&gate, &listed, support::REDIRECT).logs_in();
    let elsewhere = listed.replace("localhost", "127.0.0.1");
    let client = Visitor::named(&gate, &elsewhere, support::REDIRECT);
    let page = gate.get(&client.authorize().0);
    assert_eq!(page.status, 400);
    assert!(
        page.text().contains("does not admit that app"),
        "{}",
        page.text()
    );
    gate.honest_login();
}

#[test]
fn cimd_12_cimd_8_a_client_whose_document_is_gone_redeems_and_refreshes_nothing() {
    let site = Site::start();
    let gate = Gate::start_beside(&site);
    let id = format!("{}/client.json", site.origin);
    let document = json!({ "client_id": id, "client_name": "C",
                           "redirect_uris": [support::REDIRECT] })
    .to_string();
    site.publish("/client.json", 200, &document);
    let client = Visitor::named(&gate, &id, support::REDIRECT);
    let tokens = client.logs_in();
    // Away for a while: the last good copy serves whoever is logged in, and nobody new.
    site.publish("/client.json", 503, "");
    gate.turn_clock(25 * 3600);
    let tokens = client.refreshes(&tokens, &[]);
    assert_eq!(gate.get(&client.authorize().0).status, 400);
    // Back again.
    site.publish("/client.json", 200, &document);
    gate.turn_clock(61);
    let tokens = client.refreshes(&tokens, &[]);
    // Withdrawn: from the end of its cached copy on.
    site.publish("/client.json", 410, "");
    gate.turn_clock(25 * 3600);
    let answer = client.refresh(&tokens.refresh, &[]);
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (401, &json!("invalid_client"))
    );
    // A document that turned into another one likewise.
    let document = json!({ "client_id": "https://other.example/c.json" }).to_string();
    site.publish("/client.json", 200, &document);
    assert_eq!(client.refresh(&tokens.refresh, &[]).status, 401);
}

#[test]
fn cimd_7_cimd_4_a_client_of_a_document_signs_with_the_keys_that_it_names() {
    let site = Site::start();
    let gate = Gate::start_beside(&site);
    let (own, other) = (Signer::new(), Signer::new());
    site.publish("/keys.json", 200, &own.jwks());
    let jwks: Value = serde_json::from_str(&own.jwks()).expect("JSON");
    for (path, member, keys) in [
        ("/inline.json", "jwks", jwks),
        (
            "/apart.json",
            "jwks_uri",
            format!("{}/keys.json", site.origin).into(),
        ),
    ] {
        let id = format!("{}{path}", site.origin);
        let mut document = json!({ "client_id": id, "client_name": "C",
                                   "redirect_uris": [support::REDIRECT],
                                   "token_endpoint_auth_method": "private_key_jwt" });
        document[member] = keys;
        site.publish(path, 200, &document.to_string());
        let client = Visitor::named(&gate, &id, support::REDIRECT);
        let redeem = |signer: &Signer| {
            let (authorize, verifier) = client.authorize();
            let code = Browser::new("ada").code(&gate, &authorize);
            let claims = json!({ "iss": id, "sub": id, "aud": gate.origin, "jti": jti(),
                                 "exp": World::real().now().unix() + 60 });
            gate.token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("code_verifier", verifier.expose()),
                ("redirect_uri", support::REDIRECT),
                ("client_assertion", &signer.jwt(None, &claims)),
                (
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ),
            ])
        };
        let answer = redeem(&own);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let answer = redeem(&other);
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (401, &json!("invalid_client")),
            "{path}"
        );
    }
}

#[test]
fn cimd_8_cimd_4_a_document_that_is_away_is_no_answer_about_its_client() {
    let site = Site::start();
    let gate = Gate::start_beside(&site);
    let id = format!("{}/client.json", site.origin);
    let document = json!({ "client_id": id, "client_name": "C",
                           "redirect_uris": [support::REDIRECT] })
    .to_string();
    site.publish("/client.json", 200, &document);
    let client = Visitor::named(&gate, &id, support::REDIRECT);
    let tokens = client.logs_in();
    // Nobody has a copy any more, as after a restart, and the host does not answer: the
    // client must not register again or throw its tokens away.
    let other = Gate::start_beside(&site);
    site.publish("/client.json", 503, "");
    let stranded = Visitor::named(&other, &id, support::REDIRECT);
    let answer = stranded.refresh(&tokens.refresh, &[]);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.has("retry-after"));
    // Its host is not asked again for each who waits.
    let asked = site.asked();
    for _ in 0..10 {
        assert_eq!(stranded.refresh(&tokens.refresh, &[]).status, 503);
    }
    assert_eq!(site.asked(), asked);
    // What is no document, and an address that no stranger may name, is an answer.
    let nobody = Visitor::named(&other, "https://10.0.0.1/client.json", support::REDIRECT);
    assert_eq!(nobody.refresh(&tokens.refresh, &[]).status, 401);
}

#[test]
fn dcr_9_t_reg_08_registration_may_need_a_token() {
    let token = "only-for-those-who-may-register";
    let gate = Gate::start_in(
        "[registration]\ndynamic = \"token\"\ntoken = { env = \"REGISTRATION\" }\n",
        &[("REGISTRATION", token)],
    );
    let document = gate.get("/.well-known/oauth-authorization-server").json();
    assert!(document["registration_endpoint"].is_string());
    let body = json!({ "redirect_uris": [support::REDIRECT] }).to_string();
    let post = |authorization: Option<&str>| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        gate.wire()
            .request(&gate.host(), "POST", "/register", &headers, body.as_bytes())
    };
    for wrong in [
        None,
        Some("Bearer"),
        Some("Bearer wrong"),
        Some("Basic only-for-those-who-may-register"),
        Some("DPoP only-for-those-who-may-register"),
        Some("Bearer only-for-those-who-may-register2"),
    ] {
        let answer = post(wrong);
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(answer.one("www-authenticate").starts_with("Bearer"));
        assert_eq!(answer.json()["error"], "invalid_token");
        assert!(!answer.text().contains(token));
    }
    let answer = post(Some(&format!("Bearer {token}")));
    assert_eq!(answer.status, 201, "{}", answer.text());
    // The client that was made needs it no more.
    let id = answer.json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    Visitor::named(&gate, &id, support::REDIRECT).logs_in();
    // A statement by somebody whom nobody here knows.
    let statement = json!({ "redirect_uris": [support::REDIRECT], "software_statement": "a.b.c" });
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &format!("Bearer {token}")),
    ];
    let body = statement.to_string();
    let answer = gate
        .wire()
        .request(&gate.host(), "POST", "/register", &headers, body.as_bytes());
    assert_eq!(answer.json()["error"], "unapproved_software_statement");
}

#[test]
fn t_con_09_an_app_with_the_name_of_another_is_told_or_refused() {
    let metadata = json!({ "client_name": "Сlaude", "redirect_uris": ["https://evil.example/cb"],
                           "token_endpoint_auth_method": "none" });
    let gate = Gate::start();
    let evil = Visitor::registered(&gate, &metadata);
    let page = gate.get(&evil.authorize().0);
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("It calls itself like Claude"), "{text}");
    assert!(text.contains("evil.example"));
    let gate = Gate::start_with("[registration]\nlook_alikes = \"refuse\"\n");
    let evil = Visitor::registered(&gate, &metadata);
    let page = gate.get(&evil.authorize().0);
    assert_eq!(page.status, 403);
    assert!(page.text().contains("V-CLI-004") && !page.has("location"));
    gate.honest_login();
}
