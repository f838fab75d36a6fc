//! What clients find at the public address: who answers there, by which name and certificate,
//! and whether all that they are told agrees.

use reqwest::{Client, Response, tls::TlsInfo};
use serde::Deserialize;
use tokio::net::TcpStream;
use url::Url;
use vestibule_core::{
    discovery::ResourceMetadata, resource::MAIN_PROVIDER, text::on_one_line, time::Timestamp,
};

use super::Findings;
use crate::{
    client::{discover, web::Web},
    config::{Config, Server, Tls},
    fetch,
    provider_credential::{SOON, certificate_validity},
    world::World,
};

const ABOUT: &str = "public address";

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
}

pub(super) async fn look(config: &Config, http: &Client, findings: &mut Findings) {
    let at = format!(
        "{}/.well-known/oauth-authorization-server",
        config.public_url
    );
    let answer = match fetch::begin(http.get(&at)).await {
        Ok(answer) => answer,
        Err(error) => {
            unanswered(config, &at, &error.to_string(), findings).await;
            return;
        }
    };
    certificate(&answer, findings);
    if !is_ours(config, answer, &at, findings).await {
        return;
    }
    for server in config.servers.iter().filter(|server| !server.public) {
        metadata(config, server, http, findings).await;
    }
    if config.tls == Tls::BehindProxy {
        cookies(config, http, findings).await;
    }
}

/// It may simply not run yet; but a name must be one.
async fn unanswered(config: &Config, at: &str, error: &str, findings: &mut Findings) {
    let url = Url::parse(at).ok();
    let place = url
        .as_ref()
        .and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    if let Some((host, port)) = place
        && tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
            .await
            .is_err()
    {
        findings.weak(
            ABOUT,
            format!("{host} is no name that this computer can look up"),
            "enter it into the DNS, or see whether this computer asks another one than clients do",
        );
        return;
    }
    if let Some((host, port)) = place
        && !config.public_url.is_plain_http()
        && TcpStream::connect((host.trim_matches(['[', ']']), port))
            .await
            .is_ok()
    {
        findings.wrong(
            "certificate",
            format!("somebody answers at {host}, and not with a certificate that is good for it"),
            format!("let the proxy in front show one for that name that has not ended; this tells more: openssl s_client -connect {host}:{port} -servername {host}"),
        );
        return;
    }
    findings.skipped(
        ABOUT,
        format!("nobody answers at {}: {error}", config.public_url),
    );
}

/// Whether it is this gateway that answers there, if any does.
async fn is_ours(config: &Config, answer: Response, at: &str, findings: &mut Findings) -> bool {
    let pass_on = "let the proxy in front pass all paths of this host on";
    let status = answer.status().as_u16();
    if status != 200 {
        findings.wrong(
            ABOUT,
            format!("{at} answers {status}"),
            format!("{pass_on}, with its Host header as it came"),
        );
        return false;
    }
    let body = fetch::rest(answer, 1 << 20).await.unwrap_or_default();
    match serde_json::from_slice::<Metadata>(&body) {
        Ok(metadata) if metadata.issuer == config.public_url.text() => {
            findings.ok(
                ABOUT,
                format!("{}: a gateway of that name answers", config.public_url),
            );
            return true;
        }
        Ok(metadata) => findings.wrong(
            ABOUT,
            format!(
                "what answers there calls itself {}",
                on_one_line(&metadata.issuer, 200)
            ),
            "public_url must be what clients write, and lead here",
        ),
        Err(_) => findings.wrong(
            ABOUT,
            "something else than a gateway answers there",
            format!("{pass_on}, /.well-known/ too"),
        ),
    }
    false
}

/// When the certificate ends that clients are shown.
fn certificate(answer: &Response, findings: &mut Findings) {
    const ABOUT: &str = "certificate";
    let shown = answer.extensions().get::<TlsInfo>();
    let valid = shown.and_then(|shown| certificate_validity(shown.peer_certificate()?));
    let Some((begins, ends)) = valid else { return };
    let now = World::real().now();
    let what = format!(
        "that of the public address ends in {} days",
        days(ends, now)
    );
    // Some live for days, and are renewed by themselves.
    match ends.since(now) < SOON.min(ends.since(begins) / 6) {
        true => findings.weak(ABOUT, what, "let the proxy in front renew it"),
        false => findings.ok(ABOUT, what),
    }
}

