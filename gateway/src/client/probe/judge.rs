//! What the facts mean: one check after the other, each with what was seen and what to do.
//! Nothing is asked here.

use serde::Serialize;
use url::Url;
use vestibule_core::discovery::{
    DiscoveryError, ResourceMetadata, ServerMetadata, is_loopback, may_follow,
};

use super::{BROWSER, Facts, NOT_REGISTERED, REDIRECT, Registration, sends_to};
use crate::client::{
    discover::{Asked, Found},
    web::Reply,
};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Some clients will stumble, or a defence is missing.
    Warn,
    /// Clients cannot log in, or strangers get in.
    Fail,
    /// Could not be looked at.
    Skip,
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// The name of the flaw, if there is one.
    pub flaw: Option<&'static str>,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub next: Option<&'static str>,
}

/// Judges everything, in the order in which a client meets it.
pub fn judge(facts: &Facts) -> Vec<Check> {
    let resource = facts.found.resource_metadata();
    let mut checks = Vec::new();
    checks.extend(encrypted(&facts.found.server));
    checks.push(token_required(&facts.found, resource.as_ref()));
    checks.push(garbage(facts));
    if facts.found.first.status == 401 {
        checks.push(challenge(&facts.found.first));
    }
    checks.push(foreign_origin(facts));
    // A server that lets everybody in has nobody to ask for a token.
    if facts.found.first.status != 200 {
        checks.extend(resource_checks(facts, resource.as_ref()));
        checks.extend(metadata_checks(facts, resource.as_ref()));
    }
    checks.extend(facts.registration.iter().flat_map(registration));
    checks.push(eras(facts));
    checks
}

fn ok(name: &'static str, seen: impl Into<String>) -> Check {
    Check {
        name,
        state: State::Ok,
        flaw: None,
        seen: seen.into(),
        next: None,
    }
}

fn skip(name: &'static str, seen: impl Into<String>, next: &'static str) -> Check {
    Check {
        name,
        state: State::Skip,
        flaw: None,
        seen: seen.into(),
        next: Some(next),
    }
}

fn flaw(
    state: State,
    name: &'static str,
    flaw: &'static str,
    seen: impl Into<String>,
    next: &'static str,
) -> Check {
    Check {
        name,
        state,
        flaw: Some(flaw),
        seen: seen.into(),
        next: Some(next),
    }
}

fn fail(
    name: &'static str,
    of: &'static str,
    seen: impl Into<String>,
    next: &'static str,
) -> Check {
    flaw(State::Fail, name, of, seen, next)
}

fn warn(
    name: &'static str,
    of: &'static str,
    seen: impl Into<String>,
    next: &'static str,
) -> Check {
    flaw(State::Warn, name, of, seen, next)
}

/// On this computer there is no way that somebody could listen on.
fn encrypted(server: &Url) -> Option<Check> {
    let name = "the way is encrypted";
    if server.scheme() == "https" {
        return Some(ok(name, "https"));
    }
    (!is_loopback(server)).then(|| {
        fail(
            name,
            "plain-http",
            "http: everybody on the way reads the tokens",
            "serve it over TLS (RFC 6750 §5.3)",
        )
    })
}

