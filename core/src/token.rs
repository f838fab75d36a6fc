//! The token endpoint: which grant is asked for, and what a refusal looks like
//! (RFC 6749 §3.2, §5.2).

pub mod authorization_code;
pub mod client_credentials;
pub mod device_code;
pub mod jwt_bearer;
pub mod refresh_token;
pub mod token_exchange;

use crate::{
    WireError,
    client::GrantType,
    dpop::DpopError,
    id::GrantId,
    params::{Params, Repeated},
    pkce::CodeVerifier,
    scope::ScopeSet,
    secret::Secret,
};

use self::{
    authorization_code::RedeemCode, client_credentials::ClientCredentials, device_code::PollDevice,
    jwt_bearer::AssertionGrant, refresh_token::Refresh, token_exchange::Exchange,
};

/// What a token request asks for. The client is authenticated apart from this.
#[derive(Debug, Clone)]
pub enum Ask {
    /// `grant_type=authorization_code`.
    Code(RedeemCode),
    /// `grant_type=refresh_token`.
    Refresh(Refresh),
    /// `grant_type=client_credentials`.
    Machine(ClientCredentials),
    /// `grant_type=urn:ietf:params:oauth:grant-type:device_code`.
    Device(PollDevice),
    /// `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`.
    Exchange(Exchange),
    /// `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer`.
    Assertion(AssertionGrant),
}

/// Why no tokens are issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A parameter came twice.
    #[error("a parameter is repeated")]
    Repeated,
    /// No `grant_type`.
    #[error("grant_type is missing")]
    GrantTypeMissing,
    /// A grant that is not offered.
    #[error("the grant_type is not offered")]
    GrantTypeUnknown,
    /// A grant that this client may not use.
    #[error("the client may not use this grant_type")]
    GrantTypeNotAllowed,
    /// No `code`, `code_verifier` or `refresh_token`.
    #[error("a required parameter is missing")]
    ParameterMissing,
    /// A verifier outside RFC 7636 §4.1.
    #[error("code_verifier is malformed")]
    VerifierMalformed,
    /// There is no such code, or it is another client's.
    #[error("the code is not known")]
    CodeUnknown,
    /// A second use by its own client. The edge ends this grant (RFC 6749 §4.1.2).
    #[error("the code was used before")]
    CodeReplayed {
        /// The grant that the first use made.
        grant: GrantId,
    },
    /// Too late.
    #[error("the code has expired")]
    CodeExpired,
    /// The verifier does not answer the challenge. The edge counts these.
    #[error("the code_verifier is wrong")]
    VerifierWrong,
    /// Not the redirect URI of the authorization request.
    #[error("redirect_uri differs from the authorization request")]
    RedirectUriDiffers,
    /// Another resource than the grant's.
    #[error("the resource was not granted")]
    ResourceNotGranted,
    /// More than was granted.
    #[error("the scope is wider than the grant")]
    ScopeWider,
    /// The refresh token is not ours, damaged, or of another client.
    #[error("the refresh token is not known")]
    RefreshUnknown,
    /// A spent refresh token outside the window. The edge ends this grant.
    #[error("the refresh token was used before")]
    RefreshReplayed {
        /// The grant to end.
        grant: GrantId,
    },
    /// Used again too often within the window; the family lives on.
    #[error("the refresh token was repeated too often")]
    RefreshRepeatedTooOften,
    /// The grant is over.
    #[error("the grant has ended")]
    GrantEnded,
    /// The identity provider does not vouch for the person any more. The edge ended this grant.
    #[error("the identity provider does not vouch for this person any more")]
    NotVouched,
    /// No known server, none where one is needed, or one that this client may not have.
    #[error("the resource is not one that may be asked for")]
    TargetUnknown,
    /// None of the scopes is known, or may be had.
    #[error("none of the scopes may be had")]
    ScopeUnknown,
    /// An assertion's scope that the client may not have (EMA §7.6.2).
    #[error("the assertion's scope is not one that the client may have")]
    ScopeMismatch,
    /// Nobody whom the operator trusts made this assertion, or not for this.
    #[error("the assertion's issuer is not trusted for this")]
    AssertionUntrusted,
    /// What it says, or its signature.
    #[error("the assertion is not good")]
    AssertionRefused,
    /// It is another client's.
    #[error("the assertion is for another client")]
    AssertionOfAnotherClient,
    /// It was used before.
    #[error("the assertion was used before")]
    AssertionReplayed,
    /// No rule gives this workload anything.
    #[error("no rule allows this workload")]
    WorkloadNotAllowed,
    /// The token to exchange is none of ours, or no longer good.
    #[error("the subject_token is not good")]
    SubjectToken,
    /// A type of token that is not taken or given here.
    #[error("this token type is not offered")]
    TokenType,
    /// The operator or the person stopped this, or a rule denies it.
    #[error("this was stopped")]
    Stopped,
    /// The proof of a key (RFC 9449 §5).
    #[error("{0}")]
    Dpop(DpopError),
    /// The person has not decided yet (RFC 8628 §3.5).
    #[error("the person has not decided yet")]
    DevicePending,
    /// The device asks too often.
    #[error("the device asks too often")]
    DeviceTooFast,
    /// The person declined.
    #[error("the person declined")]
    DeviceDenied,
    /// Nobody decided in time, or there is no such code.
    #[error("the device code is unknown or has expired")]
    DeviceExpired,
}

