//! Client authentication at the token, revocation and introspection endpoints
//! (RFC 6749 §2.3, RFC 8414 `token_endpoint_auth_methods_supported`).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    WireError,
    assertion::{self, AssertionError, Once, Rules},
    client::{Client, Credential, SecretMethod},
    jwt::{self, VerifiedClaims},
    params::{self, Params, Repeated},
    secret::Secret,
    time::Timestamp,
};

/// The only `client_assertion_type` there is (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a client's assertion may live: a request takes seconds, and each one is
/// remembered to its end.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(600);

/// The same for assertions that a platform made, which lets them live longer.
pub const WORKLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How far the client's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);

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
    Assertion(Secret),
}

/// A client whose assertion is good if it was not used before. The edge spends
/// [`Self::once`] and takes the client only if nobody had.
#[derive(Debug, Clone)]
pub struct ProvenOnce {
    client: Client,
    /// What to spend.
    pub once: Once,
}

impl ProvenOnce {
    /// The client, after the edge spent [`Self::once`] for the first time.
    pub fn spent(self) -> AuthenticatedClient {
        AuthenticatedClient(self.client)
    }
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
    /// An assertion of another type, or one that cannot be read.
    #[error("the client_assertion cannot be read")]
    BrokenAssertion,
    /// What the assertion says.
    #[error("the client_assertion {0}")]
    Assertion(AssertionError),
    /// Its signature, or a key that is not the client's.
    #[error("the client_assertion is not signed by the client")]
    AssertionSignature,
    /// It was used before.
    #[error("the client_assertion was used before")]
    AssertionReplayed,
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
            E::BrokenAssertion => WireError::new(
                401,
                "invalid_client",
                "client_assertion must be a signed JWT of the type jwt-bearer",
            ),
            E::Assertion(AssertionError::Audience) => WireError::new(
                401,
                "invalid_client",
                "the audience of client_assertion must be this issuer, alone",
            ),
            E::Assertion(AssertionError::Expired | AssertionError::NotYet) => WireError::new(
                401,
                "invalid_client",
                "client_assertion has expired or is not valid yet",
            ),
            E::Assertion(AssertionError::TooLong) => WireError::new(
                401,
                "invalid_client",
                "client_assertion lives too long; ten minutes are enough",
            ),
            E::Assertion(_) | E::AssertionSignature | E::AssertionReplayed => WireError::new(
                401,
                "invalid_client",
                "client authentication failed: the client_assertion is not good",
            ),
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
        let assertion = body.one("client_assertion")?;
        let assertion_type = body.one("client_assertion_type")?;
        if assertion.is_some() || assertion_type.is_some() {
            if authorization.is_some() || body_secret.is_some() {
                return Err(E::TwoWays);
            }
            return Self::asserted(assertion, assertion_type, body_id);
        }
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

    fn asserted(
        assertion: Option<&str>,
        assertion_type: Option<&str>,
        body_id: Option<&str>,
    ) -> Result<Self, ClientAuthError> {
        use ClientAuthError as E;
        let token = assertion.ok_or(E::BrokenAssertion)?;
        if assertion_type != Some(ASSERTION_TYPE) {
            return Err(E::BrokenAssertion);
        }
        // Whose keys to look for; what it says is judged under their signature only.
        let claims = jwt::peek(token).map_err(|_| E::BrokenAssertion)?;
        let named = claims.get("sub").and_then(serde_json::Value::as_str);
        Ok(Self {
            client_id: body_id.or(named).ok_or(E::Nobody)?.to_owned(),
            with: PresentedWith::Assertion(Secret::new(token.to_owned())),
        })
    }

    /// The assertion, if that is what the client brought.
    pub fn assertion(&self) -> Option<&str> {
        match &self.with {
            PresentedWith::Assertion(token) => Some(token.expose()),
            PresentedWith::Nothing | PresentedWith::Basic(_) | PresentedWith::Body(_) => None,
        }
    }

