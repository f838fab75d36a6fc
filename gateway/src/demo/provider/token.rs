//! The token endpoint (RFC 6749 §3.2, OpenID Connect Core §3.1.3 and §12).

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use serde_json::json;

use super::memory::{Grant, RefreshToken};
use super::parameters::Parameters;
use super::scopes::Scopes;
use super::{Digest, Provider};

/// Short, so that the demo shows refreshes too.
const TOKEN_LIFE: u64 = 300;

pub(super) async fn exchange(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    match issue(&provider, &headers, &body) {
        Ok(tokens) => uncached(StatusCode::OK, json!(tokens).to_string()),
        Err(refusal) => refusal.answer(),
    }
}

fn issue(provider: &Provider, headers: &HeaderMap, body: &str) -> Result<Tokens, TokenRefusal> {
    if !is_form(headers) {
        return Err(TokenRefusal::NotAForm);
    }
    let ask = Parameters::parse(body).map_err(|_| TokenRefusal::RepeatedParameter)?;
    // There is one client: to prove to be it is also to own every code and token.
    prove_client(provider, headers, &ask)?;
    match ask.value("grant_type") {
        Some("authorization_code") => redeem_code(provider, &ask),
        Some("refresh_token") => refresh(provider, &ask),
        Some(_) => Err(TokenRefusal::GrantTypeUnknown),
        None => Err(TokenRefusal::ParameterMissing("grant_type is missing")),
    }
}

/// `client_secret_basic` or `client_secret_post`, one of them (RFC 6749 §2.3).
fn prove_client(
    provider: &Provider,
    headers: &HeaderMap,
    ask: &Parameters,
) -> Result<(), TokenRefusal> {
    let in_body = ask.value("client_secret");
    let (id, secret) = match headers.get(header::AUTHORIZATION) {
        Some(_) if in_body.is_some() => return Err(TokenRefusal::ClientProvenTwice),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(basic_credentials)
            .ok_or(TokenRefusal::ClientNotProven)?,
        None => (
            ask.value("client_id").unwrap_or_default().to_owned(),
            in_body.unwrap_or_default().to_owned(),
        ),
    };
    // Beside Basic, a client_id in the body may be sent but must not differ.
    let ids_agree = ask
        .value("client_id")
        .is_none_or(|named| named == provider.client_id);
    if ids_agree && id == provider.client_id && provider.client_secret.is_of(&secret) {
        Ok(())
    } else {
        Err(TokenRefusal::ClientNotProven)
    }
}

/// Both halves are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    // A bare `=` or `&` would split the text; an encoder never leaves one.
    if text.contains(['=', '&']) {
        return None;
    }
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map_or(Some(String::new()), |(decoded, _)| {
            Some(decoded.into_owned())
        })
}

/// RFC 6749 §4.1.3 and RFC 7636 §4.6. Presenting a code spends it, even in vain.
fn redeem_code(provider: &Provider, ask: &Parameters) -> Result<Tokens, TokenRefusal> {
    let presented = ask
        .value("code")
        .ok_or(TokenRefusal::ParameterMissing("code is missing"))?;
    let redirect_uri = ask
        .value("redirect_uri")
        .ok_or(TokenRefusal::ParameterMissing("redirect_uri is missing"))?;
    let verifier = ask
        .value("code_verifier")
        .ok_or(TokenRefusal::ParameterMissing("code_verifier is missing"))?;

    let now = provider.now();
    let successor = provider.handle();
    let code = {
        // One lock from the first look to the last change: of two tries at the same
        // time one is the replay, and it ends what the other was given.
        let mut memory = provider.memory();
        let code = memory
            .codes
            .live(&Digest::of(presented), now)
            .ok_or(TokenRefusal::CodeUnknown)?;
        let seen = code.clone();
        code.spent = true;
        if seen.spent {
            memory.end_family(seen.grant.family);
            return Err(TokenRefusal::CodeReplayed);
        }
        if redirect_uri != provider.redirect_uri {
            return Err(TokenRefusal::RedirectUriDiffers);
        }
        if !answers(verifier, &seen.challenge) {
            return Err(TokenRefusal::VerifierWrong);
        }
        if seen.grant.scopes.offline_access {
            memory
                .refresh_tokens
                .insert(Digest::of(&successor), RefreshToken::of(seen.grant), now);
        }
        seen
    };
    let refresh_token = code.grant.scopes.offline_access.then_some(successor);
    tokens(
        provider,
        code.grant,
        code.grant.scopes,
        code.nonce,
        refresh_token,
    )
}