fn token_required(found: &Found, resource: Option<&ResourceMetadata>) -> Check {
    let name = "a token is needed";
    let first = &found.first;
    let html = first.kind() == "text/html";
    let elsewhere = resource.filter(|resource| resource.judge(&found.server).is_err());
    match first.status {
        401 => ok(name, "401 without a token"),
        200 if html => fail(
            name,
            "not-mcp",
            "200 with a web page",
            "this address is a page, not an MCP server: look at the path",
        ),
        200..=299 => fail(
            name,
            "open-server",
            format!("{} without a token: anybody can call it", first.status),
            "put a gateway in front, or close the way to it",
        ),
        404 | 405 if elsewhere.is_some() => fail(
            name,
            "not-served-here",
            format!(
                "{}: no MCP server at this path; there is one at {}",
                first.status,
                elsewhere.map_or("", |resource| &resource.resource)
            ),
            "use that address",
        ),
        404 => fail(
            name,
            "not-served-here",
            "404: nothing is served at this path",
            "look at the path; servers print the one that clients need",
        ),
        405 | 406 | 400 | 415 => fail(
            name,
            "answers-before-it-asks-for-a-token",
            format!("{} without a token", first.status),
            "a token is asked for first, before the message is looked at",
        ),
        300..=399 => fail(
            name,
            "redirect",
            format!(
                "{} to {}",
                first.status,
                first.header("location").unwrap_or("nowhere")
            ),
            "use the address that it redirects to; clients do not follow with a token",
        ),
        403 => fail(
            name,
            "forbidden-without-a-challenge",
            "403 without a token",
            "answer 401 with WWW-Authenticate: clients log in on 401 only",
        ),
        500..=599 => fail(
            name,
            "server-broken",
            format!("{} without a token", first.status),
            "the server or what is in front of it is broken: look at its log",
        ),
        other => fail(
            name,
            "unexpected-status",
            format!("{other} without a token"),
            "a protected MCP server answers 401",
        ),
    }
}

fn garbage(facts: &Facts) -> Check {
    let name = "a token that nobody gave is refused";
    let reply = &facts.garbage;
    if facts.found.first.status == 200 {
        return skip(name, "no token is needed", "see above");
    }
    if reply.status == 401 {
        let error = reply
            .challenge("bearer")
            .and_then(|challenge| challenge.param("error").map(str::to_owned));
        return match error.as_deref() {
            Some("invalid_token") => ok(name, "401 invalid_token"),
            _ => warn(
                name,
                "no-invalid-token-error",
                "401 without error=\"invalid_token\"",
                "say error=\"invalid_token\", so that clients refresh (RFC 6750 §3.1)",
            ),
        };
    }
    if (200..300).contains(&reply.status) {
        return fail(
            name,
            "any-token-accepted",
            format!("{} with \"Bearer not-a-token\"", reply.status),
            "verify tokens: signature, expiry, audience",
        );
    }
    warn(
        name,
        "wrong-status-for-a-bad-token",
        format!("{} with \"Bearer not-a-token\"", reply.status),
        "answer 401, so that clients refresh or log in again",
    )
}

fn challenge(first: &Reply) -> Check {
    let name = "the 401 says where to log in";
    let Some(challenge) = first.challenge("bearer") else {
        return fail(
            name,
            "no-bearer-challenge",
            "401 without WWW-Authenticate: Bearer",
            "send WWW-Authenticate: Bearer resource_metadata=\"…\" (RFC 9728 §5.1)",
        );
    };
    match challenge.param("resource_metadata") {
        Some(url) => ok(name, url),
        None => fail(
            name,
            "challenge-without-resource-metadata",
            format!(
                "Bearer challenge with {}",
                match challenge.params.as_slice() {
                    [] => "nothing in it".to_owned(),
                    params => params
                        .iter()
                        .map(|(name, value)| format!("{name}=\"{value}\""))
                        .collect::<Vec<_>>()
                        .join(", "),
                }
            ),
            "add resource_metadata=\"…\": clients of 2025-06-18 know no other way",
        ),
    }
}

fn foreign_origin(facts: &Facts) -> Check {
    let name = "pages of other sites are turned away";
    match facts.foreign.status {
        403 if facts.found.first.status == 403 => {
            skip(name, "everybody gets 403", "probe it again when it answers")
        }
        403 => ok(name, "403 for another site's Origin"),
        status if status == facts.found.first.status && status != 200 => warn(
            name,
            "origin-not-checked",
            format!("{status} for another site's Origin, as for everybody"),
            "answer 403 to Origins that are not listed, before anything else (DNS rebinding)",
        ),
        200..=299 => fail(
            name,
            "foreign-origin-accepted",
            format!("{} for another site's Origin", facts.foreign.status),
            "answer 403 to Origins that are not listed: any page can call this server",
        ),
        status => warn(
            name,
            "origin-not-checked",
            format!("{status} for another site's Origin"),
            "answer 403 to Origins that are not listed",
        ),
    }
}