    /// Judges an assertion whose signature was verified with the keys of this client, or of
    /// the platform that vouches for it. `audiences` are the names that mean us.
    ///
    /// # Errors
    /// [`ClientAuthError`].
    pub fn prove_by_assertion(
        &self,
        client: Client,
        token: &VerifiedClaims,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<ProvenOnce, ClientAuthError> {
        use ClientAuthError as E;
        let (issuer, subject, longest) = match &client.credential {
            Credential::Key(_) => (client.id.as_str(), client.id.as_str(), ASSERTION_LIFE),
            Credential::Workload { issuer, subject } => {
                (issuer.as_str(), subject.as_str(), WORKLOAD_LIFE)
            }
            Credential::Public | Credential::Secret { .. } => {
                return Err(E::NotProven { basic: false });
            }
        };
        let rules = Rules {
            typ: None,
            audiences,
            longest,
            leeway: LEEWAY,
            dated: false,
        };
        let assertion = assertion::judge(token, &rules, now).map_err(E::Assertion)?;
        if client.id != self.client_id
            || assertion.issuer() != issuer
            || assertion.subject() != subject
        {
            return Err(E::AssertionSignature);
        }
        let once = assertion.once();
        Ok(ProvenOnce { client, once })
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
    pub fn prove(
        &self,
        client: Client,
        now: Timestamp,
    ) -> Result<AuthenticatedClient, ClientAuthError> {
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
                    secrets,
                },
                PresentedWith::Basic(s),
            )
            | (
                Credential::Secret {
                    method: SecretMethod::Post,
                    secrets,
                },
                PresentedWith::Body(s),
            ) => {
                let presented = s.digest();
                // No early exit: how many secrets are live shows in no timing.
                secrets.iter().fold(false, |hit, secret| {
                    let lives = secret.until.is_none_or(|until| now < until);
                    hit | ((secret.digest == presented) & lives)
                })
            }
            (Credential::Secret { .. } | Credential::Key(_) | Credential::Workload { .. }, _)
            | (Credential::Public, PresentedWith::Assertion(_)) => false,
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
    use crate::client::{ClientSecret, tests::client};

    pub(crate) fn authenticated(client: Client) -> AuthenticatedClient {
        AuthenticatedClient(client)
    }

    fn confidential(method: SecretMethod, secret: &str) -> Client {
        Client {
            credential: Credential::Secret {
                method,
                secrets: vec![ClientSecret {
                    digest: Secret::new(secret.to_owned()).digest(),
                    until: None,
                }],
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
            let proven = Presented::read(*authorization, &params).and_then(|presented| {
                presented.prove((*client).clone(), Timestamp::from_unix(1000))
            });
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

    #[test]
    fn pre_1_two_secrets_live_side_by_side_until_the_old_one_ends() {
        let secret = |text: &str, until: Option<u64>| ClientSecret {
            digest: Secret::new(text.to_owned()).digest(),
            until: until.map(Timestamp::from_unix),
        };
        let rotating = Client {
            credential: Credential::Secret {
                method: SecretMethod::Basic,
                secrets: vec![secret("new", None), secret("old", Some(1000))],
            },
            ..client(&[])
        };
        for (text, at, believed) in [
            ("new", 999, true),
            ("old", 999, true),
            ("new", 1000, true),
            ("old", 1000, false),
            ("other", 999, false),
        ] {
            let header = header("vcl_test", text);
            let proven = Presented::read(Some(&header), &Params::default())
                .and_then(|p| p.prove(rotating.clone(), Timestamp::from_unix(at)));
            assert_eq!(proven.is_ok(), believed, "{text} at {at}");
        }
    }

    fn asserted(claims: &str, more: &str) -> (String, VerifiedClaims) {
        let token = jwt::tests::token(r#"{"alg":"ES256","kid":"k1"}"#, claims, "good");
        let body = format!(
            "client_assertion={token}&client_assertion_type={ASSERTION_TYPE}{more}",
            ASSERTION_TYPE = ASSERTION_TYPE.replace(':', "%3A")
        );
        (body, jwt::tests::verified(claims))
    }

    #[test]
    fn tok_6_cc_2_cimd_7_a_client_signs_for_itself_and_once() {
        use ClientAuthError as E;
        let us = ["https://gw.example", "https://gw.example/token"];
        let signer = Client {
            credential: Credential::Key(crate::client::ClientKeys::Inline(serde_json::json!({}))),
            ..client(&[])
        };
        let proven = |client: &Client, claims: &str, more: &str| {
            let (body, verified) = asserted(claims, more);
            let params = Params::parse(&body).expect("readable");
            let presented = Presented::read(None, &params)?;
            assert!(presented.assertion().is_some());
            presented
                .prove_by_assertion(client.clone(), &verified, &us, Timestamp::from_unix(1000))
                .map(|proven| (presented.client_id().to_owned(), proven.once))
        };
        let good = r#"{"iss":"vcl_test","sub":"vcl_test","aud":"https://gw.example","exp":1100,"jti":"1"}"#;
        let (named, once) = proven(&signer, good, "").expect("good, and no client_id is needed");
        assert_eq!(named, "vcl_test");
        let (_, again) = proven(&signer, good, "&client_id=vcl_test").expect("good");
        assert_eq!(once, again, "the second use of one assertion is seen");
        let table = [
            (
                good.replace("\"iss\":\"vcl_test\"", "\"iss\":\"other\""),
                "",
                E::AssertionSignature,
            ),
            (
                good.replace("\"sub\":\"vcl_test\"", "\"sub\":\"other\""),
                "&client_id=vcl_test",
                E::AssertionSignature,
            ),
            (good.to_owned(), "&client_id=other", E::AssertionSignature),
            (
                good.replace("gw.example", "evil.example"),
                "",
                E::Assertion(AssertionError::Audience),
            ),
            (
                good.replace("1100", "900"),
                "",
                E::Assertion(AssertionError::Expired),
            ),
            (
                good.replace("1100", "9999"),
                "",
                E::Assertion(AssertionError::TooLong),
            ),
            (good.to_owned(), "&client_secret=x", E::TwoWays),
        ];
        for (claims, more, expected) in table {
            let got = proven(&signer, &claims, more);
            assert_eq!(got, Err(expected), "{claims} {more}");
            assert!(matches!(expected.wire().status, 400 | 401));
        }
        // Signing replaces no secret, and a public client proves nothing by it.
        for other in [client(&[]), confidential(SecretMethod::Basic, "s")] {
            assert_eq!(proven(&other, good, ""), Err(E::NotProven { basic: false }));
        }
        // Without its assertion a client that signs is nobody.
        let params = Params::parse("client_id=vcl_test").expect("readable");
        let bare = Presented::read(None, &params).expect("readable");
        let refused = bare.prove(signer, Timestamp::from_unix(1000));
        assert_eq!(refused.map(|_| ()), Err(E::NotProven { basic: false }));
        for body in ["client_assertion=x", "client_assertion_type=x&client_id=a"] {
            let params = Params::parse(body).expect("readable");
            assert!(Presented::read(None, &params).is_err(), "{body}");
        }
    }

    #[test]
    fn tok_6_a_platform_signs_for_the_client_that_runs_on_it() {
        let us = ["https://gw.example"];
        let pod = Client {
            credential: Credential::Workload {
                issuer: "https://cluster.example".into(),
                subject: "system:serviceaccount:a:b".into(),
            },
            ..client(&[])
        };
        let of = |subject: &str| {
            let claims = format!(
                r#"{{"iss":"https://cluster.example","sub":"{subject}","aud":"https://gw.example","exp":4000,"jti":"1"}}"#
            );
            let (body, verified) = asserted(&claims, "&client_id=vcl_test");
            let params = Params::parse(&body).expect("readable");
            let presented = Presented::read(None, &params).expect("readable");
            presented
                .prove_by_assertion(pod.clone(), &verified, &us, Timestamp::from_unix(1000))
                .is_ok()
        };
        assert!(of("system:serviceaccount:a:b"));
        assert!(!of("system:serviceaccount:a:c"));
    }
}
