//! Requests that we send out, all of them bounded in size and time.
//!
//! Two kinds. To the identity provider, whose address an operator chose. And to addresses
//! that a stranger chose (client documents): those resolve once, every address is judged,
//! and the connection goes to the very address that was judged.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use ipnet::IpNet;
use reqwest::{
    Client, RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT, CONTENT_TYPE},
    redirect::Policy,
};
use rustls::ClientConfig;
use vestibule_core::{address, client_document::DOCUMENT_MAX};

use crate::trust::Trust;

/// Most that is read of a provider's answer.
pub const PROVIDER_ANSWER_MAX: usize = 512 * 1024;

/// How long a document may take in all, connecting and body included (CIMD §6.6).
const DOCUMENT_TIME: Duration = Duration::from_secs(5);

/// Why there is no answer. What the other side said is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address is not for strangers to send us to.
    #[error("the address is not a public one")]
    Address,
    /// No connection, or it broke.
    #[error("it cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// It sent more than is read.
    #[error("its answer is too large")]
    TooLarge,
    /// It answered something else than 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Not the type that was asked for.
    #[error("its answer is not JSON")]
    NotJson,
}

/// The client for the identity provider, which may take `time` for a whole answer.
///
/// # Errors
/// A sentence, if the system gives no client.
#[allow(clippy::disallowed_methods)] // the one place
pub fn provider_client(trust: &Trust, time: Duration) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(trust.config()))
        .redirect(Policy::none())
        .no_proxy()
        // A code must not be lost to a connection that the provider has just closed, and it
        // must not be sent twice; logins are rare enough for a connection each.
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(5))
        .timeout(time)
        // An operator is told in time when a certificate ends.
        .tls_info(true)
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// Sends a request to the provider and reads its whole answer, whatever the status.
///
/// # Errors
/// [`FetchError`].
pub async fn whole(request: RequestBuilder) -> Result<(u16, Vec<u8>), FetchError> {
    let response = begin(request).await?;
    Ok((
        response.status().as_u16(),
        read(response, PROVIDER_ANSWER_MAX).await?,
    ))
}

/// Sends a request and reads the beginning of its answer, whatever the status.
///
/// # Errors
/// [`FetchError`].
pub async fn begin(request: RequestBuilder) -> Result<Response, FetchError> {
    request.send().await.map_err(|error| classify(&error))
}

/// The next bytes of an answer, if there are any.
///
/// # Errors
/// [`FetchError`].
pub async fn chunk(response: &mut Response) -> Result<Option<Bytes>, FetchError> {
    response.chunk().await.map_err(|error| classify(&error))
}

/// All that is left of an answer, if that is not more than `most` bytes.
///
/// # Errors
/// [`FetchError`].
pub async fn rest(response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
    read(response, most).await
}

async fn read(response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
    if response
        .content_length()
        .is_some_and(|length| length > most as u64)
    {
        return Err(FetchError::TooLarge);
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| classify(&error))?;
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn classify(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        FetchError::TimedOut
    } else {
        FetchError::Unreachable
    }
}

/// Fetches what strangers name: client documents.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
    rules: Rules,
}

/// A fetched document.
#[derive(Debug)]
pub struct Fetched {
    /// Its bytes.
    pub body: Vec<u8>,
    /// How long it may be kept, if its publisher says.
    pub max_age: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Rules(Arc<Vec<IpNet>>);

impl Rules {
    fn admit(&self, address: IpAddr) -> bool {
        address::is_public(address) || self.0.iter().any(|network| network.contains(&address))
    }
}

impl Documents {
    /// A fetcher that lets `exceptions` through besides public addresses; only tests have any.
    ///
    /// # Errors
    /// A sentence, if the system gives no client.
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn new(exceptions: Vec<IpNet>, trust: &Trust) -> Result<Self, String> {
        let rules = Rules(Arc::new(exceptions));
        let client = Client::builder()
            .tls_backend_preconfigured(trust.for_strangers())
            .https_only(true)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(DOCUMENT_TIME)
            .dns_resolver(Arc::new(Judging(rules.clone())))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, rules })
    }

    /// Fetches one document.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, url: &url::Url) -> Result<Fetched, FetchError> {
        // A literal address never reaches the resolver.
        let literal = match url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(url::Host::Domain(_)) => None,
            None => return Err(FetchError::Address),
        };
        if literal.is_some_and(|address| !self.rules.admit(address)) {
            return Err(FetchError::Address);
        }
        let response = self
            .client
            .get(url.clone())
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| classify(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status(status));
        }
        let json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase()
            })
            .is_some_and(|kind| {
                kind == "application/json"
                    || (kind.starts_with("application/") && kind.ends_with("+json"))
            });
        if !json {
            return Err(FetchError::NotJson);
        }
        let max_age = response
            .headers()
            .get(reqwest::header::CACHE_CONTROL)
            .and_then(|value| value.to_str().ok())
            .and_then(max_age);
        Ok(Fetched {
            body: read(response, DOCUMENT_MAX).await?,
            max_age,
        })
    }
}

fn max_age(cache_control: &str) -> Option<Duration> {
    cache_control
        .split(',')
        .map(str::trim)
        .find_map(|directive| {
            if directive.eq_ignore_ascii_case("no-store")
                || directive.eq_ignore_ascii_case("no-cache")
            {
                return Some(Duration::ZERO);
            }
            let seconds = directive.strip_prefix("max-age=")?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        })
}

/// Resolves a name and gives out its addresses only if every one of them passes. The
/// connection then goes to one of these and asks nobody again.
struct Judging(Rules);

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() || !found.iter().all(|address| rules.admit(address.ip())) {
                return Err(Box::from("not a public address"));
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t_reg_11_cimd_3_no_packet_goes_to_a_special_address() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let port = listener.local_addr().expect("bound").port();
        let documents = Trust::load(None)
            .and_then(|trust| Documents::new(Vec::new(), &trust))
            .expect("a client");
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "[::ffff:127.0.0.1]",
            "2130706433",
        ] {
            let url = url::Url::parse(&format!("https://{host}:{port}/m.json")).expect("a URL");
            let refused = documents.fetch(&url).await.expect_err("refused");
            assert!(
                matches!(refused, FetchError::Address | FetchError::Unreachable),
                "{host}"
            );
        }
        let nobody = listener.accept().map(|_| ()).expect_err("nobody came");
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn cimd_8_how_long_a_document_may_be_kept() {
        assert_eq!(
            max_age("public, max-age=600"),
            Some(Duration::from_secs(600))
        );
        assert_eq!(max_age("no-store"), Some(Duration::ZERO));
        assert_eq!(max_age("private"), None);
    }
}