fn said(asked: &Asked) -> String {
    match &asked.reply {
        Ok(reply) if reply.status == 200 => format!("{} is no such document", asked.url),
        Ok(reply) => format!("{} answers {}", asked.url, reply.status),
        Err(error) => format!("{}: {error}", asked.url),
    }
}

fn all_said(asked: &[Asked]) -> String {
    match asked {
        [] => "nowhere to look".to_owned(),
        asked => asked.iter().map(said).collect::<Vec<_>>().join("; "),
    }
}

fn resource_checks(facts: &Facts, resource: Option<&ResourceMetadata>) -> Vec<Check> {
    let name = "resource metadata";
    let found = &facts.found;
    let Some(resource) = resource else {
        return vec![fail(
            name,
            "no-resource-metadata",
            all_said(&found.resource),
            "serve RFC 9728 metadata at /.well-known/oauth-protected-resource with the path behind it",
        )];
    };
    let last = found.resource.last();
    let place = last.map(|asked| asked.url.clone()).unwrap_or_default();
    let mut checks = Vec::new();
    let challenge = found.first.challenge("bearer");
    let named = challenge.and_then(|challenge| {
        let named = challenge.param("resource_metadata");
        named.map(str::to_owned)
    });
    // As addresses, not as texts: `HTTPS://A.example:443` is the same place.
    let pointed = found.resource.len() == 1
        && named.as_deref().and_then(|named| Url::parse(named).ok()) == Url::parse(&place).ok();
    checks.push(if named.is_some() && !pointed {
        fail(
            name,
            "challenge-points-nowhere",
            format!("the 401 points elsewhere: {}", all_said(&found.resource)),
            "let the challenge name the address at which the document is served",
        )
    } else {
        ok(name, place)
    });
    if let Some(asked) = &facts.inserted {
        let there = asked.document::<ResourceMetadata>().is_some();
        let name = "resource metadata where clients guess it";
        checks.push(if there {
            ok(name, asked.url.clone())
        } else {
            warn(
                name,
                "no-path-inserted-metadata",
                said(asked),
                "serve it there too: clients that do not read the challenge look there",
            )
        });
    }
    let name = "the resource is this server";
    checks.push(match resource.judge(&found.server) {
        Ok(()) => ok(name, resource.resource.clone()),
        Err(error) => fail(
            name,
            "resource-mismatch",
            error.to_string(),
            "resource must be the very URL that clients connect to (RFC 9728 §3.3)",
        ),
    });
    let name = "an authorization server is named";
    checks.push(match resource.authorization_servers.as_slice() {
        [] => fail(
            name,
            "no-authorization-server",
            "authorization_servers is empty",
            "name the issuer in authorization_servers",
        ),
        list => ok(name, list.join(", ")),
    });
    checks
}

fn metadata_checks(facts: &Facts, resource: Option<&ResourceMetadata>) -> Vec<Check> {
    let name = "authorization server metadata";
    let found = &facts.found;
    let Some(metadata) = found.server_metadata() else {
        return vec![fail(
            name,
            "no-authorization-server-metadata",
            all_said(&found.metadata),
            "serve RFC 8414 metadata at /.well-known/oauth-authorization-server of the issuer",
        )];
    };
    let place = found.metadata.last();
    let mut checks = vec![ok(
        name,
        place.map(|asked| asked.url.clone()).unwrap_or_default(),
    )];
    checks.push(issuer(facts, &metadata, resource.is_some()));
    checks.push(endpoints(&metadata, &found.server));
    checks.push(pkce(&metadata));
    checks.push(iss(&metadata));
    checks.push(kinds(&metadata));
    checks.push(public_clients(&metadata));
    checks.push(refresh(&metadata));
    checks.push(token_errors(facts));
    checks.extend(cors(facts));
    checks
}

