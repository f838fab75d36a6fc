//! The token endpoint of somebody else, of whom this gateway is a client (RFC 6749 §3.2): of
//! the identity provider, or of a service behind an MCP server.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use vestibule_core::{flow::cleaned, secret::Secret};

use crate::fetch::{self, FetchError};

/// How long a token is taken to be good whose answer does not say (RFC 6749 §5.1 leaves that
/// to documentation).
const UNSAID: u64 = 300;

/// What an access token is called in an exchange (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What it gave (RFC 6749 §5.1).
#[derive(Default, Deserialize)]
pub struct TokenAnswer {
    /// OpenID Connect Core §3.1.3.3. Not yet believed.
    pub id_token: Option<String>,
    /// As it came; [`Self::granted`] is what can be used.
    pub access_token: Option<String>,
    /// The next refresh token, if there is another.
    pub refresh_token: Option<String>,
    #[serde(default, deserialize_with = "text_or_nothing")]
    token_type: Option<String>,
    /// Seconds, if it says.
    #[serde(default, deserialize_with = "seconds_or_nothing")]
    pub expires_in: Option<u64>,
    #[serde(default, deserialize_with = "text_or_nothing")]
    issued_token_type: Option<String>,
    #[serde(flatten)]
    error: ErrorAnswer,
}

/// Some write a number as a text. What is neither must not take the tokens beside it along:
/// those of before are spent.
fn seconds_or_nothing<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    let seconds = match Value::deserialize(d)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // Ten years are for ever.
    Ok(seconds
        .filter(|seconds| *seconds >= 0.0)
        .map(|seconds| seconds.min(3.2e8) as u64))
}

fn text_or_nothing<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// An access token, and how long it is good.
#[derive(Debug, Clone)]
pub struct Granted {
    /// It.
    pub access_token: Secret,
    /// From now on.
    pub life: Duration,
}

/// Why it gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It does not answer.
    Unreachable(FetchError),
    /// It said no.
    Refused {
        /// HTTP status.
        status: u16,
        /// Its `error`, cleaned.
        error: String,
        /// Its words, cleaned.
        said: String,
        /// What the person must show it, as it wants to read it at the next sign-in
        /// (`claims`, OpenID Connect Core §5.5; Microsoft Entra's claims challenge).
        claims: Option<String>,
    },
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    claims: Option<String>,
}

/// Longest claims challenge that is passed on, in bytes.
const CLAIMS_MAX: usize = 2048;

impl ErrorAnswer {
    fn claims(&self) -> Option<String> {
        let is_one = |text: &&String| {
            let object = serde_json::from_str::<serde_json::Map<String, Value>>(text);
            text.len() <= CLAIMS_MAX && object.is_ok()
        };
        self.claims.as_ref().filter(is_one).cloned()
    }
}

impl TokenAnswer {
    /// The access token in it. `None` for one that only the holder of a key can use, and for a
    /// token of another kind under this name (RFC 8693 §2.2.1).
    pub fn granted(&self) -> Option<Granted> {
        let kind = self.token_type.as_deref();
        let issued = self.issued_token_type.as_deref();
        let bearer = kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
            && issued.is_none_or(|issued| [ACCESS_TOKEN, JWT].contains(&issued));
        let access_token = self.access_token.as_ref().filter(|token| {
            bearer && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
        });
        Some(Granted {
            access_token: Secret::new(access_token?.clone()),
            life: Duration::from_secs(self.expires_in.unwrap_or(UNSAID)),
        })
    }
}

/// By which ways an authorization server takes a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretBy {
    /// `client_secret_basic`.
    Header,
    /// `client_secret_post`.
    Form,
    /// Whichever.
    Either,
}

impl SecretBy {
    /// What its metadata says; nothing means the header (RFC 8414 §2).
    pub fn of(methods: Option<&[String]>) -> Self {
        let has =
            |name: &str| methods.is_some_and(|methods| methods.iter().any(|method| method == name));
        match (has("client_secret_basic"), has("client_secret_post")) {
            (true, true) => Self::Either,
            (false, true) => Self::Form,
            (true, false) => Self::Header,
            // What it takes of other kinds, it does not take a secret by.
            (false, false) if methods.is_some() => Self::Form,
            (false, false) => Self::Header,
        }
    }
}

/// Shows the secret, in the header or in the form (RFC 6749 §2.3.1). Where both are taken, one
/// that the header's encoding changes goes into the form, since not every server undoes that.
pub fn show_secret<'f>(
    request: RequestBuilder,
    form: &mut Vec<(&'f str, &'f str)>,
    client_id: &'f str,
    secret: &'f Secret,
    by: SecretBy,
) -> RequestBuilder {
    let (id, text) = (encoded(client_id), encoded(secret.expose()));
    let changed = id != client_id || text != secret.expose();
    if by == SecretBy::Form || (by == SecretBy::Either && changed) {
        form.push(("client_id", client_id));
        form.push(("client_secret", secret.expose()));
        return request;
    }
    // Both parts are form-encoded before base64.
    request.basic_auth(id, Some(text))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Asks.
///
/// # Errors
/// [`Failed`].
pub async fn ask(request: RequestBuilder, form: &[(&str, &str)]) -> Result<TokenAnswer, Failed> {
    // Some answer a form to whoever does not ask for JSON.
    let request = request.header(http::header::ACCEPT, "application/json");
    let (status, body) = fetch::whole(request.form(form))
        .await
        .map_err(Failed::Unreachable)?;
    if status != 200 {
        let answer: ErrorAnswer = serde_json::from_slice(&body).unwrap_or_default();
        return Err(Failed::Refused {
            status,
            error: cleaned(&answer.error, 64),
            said: cleaned(&answer.error_description, 500),
            claims: answer.claims(),
        });
    }
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| Failed::Refused {
        status,
        error: "not_json".to_owned(),
        said: String::new(),
        claims: None,
    })?;
    // Some say no with 200.
    if answer.access_token.is_none() && !answer.error.error.is_empty() {
        return Err(Failed::Refused {
            status: 400,
            error: standard(cleaned(&answer.error.error, 64)),
            said: cleaned(&answer.error.error_description, 500),
            claims: answer.error.claims(),
        });
    }
    Ok(answer)
}

/// GitHub says in words of its own what RFC 6749 §5.2 has words for.
fn standard(error: String) -> String {
    match error.as_str() {
        "incorrect_client_credentials" => "invalid_client".to_owned(),
        "bad_verification_code" | "bad_refresh_token" => "invalid_grant".to_owned(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_11_what_is_odd_beside_a_token_does_not_take_it_along() {
        let read = |more: &str| -> TokenAnswer {
            let text = format!(r#"{{"access_token":"at","refresh_token":"rt"{more}}}"#);
            serde_json::from_str(&text).expect("read")
        };
        for (more, seconds) in [
            (r#","expires_in":3599"#, Some(3599)),
            (r#","expires_in":"3599""#, Some(3599)),
            (r#","expires_in":3599.5"#, Some(3599)),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":[1]"#, None),
            (r#","expires_in":null,"token_type":7"#, None),
            ("", None),
        ] {
            let answer = read(more);
            assert_eq!(answer.expires_in, seconds, "{more}");
            assert!(
                answer.granted().is_some() && answer.refresh_token.is_some(),
                "{more}"
            );
        }
        assert!(read(r#","token_type":"DPoP""#).granted().is_none());
        assert!(
            read(r#","issued_token_type":"urn:ietf:params:oauth:token-type:id_token""#)
                .granted()
                .is_none()
        );
    }
}
