//! The demo's identity provider: OpenID Connect for two invented people.
//!
//! It lets the demo and the end-to-end tests walk through a real login without an
//! account anywhere. One client is registered, the gateway. Everything lives in
//! bounded memory and ends with the process. The passwords are no secret, so it must
//! never be reachable from another computer: [`DemoProvider::serve`] takes a
//! [`LoopbackListener`], and the issuer must be a loopback origin.
//!
//! Time and randomness come in through [`DemoProviderSettings`].

mod authorize;
mod memory;
mod page;
mod parameters;
mod people;
mod scopes;
mod token;

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{constant_time, digest};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use url::{Host, Url};

use self::memory::Memory;
use super::loopback::LoopbackListener;

/// Seconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Fills a slice with random bytes fit for keys.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Requests are forms of a few hundred bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// What the provider must be told.
pub struct DemoProviderSettings {
    /// Its own origin without a trailing slash, such as `http://127.0.0.1:8081`.
    pub issuer: String,
    /// The only registered client, its secret and its only redirect address.
    pub client_id: String,
    pub client_secret: String,
    pub redirect_uri: String,
    /// A P-256 private key as PKCS#8 (DER); signs ID tokens.
    pub signing_key_pkcs8: Vec<u8>,
    pub clock: Clock,
    pub entropy: Entropy,
}

/// Why a provider cannot be made from these settings.
#[derive(Debug, thiserror::Error)]
pub enum DemoProviderError {
    #[error("the issuer must be an http origin without path or trailing slash")]
    IssuerNotAnOrigin,
    #[error("the issuer must be on a loopback address, since the demo's passwords are public")]
    IssuerNotLoopback,
    #[error("the redirect URI must be an absolute http or https URL without a fragment")]
    RedirectUriMalformed,
    #[error("the client needs an id and a secret")]
    ClientCredentialsEmpty,
    #[error("the signing key must be a P-256 private key in PKCS#8")]
    SigningKeyUnusable(#[source] jsonwebtoken::errors::Error),
}

/// The provider, ready to be served.
pub struct DemoProvider(Arc<Provider>);

impl DemoProvider {
    /// Checks the settings; nothing is bound yet.
    ///
    /// # Errors
    /// One variant per setting that does not hold, see [`DemoProviderError`].
    pub fn new(settings: DemoProviderSettings) -> Result<Self, DemoProviderError> {
        let authority = loopback_authority(&settings.issuer)?;
        let redirect_uri = Url::parse(&settings.redirect_uri)
            .map_err(|_| DemoProviderError::RedirectUriMalformed)?;
        if !matches!(redirect_uri.scheme(), "http" | "https") || redirect_uri.fragment().is_some() {
            return Err(DemoProviderError::RedirectUriMalformed);
        }
        if settings.client_id.is_empty() || settings.client_secret.is_empty() {
            return Err(DemoProviderError::ClientCredentialsEmpty);
        }
        Ok(Self(Arc::new(Provider {
            key: SigningKey::new(&settings.signing_key_pkcs8)
                .map_err(DemoProviderError::SigningKeyUnusable)?,
            issuer: settings.issuer,
            authority,
            client_id: settings.client_id,
            client_secret: Digest::of(&settings.client_secret),
            redirect_uri: settings.redirect_uri,
            clock: settings.clock,
            entropy: settings.entropy,
            memory: Mutex::new(Memory::default()),
        })))
    }

    /// All addresses of the provider.
    ///
    /// Prefer [`Self::serve`]; a caller that accepts connections by itself answers
    /// for the listener being on loopback.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(authorize::home))
            .route("/style.css", get(page::style))
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks.json", get(jwks))
            // OpenID Connect Core §3.1.2.1 wants both methods.
            .route(
                "/authorize",
                get(authorize::ask).post(authorize::ask_by_form),
            )
            .route("/sign-in", post(authorize::sign_in))
            .route("/sign-out", post(authorize::sign_out))
            .route("/token", post(token::exchange))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self.0),
                require_own_host,
            ))
            .with_state(self.0)
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    /// What the system answered.
    pub async fn serve(
        self,
        listener: LoopbackListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        axum::serve(listener.into_inner(), self.router())
            .with_graceful_shutdown(shutdown)
            .await
    }
}

/// What the handlers share.
struct Provider {
    issuer: String,
    /// Host and port of the issuer, as a `Host` header names them.
    authority: String,
    client_id: String,
    client_secret: Digest,
    redirect_uri: String,
    key: SigningKey,
    clock: Clock,
    entropy: Entropy,
    memory: Mutex<Memory>,
}

impl Provider {
    fn now(&self) -> u64 {
        (self.clock)()
    }

    /// 256 random bits as text: a code, a token or the value of a cookie.
    fn handle(&self) -> String {
        let mut bytes = [0; 32];
        (self.entropy)(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Nothing that runs under the lock panics, so a poisoned one is as good as new.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a state-changing request came from one of our own pages.
    ///
    /// Browsers always send `Origin` with a form; programs without one carry no
    /// cookies of somebody else.
    fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::ORIGIN)
            .is_none_or(|origin| origin.as_bytes() == self.issuer.as_bytes())
    }
}

/// The SHA-256 of a secret or a handle: what memory holds instead of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Digest([u8; 32]);

impl Digest {
    fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Compares in constant time.
    fn is_of(&self, text: &str) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &Self::of(text).0).is_ok()
    }
}

struct SigningKey {
    private: EncodingKey,
    kid: String,
    public: JwkSet,
}

impl SigningKey {
    fn new(pkcs8: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        let private = EncodingKey::from_ec_der(pkcs8);
        let mut public = Jwk::from_encoding_key(&private, Algorithm::ES256)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.key_algorithm = Some(KeyAlgorithm::ES256);
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            private,
            kid,
            public: JwkSet { keys: vec![public] },
        })
    }
}

/// The `host:port` of an issuer that is exactly a loopback origin.
fn loopback_authority(issuer: &str) -> Result<String, DemoProviderError> {
    let url = Url::parse(issuer).map_err(|_| DemoProviderError::IssuerNotAnOrigin)?;
    if url.scheme() != "http" || url.origin().ascii_serialization() != issuer {
        return Err(DemoProviderError::IssuerNotAnOrigin);
    }
    let on_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !on_loopback {
        return Err(DemoProviderError::IssuerNotLoopback);
    }
    Ok(issuer.trim_start_matches("http://").to_owned())
}

/// Refuses requests that name another host: a foreign name that resolves to
/// loopback (DNS rebinding) must not find a provider here.
async fn require_own_host(
    State(provider): State<Arc<Provider>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST);
    if host.is_some_and(|host| host.as_bytes() == provider.authority.as_bytes()) {
        next.run(request).await
    } else {
        (
            StatusCode::MISDIRECTED_REQUEST,
            format!("This is {}.\n", provider.issuer),
        )
            .into_response()
    }
}

/// OpenID Connect Discovery §3.
async fn discovery(State(provider): State<Arc<Provider>>) -> Response {
    let issuer = &provider.issuer;
    cacheable_json(&json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "scopes_supported": scopes::SUPPORTED,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce",
            "name", "preferred_username", "email", "email_verified",
        ],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    cacheable_json(&json!(provider.key.public))
}

fn cacheable_json(document: &serde_json::Value) -> Response {
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ],
        document.to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests;
