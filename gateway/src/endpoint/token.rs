//! `POST /token` (RFC 6749 §3.2).

use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;
use vestibule_core::{
    WireError,
    access_token::AccessToken,
    client_auth::{AuthenticatedClient, ClientAuthError, Presented},
    flow::Step,
    id::{ClientRef, GrantId, PersonId, TokenId},
    params::Params,
    scope::ScopeSet,
    secret::{MacKey, Secret},
    time::Timestamp,
    token::{
        self, Ask, TokenError,
        authorization_code::{self, RedeemCode},
        refresh_token::{self, Refresh, RefreshToken},
    },
};

use super::answer;
use crate::{
    keys::Keys,
    office::{NoClient, Office, Purpose},
    store::{EndedWhy, Epochs, NewGrant, Redeemed, Renewal, StoreError, secret_place},
};

/// How often a renewal is judged again because somebody else was faster.
const TRIES: usize = 64;

/// How long a grant lives whose provider gave no refresh token.
const WITHOUT_PROVIDER: Duration = Duration::from_secs(12 * 3600);

/// Why there is no success answer.
enum Failure {
    Client(ClientAuthError),
    Token(TokenError),
    Store(StoreError),
    Wire(WireError),
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

/// See the module.
pub async fn post(
    State(office): State<Arc<Office>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match token(&office, &uri, &headers, body).await {
        Ok(response) => response,
        Err(Failure::Client(refused)) => {
            tracing::info!(event = "token.client_refused", why = %refused);
            answer::not_authenticated(refused)
        }
        Err(Failure::Token(refused)) => {
            tracing::info!(event = "token.refused", why = %refused);
            answer::error(refused.wire())
        }
        Err(Failure::Store(error)) => answer::store_failed(&error),
        Err(Failure::Wire(error)) => answer::error(error),
    }
}

async fn token(
    office: &Office,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if uri.query().is_some_and(|query| !query.is_empty()) {
        let why = "send the parameters in the body, not in the address";
        return Err(Failure::Wire(WireError::new(400, "invalid_request", why)));
    }
    let text = answer::form(headers, body, office.body_max)
        .await
        .map_err(|error| Failure::Wire(error.wire()))?;
    let params = Params::parse(&text).map_err(|_| {
        let why = "the body is not properly encoded";
        Failure::Wire(WireError::new(400, "invalid_request", why))
    })?;
    let ask = token::read(&params)?;
    let client = authenticate(office, headers, &params).await?;
    match ask {
        Ask::Code(ask) => redeem(office, &ask, &client).await,
        Ask::Refresh(ask) => renew(office, &ask, &client).await,
    }
}

/// The client of a request, proven.
pub(super) async fn authenticate_client(
    office: &Office,
    headers: &HeaderMap,
    params: &Params<'_>,
) -> Result<AuthenticatedClient, Result<ClientAuthError, WireError>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let authorization = values.next();
    if values.next().is_some() {
        return Err(Ok(ClientAuthError::BrokenBasic));
    }
    let authorization = match authorization.map(http::HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(Ok(ClientAuthError::BrokenBasic)),
    };
    let presented = Presented::read(authorization, params).map_err(Ok)?;
    match office.client(presented.client_id(), Purpose::Token).await {
        Ok(client) => presented.prove(client).map_err(Ok),
        Err(NoClient::Unknown | NoClient::NotAdmitted | NoClient::Document(_)) => {
            Err(Ok(presented.unknown()))
        }
    }
}

async fn authenticate(
    office: &Office,
    headers: &HeaderMap,
    params: &Params<'_>,
) -> Result<AuthenticatedClient, Failure> {
    authenticate_client(office, headers, params)
        .await
        .map_err(|refused| match refused {
            Ok(refused) => Failure::Client(refused),
            Err(wire) => Failure::Wire(wire),
        })
}

