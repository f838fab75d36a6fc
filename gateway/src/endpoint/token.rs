//! `POST /token` (RFC 6749 §3.2): who asks, for which grant, and what a refusal looks like.

mod authorization_code;
mod device_code;
mod issue;
mod recheck;
mod refresh_token;
mod standing;
mod token_exchange;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Uri, header};
use vestibule_core::{
    WireError,
    client::{Client, Credential, KnownBy},
    client_auth::{AuthenticatedClient, ClientAuthError, Presented},
    dpop::{DpopError, Expected, Proof, Thumbprint},
    flow::{FlowCode, Step},
    id::GrantId,
    jwt,
    params::Params,
    resource::Dpop,
    time::Timestamp,
    token::{self, Ask, TokenError, jwt_bearer},
};

use super::answer;
use crate::{
    http::peer::client_address,
    key_cache::KeyError,
    office::{NoClient, Office, Purpose},
    signature::Proofs,
    store::{Decided, EndedWhy, StoreError},
};

/// Why there is no success answer.
pub(super) enum Failure {
    /// The client did not prove itself.
    Client(ClientAuthError),
    /// The grant.
    Token(TokenError),
    /// The store does not know.
    Store(StoreError),
    /// Something else, told in full.
    Wire(WireError),
    /// Too many failures from one address.
    TooMany,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<ClientAuthError> for Failure {
    fn from(error: ClientAuthError) -> Self {
        Self::Client(error)
    }
}

impl Failure {
    /// The answer.
    pub(super) fn response(self, office: &Office) -> Response {
        match self {
            Self::Client(refused) => {
                tracing::info!(event = "token.client_refused", why = %refused);
                answer::not_authenticated(refused)
            }
            Self::Token(refused) => {
                tracing::info!(event = "token.refused", why = %refused);
                let mut response = answer::error(refused.wire());
                if let TokenError::Dpop(_) = refused {
                    add_nonce(office, &mut response);
                }
                response
            }
            Self::Store(error) => answer::store_failed(&error),
            Self::Wire(error) => {
                let later = error.status == 503;
                let mut response = answer::error(error);
                if later {
                    let headers = response.headers_mut();
                    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
                }
                response
            }
            Self::TooMany => answer::too_many(60),
        }
    }
}

/// See the module.
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match token(&office, peer, &uri, &headers, body).await {
        Ok(response) => response,
        Err(failure) => failure.response(&office),
    }
}

async fn token(
    office: &Office,
    peer: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if uri.query().is_some_and(|query| !query.is_empty()) {
        let why = "send the parameters in the body, not in the address";
        return Err(Failure::Wire(WireError::new(400, "invalid_request", why)));
    }
    let text = form(office, headers, body).await?;
    let params = parameters(&text)?;
    let ask = token::read(&params)?;
    // A proof and an assertion are written down as used before anything else is known, so
    // whoever brings many that lead to nothing must be slow.
    let costly = headers.contains_key("dpop") || matches!(ask, Ask::Assertion(_));
    let address = client_address(peer.ip(), headers, &office.trusted_proxies);
    if costly {
        let taken = office
            .failures
            .take_for(address, "proof", office.world.now());
        taken.map_err(|_| Failure::TooMany)?;
    }
    let answer = grant(office, peer, headers, &params, &ask).await;
    let counts = matches!(answer, Err(Failure::Client(_) | Failure::Token(_)));
    if costly && !counts {
        office.failures.give_back(address, "proof");
    }
    answer
}

