//! Pushed authorization requests (RFC 9126): the request is judged before a browser sees it.
//!
//! The `request_uri` is the sealed request itself, so pushing stores nothing. It may be
//! visited more than once, since clients do; the decision on it is made once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    authorize::AskConsent,
    id::TicketId,
    seal::{Kind, Sealer},
    ticket::{TicketError, open, seal},
    time::Timestamp,
};

/// What every `request_uri` of ours begins with (RFC 9126 §2.2).
pub const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How long a pushed request waits for its browser.
pub const LIFE: Duration = Duration::from_secs(60);

/// A request that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Every page drawn for it carries this id, so that one decision is made on all of them.
    pub id: TicketId,
    /// When it came.
    pub pushed: Timestamp,
    /// What is asked, already judged.
    pub ask: AskConsent,
}

impl Pushed {
    /// The `request_uri`; `nonce` is random.
    pub fn request_uri(&self, sealer: &Sealer, nonce: [u8; 12]) -> String {
        format!("{PREFIX}{}", seal(sealer, Kind::Pushed, &[], nonce, self))
    }

    /// Reads a `request_uri` that `client_id` presents.
    ///
    /// # Errors
    /// [`TicketError::NotOurs`] also for another client's.
    pub fn read(
        request_uri: &str,
        client_id: &str,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<Self, TicketError> {
        let text = request_uri
            .strip_prefix(PREFIX)
            .ok_or(TicketError::NotOurs)?;
        let pushed: Self = open(sealer, Kind::Pushed, &[], text)?;
        if pushed.ask.client_id != client_id {
            return Err(TicketError::NotOurs);
        }
        if now.since(pushed.pushed) > LIFE {
            return Err(TicketError::Expired);
        }
        Ok(pushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authorize::tests::ask, seal::tests::sealer};

    #[test]
    fn authz_16_a_pushed_request_is_its_client_s_own_and_short_lived() {
        let sealer = sealer();
        let pushed = Pushed {
            id: TicketId::new([1; 16]),
            pushed: Timestamp::from_unix(1000),
            ask: ask(),
        };
        let uri = pushed.request_uri(&sealer, [2; 12]);
        let read = |uri: &str, client: &str, at: u64| {
            Pushed::read(uri, client, &sealer, Timestamp::from_unix(at))
        };
        assert_eq!(read(&uri, "vcl_test", 1060), Ok(pushed.clone()));
        assert_eq!(read(&uri, "vcl_test", 1061), Err(TicketError::Expired));
        assert_eq!(read(&uri, "vcl_other", 1000), Err(TicketError::NotOurs));
        assert_eq!(
            read("https://evil.example/request", "vcl_test", 1000),
            Err(TicketError::NotOurs)
        );
        // A consent page's own handle is no request_uri.
        let ticket = crate::ticket::seal(&sealer, Kind::Ticket, &[], [2; 12], &pushed);
        assert_eq!(
            read(&format!("{PREFIX}{ticket}"), "vcl_test", 1000),
            Err(TicketError::NotOurs)
        );
    }
}