async fn redeem(
    office: &Office,
    ask: &RedeemCode,
    client: &AuthenticatedClient,
) -> Result<Response, Failure> {
    let digest = ask.code.digest();
    let now = office.world.now();
    let found = office
        .store
        .code(digest)
        .await?
        .ok_or(TokenError::CodeUnknown)?;
    let issue = match authorization_code::judge(ask, client, &found.code, found.state, now) {
        Ok(issue) => issue,
        Err(TokenError::CodeReplayed { grant }) => {
            return Err(replayed(office, grant, now).await?.into());
        }
        Err(TokenError::VerifierWrong) => {
            office.store.count_wrong_verifier(digest).await?;
            return Err(TokenError::VerifierWrong.into());
        }
        Err(refused) => return Err(refused.into()),
    };
    let keys = office.keys.load_full();
    let secret = office.world.random::<32>();
    // Nobody can be asked later whether the person is still there.
    let longest = if found.has_idp {
        office.tokens.refresh_ttl
    } else {
        office.tokens.refresh_ttl.min(WITHOUT_PROVIDER)
    };
    let ends = now.plus(longest);
    let access_until = now.plus(office.tokens.access_ttl).min(ends);
    let redeemed = office
        .store
        .redeem_code(
            digest,
            NewGrant {
                id: issue.grant,
                secret: keys.seal_at_rest(&secret_place(issue.grant), &secret, &office.world),
                now,
                access_until,
                idle_until: now.plus(office.tokens.refresh_idle),
                ends,
            },
        )
        .await?;
    let epochs = match redeemed {
        Redeemed::Now(epochs) => epochs,
        // Two came at once, and the other was first: that is a replay too.
        Redeemed::Before => return Err(replayed(office, issue.grant, now).await?.into()),
    };
    office.flows.record(found.flow, Step::TokensIssued);
    let refresh = (issue.refresh && office.tokens.refresh)
        .then(|| RefreshToken::mint(&MacKey::new(&secret), office.issuer.text(), issue.grant, 1));
    Ok(success(
        office,
        &keys,
        Issued {
            grant: issue.grant,
            person: issue.person,
            client: client.client().reference(),
            resource: issue.resource,
            scopes: issue.scopes,
            epochs,
            now,
            access_until,
            refresh,
        },
    ))
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

async fn renew(
    office: &Office,
    ask: &Refresh,
    client: &AuthenticatedClient,
) -> Result<Response, Failure> {
    let token = RefreshToken::parse(ask.token.expose()).ok_or(TokenError::RefreshUnknown)?;
    let keys = office.keys.load_full();
    for _ in 0..TRIES {
        let now = office.world.now();
        let found = office
            .store
            .grant(token.grant())
            .await?
            .ok_or(TokenError::RefreshUnknown)?;
        let secret: Option<[u8; 32]> = keys
            .open_at_rest(&secret_place(token.grant()), found.secret.clone())
            .and_then(|plain| plain.as_slice().try_into().ok());
        let Some(secret) = secret else {
            return Err(StoreError::Failed("a grant's secret does not open".into()).into());
        };
        let secret = MacKey::new(&secret);
        if !token.is_authentic(&secret, office.issuer.text()) {
            return Err(TokenError::RefreshUnknown.into());
        }
        let window = office.tokens.refresh_window;
        let renewed = match refresh_token::judge(ask, &token, client, &found.facts, window, now) {
            Ok(renewed) => renewed,
            Err(TokenError::RefreshReplayed { grant }) => {
                replayed(office, grant, now).await?;
                return Err(TokenError::RefreshReplayed { grant }.into());
            }
            Err(refused) => return Err(refused.into()),
        };
        if renewed.from_the_future {
            tracing::warn!(event = "token.from_restored_store", grant = %token.grant());
        }
        let access_until = now.plus(office.tokens.access_ttl).min(found.facts.ends);
        let generation = renewed.family.generation;
        let stored = office
            .store
            .renew_grant(Renewal {
                grant: token.grant(),
                judged: found.facts.family,
                renewed: renewed.family,
                now,
                access_until,
                idle_until: now.plus(office.tokens.refresh_idle),
            })
            .await?;
        let Some(epochs) = stored else { continue };
        if renewed.rotated {
            tracing::info!(event = "token.refreshed", flow = %found.flow);
        }
        let refresh = RefreshToken::mint(&secret, office.issuer.text(), token.grant(), generation);
        return Ok(success(
            office,
            &keys,
            Issued {
                grant: token.grant(),
                person: found.person,
                client: client.client().reference(),
                resource: found.facts.resource,
                scopes: renewed.scopes,
                epochs,
                now,
                access_until,
                refresh: Some(refresh),
            },
        ));
    }
    Err(StoreError::Busy.into())
}

struct Issued {
    grant: GrantId,
    person: PersonId,
    client: ClientRef,
    resource: String,
    scopes: ScopeSet,
    epochs: Epochs,
    now: Timestamp,
    access_until: Timestamp,
    refresh: Option<Secret>,
}

fn success(office: &Office, keys: &Keys, issued: Issued) -> Response {
    let token = AccessToken {
        id: TokenId::new(office.world.random()),
        grant: issued.grant,
        subject: issued.person,
        machine: false,
        client: issued.client,
        subject_epoch: issued.epochs.subject,
        client_epoch: issued.epochs.client,
        issued: issued.now,
        expires: issued.access_until,
        resource: issued.resource,
        scopes: issued.scopes,
        confirmation: None,
        groups: Vec::new(),
    };
    let mut body = json!({
        "access_token": token.mint(&keys.access, office.world.random()),
        "token_type": "Bearer",
        "expires_in": issued.access_until.since(issued.now).as_secs(),
        "scope": token.scopes.to_string(),
    });
    if let Some(refresh) = issued.refresh {
        body["refresh_token"] = refresh.expose().into();
    }
    answer::json(StatusCode::OK, &body)
}
