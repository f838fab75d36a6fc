//! What others say when they are asked: the public address, the provider, the servers.

use std::{net::IpAddr, time::SystemTime};

use reqwest::Client;
use url::Url;
use vestibule_core::{address, authorize::LoginWishes, pkce::CodeVerifier};

use super::{Findings, public};
use crate::{
    client::discover::{MCP, initialize},
    config::{Config, Server, UpstreamAuth},
    fetch,
    provider::{Discovered, Provider, ProviderError},
    trust::Trust,
    world::World,
};

pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let world = World::real();
    let time = config.limits.provider_time;
    let http = match client(config) {
        Ok(http) => http,
        Err(error) => {
            findings.wrong("certificates", error, "look at outbound.extra_ca_file");
            return;
        }
    };
    public::look(config, &http, findings).await;
    clock(config, &http, findings).await;
    for idp in config.providers() {
        let here = &config.public_url;
        let provider = Provider::new(idp.clone(), here, http.clone(), time, world.clone());
        asked(&provider, &http, &world, findings).await;
    }
    for server in &config.servers {
        upstream(server, &http, findings).await;
    }
}

/// What others are asked with.
pub(super) fn client(config: &Config) -> Result<Client, String> {
    let trust = Trust::load(config.extra_ca_file.as_deref())?;
    fetch::provider_client(&trust, config.limits.provider_time)
}

/// What an identity provider says of itself, of our credential, and of the address that it sends
/// people back to.
async fn asked(provider: &Provider, http: &Client, world: &World, findings: &mut Findings) {
    match provider.discovered().await {
        Ok(discovered) => {
            let what = match discovered.jwks_uri().is_empty() {
                false => "metadata and keys",
                true => "OAuth without ID tokens, by the endpoints of the configuration",
            };
            findings.ok("provider", format!("{}: {what}", provider.issuer()));
            credential(provider, &discovered, world, findings).await;
            redirect(provider, &discovered, http, world, findings).await;
        }
        Err(error) => {
            let fix = format!(
                "this must answer, with that issuer in it: curl {}/.well-known/openid-configuration",
                provider.issuer().trim_end_matches('/')
            );
            findings.wrong("provider", error.to_string(), fix);
        }
    }
}

/// Tokens are judged by time: more than a minute apart and logins fail.
async fn clock(config: &Config, http: &Client, findings: &mut Findings) {
    const ABOUT: &str = "clock";
    let answer = fetch::begin(http.get(&config.idp.issuer)).await;
    let date = answer.ok().and_then(|answer| {
        let date = answer
            .headers()
            .get(http::header::DATE)?
            .to_str()
            .ok()?
            .to_owned();
        httpdate::parse_http_date(&date).ok()
    });
    let Some(there) = date else {
        findings.skipped(ABOUT, "the provider says no time");
        return;
    };
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(World::real().now().unix());
    let apart = now
        .duration_since(there)
        .or_else(|_| there.duration_since(now))
        .unwrap_or_default()
        .as_secs();
    if apart > 60 {
        findings.wrong(
            ABOUT,
            format!("this computer and the provider are {apart} seconds apart"),
            "let the time be kept by NTP: timedatectl",
        );
    } else {
        findings.ok(
            ABOUT,
            format!("within {} s of the provider's", apart.max(1)),
        );
    }
}

/// Whether the provider knows us: it is shown a code that is none.
async fn credential(
    provider: &Provider,
    discovered: &Discovered,
    world: &World,
    findings: &mut Findings,
) {
    const ABOUT: &str = "client";
    let verifier = CodeVerifier::from_random(&world.random());
    let answer = provider
        .redeem(discovered, "vestibule-doctor", &verifier)
        .await;
    match answer {
        Err(ProviderError::TokenRefused { error, .. }) if error == "invalid_grant" => {
            findings.ok(ABOUT, "the provider knows client id and credential");
        }
        Err(ProviderError::TokenRefused { error, said, .. })
            if matches!(error.as_str(), "invalid_client" | "unauthorized_client") =>
        {
            findings.wrong(
                ABOUT,
                format!("the provider refuses client id or credential: {error} {said}"),
                "compare idp.client_id with the registration, and put its present secret into the file",
            );
        }
        Err(ProviderError::Credential(error)) => {
            findings.wrong(ABOUT, error.to_string(), "look at idp.credential");
        }
        Err(error) => findings.skipped(ABOUT, format!("the provider does not say: {error}")),
        Ok(_) => findings.wrong(
            ABOUT,
            "the provider took a code that it never gave",
            "this is no provider to trust; compare idp.issuer",
        ),
    }
}

