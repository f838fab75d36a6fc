//! The token endpoint: which grant is asked for, and what a refusal looks like
//! (RFC 6749 §3.2, §5.2).

pub mod authorization_code;
pub mod refresh_token;

use crate::{
    WireError,
    id::GrantId,
    params::{Params, Repeated},
    pkce::CodeVerifier,
    scope::ScopeSet,
    secret::Secret,
};

use self::{authorization_code::RedeemCode, refresh_token::Refresh};

/// What a token request asks for. The client is authenticated apart from this.
#[derive(Debug, Clone)]
pub enum Ask {
    /// `grant_type=authorization_code`.
    Code(RedeemCode),
    /// `grant_type=refresh_token`.
    Refresh(Refresh),
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
}

impl TokenError {
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
            E::RefreshUnknown
            | E::RefreshReplayed { .. }
            | E::RefreshRepeatedTooOften
            | E::GrantEnded => WireError::new(
                400,
                "invalid_grant",
                "the refresh token is unknown, expired, revoked or was used before",
            ),
        }
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
    ] {
        params.one(name)?;
    }
    let resources: Vec<String> = params.all("resource").map(str::to_owned).collect();
    match params.one("grant_type")? {
        None => Err(E::GrantTypeMissing),
        Some("authorization_code") => {
            let verifier = params.one("code_verifier")?.ok_or(E::ParameterMissing)?;
            Ok(Ask::Code(RedeemCode {
                code: Secret::new(params.one("code")?.ok_or(E::ParameterMissing)?.to_owned()),
                verifier: CodeVerifier::parse(verifier).map_err(|_| E::VerifierMalformed)?,
                redirect_uri: params.one("redirect_uri")?.map(str::to_owned),
                resources,
            }))
        }
        Some("refresh_token") => Ok(Ask::Refresh(Refresh {
            token: Secret::new(
                params
                    .one("refresh_token")?
                    .ok_or(E::ParameterMissing)?
                    .to_owned(),
            ),
            scopes: params
                .one("scope")?
                .map(|text| ScopeSet::parse(text).map_err(|_| E::ScopeWider))
                .transpose()?,
            resources,
        })),
        Some(_) => Err(E::GrantTypeUnknown),
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
    fn tok_18_t_tok_10_which_grants_there_are() {
        let asked = |body: &str| {
            read(&Params::parse(body).expect("readable"))
                .map(|_| ())
                .map_err(|e| e.wire().error)
        };
        let verifier = "a".repeat(43);
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
            (
                "grant_type=client_credentials".into(),
                Err("unsupported_grant_type"),
            ),
            ("grant_type=implicit".into(), Err("unsupported_grant_type")),
            (
                "grant_type=urn:ietf:params:oauth:grant-type:device_code".into(),
                Err("unsupported_grant_type"),
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
    fn every_error_has_its_place_on_the_wire() {
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
