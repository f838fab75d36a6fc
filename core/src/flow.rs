//! The record of a login: which steps it took, and what may be kept of each.
//!
//! What can be recorded is what these types can hold. There is no field for a code, a
//! token, a verifier, a cookie or an address with a query, so none can slip in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The name of one login attempt, short enough to say on the telephone: `K7Q2-9MTX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowCode([u8; 8]);

/// Crockford's alphabet: no I, L, O, U, so that nothing is misread or spelled.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl FlowCode {
    /// A code of forty random bits out of eight random bytes.
    pub fn from_random(bytes: &[u8; 8]) -> Self {
        Self(bytes.map(|byte| ALPHABET[usize::from(byte % 32)]))
    }

    /// Reads a code as a person may type it: case, dash and look-alikes do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = [0; 8];
        let mut digits =
            text.bytes()
                .filter(|b| *b != b'-')
                .map(|b| match b.to_ascii_uppercase() {
                    b'O' => b'0',
                    b'I' | b'L' => b'1',
                    other => other,
                });
        for place in &mut code {
            *place = digits.next().filter(|b| ALPHABET.contains(b))?;
        }
        digits.next().is_none().then_some(Self(code))
    }
}

impl fmt::Display for FlowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        write!(f, "{}-{}", &text[..4], &text[4..])
    }
}

impl Serialize for FlowCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for FlowCode {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a flow code"))
    }
}

/// One step with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: Step,
}

/// What can happen on the way from the first request to the first token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The authorization request was understood.
    Asked {
        /// The app's name, cleaned for people.
        client: String,
        /// How it is known.
        known_by: String,
        /// Host of the redirect URI.
        redirect_host: String,
        /// The MCP server's title.
        server: String,
        /// What is asked for.
        scopes: String,
    },
    /// The consent page was drawn.
    ConsentShown,
    /// The person allowed it.
    Allowed,
    /// The person declined.
    Denied,
    /// The browser was sent to the identity provider.
    SentToProvider {
        /// Its host.
        host: String,
    },
    /// The browser came back.
    CameBack,
    /// The provider said no in the browser.
    ProviderRefused {
        /// Its `error`, cleaned.
        error: String,
        /// Its own words, cleaned and shortened.
        said: String,
    },
    /// The provider's token endpoint answered with an error, or not at all.
    ProviderTokenFailed {
        /// HTTP status; 0 if there was no answer.
        status: u16,
        /// Its `error`, cleaned.
        error: String,
        /// Its own words, cleaned and shortened.
        said: String,
    },
    /// The ID token was not believed.
    IdentityRefused {
        /// Which rule it broke, in our words.
        why: String,
    },
    /// The person is known.
    SignedIn {
        /// What the provider calls them, cleaned.
        person: String,
    },
    /// The client was sent its code.
    CodeSent,
    /// The code was redeemed.
    TokensIssued,
    /// The access was renewed.
    Refreshed,
    /// The access was given back or stopped.
    Revoked,
    /// This step was refused.
    Refused {
        /// The error of the catalogue.
        code: String,
        /// What happened, in our words.
        why: String,
    },
}

/// How a login stands, by its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, or waits for the person.
    Open,
    /// The client got its code.
    Succeeded,
    /// It ended without.
    Failed,
}

impl Step {
    /// Whether the login ends here, and how.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Asked { .. }
            | Self::ConsentShown
            | Self::Allowed
            | Self::SentToProvider { .. }
            | Self::CameBack
            | Self::SignedIn { .. } => Outcome::Open,
            Self::CodeSent | Self::TokensIssued | Self::Refreshed | Self::Revoked => {
                Outcome::Succeeded
            }
            Self::Denied
            | Self::ProviderRefused { .. }
            | Self::ProviderTokenFailed { .. }
            | Self::IdentityRefused { .. }
            | Self::Refused { .. } => Outcome::Failed,
        }
    }
}

/// Text of a stranger, fit to be recorded: no control characters, at most `max` characters.
pub fn cleaned(text: &str, max: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_code_reads_back_as_people_type_it() {
        let code = FlowCode::from_random(&[7, 40, 255, 0, 31, 32, 10, 11]);
        assert_eq!(code.to_string(), "78Z0-Z0AB");
        for typed in ["78Z0-Z0AB", "78z0z0ab", "78ZO-zoAB"] {
            assert_eq!(FlowCode::parse(typed), Some(code), "{typed}");
        }
        for bad in ["", "78Z0-Z0A", "78Z0-Z0ABC", "78Z0-Z0A!", "../../etc"] {
            assert_eq!(FlowCode::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn t_sto_07_recorded_words_have_no_control_characters() {
        assert_eq!(cleaned("a\r\nb\x1b[31m", 100), "a  b [31m");
        assert_eq!(cleaned(&"x".repeat(500), 200).len(), 200);
    }
}