/// Whether the redirect address is registered: a sign-in without a page comes back to it only
/// if it is (OpenID Connect Core §3.1.2.6).
async fn redirect(
    provider: &Provider,
    discovered: &Discovered,
    http: &Client,
    world: &World,
    findings: &mut Findings,
) {
    const ABOUT: &str = "redirect address";
    let verifier = CodeVerifier::from_random(&world.random());
    let wishes = LoginWishes::default();
    let address = provider.authorization_url(
        discovered,
        "doctor",
        "doctor",
        &verifier.challenge(),
        &wishes,
    );
    let Ok(mut url) = Url::parse(&address) else {
        return;
    };
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().filter(|(name, _)| name != "prompt"))
        .append_pair("prompt", "none");
    let Ok(answer) = fetch::begin(http.get(url)).await else {
        findings.skipped(ABOUT, "the provider's sign-in does not answer");
        return;
    };
    let location = answer.headers().get(http::header::LOCATION);
    let location = location
        .and_then(|location| location.to_str().ok())
        .unwrap_or_default();
    let callback = provider.callback();
    if location.split('?').next() == Some(callback) {
        findings.ok(ABOUT, format!("{callback} is registered"));
    } else if answer.status() == http::StatusCode::BAD_REQUEST {
        findings.wrong(
            ABOUT,
            format!("the provider does not take {callback}"),
            "register it there to the letter: scheme, host, port and no slash at the end",
        );
    } else {
        findings.skipped(
            ABOUT,
            "the provider does not say without a person; try vestibule check --login",
        );
    }
}

/// Whether a server answers us, and whether it answers others.
async fn upstream(server: &Server, http: &Client, findings: &mut Findings) {
    const ABOUT: &str = "server";
    let name = &server.resource.name;
    let mut request = http
        .post(server.upstream.clone())
        .body(initialize().to_string());
    for (header, value) in MCP {
        request = request.header(header, value);
    }
    let status = match fetch::begin(request).await {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => {
            findings.wrong(
                ABOUT,
                format!("{name} at {}: {error}", server.upstream),
                "start it, or correct servers.NAME.upstream",
            );
            return;
        }
    };
    match (status, &server.upstream_auth) {
        (401 | 403, UpstreamAuth::Nothing) => findings.wrong(
            ABOUT,
            format!("{name} asks for credentials ({status}), and is given none"),
            "see servers.NAME.upstream_auth: docs/how-to/servers.md",
        ),
        (404, _) => findings.wrong(
            ABOUT,
            format!("{name}: there is nothing at {}", server.upstream),
            "servers.NAME.upstream is the whole address, with the path",
        ),
        (500.., _) => findings.wrong(
            ABOUT,
            format!("{name} at {} answers {status}", server.upstream),
            "look at the server's own log",
        ),
        _ => findings.ok(ABOUT, format!("{name} at {} answers", server.upstream)),
    }
    // Whoever reaches it without this gateway needs no token.
    let open = status < 400 && is_public(&server.upstream).await;
    if open {
        findings.weak(
            ABOUT,
            format!("{name} answers without a credential, at an address that is public"),
            "let only this gateway reach it, or let it ask for what upstream_auth gives",
        );
    }
}

async fn is_public(url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    let host = host.trim_matches(['[', ']']);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address::is_public(address);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.is_ok_and(|mut all| all.any(|found| address::is_public(found.ip())))
}
