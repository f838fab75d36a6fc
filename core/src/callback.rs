//! The identity provider's answer at the callback address: is it for this login, and is it that
//! provider's (OpenID Connect Core §3.1.2.5, RFC 9207 §2.4).

use crate::{flow::cleaned, params::Params};

/// What came to the callback address, before it is matched with a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which login it claims to be for.
    pub state: String,
    /// What it says.
    pub says: Says,
    /// The `iss` parameter.
    pub iss: Option<String>,
}

/// What the provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Here is a code.
    Code(String),
    /// No.
    Error {
        /// Its error code, cleaned.
        error: String,
        /// Its words, cleaned.
        said: String,
    },
}

/// A callback request that is no answer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No `state`, or a parameter twice.
    #[error("the address lacks its parameters")]
    Malformed,
}

impl Answer {
    /// Reads the query of the callback.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn read(params: &Params<'_>) -> Result<Self, AnswerError> {
        let one = |name| params.one(name).map_err(|_| AnswerError::Malformed);
        let state = one("state")?.ok_or(AnswerError::Malformed)?.to_owned();
        let says = match (one("error")?, one("code")?) {
            (Some(error), _) => Says::Error {
                error: cleaned(error, 64),
                said: cleaned(one("error_description")?.unwrap_or_default(), 500),
            },
            (None, Some(code)) => Says::Code(code.to_owned()),
            (None, None) => return Err(AnswerError::Malformed),
        };
        Ok(Self {
            state,
            says,
            iss: one("iss")?.map(str::to_owned),
        })
    }

    /// Whether it came from the provider that this login was sent to: `iss` must be its
    /// issuer, and must be there if the provider announces it (UP-4).
    pub fn is_from(&self, issuer: &str, announces_iss: bool) -> bool {
        match &self.iss {
            Some(iss) => iss == issuer,
            None => !announces_iss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_4_t_idp_03_an_answer_of_another_provider_is_refused() {
        let read = |query: &str| Answer::read(&Params::parse(query).expect("readable"));
        let with = read("state=s&code=c&iss=https%3A%2F%2Fidp.example").expect("an answer");
        assert!(with.is_from("https://idp.example", true));
        assert!(!with.is_from("https://other.example", false));
        let without = read("state=s&code=c").expect("an answer");
        assert!(without.is_from("https://idp.example", false));
        assert!(!without.is_from("https://idp.example", true));
        assert_eq!(read("code=c"), Err(AnswerError::Malformed));
        assert_eq!(read("state=s"), Err(AnswerError::Malformed));
        assert_eq!(read("state=s&state=t&code=c"), Err(AnswerError::Malformed));
        assert_eq!(
            read("state=s&error=access_denied&error_description=%0Ano").map(|a| a.says),
            Ok(Says::Error {
                error: "access_denied".into(),
                said: " no".into()
            })
        );
    }
}