pub(super) fn days(ends: Timestamp, now: Timestamp) -> u64 {
    ends.since(now).as_secs() / 86_400
}

/// Whether a client without a token is told where to get one, and hears the same everywhere
/// (RFC 9728 §3.3, §5.1).
async fn metadata(config: &Config, server: &Server, http: &Client, findings: &mut Findings) {
    const ABOUT: &str = "metadata";
    let resource = &server.resource;
    let fix = format!("vestibule probe {} shows each answer", resource.uri);
    let Ok(url) = Url::parse(&resource.uri) else {
        return;
    };
    let web = Web::over(http.clone());
    let found = match discover::discover(&web, &url).await {
        Ok(found) => found,
        Err(error) => {
            findings.wrong(ABOUT, format!("{}: {error}", resource.uri), fix);
            return;
        }
    };
    let status = found.first.status;
    if status != 401 {
        let what = format!("{} answers {status} to whoever has no token", resource.uri);
        findings.wrong(ABOUT, what, fix);
        return;
    }
    let challenge = found.first.challenge("bearer");
    let pointed = challenge.and_then(|one| Some(one.param("resource_metadata")?.to_owned()));
    let Some(pointed) = pointed else {
        let what = format!("{}: its 401 does not say where to log in", resource.uri);
        let fix = "let the proxy in front pass WWW-Authenticate on as it is";
        findings.wrong(ABOUT, what, fix);
        return;
    };
    let document = found.resource.iter().find(|asked| asked.url == pointed);
    let document = document.and_then(|asked| asked.document::<ResourceMetadata>());
    let Some(document) = document else {
        let what = format!("{}: what its 401 points to is not there", resource.uri);
        findings.wrong(ABOUT, what, fix);
        return;
    };
    let issuer = match &resource.direct {
        Some(direct) => direct.authorization_server.as_str(),
        None => config.public_url.text(),
    };
    if document.resource != resource.uri || document.authorization_servers != [issuer] {
        let what = format!("{}: its metadata is another server's", resource.uri);
        findings.wrong(ABOUT, what, fix);
        return;
    }
    findings.ok(ABOUT, format!("{}: 401 and document agree", resource.uri));
}

/// Whether a cookie with the prefix `__Host-` arrives as it was set: a proxy that changes its
/// path or domain makes browsers drop it (RFC 6265bis §4.1.3.2).
async fn cookies(config: &Config, http: &Client, findings: &mut Findings) {
    const ABOUT: &str = "cookies";
    let at = format!(
        "{}/login?to=connections&provider={MAIN_PROVIDER}",
        config.public_url
    );
    let answer = fetch::begin(http.get(&at)).await;
    let Some(answer) = answer
        .ok()
        .filter(|answer| answer.status().is_redirection())
    else {
        findings.skipped(ABOUT, "the sign-in does not begin");
        return;
    };
    let set = answer.headers().get_all(http::header::SET_COOKIE);
    let set: Vec<String> = set
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_ascii_lowercase)
        .collect();
    let Some(ours) = set.iter().find(|cookie| cookie.starts_with("__host-")) else {
        let what = "the sign-in sets none that gets through";
        let fix = "let the proxy in front pass Set-Cookie on, and cache nothing of this host";
        findings.wrong(ABOUT, what, fix);
        return;
    };
    let parts: Vec<&str> = ours.split(';').map(str::trim).collect();
    let has = |part: &str| parts.contains(&part);
    let domain = parts.iter().any(|part| part.starts_with("domain="));
    if has("secure") && has("path=/") && !domain {
        findings.ok(ABOUT, "they arrive as they are set");
        return;
    }
    findings.wrong(
        ABOUT,
        "they are changed on the way, and browsers drop them: a name with __Host- wants Secure, Path=/ and no Domain",
        "take proxy_cookie_path, proxy_cookie_domain and their like out of the proxy in front",
    );
}