/// RFC 6749 §6 with rotation (RFC 9700 §4.14.2).
fn refresh(provider: &Provider, ask: &Parameters) -> Result<Tokens, TokenRefusal> {
    let presented = ask
        .value("refresh_token")
        .ok_or(TokenRefusal::ParameterMissing("refresh_token is missing"))?;
    let now = provider.now();
    let successor = provider.handle();
    let (grant, scopes) = {
        let mut memory = provider.memory();
        let token = memory
            .refresh_tokens
            .live(&Digest::of(presented), now)
            .ok_or(TokenRefusal::RefreshTokenUnknown)?;
        let grant = token.grant;
        if token.spent {
            memory.end_family(grant.family);
            return Err(TokenRefusal::RefreshTokenReplayed);
        }
        // Judged before the token is spent: a typo must not end the login.
        let scopes = match ask.value("scope") {
            Some(asked) => grant
                .scopes
                .narrowed_to(asked)
                .ok_or(TokenRefusal::ScopeWiderThanGrant)?,
            None => grant.scopes,
        };
        token.spent = true;
        // The successor keeps the whole grant: a narrowed scope counts for one answer.
        memory
            .refresh_tokens
            .insert(Digest::of(&successor), RefreshToken::of(grant), now);
        (grant, scopes)
    };
    // An ID token from a refresh carries no nonce (OpenID Connect Core §12.2).
    tokens(provider, grant, scopes, None, Some(successor))
}

/// Whether the verifier has the form of RFC 7636 §4.1 and hashes to the challenge.
fn answers(verifier: &str, challenge: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let hashed = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    well_formed
        && constant_time::verify_slices_are_equal(hashed.as_bytes(), challenge.as_bytes()).is_ok()
}

#[derive(Serialize)]
struct Tokens {
    /// Opens nothing: the provider has no API, and all claims are in the ID token.
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    id_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

fn tokens(
    provider: &Provider,
    grant: Grant,
    scopes: Scopes,
    nonce: Option<String>,
    refresh_token: Option<String>,
) -> Result<Tokens, TokenRefusal> {
    let now = provider.now();
    let person = grant.person;
    let claims = IdClaims {
        iss: &provider.issuer,
        sub: person.subject,
        aud: &provider.client_id,
        iat: now,
        exp: now.saturating_add(TOKEN_LIFE),
        auth_time: grant.auth_time,
        nonce,
        name: scopes.profile.then_some(person.name),
        preferred_username: scopes.profile.then_some(person.username),
        groups: scopes.profile.then_some(person.groups),
        email: scopes.email.then_some(person.email),
        email_verified: scopes.email.then_some(true),
    };
    let header = Header {
        kid: Some(provider.key.kid.clone()),
        ..Header::new(Algorithm::ES256)
    };
    Ok(Tokens {
        access_token: provider.handle(),
        token_type: "Bearer",
        expires_in: TOKEN_LIFE,
        scope: scopes.to_string(),
        id_token: jsonwebtoken::encode(&header, &claims, &provider.key.private)
            .map_err(|_| TokenRefusal::SigningFailed)?,
        refresh_token,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenRefusal {
    NotAForm,
    RepeatedParameter,
    ParameterMissing(&'static str),
    GrantTypeUnknown,
    ClientProvenTwice,
    ClientNotProven,
    CodeUnknown,
    CodeReplayed,
    RedirectUriDiffers,
    VerifierWrong,
    RefreshTokenUnknown,
    RefreshTokenReplayed,
    ScopeWiderThanGrant,
    SigningFailed,
}

impl TokenRefusal {
    /// RFC 6749 §5.2. The sentences say more than a real provider's should: this one
    /// guards nothing and is read by developers.
    fn wire(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::NotAForm => (
                BAD,
                "invalid_request",
                "the body must be application/x-www-form-urlencoded",
            ),
            Self::RepeatedParameter => (BAD, "invalid_request", "a parameter occurs twice"),
            Self::ParameterMissing(which) => (BAD, "invalid_request", which),
            Self::GrantTypeUnknown => (
                BAD,
                "unsupported_grant_type",
                "grant_type must be authorization_code or refresh_token",
            ),
            Self::ClientProvenTwice => (
                BAD,
                "invalid_request",
                "the client secret is in both the header and the body",
            ),
            Self::ClientNotProven => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "client_id or client_secret is wrong",
            ),
            Self::CodeUnknown => (BAD, "invalid_grant", "the code is unknown or expired"),
            Self::CodeReplayed => (BAD, "invalid_grant", "the code was used before"),
            Self::RedirectUriDiffers => (
                BAD,
                "invalid_grant",
                "redirect_uri differs from the authorization request",
            ),
            Self::VerifierWrong => (
                BAD,
                "invalid_grant",
                "code_verifier does not answer code_challenge",
            ),
            Self::RefreshTokenUnknown => (
                BAD,
                "invalid_grant",
                "the refresh token is unknown or ended",
            ),
            Self::RefreshTokenReplayed => (
                BAD,
                "invalid_grant",
                "the refresh token was used before; its login has ended",
            ),
            Self::ScopeWiderThanGrant => (
                BAD,
                "invalid_scope",
                "scope must contain openid and nothing that was not granted",
            ),
            Self::SigningFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "the ID token could not be signed",
            ),
        }
    }

    fn answer(self) -> Response {
        let (status, error, description) = self.wire();
        let body = json!({ "error": error, "error_description": description });
        let mut response = uncached(status, body.to_string());
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Basic realm=\"vestibule demo\""),
            );
        }
        response
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            essence
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

fn uncached(status: StatusCode, body: String) -> Response {
    (
        status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ],
        body,
    )
        .into_response()
}