impl TokenError {
    /// The error of the catalogue, for what a login's record tells of its code and tokens.
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::CodeReplayed { .. } => "V-TOK-001",
            Self::VerifierWrong => "V-TOK-002",
            Self::CodeExpired => "V-TOK-003",
            Self::RedirectUriDiffers => "V-TOK-004",
            Self::ResourceNotGranted => "V-TOK-005",
            Self::RefreshReplayed { .. } => "V-TOK-006",
            Self::GrantEnded => "V-TOK-007",
            Self::NotVouched => "V-TOK-009",
            Self::ScopeWider => "V-TOK-008",
            _ => return None,
        })
    }

    /// The error response of RFC 6749 §5.2.
    pub fn wire(&self) -> WireError {
        use TokenError as E;
        match self {
            E::Repeated => WireError::new(400, "invalid_request", "a parameter is repeated"),
            E::GrantTypeMissing => WireError::new(400, "invalid_request", "grant_type is missing"),
            E::ParameterMissing => {
                WireError::new(400, "invalid_request", "a required parameter is missing")
            }
            E::VerifierMalformed => {
                WireError::new(400, "invalid_grant", "code_verifier is malformed")
            }
            E::GrantTypeUnknown => WireError::new(
                400,
                "unsupported_grant_type",
                "this grant_type is not offered",
            ),
            E::GrantTypeNotAllowed => WireError::new(
                400,
                "unauthorized_client",
                "the client may not use this grant_type",
            ),
            E::CodeUnknown | E::CodeReplayed { .. } | E::CodeExpired => WireError::new(
                400,
                "invalid_grant",
                "the code is unknown, expired or was used before",
            ),
            E::VerifierWrong => {
                WireError::new(400, "invalid_grant", "code_verifier does not match")
            }
            E::RedirectUriDiffers => WireError::new(
                400,
                "invalid_grant",
                "redirect_uri differs from the authorization request",
            ),
            E::ResourceNotGranted => {
                WireError::new(400, "invalid_target", "the resource was not granted")
            }
            E::ScopeWider => {
                WireError::new(400, "invalid_scope", "the scope is wider than the grant")
            }
            E::TargetUnknown => WireError::new(
                400,
                "invalid_target",
                "name one resource that this client may ask for",
            ),
            E::ScopeUnknown => WireError::new(
                400,
                "invalid_scope",
                "none of the scopes can be had for this resource",
            ),
            E::ScopeMismatch => WireError::new(
                400,
                "invalid_grant",
                "the assertion's scope is not one that this client may have",
            ),
            E::AssertionUntrusted => WireError::new(
                400,
                "invalid_grant",
                "the assertion's issuer is not trusted for this",
            ),
            E::AssertionRefused => WireError::new(
                400,
                "invalid_grant",
                "the assertion is malformed, expired, not for this issuer alone, or not signed \
                 by its issuer",
            ),
            E::AssertionOfAnotherClient => {
                WireError::new(400, "invalid_grant", "the assertion is for another client")
            }
            E::AssertionReplayed => {
                WireError::new(400, "invalid_grant", "the assertion was used before")
            }
            E::WorkloadNotAllowed => WireError::new(
                400,
                "invalid_grant",
                "no rule allows this workload anything",
            ),
            E::SubjectToken => WireError::new(
                400,
                "invalid_request",
                "subject_token is not a live token of this gateway that may be exchanged",
            ),
            E::TokenType => WireError::new(
                400,
                "invalid_request",
                "only access tokens of this gateway go in and come out",
            ),
            E::Stopped => WireError::new(
                400,
                "invalid_grant",
                "access was stopped, or a rule of this gateway denies it",
            ),
            E::Dpop(why) => WireError::new(400, why.error(), dpop_text(*why)),
            E::DevicePending => {
                WireError::new(400, "authorization_pending", "nobody has decided yet")
            }
            E::DeviceTooFast => WireError::new(400, "slow_down", "wait five seconds longer"),
            E::DeviceDenied => WireError::new(400, "access_denied", "the person declined"),
            E::DeviceExpired => WireError::new(
                400,
                "expired_token",
                "the device code is unknown, was used or has expired",
            ),
            E::RefreshUnknown
            | E::RefreshReplayed { .. }
            | E::RefreshRepeatedTooOften
            | E::NotVouched
            | E::GrantEnded => WireError::new(
                400,
                "invalid_grant",
                "the refresh token is unknown, expired, revoked or was used before",
            ),
        }
    }
}

