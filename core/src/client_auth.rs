//! Client authentication at the token, revocation and introspection endpoints
//! (RFC 6749 §2.3, RFC 8414 `token_endpoint_auth_methods_supported`).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    WireError,
    client::{Client, Credential, SecretMethod},
    params::{self, Params, Repeated},
    secret::Secret,
};

/// What a request brought to prove who the client is. Names a client; proves nothing yet.
#[derive(Debug, Clone)]
pub struct Presented {
    client_id: String,
    with: PresentedWith,
}

#[derive(Debug, Clone)]
enum PresentedWith {
    Nothing,
    Basic(Secret),
    Body(Secret),
}

/// A client that proved itself, or is public and has nothing to prove.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient(Client);

impl AuthenticatedClient {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.0
    }
}

/// Why a client is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthError {
    /// No `client_id` anywhere.
    #[error("no client_id")]
    Nobody,
    /// A parameter that came twice.
    #[error("a parameter is repeated")]
    Repeated,
    /// An `Authorization` header that is no readable `Basic`.
    #[error("the Authorization header is not readable as Basic")]
    BrokenBasic,
    /// Two ways at once (RFC 6749 §2.3).
    #[error("credentials came in two ways at once")]
    TwoWays,
    /// There is no such client.
    #[error("unknown client")]
    Unknown {
        /// Whether the header was used.
        basic: bool,
    },
    /// Wrong or missing secret, or not in the registered way.
    #[error("the client did not prove itself")]
    NotProven {
        /// Whether the header was used.
        basic: bool,
    },
}

impl ClientAuthError {
    /// The error response (RFC 6749 §5.2). A 401 to a client that used the header carries
    /// `WWW-Authenticate: Basic`; see [`Self::challenges_basic`].
    pub fn wire(&self) -> WireError {
        use ClientAuthError as E;
        match self {
            E::Repeated => WireError::new(400, "invalid_request", "a parameter is repeated"),
            E::TwoWays => WireError::new(
                400,
                "invalid_request",
                "use one way of client authentication only",
            ),
            E::Nobody => WireError::new(401, "invalid_client", "client_id is missing"),
            E::BrokenBasic | E::NotProven { .. } => {
                WireError::new(401, "invalid_client", "client authentication failed")
            }
            E::Unknown { .. } => WireError::new(
                401,
                "invalid_client",
                "client authentication failed; an unknown client must register again",
            ),
        }
    }

    /// Whether the answer must carry a `Basic` challenge.
    pub fn challenges_basic(&self) -> bool {
        matches!(
            self,
            Self::BrokenBasic | Self::Unknown { basic: true } | Self::NotProven { basic: true }
        )
    }
}

impl From<Repeated> for ClientAuthError {
    fn from(_: Repeated) -> Self {
        Self::Repeated
    }
}

impl Presented {
    /// Reads the credentials from the `Authorization` header, if any, and the body.
    ///
    /// # Errors
    /// [`ClientAuthError`].
    pub fn read(authorization: Option<&str>, body: &Params<'_>) -> Result<Self, ClientAuthError> {
        use ClientAuthError as E;
        let body_id = body.one("client_id")?;
        let body_secret = body.one("client_secret")?;
        match authorization {
            Some(header) => {
                let (id, secret) = basic(header).ok_or(E::BrokenBasic)?;
                if body_secret.is_some() {
                    return Err(E::TwoWays);
                }
                if body_id.is_some_and(|body_id| body_id != id) {
                    return Err(E::NotProven { basic: true });
                }
                Ok(Self {
                    client_id: id,
                    with: PresentedWith::Basic(Secret::new(secret)),
                })
            }
            None => Ok(Self {
                client_id: body_id.ok_or(E::Nobody)?.to_owned(),
                with: match body_secret {
                    Some(secret) => PresentedWith::Body(Secret::new(secret.to_owned())),
                    None => PresentedWith::Nothing,
                },
            }),
        }
    }

    /// Whom the request names.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The error for a client that does not exist.
    pub fn unknown(&self) -> ClientAuthError {
        ClientAuthError::Unknown {
            basic: self.used_basic(),
        }
    }

    fn used_basic(&self) -> bool {
        matches!(self.with, PresentedWith::Basic(_))
    }

