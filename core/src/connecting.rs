//! A person connects their account at a service behind an MCP server: what travels there and
//! back in the `state`, sealed, and opens only together with the cookie of the browser that
//! began it (RFC 6749 §10.12).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    assertion::Once,
    id::PersonId,
    seal::{Kind, Sealer},
    secret::Digest,
    ticket::{TicketError, open, seal},
    time::Timestamp,
};

/// How long a person may take there.
pub const LIFE: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connecting {
    /// For which server. Each has a callback of its own, so that no service can take another's
    /// code (RFC 9700 §4.4.2).
    pub server: String,
    /// What redeems the code.
    pub verifier: String,
    /// Whose account it will be here.
    pub person: PersonId,
    /// Digest of their session, which must last until they are back.
    pub session: Digest,
    /// When it began.
    pub begun: Timestamp,
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connecting({} for {})", self.server, self.person)
    }
}

impl Connecting {
    /// The `state`, good only for the browser with this cookie.
    pub fn seal(&self, sealer: &Sealer, cookie: &str, nonce: [u8; 12]) -> String {
        let place = Digest::of(cookie.as_bytes());
        seal(sealer, Kind::Connecting, place.bytes(), nonce, self)
    }

    /// Opens a `state` that came back to the callback of `server`.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(
        state: &str,
        server: &str,
        sealer: &Sealer,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Self, TicketError> {
        let place = Digest::of(cookie.as_bytes());
        let opened: Self = open(sealer, Kind::Connecting, place.bytes(), state)?;
        if opened.server != server {
            return Err(TicketError::NotOurs);
        }
        if now.since(opened.begun) > LIFE {
            return Err(TicketError::Expired);
        }
        Ok(opened)
    }

    /// What its return spends.
    pub fn once(&self, state: &str) -> Once {
        Once {
            digest: Digest::of(format!("connecting {state}").as_bytes()),
            until: self.begun.plus(LIFE + Duration::from_secs(60)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::sealer;

    #[test]
    fn t_idp_01_what_was_begun_for_one_server_in_one_browser_ends_there() {
        let connecting = Connecting {
            server: "tickets".into(),
            verifier: "v".into(),
            person: PersonId::new([1; 16]),
            session: Digest::of(b"session"),
            begun: Timestamp::from_unix(1000),
        };
        let state = connecting.seal(&sealer(), "mine", [0; 12]);
        let opened = |server, cookie, at| {
            let at = Timestamp::from_unix(at);
            Connecting::open(&state, server, &sealer(), cookie, at)
        };
        assert_eq!(opened("tickets", "mine", 1600), Ok(connecting.clone()));
        assert_eq!(opened("tickets", "mine", 1601), Err(TicketError::Expired));
        assert_eq!(opened("tickets", "yours", 1001), Err(TicketError::NotOurs));
        assert_eq!(opened("weather", "mine", 1001), Err(TicketError::NotOurs));
        assert!(!format!("{connecting:?}").contains("v,"));
    }
}