async fn grant(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    params: &Params<'_>,
    ask: &Ask,
) -> Result<Response, Failure> {
    // A platform vouches for a workload all alone; everything else is some client's.
    if let Ask::Assertion(ask) = ask
        && !jwt_bearer::is_id_jag(jwt::peek_typ(ask.assertion.expose()).as_deref())
    {
        let key = proof(office, headers, "/token").await?;
        let (client_id, issued) = standing::workload(office, ask, key).await?;
        return issue::answer(office, &client_id, issued);
    }
    // What begins something is for whom today's rules admit.
    let purpose = match ask {
        Ask::Assertion(_) => Purpose::Login,
        _ => Purpose::Token,
    };
    let client = authenticate(office, peer, headers, params, purpose).await?;
    let key = proof(office, headers, "/token").await?;
    let issued = match ask {
        Ask::Code(ask) => authorization_code::redeem(office, ask, &client, key).await,
        Ask::Refresh(ask) => refresh_token::renew(office, ask, &client, key).await,
        Ask::Machine(ask) => standing::machine(office, ask, &client, key).await,
        Ask::Device(ask) => device_code::poll(office, ask, &client, key).await,
        Ask::Exchange(ask) => token_exchange::exchange(office, ask, &client, key).await,
        Ask::Assertion(ask) => standing::id_jag(office, ask, &client, key).await,
    }?;
    issue::answer(office, &client.client().id, issued)
}

/// The body of a request as text.
pub(super) async fn form(
    office: &Office,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Failure> {
    answer::form(headers, body, office.body_max)
        .await
        .map_err(|error| Failure::Wire(error.wire()))
}

/// The parameters in it.
pub(super) fn parameters(text: &str) -> Result<Params<'_>, Failure> {
    Params::parse(text).map_err(|_| {
        let why = "the body is not properly encoded";
        Failure::Wire(WireError::new(400, "invalid_request", why))
    })
}

/// The names by which an assertion may mean us: the issuer, and the token endpoint as older
/// clients have it (RFC 7523 §3).
fn audiences(office: &Office) -> [String; 2] {
    [
        office.issuer.text().to_owned(),
        format!("{}/token", office.issuer),
    ]
}

/// The client of a request, proven.
///
/// # Errors
/// [`Failure`].
pub(super) async fn authenticate(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    params: &Params<'_>,
    purpose: Purpose,
) -> Result<AuthenticatedClient, Failure> {
    let address = client_address(peer.ip(), headers, &office.trusted_proxies);
    let now = office.world.now();
    // Taken before the try, so that many at once are counted like many in a row.
    let presented = presented(headers, params);
    let who = presented.as_ref().map_or("", Presented::client_id);
    let taken = office.failures.take_for(address, who, now);
    taken
        .and_then(|()| office.failing.take(address, now))
        .map_err(|_| Failure::TooMany)?;
    let proven = match &presented {
        Ok(presented) => prove(office, presented, purpose, address).await,
        Err(refused) => Err(Failure::Client(*refused)),
    };
    // Keys that cannot be fetched are asked for at somebody else's address.
    if !matches!(proven, Err(Failure::Client(_) | Failure::Wire(_))) {
        office.failures.give_back(address, who);
        office.failing.give_back(address, "");
    }
    proven
}

fn presented<'p>(
    headers: &'p HeaderMap,
    params: &'p Params<'_>,
) -> Result<Presented, ClientAuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let authorization = values.next();
    if values.next().is_some() {
        return Err(ClientAuthError::BrokenBasic);
    }
    let authorization = match authorization.map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(ClientAuthError::BrokenBasic),
    };
    Presented::read(authorization, params)
}

async fn prove(
    office: &Office,
    presented: &Presented,
    purpose: Purpose,
    address: IpAddr,
) -> Result<AuthenticatedClient, Failure> {
    let client = match office.client(presented.client_id(), purpose, address).await {
        Ok(client) => client,
        Err(why) if why.is_for_now() => return Err(client_unavailable(&why)),
        Err(_) => return Err(presented.unknown().into()),
    };
    let now = office.world.now();
    let Some(assertion) = presented.assertion() else {
        return Ok(presented.prove(client, now)?);
    };
    let token = verified(office, &client, assertion).await?;
    let us = audiences(office);
    let us = [us[0].as_str(), us[1].as_str()];
    let proven = presented.prove_by_assertion(client, &token, &us, now)?;
    match office.store.spend(proven.once).await? {
        Decided::Now => Ok(proven.spent()),
        Decided::Before => Err(ClientAuthError::AssertionReplayed.into()),
    }
}