    /// Judges the credentials against the client that [`Self::client_id`] named.
    ///
    /// # Errors
    /// [`ClientAuthError::NotProven`].
    pub fn prove(&self, client: Client) -> Result<AuthenticatedClient, ClientAuthError> {
        let not_proven = ClientAuthError::NotProven {
            basic: self.used_basic(),
        };
        if client.id != self.client_id {
            return Err(not_proven);
        }
        let proven = match (&client.credential, &self.with) {
            (Credential::Public, PresentedWith::Nothing) => true,
            // A public client has no secret; one that sends some is confused or forged.
            (Credential::Public, PresentedWith::Basic(secret)) => secret.expose().is_empty(),
            (Credential::Public, PresentedWith::Body(_)) => false,
            (
                Credential::Secret {
                    method: SecretMethod::Basic,
                    digests,
                },
                PresentedWith::Basic(s),
            )
            | (
                Credential::Secret {
                    method: SecretMethod::Post,
                    digests,
                },
                PresentedWith::Body(s),
            ) => {
                let presented = s.digest();
                // No early exit: how many secrets are live shows in no timing.
                digests
                    .iter()
                    .fold(false, |hit, digest| hit | (*digest == presented))
            }
            (Credential::Secret { .. }, _) => false,
        };
        if proven {
            Ok(AuthenticatedClient(client))
        } else {
            Err(not_proven)
        }
    }
}

/// Both parts of a `Basic` header, form-decoded after base64 (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let id = params::decode(id).ok()?.into_owned();
    let secret = params::decode(secret).ok()?.into_owned();
    (!id.is_empty()).then_some((id, secret))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::client::tests::client;

    pub(crate) fn authenticated(client: Client) -> AuthenticatedClient {
        AuthenticatedClient(client)
    }

    fn confidential(method: SecretMethod, secret: &str) -> Client {
        Client {
            credential: Credential::Secret {
                method,
                digests: vec![Secret::new(secret.to_owned()).digest()],
            },
            ..client(&["https://a.example/cb"])
        }
    }

    fn header(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    #[test]
    fn tok_5_t_tok_09_one_way_and_the_registered_one() {
        let public = client(&["https://a.example/cb"]);
        let basic = confidential(SecretMethod::Basic, "s+%:e");
        let post = confidential(SecretMethod::Post, "secret");
        let encoded = header("vcl_test", "s%2B%25%3Ae");
        // client, header, body, believed, why
        let table: &[(&Client, Option<&str>, &str, bool, &str)] = &[
            (
                &public,
                None,
                "client_id=vcl_test",
                true,
                "a public client names itself",
            ),
            (
                &public,
                None,
                "client_id=vcl_test&client_secret=x",
                false,
                "and sends no secret",
            ),
            (&public, None, "client_id=other", false, "its own name"),
            (
                &basic,
                Some(&encoded),
                "",
                true,
                "form-decoded after base64",
            ),
            (
                &basic,
                Some(&encoded),
                "client_id=vcl_test",
                true,
                "the same name again is fine",
            ),
            (
                &basic,
                Some(&encoded),
                "client_id=other",
                false,
                "another name is not",
            ),
            (
                &basic,
                None,
                "client_id=vcl_test",
                false,
                "PKCE does not replace the secret",
            ),
            (
                &basic,
                None,
                "client_id=vcl_test&client_secret=s%2B%25%3Ae",
                false,
                "not registered",
            ),
            (
                &post,
                None,
                "client_id=vcl_test&client_secret=secret",
                true,
                "RFC 6749 §2.3.1",
            ),
            (
                &post,
                None,
                "client_id=vcl_test&client_secret=Secret",
                false,
                "wrong secret",
            ),
            (&post, Some(&encoded), "", false, "not the registered way"),
        ];
        for (client, authorization, body, believed, why) in table {
            let params = Params::parse(body).expect("readable");
            let proven = Presented::read(*authorization, &params)
                .and_then(|presented| presented.prove((*client).clone()));
            assert_eq!(proven.is_ok(), *believed, "{body} {authorization:?}: {why}");
        }
    }

    #[test]
    fn tok_4_refusals_as_the_client_hears_them() {
        let refused = |authorization: Option<&str>, body: &str| {
            let params = Params::parse(body).expect("readable");
            let error = Presented::read(authorization, &params).expect_err("refused");
            (
                error.wire().status,
                error.wire().error,
                error.challenges_basic(),
            )
        };
        let good = header("a", "b");
        assert_eq!(refused(None, ""), (401, "invalid_client", false));
        assert_eq!(
            refused(Some("Basic !!!"), ""),
            (401, "invalid_client", true)
        );
        assert_eq!(refused(Some("Bearer x"), ""), (401, "invalid_client", true));
        assert_eq!(
            refused(Some(&good), "client_secret=b"),
            (400, "invalid_request", false)
        );
        assert_eq!(
            refused(None, "client_id=a&client_id=a"),
            (400, "invalid_request", false)
        );
        let presented = Presented::read(Some(&good), &Params::default()).expect("readable");
        assert!(presented.unknown().challenges_basic());
        assert_eq!(presented.unknown().wire().status, 401);
    }
}