fn issuer(facts: &Facts, metadata: &ServerMetadata, named: bool) -> Check {
    let name = "the issuer is the one that was asked";
    let expected = facts.found.issuer.as_deref().unwrap_or_default();
    match metadata.judge(expected) {
        Err(DiscoveryError::Issuer { .. }) if metadata.issuer.is_empty() => fail(
            name,
            "issuer-missing",
            "the document has no issuer",
            "say issuer (RFC 8414 §2)",
        ),
        Err(error @ DiscoveryError::Issuer { .. }) => {
            let next = if named {
                "issuer and the entry of authorization_servers must be the same text (RFC 8414 §3.3)"
            } else {
                "issuer must be the origin under which the document is served (RFC 8414 §3.3)"
            };
            fail(name, "issuer-mismatch", error.to_string(), next)
        }
        _ => ok(name, metadata.issuer.clone()),
    }
}

fn endpoints(metadata: &ServerMetadata, server: &Url) -> Check {
    let name = "endpoints for a login";
    let missing: Vec<&str> = [
        ("authorization_endpoint", &metadata.authorization_endpoint),
        ("token_endpoint", &metadata.token_endpoint),
    ]
    .into_iter()
    .filter(|(_, endpoint)| endpoint.is_none())
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        let seen = format!("without {}", missing.join(" and "));
        return fail(name, "endpoints-missing", seen, "name them (RFC 8414 §2)");
    }
    let refused: Vec<String> = [
        ("authorization_endpoint", &metadata.authorization_endpoint),
        ("token_endpoint", &metadata.token_endpoint),
        ("registration_endpoint", &metadata.registration_endpoint),
        ("revocation_endpoint", &metadata.revocation_endpoint),
    ]
    .into_iter()
    .filter_map(|(name, address)| Some((name, address.as_deref()?)))
    .filter(|(_, address)| may_follow(address, server).is_err())
    .map(|(name, address)| format!("{name} is {address}"))
    .collect();
    if !refused.is_empty() {
        return fail(
            name,
            "endpoints-not-followed",
            refused.join("; "),
            "name https addresses that clients reach from where they are",
        );
    }
    let types = metadata.response_types_supported.as_deref();
    if types.is_some_and(|types| !types.iter().any(|kind| kind == "code")) {
        return fail(
            name,
            "no-code-response-type",
            "response_types_supported has no code",
            "offer the authorization code grant",
        );
    }
    ok(name, "authorization and token endpoint")
}

fn pkce(metadata: &ServerMetadata) -> Check {
    let name = "PKCE with S256";
    match metadata.code_challenge_methods_supported.as_deref() {
        Some(methods) if methods.iter().any(|method| method == "S256") => {
            if methods.iter().any(|method| method == "plain") {
                return warn(
                    name,
                    "pkce-plain",
                    "S256, and plain as well",
                    "take S256 only: plain protects from nothing",
                );
            }
            ok(name, "S256 only")
        }
        _ => fail(
            name,
            "pkce-not-offered",
            "code_challenge_methods_supported has no S256",
            "say S256: MCP clients must refuse to log in without",
        ),
    }
}

fn iss(metadata: &ServerMetadata) -> Check {
    let name = "answers say whose they are";
    if metadata.authorization_response_iss_parameter_supported {
        return ok(name, "iss in authorization responses");
    }
    warn(
        name,
        "no-iss-parameter",
        "authorization_response_iss_parameter_supported is not true",
        "send iss and say so: clients of several servers cannot tell answers apart (RFC 9207)",
    )
}

fn kinds(metadata: &ServerMetadata) -> Check {
    let name = "ways for a client to introduce itself";
    let documents = metadata.client_id_metadata_document_supported;
    let dynamic = metadata.registration_endpoint.is_some();
    match (documents, dynamic) {
        (true, true) => ok(name, "documents (CIMD) and registration"),
        (true, false) => warn(
            name,
            "no-registration",
            "documents (CIMD) only",
            "clients from before 2025-11-25 need registration, or an entry by hand",
        ),
        (false, true) => warn(
            name,
            "no-client-documents",
            "registration only",
            "take client ID metadata documents: clients of 2025-11-25 prefer them",
        ),
        (false, false) => warn(
            name,
            "clients-by-hand-only",
            "neither documents (CIMD) nor registration",
            "every client must be added by hand; offer one of the two",
        ),
    }
}

