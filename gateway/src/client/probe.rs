//! `vestibule probe URL`: what an MCP server on the network shows to somebody without a
//! token, and what of it will stop clients or let strangers in.
//!
//! It asks and changes nothing, unless it is told to register a client as well.

pub mod judge;
pub mod report;

use http::Method;
use serde_json::json;
use url::Url;
use vestibule_core::{discovery::may_follow, pkce::CodeVerifier, uri::with_query};

use super::{
    discover::{self, Asked, Found, MCP, initialize},
    mcp::{self, McpError},
    web::{Reply, Web},
};
use crate::{fetch::FetchError, world::World};

/// A page of another site, as its `Origin` says.
const FOREIGN: &str = "https://evil.example";

/// Where a client in a browser lives: the one that most people try first.
pub const BROWSER: &str = "http://localhost:6274";

/// A redirect that the probe registers, and one that it does not.
const REDIRECT: &str = "http://127.0.0.1:33418/callback";
const NOT_REGISTERED: &str = "https://evil.example/callback";

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The way to the metadata.
    pub found: Found,
    /// A message with a token that nobody gave.
    pub garbage: Reply,
    /// A message from a page of another site.
    pub foreign: Reply,
    /// The metadata with the path inserted, if the challenge named another place.
    pub inserted: Option<Asked>,
    /// Preflights of a client in a browser, by what they are for.
    pub preflights: Vec<(&'static str, Asked)>,
    /// The metadata as that client reads it.
    pub read_by_browser: Option<Asked>,
    /// A token request that cannot succeed.
    pub token_error: Option<Asked>,
    /// What registering brought, if it was asked for.
    pub registration: Option<Registration>,
    /// What the server speaks, if it let us in.
    pub eras: Option<Eras>,
}

/// A registration and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The answer to it.
    pub answer: Asked,
    /// An authorization request with a redirect that was not registered.
    pub foreign_redirect: Option<Asked>,
    /// One without PKCE.
    pub without_pkce: Option<Asked>,
}

/// Which revisions are spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Eras {
    /// The revision that `initialize` came to.
    pub with_session: Option<String>,
    /// The revisions that `server/discover` lists.
    pub stateless: Vec<String>,
    /// Whether the token of an earlier login was not enough to find out.
    pub refused: bool,
}

/// What to do besides looking.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Registers a client, which some servers keep.
    pub register: bool,
    /// A token to be let in with.
    pub token: Option<String>,
}

/// Looks.
///
/// # Errors
/// [`FetchError`] if the MCP server does not answer at all.
pub async fn look(
    web: &Web,
    world: &World,
    server: &Url,
    options: &Options,
) -> Result<Facts, FetchError> {
    let found = discover::discover(web, server).await?;
    let message = initialize().to_string();
    let with = |more: &[(&'static str, &'static str)]| [&MCP[..], more].concat();
    let garbage = with(&[("authorization", "Bearer not-a-token")]);
    let garbage = web
        .send(Method::POST, server, &garbage, message.as_str())
        .await?;
    let foreign = with(&[("origin", FOREIGN)]);
    let foreign = web
        .send(Method::POST, server, &foreign, message.as_str())
        .await?;
    let inserted = inserted(web, &found).await;
    let metadata = found.server_metadata().unwrap_or_default();
    let mut preflights = vec![(
        "the MCP server",
        preflight(web, server.as_str(), server).await,
    )];
    for (what, endpoint) in [
        ("the token endpoint", &metadata.token_endpoint),
        ("the registration endpoint", &metadata.registration_endpoint),
    ] {
        if let Some(endpoint) = endpoint {
            preflights.push((what, preflight(web, endpoint, server).await));
        }
    }
    let read_by_browser = match found.metadata.last() {
        Some(asked) => Some(browser_read(web, &asked.url, server).await),
        None => None,
    };
    let token_error = match &metadata.token_endpoint {
        Some(endpoint) => Some(token_error(web, endpoint, server).await),
        None => None,
    };
    let registration = match (&metadata.registration_endpoint, options.register) {
        (Some(endpoint), true) => {
            let authorize = metadata.authorization_endpoint.as_deref();
            Some(register(web, world, endpoint, authorize, server).await)
        }
        _ => None,
    };
    let open = found.first.status == 200;
    let eras = if open || options.token.is_some() {
        Some(eras(web, server, options.token.as_deref()).await)
    } else {
        None
    };
    Ok(Facts {
        found,
        garbage,
        foreign,
        inserted,
        preflights,
        read_by_browser,
        token_error,
        registration,
        eras,
    })
}

