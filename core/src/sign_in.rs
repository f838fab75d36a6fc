//! A person signs in to our own pages: nothing is asked for an app, and nothing is stored
//! until the provider has vouched for somebody.
//!
//! What a login of an app keeps in the store travels here in the `state`, sealed, and opens
//! only together with the cookie of the browser that began it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    flow::FlowCode,
    seal::{Kind, Sealer},
    secret::Digest,
    ticket::{TicketError, open, seal},
    time::Timestamp,
};

/// What such a `state` begins with; that of an app's login never does.
pub const PREFIX: &str = "vsi_";

/// How long a person may take at the provider.
pub const LIFE: Duration = Duration::from_secs(600);

/// Where a person goes on to. A closed list: no address comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// What may act for them.
    Apps,
    /// Their accounts at services behind servers.
    Connections,
    /// The list of logins.
    Flows,
    /// The record of one login.
    Flow(FlowCode),
    /// What an operator is told.
    Operator,
    /// The console, in the browser there that has the cookie with this digest.
    Console(Digest),
}

impl Destination {
    /// Reads the word of an address, which `Display` writes.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "apps" => Some(Self::Apps),
            "connections" => Some(Self::Connections),
            "flows" => Some(Self::Flows),
            "operator" => Some(Self::Operator),
            other => match other.strip_prefix("console.") {
                Some(digest) => Some(Self::Console(Digest::parse(digest)?)),
                None => Some(Self::Flow(FlowCode::parse(other)?)),
            },
        }
    }

    /// Whether only operators have something to do there.
    pub fn is_for_operators(self) -> bool {
        match self {
            Self::Operator | Self::Console(_) => true,
            Self::Apps | Self::Connections | Self::Flows | Self::Flow(_) => false,
        }
    }

    /// The path of the page.
    pub fn path(self) -> String {
        match self {
            Self::Apps => "/apps".to_owned(),
            Self::Connections => "/connections".to_owned(),
            Self::Flows => "/flows".to_owned(),
            Self::Flow(flow) => format!("/flows/{flow}"),
            Self::Operator => "/operator".to_owned(),
            Self::Console(digest) => format!("/operator/pass/{}", digest.text()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apps => f.write_str("apps"),
            Self::Connections => f.write_str("connections"),
            Self::Flows => f.write_str("flows"),
            Self::Flow(flow) => flow.fmt(f),
            Self::Operator => f.write_str("operator"),
            Self::Console(digest) => write!(f, "console.{}", digest.text()),
        }
    }
}

/// One sign-in on its way to the provider and back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// What the ID token must name.
    pub nonce: String,
    /// What redeems the provider's code.
    pub verifier: String,
    /// When it began.
    pub begun: Timestamp,
    /// Where it goes on to.
    pub to: Destination,
    /// Digest of the link that makes whoever signs in an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Digest>,
    /// The name of the identity provider that was chosen.
    pub provider: String,
    /// The session of the browser until now; it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignIn(to {})", self.to)
    }
}

impl SignIn {
    /// The `state` for the provider, good only for the browser with this cookie.
    pub fn seal(&self, sealer: &Sealer, cookie: &str, nonce: [u8; 12]) -> String {
        let place = Digest::of(cookie.as_bytes());
        let sealed = seal(sealer, Kind::SignIn, place.bytes(), nonce, self);
        format!("{PREFIX}{sealed}")
    }

    /// Opens a `state` that came back.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(
        state: &str,
        sealer: &Sealer,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Self, TicketError> {
        let sealed = state.strip_prefix(PREFIX).ok_or(TicketError::NotOurs)?;
        let place = Digest::of(cookie.as_bytes());
        let sign_in: Self = open(sealer, Kind::SignIn, place.bytes(), sealed)?;
        if now.since(sign_in.begun) > LIFE {
            Err(TicketError::Expired)
        } else {
            Ok(sign_in)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::sealer;

    #[test]
    fn t_con_11_a_sign_in_opens_for_its_browser_and_its_time_only() {
        let sign_in = SignIn {
            nonce: "n".into(),
            verifier: "v".into(),
            begun: Timestamp::from_unix(1000),
            to: Destination::Apps,
            link: None,
            provider: "main".into(),
            before: None,
        };
        let state = sign_in.seal(&sealer(), "mine", [0; 12]);
        let opened = |cookie, at| SignIn::open(&state, &sealer(), cookie, Timestamp::from_unix(at));
        assert_eq!(opened("mine", 1600), Ok(sign_in));
        assert_eq!(opened("mine", 1601), Err(TicketError::Expired));
        assert_eq!(opened("yours", 1001), Err(TicketError::NotOurs));
        let bare = state.trim_start_matches(PREFIX);
        assert_eq!(
            SignIn::open(bare, &sealer(), "mine", Timestamp::from_unix(1001)),
            Err(TicketError::NotOurs)
        );
    }

    #[test]
    fn a_destination_is_one_of_our_pages() {
        let console = format!("console.{}", Digest::of(b"cookie").text());
        for word in [
            "apps",
            "connections",
            "flows",
            "operator",
            "K7Q2-9MTX",
            &console,
        ] {
            let to = Destination::parse(word).expect("known");
            assert_eq!(to.to_string(), word);
            assert!(to.path().starts_with('/') && !to.path().starts_with("//"));
        }
        for word in [
            "",
            "console.",
            "console.x",
            "//evil.example",
            "https://evil.example",
            "apps/..",
        ] {
            assert_eq!(Destination::parse(word), None, "{word}");
        }
    }
}