fn dpop_text(why: DpopError) -> &'static str {
    match why {
        DpopError::Missing => "send a DPoP proof; this client or server takes bound tokens only",
        DpopError::Nonce => "make the DPoP proof anew, with the nonce of this answer",
        DpopError::Key => "the DPoP proof is of another key than the one this is bound to",
        DpopError::Stale => "the DPoP proof is not fresh",
        DpopError::Replayed => "the DPoP proof was used before",
        DpopError::Method | DpopError::Address => "the DPoP proof is for another request",
        DpopError::Several
        | DpopError::Malformed
        | DpopError::Signature
        | DpopError::AccessToken => "the DPoP proof is not good",
    }
}

impl From<DpopError> for TokenError {
    fn from(why: DpopError) -> Self {
        Self::Dpop(why)
    }
}

impl From<Repeated> for TokenError {
    fn from(_: Repeated) -> Self {
        Self::Repeated
    }
}

/// Reads the body of a token request.
///
/// # Errors
/// [`TokenError`], for what can be seen in the request alone.
pub fn read(params: &Params<'_>) -> Result<Ask, TokenError> {
    use TokenError as E;
    for name in [
        "grant_type",
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "scope",
        "device_code",
        "assertion",
        "subject_token",
        "subject_token_type",
        "requested_token_type",
    ] {
        params.one(name)?;
    }
    let resources: Vec<String> = params.all("resource").map(str::to_owned).collect();
    let required = |name| -> Result<Secret, E> {
        let text = params.one(name)?.ok_or(E::ParameterMissing)?;
        Ok(Secret::new(text.to_owned()))
    };
    let scopes = || -> Result<Option<ScopeSet>, E> {
        params
            .one("scope")?
            .map(|text| ScopeSet::parse(text).map_err(|_| E::ScopeUnknown))
            .transpose()
    };
    let name = params.one("grant_type")?.ok_or(E::GrantTypeMissing)?;
    match GrantType::parse(name).ok_or(E::GrantTypeUnknown)? {
        GrantType::AuthorizationCode => {
            let verifier = params.one("code_verifier")?.ok_or(E::ParameterMissing)?;
            Ok(Ask::Code(RedeemCode {
                code: required("code")?,
                verifier: CodeVerifier::parse(verifier).map_err(|_| E::VerifierMalformed)?,
                redirect_uri: params.one("redirect_uri")?.map(str::to_owned),
                resources,
            }))
        }
        GrantType::RefreshToken => Ok(Ask::Refresh(Refresh {
            token: required("refresh_token")?,
            scopes: params
                .one("scope")?
                .map(|text| ScopeSet::parse(text).map_err(|_| E::ScopeWider))
                .transpose()?,
            resources,
        })),
        GrantType::ClientCredentials => Ok(Ask::Machine(ClientCredentials {
            scopes: scopes()?,
            resources,
        })),
        GrantType::DeviceCode => Ok(Ask::Device(PollDevice {
            device_code: required("device_code")?,
        })),
        GrantType::TokenExchange => {
            if params.has("actor_token") {
                return Err(E::TokenType);
            }
            for name in ["subject_token_type", "requested_token_type"] {
                let named = params.one(name)?;
                let optional = name == "requested_token_type";
                let fits = named.map_or(optional, |named| named == token_exchange::ACCESS_TOKEN);
                if !fits {
                    return Err(E::TokenType);
                }
            }
            let audiences = params.all("audience").map(str::to_owned);
            Ok(Ask::Exchange(Exchange {
                subject_token: required("subject_token")?,
                scopes: scopes()?,
                resources: resources.into_iter().chain(audiences).collect(),
            }))
        }
        GrantType::JwtBearer => Ok(Ask::Assertion(AssertionGrant {
            assertion: required("assertion")?,
            scopes: scopes()?,
            resources,
        })),
    }
}

