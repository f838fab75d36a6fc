//! Signing in at any MCP server that can be signed in at: discovery, introduction, the
//! browser or a device code, tokens; and their renewal.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;
use vestibule_core::{
    discovery::{
        DiscoveryError, ResourceMetadata, ServerMetadata, judge_iss, may_follow, scopes_to_ask,
    },
    pkce::CodeVerifier,
    secret::Digest,
    text::on_one_line,
    uri::{canonical_resource, with_query},
};

use super::{
    credentials::{ClientCredentials, Login},
    discover,
    web::{Reply, Web},
};
use crate::{fetch::FetchError, world::World};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The path of our redirect.
const CALLBACK: &str = "/callback";

/// What the caller wishes.
#[derive(Clone, Default)]
pub struct Wishes {
    /// A client that was added by hand, in place of registering.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
    /// Scopes in place of those that the server asks for.
    pub scope: Option<String>,
    /// Scopes that a refusal named, in place of those of the first one here.
    pub challenged: Option<String>,
    /// A code to type elsewhere in place of a browser here.
    pub device: bool,
}

/// What a person is told on the way.
#[derive(Debug, Clone, Copy)]
pub enum Step<'s> {
    /// Open this in a browser.
    Open {
        /// What.
        address: &'s str,
        /// Whose page it is.
        issuer: &'s str,
        /// What the tokens are for.
        server: &'s str,
    },
    /// Open this anywhere, and type the code.
    Type {
        /// Where.
        address: &'s str,
        /// What.
        code: &'s str,
        /// Whose page it is.
        issuer: &'s str,
        /// What the tokens are for.
        server: &'s str,
    },
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No answer.
    #[error("{what}: {error}")]
    Fetch {
        /// Of whom.
        what: &'static str,
        /// Why.
        error: FetchError,
    },
    /// Nothing to sign in for.
    #[error("this server needs no sign-in")]
    Open,
    /// Something else than a protected MCP server.
    #[error("the server answered {0} and says nowhere to sign in")]
    NotProtected(u16),
    /// A document that is not believed.
    #[error("{what}: {error}")]
    Discovery {
        /// Which.
        what: &'static str,
        /// Why.
        error: DiscoveryError,
    },
    /// A document that is not there.
    #[error("{0}")]
    Missing(&'static str),
    /// Neither registration nor a client by hand.
    #[error("this server registers no clients by itself")]
    NoRegistration,
    /// An OAuth error, in the server's words.
    #[error("{what}: {error}{}", described(.description))]
    Refused {
        /// Who refused.
        what: &'static str,
        /// The error code.
        error: String,
        /// Its description.
        description: Option<String>,
    },
    /// No answer that means anything: the server is not well, or not now.
    #[error("{what}: status {status}")]
    Broken {
        /// Which request.
        what: &'static str,
        /// What came.
        status: u16,
    },
    /// An answer outside the protocol.
    #[error("{0}")]
    Answer(&'static str),
    /// The answer is another server's or another login's (RFC 9207, RFC 6749 §10.12).
    #[error("the answer is not for this login: {0}")]
    Foreign(String),
    /// Nobody came.
    #[error("nobody signed in in time")]
    TooLate,
    /// No port to listen on.
    #[error("cannot listen for the answer: {0}")]
    Listen(String),
}

impl LoginError {
    /// Whether the server does not know the client, or not for this (RFC 6749 §5.2).
    pub fn is_of_client(&self) -> bool {
        matches!(self, Self::Refused { error, .. }
            if error == "invalid_client" || error == "unauthorized_client")
    }
}

fn described(description: &Option<String>) -> String {
    description
        .as_ref()
        .map(|text| format!(" ({text})"))
        .unwrap_or_default()
}

fn fetching(what: &'static str) -> impl Fn(FetchError) -> LoginError {
    move |error| LoginError::Fetch { what, error }
}

/// Where tokens come from, once it was found and believed.
struct Source {
    metadata: ServerMetadata,
    resource: String,
    resource_metadata: Option<ResourceMetadata>,
    challenged: Option<String>,
}

/// Signs in at `server`. `earlier` is a login of before, whose client is used again at the
/// same issuer; at another, everything begins anew.
///
/// # Errors
/// [`LoginError`].
pub async fn login(
    web: &Web,
    world: &World,
    server: &Url,
    wishes: &Wishes,
    earlier: Option<&Login>,
    tell: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Login, LoginError> {
    let source = find(web, server).await?;
    let named = [&wishes.challenged, &wishes.scope, &source.challenged];
    let scope = scopes_to_ask(
        named.into_iter().flatten().next().map(String::as_str),
        source.resource_metadata.as_ref(),
        &source.metadata,
    );
    let token_endpoint = endpoint(&source.metadata.token_endpoint, "token_endpoint", server)?;
    let earlier = earlier.filter(|login| login.issuer == source.metadata.issuer);
    let (client, tokens) = if wishes.device {
        let client = introduce(web, server, &source, wishes, earlier, None).await?;
        let tokens = by_device(web, server, &source, &client, scope.as_deref(), tell).await?;
        (client, tokens)
    } else {
        by_browser(
            web,
            world,
            server,
            &source,
            wishes,
            earlier,
            scope.as_deref(),
            tell,
        )
        .await?
    };
    Ok(kept(
        Login {
            server: server.clone(),
            issuer: source.metadata.issuer,
            token_endpoint,
            resource: source.resource,
            client,
            access_token: String::new(),
            expires: None,
            refresh_token: None,
            scope,
        },
        &tokens,
        world,
    ))
}

/// Renews the access token of a login.
///
/// # Errors
/// [`LoginError::Refused`] with `invalid_grant` if a person must sign in again.
pub async fn refresh(web: &Web, world: &World, login: &Login) -> Result<Login, LoginError> {
    let Some(refresh_token) = &login.refresh_token else {
        return Err(LoginError::Missing("there is no refresh token"));
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("resource", &login.resource),
    ];
    let tokens = ask_token(web, &login.token_endpoint, &login.client, &form).await?;
    Ok(kept(login.clone(), &tokens, world))
}

/// Tells the server that the login is over: the refresh token, and with it what it gave
/// (RFC 7009).
///
/// # Errors
/// [`LoginError`].
pub async fn revoke(web: &Web, login: &Login) -> Result<(), LoginError> {
    let source = find(web, &login.server).await?;
    if source.metadata.issuer != login.issuer {
        return Err(LoginError::Foreign(source.metadata.issuer));
    }
    let endpoint = endpoint(
        &source.metadata.revocation_endpoint,
        "revocation_endpoint",
        &login.server,
    )?;
    let tokens = [
        ("refresh_token", login.refresh_token.as_deref()),
        ("access_token", Some(login.access_token.as_str())),
    ];
    for (kind, token) in tokens {
        let Some(token) = token else { continue };
        let form = [("token", token), ("token_type_hint", kind)];
        let what = "the revocation endpoint";
        let reply = post(web, &endpoint, &login.client, &form, what).await?;
        if reply.status != 200 {
            return Err(refused("the revocation was refused", &reply));
        }
    }
    Ok(())
}

/// The login with what a token answer says.
fn kept(mut login: Login, tokens: &Value, world: &World) -> Login {
    let text = |name: &str| tokens[name].as_str().map(str::to_owned);
    login.access_token = text("access_token").unwrap_or_default();
    login.expires = tokens["expires_in"]
        .as_u64()
        .map(|seconds| world.now().unix().saturating_add(seconds));
    // An answer without one leaves the old one as it is (RFC 6749 §6).
    login.refresh_token = text("refresh_token").or(login.refresh_token);
    login.scope = text("scope").or(login.scope);
    login
}

async fn find(web: &Web, server: &Url) -> Result<Source, LoginError> {
    let found = discover::discover(web, server)
        .await
        .map_err(fetching("the MCP server"))?;
    let resource_metadata = found.resource_metadata();
    if found.first.status == 200 && resource_metadata.is_none() {
        return Err(LoginError::Open);
    }
    let challenge = found.first.challenge("bearer");
    let named = challenge
        .as_ref()
        .and_then(|challenge| challenge.param("resource_metadata"));
    if resource_metadata.is_none() && named.is_some() {
        return Err(LoginError::Missing(
            "the resource metadata that the server names is not there",
        ));
    }
    if resource_metadata.is_none() && found.first.status != 401 {
        return Err(LoginError::NotProtected(found.first.status));
    }
    if let Some(resource) = &resource_metadata {
        resource
            .judge(server)
            .map_err(|error| LoginError::Discovery {
                what: "the resource metadata is not believed",
                error,
            })?;
        if resource.authorization_servers.is_empty() {
            return Err(LoginError::Missing(
                "the resource metadata names no authorization server",
            ));
        }
    }
    let metadata = match (found.server_metadata(), &found.issuer) {
        (Some(metadata), Some(issuer)) => {
            metadata
                .judge(issuer)
                .map_err(|error| LoginError::Discovery {
                    what: "the authorization server's metadata is not believed",
                    error,
                })?;
            metadata
        }
        // A server of 2025-03-26 that describes nothing has its endpoints at the root.
        _ if resource_metadata.is_none() => ServerMetadata::fallback(server),
        _ => {
            return Err(LoginError::Missing(
                "the authorization server's metadata is not there",
            ));
        }
    };
    let resource = resource_metadata
        .as_ref()
        .map(|resource| resource.resource.clone())
        .or_else(|| canonical_resource(server.as_str()))
        .unwrap_or_else(|| server.to_string());
    Ok(Source {
        metadata,
        resource,
        resource_metadata,
        challenged: challenge.and_then(|challenge| challenge.param("scope").map(str::to_owned)),
    })
}

fn endpoint(address: &Option<String>, name: &'static str, server: &Url) -> Result<Url, LoginError> {
    let believed = |error| LoginError::Discovery {
        what: "the authorization server's metadata is not believed",
        error,
    };
    let address = address
        .as_deref()
        .ok_or_else(|| believed(DiscoveryError::Missing(name)))?;
    may_follow(address, server).map_err(believed)
}

/// Who we are at this authorization server: by hand, as before, or registered now.
async fn introduce(
    web: &Web,
    server: &Url,
    source: &Source,
    wishes: &Wishes,
    earlier: Option<&Login>,
    port: Option<u16>,
) -> Result<ClientCredentials, LoginError> {
    if let Some(id) = &wishes.client_id {
        return Ok(ClientCredentials {
            id: id.clone(),
            secret: wishes.client_secret.clone(),
            method: method_of(&source.metadata, wishes.client_secret.is_some()),
            port: None,
            registered: false,
        });
    }
    if let Some(earlier) = earlier
        && (port.is_none() || earlier.client.port.is_none() || earlier.client.port == port)
    {
        return Ok(earlier.client.clone());
    }
    if source.metadata.registration_endpoint.is_none() {
        return Err(LoginError::NoRegistration);
    }
    let address = endpoint(
        &source.metadata.registration_endpoint,
        "registration_endpoint",
        server,
    )?;
    let mut grants = vec!["authorization_code"];
    let offered = source.metadata.grant_types_supported.as_deref();
    if offered.is_none_or(|grants| grants.iter().any(|grant| grant == "refresh_token")) {
        grants.push("refresh_token");
    }
    if port.is_none() {
        grants.push(DEVICE_CODE);
    }
    let method = method_of(&source.metadata, false);
    let body = json!({
        "client_name": "Vestibule command line",
        "redirect_uris": [port.map_or_else(|| format!("http://127.0.0.1{CALLBACK}"), redirect)],
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": "native",
    });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let reply = web
        .send(Method::POST, &address, &headers, body.to_string())
        .await
        .map_err(fetching("the registration endpoint"))?;
    let Some(registered) = reply.json().filter(|body| body["client_id"].is_string()) else {
        return Err(refused("the registration was refused", &reply));
    };
    let secret = registered["client_secret"].as_str().map(str::to_owned);
    let said = registered["token_endpoint_auth_method"].as_str();
    Ok(ClientCredentials {
        id: registered["client_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        method: said.map_or_else(
            || method_of(&source.metadata, secret.is_some()),
            str::to_owned,
        ),
        secret,
        port,
        registered: true,
    })
}

/// The way to show who we are: none without a secret, else what the server prefers of what
/// there is (RFC 8414 §2: Basic if it says nothing).
fn method_of(metadata: &ServerMetadata, has_secret: bool) -> String {
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
    let takes = |name: &str| methods.is_some_and(|methods| methods.iter().any(|m| m == name));
    let known = ["client_secret_basic", "client_secret_post"];
    let chosen = match methods {
        None if has_secret => "client_secret_basic",
        None => "none",
        Some(_) if !has_secret && takes("none") => "none",
        Some(_) => known.into_iter().find(|name| takes(name)).unwrap_or("none"),
    };
    chosen.to_owned()
}

fn redirect(port: u16) -> String {
    format!("http://127.0.0.1:{port}{CALLBACK}")
}

async fn listen(earlier: Option<&Login>) -> Result<(TcpListener, u16), LoginError> {
    let wanted = earlier.and_then(|login| login.client.port);
    let failed = |error: std::io::Error| LoginError::Listen(error.to_string());
    let mut listener = None;
    if let Some(port) = wanted {
        listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok();
    }
    let listener = match listener {
        Some(listener) => listener,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?,
    };
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

#[allow(clippy::too_many_arguments)] // each is a different thing, and all are needed once
async fn by_browser(
    web: &Web,
    world: &World,
    server: &Url,
    source: &Source,
    wishes: &Wishes,
    earlier: Option<&Login>,
    scope: Option<&str>,
    tell: &(dyn Fn(Step<'_>) + Sync),
) -> Result<(ClientCredentials, Value), LoginError> {
    let (listener, port) = listen(earlier).await?;
    let client = introduce(web, server, source, wishes, earlier, Some(port)).await?;
    let authorize = endpoint(
        &source.metadata.authorization_endpoint,
        "authorization_endpoint",
        server,
    )?;
    let verifier = CodeVerifier::from_random(&world.random());
    let state = Digest::from_bytes(world.random()).text();
    let (challenge, redirect) = (verifier.challenge().text(), redirect(port));
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", &redirect),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("state", &state),
        ("resource", &source.resource),
    ];
    if let Some(scope) = scope {
        params.push(("scope", scope));
        // Some servers give refresh tokens only to those who are asked again (OIDC §11).
        if scope.split(' ').any(|scope| scope == "offline_access") {
            params.push(("prompt", "consent"));
        }
    }
    tell(Step::Open {
        address: &with_query(authorize.as_str(), &params),
        issuer: &source.metadata.issuer,
        server: server.as_str(),
    });
    let answer = tokio::time::timeout(PATIENCE, answer(&listener, &state, &source.metadata))
        .await
        .map_err(|_| LoginError::TooLate)??;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", answer.as_str()),
        ("redirect_uri", &redirect),
        ("code_verifier", verifier.expose()),
        ("resource", &source.resource),
    ];
    let token_endpoint = endpoint(&source.metadata.token_endpoint, "token_endpoint", server)?;
    let tokens = ask_token(web, &token_endpoint, &client, &form).await?;
    Ok((client, tokens))
}

/// Waits for the browser to come back, and gives the code. Whatever else knocks is told
/// that nothing is here.
async fn answer(
    listener: &TcpListener,
    state: &str,
    metadata: &ServerMetadata,
) -> Result<String, LoginError> {
    loop {
        let (mut stream, _) = listener
            .accept()
            .await
            .map_err(|error| LoginError::Listen(error.to_string()))?;
        let Some(params) = callback(&mut stream).await else {
            page(&mut stream, 404, "Nothing is here.").await;
            continue;
        };
        if params.get("state").map(String::as_str) != Some(state) {
            // Another page of this browser may send anything here; the real one may follow.
            page(
                &mut stream,
                400,
                "This is not the answer to the sign-in that waits.",
            )
            .await;
            continue;
        }
        let judged = judge(&params, metadata);
        let words = match &judged {
            Ok(_) => "You are signed in. You can close this window.".to_owned(),
            Err(error) => format!("Nobody is signed in: {error}"),
        };
        page(&mut stream, 200, &words).await;
        return judged;
    }
}

fn judge(
    params: &HashMap<String, String>,
    metadata: &ServerMetadata,
) -> Result<String, LoginError> {
    let get = |name: &str| params.get(name).map(String::as_str);
    judge_iss(get("iss"), metadata).map_err(|error| LoginError::Foreign(error.to_string()))?;
    if let Some(error) = get("error") {
        return Err(LoginError::Refused {
            what: "the sign-in was refused",
            error: clean(error),
            description: get("error_description").map(clean),
        });
    }
    get("code")
        .map(str::to_owned)
        .ok_or(LoginError::Answer("the answer has no code"))
}

/// The parameters of a GET of our callback.
async fn callback(stream: &mut TcpStream) -> Option<HashMap<String, String>> {
    let mut head = Vec::new();
    let read = async {
        let mut bytes = [0; 4096];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 32 * 1024 {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(count) => head.extend_from_slice(&bytes[..count]),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&head);
    let mut parts = text.lines().next()?.split(' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let query = target.strip_prefix(CALLBACK)?.strip_prefix('?')?;
    (method == "GET").then(|| {
        url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    })
}

async fn page(stream: &mut TcpStream, status: u16, words: &str) {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Vestibule</title><style>:root{{color-scheme:light \
         dark}}body{{font:1.1rem/1.5 system-ui;margin:20vh auto;max-width:32rem;padding:0 \
         1rem}}</style><p>{}</p></html>",
        escaped(words)
    );
    let head = format!(
        "HTTP/1.1 {status} \r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: \
         nosniff\r\ncontent-security-policy: default-src 'none'; style-src 'unsafe-inline'; \
         frame-ancestors 'none'\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The browser may have gone away; the answer counts anyway.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// What others said, without what a terminal would obey.
fn clean(text: &str) -> String {
    on_one_line(text, 300)
}

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn by_device(
    web: &Web,
    server: &Url,
    source: &Source,
    client: &ClientCredentials,
    scope: Option<&str>,
    tell: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Value, LoginError> {
    if source.metadata.device_authorization_endpoint.is_none() {
        return Err(LoginError::Missing(
            "this server has no device flow; sign in without --device",
        ));
    }
    let address = endpoint(
        &source.metadata.device_authorization_endpoint,
        "device_authorization_endpoint",
        server,
    )?;
    let token_endpoint = endpoint(&source.metadata.token_endpoint, "token_endpoint", server)?;
    let mut form = vec![("resource", source.resource.as_str())];
    if let Some(scope) = scope {
        form.push(("scope", scope));
    }
    let reply = post(web, &address, client, &form, "the device endpoint").await?;
    let Some(begun) = reply.json().filter(|body| body["device_code"].is_string()) else {
        return Err(refused("the device flow was refused", &reply));
    };
    let text = |name: &str| begun[name].as_str().unwrap_or_default();
    let address = begun["verification_uri_complete"]
        .as_str()
        .unwrap_or_else(|| text("verification_uri"));
    tell(Step::Type {
        address: &clean(address),
        code: &clean(text("user_code")),
        issuer: &source.metadata.issuer,
        server: server.as_str(),
    });
    let mut interval = Duration::from_secs(begun["interval"].as_u64().unwrap_or(5).clamp(1, 60));
    let life = Duration::from_secs(begun["expires_in"].as_u64().unwrap_or(600).min(1800));
    let form = [
        ("grant_type", DEVICE_CODE),
        ("device_code", text("device_code")),
        ("resource", &source.resource),
    ];
    let polling = async {
        loop {
            tokio::time::sleep(interval).await;
            match ask_token(web, &token_endpoint, client, &form).await {
                Err(LoginError::Refused { error, .. }) if error == "authorization_pending" => {}
                Err(LoginError::Refused { error, .. }) if error == "slow_down" => {
                    interval += Duration::from_secs(5);
                }
                // The person may be at it; the server is asked again, more slowly
                // (RFC 8628 §3.5).
                Err(LoginError::Fetch { .. } | LoginError::Broken { .. }) => {
                    interval = (interval * 2).min(Duration::from_secs(60));
                }
                other => return other,
            }
        }
    };
    tokio::time::timeout(life, polling)
        .await
        .map_err(|_| LoginError::TooLate)?
}

async fn ask_token(
    web: &Web,
    address: &Url,
    client: &ClientCredentials,
    form: &[(&str, &str)],
) -> Result<Value, LoginError> {
    let reply = post(web, address, client, form, "the token endpoint").await?;
    let tokens = reply.json().filter(|body| {
        let bearer = body["token_type"].as_str();
        reply.status == 200
            && body["access_token"].is_string()
            && bearer.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
    });
    tokens.ok_or_else(|| refused("the token was refused", &reply))
}

/// A form with who we are in it, or in a header (RFC 6749 §2.3.1).
async fn post(
    web: &Web,
    address: &Url,
    client: &ClientCredentials,
    form: &[(&str, &str)],
    what: &'static str,
) -> Result<Reply, LoginError> {
    let mut form = form.to_vec();
    let mut headers = Vec::new();
    let secret = client.secret.as_deref().unwrap_or_default();
    let basic;
    if client.method == "client_secret_basic" {
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&client.id), encode(secret));
        basic = format!("Basic {}", STANDARD.encode(pair));
        headers.push(("authorization", basic.as_str()));
    } else {
        form.push(("client_id", &client.id));
        if client.method == "client_secret_post" {
            form.push(("client_secret", secret));
        }
    }
    web.form(address, &headers, &form)
        .await
        .map_err(fetching(what))
}

fn refused(what: &'static str, reply: &Reply) -> LoginError {
    let body = reply.json().unwrap_or_default();
    let status = reply.status;
    match body["error"].as_str() {
        _ if status >= 500 || status == 429 => LoginError::Broken { what, status },
        Some(error) => LoginError::Refused {
            what,
            error: clean(error),
            description: body["error_description"].as_str().map(clean),
        },
        None => LoginError::Refused {
            what,
            error: format!("status {status}"),
            description: None,
        },
    }
}