fn public_clients(metadata: &ServerMetadata) -> Check {
    let name = "clients without a secret";
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
    match methods {
        Some(methods) if methods.iter().any(|method| method == "none") => ok(name, "allowed"),
        Some(methods) => warn(
            name,
            "no-public-clients",
            format!("only {}", methods.join(", ")),
            "take \"none\": programs on people's computers keep no secret",
        ),
        None => warn(
            name,
            "auth-methods-not-said",
            "token_endpoint_auth_methods_supported is not there, which means Basic",
            "say \"none\" if clients without a secret are welcome (RFC 8414 §2)",
        ),
    }
}

fn refresh(metadata: &ServerMetadata) -> Check {
    let name = "refresh tokens";
    match metadata.grant_types_supported.as_deref() {
        Some(grants) if grants.iter().any(|grant| grant == "refresh_token") => ok(name, "offered"),
        Some(_) => warn(
            name,
            "no-refresh",
            "grant_types_supported has no refresh_token",
            "offer it, or people sign in again whenever an access token ends",
        ),
        None => warn(
            name,
            "grants-not-said",
            "grant_types_supported is not there, which means code and implicit",
            "say which grants there are (RFC 8414 §2)",
        ),
    }
}

fn token_errors(facts: &Facts) -> Check {
    let name = "the token endpoint's errors";
    let reply = match facts.token_error.as_ref().map(|asked| &asked.reply) {
        None => return skip(name, "there is no token_endpoint", "see above"),
        Some(Err(error)) => {
            return fail(
                name,
                "token-endpoint-away",
                error.to_string(),
                "serve what token_endpoint names",
            );
        }
        Some(Ok(reply)) => reply,
    };
    let error = reply
        .json()
        .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    match error {
        Some(error) if matches!(reply.status, 400 | 401) => {
            let stored = reply
                .header("cache-control")
                .is_some_and(|value| value.contains("no-store"));
            if stored {
                ok(name, format!("{} {error}", reply.status))
            } else {
                warn(
                    name,
                    "token-answers-may-be-stored",
                    format!("{} {error} without Cache-Control: no-store", reply.status),
                    "send Cache-Control: no-store with every answer (RFC 6749 §5.1)",
                )
            }
        }
        _ => fail(
            name,
            "token-errors-not-json",
            format!(
                "{} {} for a code that nobody gave",
                reply.status,
                reply.kind()
            ),
            "answer 400 or 401 with {\"error\": …} (RFC 6749 §5.2)",
        ),
    }
}

fn cors(facts: &Facts) -> Vec<Check> {
    let name = "clients in a browser";
    let mut checks = Vec::new();
    if let Some(asked) = &facts.read_by_browser
        && !asked.reply.as_ref().is_ok_and(lets_read)
    {
        checks.push(warn(
            name,
            "metadata-not-readable-by-browsers",
            format!("{} without Access-Control-Allow-Origin", asked.url),
            "allow any origin to read metadata: it is public",
        ));
    }
    for (what, asked) in &facts.preflights {
        // Which pages may call the MCP server is its operator's choice.
        if *what == "the MCP server" {
            continue;
        }
        let Ok(reply) = &asked.reply else { continue };
        // POST needs no leave (Fetch, CORS-safelisted methods), and clients in a browser keep
        // no secret to authenticate with; JSON does.
        let allowed = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "access-control-allow-headers");
        let json = allowed.flat_map(|(_, names)| names.split(',')).any(|name| {
            matches!(
                name.trim().to_ascii_lowercase().as_str(),
                "content-type" | "*"
            )
        });
        if !lets_read(reply) || !json || !(200..300).contains(&reply.status) {
            let seen = match (lets_read(reply), json) {
                (true, false) => "without Content-Type".to_owned(),
                (true, true) => format!("with {}", reply.status),
                (false, _) => "without Access-Control-Allow-Origin".to_owned(),
            };
            checks.push(warn(
                name,
                "preflight-refused",
                format!("{what} answers a preflight {seen}"),
                "answer it with 204, and allow the headers that clients send",
            ));
        }
    }
    if checks.is_empty() {
        checks.push(ok(name, "may read the metadata and post to the endpoints"));
    }
    checks
}