/// One request to an address that a document named.
async fn to(
    web: &Web,
    method: Method,
    address: &str,
    server: &Url,
    headers: &[(&str, &str)],
    body: String,
) -> Asked {
    let reply = match may_follow(address, server) {
        Ok(url) => web.send(method, &url, headers, body).await,
        Err(_) => Err(FetchError::Address),
    };
    Asked {
        url: address.to_owned(),
        reply,
    }
}

async fn inserted(web: &Web, found: &Found) -> Option<Asked> {
    let places = vestibule_core::discovery::resource_metadata_locations(&found.server);
    let first = places.first()?;
    let asked = found
        .resource
        .iter()
        .any(|asked| asked.url == first.as_str());
    if asked {
        return None;
    }
    Some(Asked {
        url: first.to_string(),
        reply: web.document(first).await,
    })
}

async fn preflight(web: &Web, address: &str, server: &Url) -> Asked {
    let headers = [
        ("origin", BROWSER),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,mcp-protocol-version",
        ),
    ];
    to(
        web,
        Method::OPTIONS,
        address,
        server,
        &headers,
        String::new(),
    )
    .await
}

async fn browser_read(web: &Web, address: &str, server: &Url) -> Asked {
    let headers = [("origin", BROWSER), ("accept", "application/json")];
    to(web, Method::GET, address, server, &headers, String::new()).await
}

async fn token_error(web: &Web, address: &str, server: &Url) -> Asked {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = "grant_type=authorization_code&code=none&client_id=none&code_verifier=none";
    to(
        web,
        Method::POST,
        address,
        server,
        &headers,
        body.to_owned(),
    )
    .await
}

async fn register(
    web: &Web,
    world: &World,
    endpoint: &str,
    authorize: Option<&str>,
    server: &Url,
) -> Registration {
    let body = json!({
        "client_name": "vestibule probe",
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let headers = [("content-type", "application/json")];
    let answer = to(
        web,
        Method::POST,
        endpoint,
        server,
        &headers,
        body.to_string(),
    )
    .await;
    let client = answer
        .reply
        .as_ref()
        .ok()
        .and_then(Reply::json)
        .and_then(|body| Some(body.get("client_id")?.as_str()?.to_owned()));
    let (mut foreign_redirect, mut without_pkce) = (None, None);
    if let (Some(client), Some(authorize)) = (client, authorize) {
        let challenge = CodeVerifier::from_random(&world.random())
            .challenge()
            .text();
        let params = |redirect: &'static str| {
            vec![
                ("response_type", "code"),
                ("client_id", client.as_str()),
                ("redirect_uri", redirect),
                ("resource", server.as_str()),
                ("state", "probe"),
            ]
        };
        let mut foreign = params(NOT_REGISTERED);
        foreign.push(("code_challenge", &challenge));
        foreign.push(("code_challenge_method", "S256"));
        let get = async |params: &[(&str, &str)]| {
            let address = with_query(authorize, params);
            to(web, Method::GET, &address, server, &[], String::new()).await
        };
        foreign_redirect = Some(get(&foreign).await);
        without_pkce = Some(get(&params(REDIRECT)).await);
    }
    Registration {
        answer,
        foreign_redirect,
        without_pkce,
    }
}

async fn eras(web: &Web, server: &Url, token: Option<&str>) -> Eras {
    let mut eras = Eras::default();
    let turned_away = |error: &McpError| matches!(error, McpError::Token { .. });
    match mcp::discover(web, server, token).await {
        Ok(discovered) => eras.stateless = discovered,
        Err(error) => eras.refused |= turned_away(&error),
    }
    match mcp::initialize_only(web, server, token).await {
        Ok(version) => eras.with_session = Some(version),
        Err(error) => eras.refused |= turned_away(&error),
    }
    eras
}

/// Whether an authorization endpoint sends a browser to `target`.
pub fn sends_to(asked: &Asked, target: &str) -> bool {
    let reply = asked.reply.as_ref().ok();
    let location = reply.and_then(|reply| reply.header("location"));
    location.is_some_and(|location| location.starts_with(target))
}
