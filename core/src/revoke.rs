//! Giving tokens back (RFC 7009).

use std::sync::Arc;

use crate::{
    WireError,
    access_token::{AccessToken, Opens},
    client_auth::AuthenticatedClient,
    params::{Params, Repeated},
    secret::Secret,
    token::refresh_token::{self, RefreshToken},
};

/// What a revocation request names.
#[derive(Debug, Clone)]
pub enum Named {
    /// An access token of ours that opened.
    Access(Box<AccessToken>),
    /// Something of the shape of a refresh token; believed only with its grant's secret.
    Refresh(RefreshToken),
    /// Neither: an unknown token is a success (RFC 7009 §2.2).
    Nothing,
}

/// Why a revocation request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// A parameter came twice.
    #[error("a parameter is repeated")]
    Repeated,
    /// No `token`.
    #[error("token is missing")]
    TokenMissing,
}

impl RevokeError {
    /// The error response.
    pub fn wire(self) -> WireError {
        match self {
            Self::Repeated => WireError::new(400, "invalid_request", "a parameter is repeated"),
            Self::TokenMissing => WireError::new(400, "invalid_request", "token is missing"),
        }
    }
}

impl From<Repeated> for RevokeError {
    fn from(_: Repeated) -> Self {
        Self::Repeated
    }
}

/// Reads the token of a revocation request. The hint is not needed: our kinds look different.
///
/// # Errors
/// [`RevokeError`].
pub fn token(params: &Params<'_>) -> Result<Secret, RevokeError> {
    params.one("token_type_hint")?;
    Ok(Secret::new(
        params
            .one("token")?
            .ok_or(RevokeError::TokenMissing)?
            .to_owned(),
    ))
}

/// Says which token that is.
pub fn named(token: &Secret, opens: &dyn Opens) -> Named {
    let text = token.expose();
    if text.starts_with(refresh_token::PREFIX) {
        RefreshToken::parse(text).map_or(Named::Nothing, Named::Refresh)
    } else {
        opens.open(text).map_or(Named::Nothing, |token| {
            Named::Access(Box::new(Arc::unwrap_or_clone(token)))
        })
    }
}

/// Whether `client` may give this access token back: only its own (RFC 7009 §2.1).
pub fn owns(client: &AuthenticatedClient, token: &AccessToken) -> bool {
    client.client().reference() == token.client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access_token::tests::token as access, seal::tests::sealer};

    #[test]
    fn tkn_6_t_tok_13_what_is_named() {
        let sealer = sealer();
        let of = |text: &str| named(&Secret::new(text.to_owned()), &sealer);
        let text = access().mint(&sealer, [0; 12]).expect("it fits");
        assert!(matches!(of(&text), Named::Access(_)));
        assert!(matches!(of("garbage"), Named::Nothing));
        assert!(matches!(of("vat_garbage"), Named::Nothing));
        assert!(matches!(of("vrt_garbage"), Named::Nothing));
        let read = |body: &str| token(&Params::parse(body).expect("readable")).map(|_| ());
        assert_eq!(read("token=x&token_type_hint=wrong"), Ok(()));
        assert_eq!(
            read("token_type_hint=access_token"),
            Err(RevokeError::TokenMissing)
        );
        assert_eq!(read("token=x&token=y"), Err(RevokeError::Repeated));
    }
}