/// Whether a page of another site may read the answer.
fn lets_read(reply: &Reply) -> bool {
    let allowed = reply.header("access-control-allow-origin");
    allowed.is_some_and(|origin| origin == "*" || origin == BROWSER)
}

fn registration(registration: &Registration) -> Vec<Check> {
    let name = "registration";
    let mut checks = Vec::new();
    let Ok(reply) = &registration.answer.reply else {
        return vec![fail(
            name,
            "registration-not-there",
            said(&registration.answer),
            "serve what registration_endpoint names",
        )];
    };
    let id = reply
        .json()
        .and_then(|body| Some(body.get("client_id")?.as_str()?.to_owned()));
    checks.push(match (reply.status, &id) {
        (201, Some(_)) => ok(name, "201 with a client_id"),
        (status, Some(_)) => warn(
            name,
            "registration-not-201",
            format!("{status} with a client_id"),
            "answer 201 (RFC 7591 §3.2.1): strict clients take nothing else",
        ),
        (status, None) => fail(
            name,
            "registration-refused",
            format!("{status} for a native client without a secret"),
            "look at its error; clients on people's computers register like this",
        ),
    });
    if let Some(asked) = &registration.foreign_redirect {
        let name = "a redirect that was not registered";
        checks.push(if sends_to(asked, NOT_REGISTERED) {
            fail(
                name,
                "open-redirect",
                "the browser is sent there",
                "compare redirect_uri with the registered ones, text for text",
            )
        } else {
            match &asked.reply {
                Ok(reply) if (400..500).contains(&reply.status) => {
                    ok(name, format!("refused with {}", reply.status))
                }
                Ok(reply) => fail(
                    name,
                    "redirect-not-checked",
                    format!("the login goes on ({})", reply.status),
                    "refuse at once, before anybody signs in",
                ),
                Err(error) => skip(name, error.to_string(), "look at authorization_endpoint"),
            }
        });
    }
    if let Some(asked) = &registration.without_pkce {
        let name = "a login without PKCE";
        let refused = match &asked.reply {
            Ok(reply) => {
                (400..500).contains(&reply.status)
                    || (sends_to(asked, REDIRECT)
                        && reply
                            .header("location")
                            .is_some_and(|location| location.contains("error=")))
            }
            Err(_) => false,
        };
        checks.push(if refused {
            ok(name, "refused")
        } else {
            fail(
                name,
                "pkce-not-required",
                "the login goes on",
                "refuse requests without code_challenge (OAuth 2.1 §4.1.1)",
            )
        });
    }
    checks
}

fn eras(facts: &Facts) -> Check {
    let name = "revisions of MCP";
    let Some(eras) = &facts.eras else {
        return skip(
            name,
            "needs a token",
            "sign in once with vestibule login, then probe again",
        );
    };
    let mut spoken: Vec<&str> = eras.with_session.iter().map(String::as_str).collect();
    spoken.extend(eras.stateless.iter().map(String::as_str));
    spoken.sort_unstable();
    spoken.dedup();
    match (&eras.with_session, eras.stateless.as_slice()) {
        (None, []) if eras.refused => skip(
            name,
            "the token of your login is not taken",
            "sign in again with vestibule login, then probe again",
        ),
        (None, []) => fail(
            name,
            "speaks-no-mcp",
            "neither initialize nor server/discover is understood",
            "look at what answers at this path",
        ),
        (Some(_), []) => warn(
            name,
            "sessions-only",
            format!("{} with initialize; no server/discover", spoken.join(", ")),
            "clients of 2026-07-28 fall back to it; no need to hurry",
        ),
        (None, _) => warn(
            name,
            "stateless-only",
            spoken.join(", "),
            "clients from before 2026-07-28 cannot use it",
        ),
        (Some(_), _) => ok(name, spoken.join(", ")),
    }
}