/// Whether every `resource` of a token request is the granted one (RFC 8707 §2.2).
fn same_resource(asked: &[String], granted: &str) -> Result<(), TokenError> {
    let granted = crate::uri::canonical_resource(granted);
    let same = asked
        .iter()
        .all(|asked| crate::uri::canonical_resource(asked) == granted);
    if same {
        Ok(())
    } else {
        Err(TokenError::ResourceNotGranted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tok_18_tok_19_t_tok_10_which_grants_there_are() {
        let asked = |body: &str| {
            read(&Params::parse(body).expect("readable"))
                .map(|_| ())
                .map_err(|e| e.wire().error)
        };
        let verifier = "a".repeat(43);
        let of = |grant: GrantType| format!("grant_type={}", grant.name());
        let exchange = of(GrantType::TokenExchange);
        let typ = token_exchange::ACCESS_TOKEN;
        let id_token = "urn:ietf:params:oauth:token-type:id_token";
        let table = [
            (
                format!("grant_type=authorization_code&code=c&code_verifier={verifier}"),
                Ok(()),
            ),
            ("grant_type=refresh_token&refresh_token=r".into(), Ok(())),
            (String::new(), Err("invalid_request")),
            (
                "grant_type=password&username=a&password=b".into(),
                Err("unsupported_grant_type"),
            ),
            ("grant_type=client_credentials".into(), Ok(())),
            ("grant_type=implicit".into(), Err("unsupported_grant_type")),
            (
                "grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer".into(),
                Err("unsupported_grant_type"),
            ),
            (
                format!("{}&device_code=d", of(GrantType::DeviceCode)),
                Ok(()),
            ),
            (of(GrantType::DeviceCode), Err("invalid_request")),
            (format!("{}&assertion=a", of(GrantType::JwtBearer)), Ok(())),
            (of(GrantType::JwtBearer), Err("invalid_request")),
            (
                format!("{exchange}&subject_token=t&subject_token_type={typ}"),
                Ok(()),
            ),
            (
                format!("{exchange}&subject_token_type={typ}"),
                Err("invalid_request"),
            ),
            (
                format!("{exchange}&subject_token=t"),
                Err("invalid_request"),
            ),
            (
                format!("{exchange}&subject_token=t&subject_token_type={id_token}"),
                Err("invalid_request"),
            ),
            (
                format!(
                    "{exchange}&subject_token=t&subject_token_type={typ}&requested_token_type={id_token}"
                ),
                Err("invalid_request"),
            ),
            (
                format!("{exchange}&subject_token=t&subject_token_type={typ}&actor_token=x"),
                Err("invalid_request"),
            ),
            ("grant_type=refresh_token".into(), Err("invalid_request")),
            (
                "grant_type=refresh_token&refresh_token=".into(),
                Err("invalid_request"),
            ),
            (
                "grant_type=refresh_token&grant_type=refresh_token".into(),
                Err("invalid_request"),
            ),
            (
                "grant_type=authorization_code&code=c".into(),
                Err("invalid_request"),
            ),
            (
                "grant_type=authorization_code&code=c&code_verifier=short".into(),
                Err("invalid_grant"),
            ),
            (
                format!("grant_type=authorization_code&code_verifier={verifier}"),
                Err("invalid_request"),
            ),
            (
                "grant_type=refresh_token&refresh_token=r&scope=%22".into(),
                Err("invalid_scope"),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(asked(&body), expected, "{body}");
        }
    }

    #[test]
    fn wif_5_every_error_has_its_place_on_the_wire() {
        use TokenError as E;
        let grant = GrantId::new([0; 16]);
        let table = [
            (E::Repeated, "invalid_request"),
            (E::GrantTypeMissing, "invalid_request"),
            (E::ParameterMissing, "invalid_request"),
            (E::GrantTypeUnknown, "unsupported_grant_type"),
            (E::GrantTypeNotAllowed, "unauthorized_client"),
            (E::VerifierMalformed, "invalid_grant"),
            (E::CodeUnknown, "invalid_grant"),
            (E::CodeReplayed { grant }, "invalid_grant"),
            (E::CodeExpired, "invalid_grant"),
            (E::VerifierWrong, "invalid_grant"),
            (E::RedirectUriDiffers, "invalid_grant"),
            (E::ResourceNotGranted, "invalid_target"),
            (E::ScopeWider, "invalid_scope"),
            (E::RefreshUnknown, "invalid_grant"),
            (E::RefreshReplayed { grant }, "invalid_grant"),
            (E::RefreshRepeatedTooOften, "invalid_grant"),
            (E::GrantEnded, "invalid_grant"),
            (E::TargetUnknown, "invalid_target"),
            (E::ScopeUnknown, "invalid_scope"),
            (E::ScopeMismatch, "invalid_grant"),
            (E::AssertionUntrusted, "invalid_grant"),
            (E::AssertionRefused, "invalid_grant"),
            (E::AssertionOfAnotherClient, "invalid_grant"),
            (E::AssertionReplayed, "invalid_grant"),
            (E::WorkloadNotAllowed, "invalid_grant"),
            (E::SubjectToken, "invalid_request"),
            (E::TokenType, "invalid_request"),
            (E::Stopped, "invalid_grant"),
            (E::Dpop(DpopError::Stale), "invalid_dpop_proof"),
            (E::Dpop(DpopError::Nonce), "use_dpop_nonce"),
            (E::DevicePending, "authorization_pending"),
            (E::DeviceTooFast, "slow_down"),
            (E::DeviceDenied, "access_denied"),
            (E::DeviceExpired, "expired_token"),
        ];
        for (error, code) in table {
            assert_eq!(
                (error.wire().status, error.wire().error),
                (400, code),
                "{error:?}"
            );
        }
    }
}