/// A client's assertion under the signature of the client, or of its platform.
async fn verified(
    office: &Office,
    client: &Client,
    assertion: &str,
) -> Result<jwt::VerifiedClaims, Failure> {
    let now = office.world.now();
    let verified = match &client.credential {
        Credential::Key(keys) => {
            let by_operator = client.known_by == KnownBy::Operator;
            office
                .key_cache
                .verify_of_client(keys, by_operator, assertion, now)
                .await
        }
        Credential::Workload { issuer, .. } => {
            let issuing = office
                .issuers
                .iter()
                .find(|issuing| issuing.trusted.issuer == *issuer)
                .ok_or(ClientAuthError::AssertionSignature)?;
            let source = standing::source_of(issuing);
            office.key_cache.verify(&source, assertion, now).await
        }
        Credential::Public | Credential::Secret { .. } => {
            return Err(ClientAuthError::NotProven { basic: false }.into());
        }
    };
    verified.map_err(|error| match error {
        KeyError::Jwt(_) => ClientAuthError::AssertionSignature.into(),
        error => keys_unavailable(&error),
    })
}

/// A client that cannot be looked up now is not told to register again.
fn client_unavailable(why: &NoClient) -> Failure {
    tracing::warn!(event = "client.unavailable", %why);
    Failure::Wire(WireError::new(
        503,
        "temporarily_unavailable",
        "the document that describes this client cannot be fetched right now",
    ))
}

/// Nobody knows right now.
pub(super) fn unavailable(why: &'static str) -> Failure {
    Failure::Wire(WireError::new(503, "temporarily_unavailable", why))
}

/// Whose keys cannot be had is neither believed nor refused.
fn keys_unavailable(error: &KeyError) -> Failure {
    tracing::warn!(event = "keys.unavailable", %error);
    Failure::Wire(WireError::new(
        503,
        "temporarily_unavailable",
        "the keys that would verify the assertion cannot be fetched right now",
    ))
}

/// The key that the request's DPoP proof shows, if there is a proof; it is spent with this.
///
/// # Errors
/// [`TokenError::Dpop`].
pub(super) async fn proof(
    office: &Office,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<Thumbprint>, Failure> {
    if !office
        .catalogue
        .iter()
        .any(|server| server.dpop != Dpop::Off)
    {
        // Nobody here takes bound tokens; a proof is a header like any other.
        return Ok(None);
    }
    let values = headers.get_all("dpop").iter().map(HeaderValue::as_bytes);
    let Some(proof) = Proof::read(values, &Proofs).map_err(TokenError::Dpop)? else {
        return Ok(None);
    };
    let now = office.world.now();
    let expected = Expected {
        method: "POST",
        url: &format!("{}{path}", office.issuer),
        access_token: None,
    };
    let nonces = office.keys.load();
    let key = proof
        .judge(&expected, &nonces.server_nonces, now)
        .map_err(TokenError::Dpop)?;
    match office.store.spend(proof.once()).await? {
        Decided::Now => Ok(Some(key)),
        Decided::Before => Err(TokenError::Dpop(DpopError::Replayed).into()),
    }
}

/// Gives the client the nonce for its next proof (RFC 9449 §8).
fn add_nonce(office: &Office, response: &mut Response) {
    let nonce = office.keys.load().server_nonces.now(office.world.now());
    if let Ok(nonce) = HeaderValue::from_str(&nonce) {
        response.headers_mut().insert("dpop-nonce", nonce);
    }
}

/// Tells a login's record why its code or refresh token was not taken.
async fn noted(office: &Office, flow: FlowCode, refused: &TokenError) {
    if let Some(code) = refused.code() {
        let step = Step::refused(code, refused.to_string());
        office.flows.record_once(flow, step).await;
    }
}

/// Ends what a replayed code or refresh token belongs to.
async fn replayed(
    office: &Office,
    grant: GrantId,
    now: Timestamp,
) -> Result<TokenError, StoreError> {
    if office.store.end_grant(grant, EndedWhy::Replay, now).await? {
        tracing::warn!(event = "token.reused", grant = %grant, "a grant was ended after a replay");
    }
    Ok(TokenError::CodeReplayed { grant })
}
