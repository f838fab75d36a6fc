//! What a consent page carries: sealed handles that cost nothing until a person decides.
//!
//! A ticket holds the whole request, so drawing the page stores nothing and a second visit
//! spends nothing. The decision inserts the ticket's id once; every later decision on the
//! same ticket finds it spent.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    authorize::AskConsent,
    flow::FlowCode,
    id::{PersonId, TicketId},
    seal::{Kind, Sealer},
    secret::{Digest, MacKey},
    time::Timestamp,
};

/// How long a person may look at the page.
pub const LIFE: Duration = Duration::from_secs(600);

/// One drawing of the consent page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Spent by the first decision.
    pub id: TicketId,
    /// When the page was drawn.
    pub drawn: Timestamp,
    /// The record of this login.
    pub flow: FlowCode,
    /// What is asked.
    pub ask: AskConsent,
    /// Whom the page named, because they were signed in at our own pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<PersonId>,
    /// What it showed of the client; see [`crate::client::Client::described`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described: Option<Digest>,
}

/// Where our own page sends a browser on to after a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onward {
    /// The provider's authorization endpoint with our request, or the client's redirect URI
    /// with its answer.
    pub location: String,
    /// When it was made.
    pub made: Timestamp,
    /// The record of this login.
    pub flow: FlowCode,
    /// Whether it leads to the provider.
    pub to_provider: bool,
}

/// A handle that is not ours, damaged, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not sealed here, or for something else.
    #[error("the handle was not made here")]
    NotOurs,
    /// Older than [`LIFE`].
    #[error("the page is no longer valid")]
    Expired,
}

impl Ticket {
    /// The handle that the page carries; `nonce` is random.
    pub fn seal(&self, sealer: &Sealer, nonce: [u8; 12]) -> String {
        seal(sealer, Kind::Ticket, &[], nonce, self)
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(text: &str, sealer: &Sealer, now: Timestamp) -> Result<Self, TicketError> {
        let ticket: Self = open(sealer, Kind::Ticket, &[], text)?;
        if now.since(ticket.drawn) > LIFE {
            Err(TicketError::Expired)
        } else {
            Ok(ticket)
        }
    }

    /// The record that a handle belongs to, however old it is: to tell that record why a
    /// decision was not taken, and for nothing else.
    pub fn flow_of(text: &str, sealer: &Sealer) -> Option<FlowCode> {
        let ticket: Self = open(sealer, Kind::Ticket, &[], text).ok()?;
        Some(ticket.flow)
    }

    /// The token that the form carries beside the handle: it binds this ticket to the
    /// browser that holds `form_cookie` (CONS-4).
    pub fn form_token(&self, key: &MacKey, form_cookie: &str) -> String {
        key.tag_text(&[b"form", form_cookie.as_bytes(), self.id.bytes()])
    }

    /// Whether `token` is [`Self::form_token`] for this ticket and cookie. Constant time.
    pub fn form_token_matches(&self, key: &MacKey, form_cookie: &str, token: &str) -> bool {
        key.matches_text(&[b"form", form_cookie.as_bytes(), self.id.bytes()], token)
    }
}

impl Onward {
    /// The handle, good only for the browser with this form cookie.
    pub fn seal(&self, sealer: &Sealer, form_cookie: &str, nonce: [u8; 12]) -> String {
        seal(
            sealer,
            Kind::Onward,
            Digest::of(form_cookie.as_bytes()).bytes(),
            nonce,
            self,
        )
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(
        text: &str,
        sealer: &Sealer,
        form_cookie: &str,
        now: Timestamp,
    ) -> Result<Self, TicketError> {
        let place = Digest::of(form_cookie.as_bytes());
        let onward: Self = open(sealer, Kind::Onward, place.bytes(), text)?;
        if now.since(onward.made) > LIFE {
            Err(TicketError::Expired)
        } else {
            Ok(onward)
        }
    }
}

pub(crate) fn seal<T: Serialize>(
    sealer: &Sealer,
    kind: Kind,
    place: &[u8],
    nonce: [u8; 12],
    value: &T,
) -> String {
    let json = serde_json::to_vec(value).expect("plain structs serialize");
    URL_SAFE_NO_PAD.encode(sealer.seal(kind, place, nonce, &json))
}

pub(crate) fn open<T: DeserializeOwned>(
    sealer: &Sealer,
    kind: Kind,
    place: &[u8],
    text: &str,
) -> Result<T, TicketError> {
    let mut bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TicketError::NotOurs)?;
    let json = sealer
        .open(kind, place, &mut bytes)
        .ok_or(TicketError::NotOurs)?;
    serde_json::from_slice(json).map_err(|_| TicketError::NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authorize::tests::ask, seal::tests::sealer};

    fn ticket() -> Ticket {
        Ticket {
            id: TicketId::new([1; 16]),
            drawn: Timestamp::from_unix(1000),
            flow: FlowCode::from_random(&[1; 8]),
            ask: ask(),
            named: None,
            described: None,
        }
    }

    #[test]
    fn a_ticket_opens_for_ten_minutes() {
        let sealer = sealer();
        let text = ticket().seal(&sealer, [0; 12]);
        let at = |seconds| Ticket::open(&text, &sealer, Timestamp::from_unix(seconds));
        assert_eq!(at(1000), Ok(ticket()));
        assert_eq!(at(1600), Ok(ticket()));
        assert_eq!(at(1601), Err(TicketError::Expired));
        assert_eq!(Ticket::flow_of(&text, &sealer), Some(ticket().flow));
        assert_eq!(Ticket::flow_of("AAAA", &sealer), None);
        assert_eq!(
            Ticket::open("AAAA", &sealer, Timestamp::from_unix(0)),
            Err(TicketError::NotOurs)
        );
    }

    #[test]
    fn cons_4_t_con_05_a_form_token_belongs_to_one_browser_and_one_page() {
        let key = MacKey::new(&[5; 32]);
        let token = ticket().form_token(&key, "cookie");
        assert!(ticket().form_token_matches(&key, "cookie", &token));
        assert!(!ticket().form_token_matches(&key, "another", &token));
        assert!(!ticket().form_token_matches(&key, "cookie", ""));
        let other = Ticket {
            id: TicketId::new([2; 16]),
            ..ticket()
        };
        assert!(!other.form_token_matches(&key, "cookie", &token));
    }

    #[test]
    fn t_con_14_an_onward_handle_is_worth_nothing_in_another_browser() {
        let sealer = sealer();
        let onward = Onward {
            location: "https://idp.example/authorize".into(),
            made: Timestamp::from_unix(1000),
            flow: FlowCode::from_random(&[1; 8]),
            to_provider: true,
        };
        let text = onward.seal(&sealer, "mine", [0; 12]);
        let now = Timestamp::from_unix(1001);
        assert_eq!(Onward::open(&text, &sealer, "mine", now), Ok(onward));
        assert_eq!(
            Onward::open(&text, &sealer, "yours", now),
            Err(TicketError::NotOurs)
        );
        assert_eq!(
            Ticket::open(&text, &sealer, now).err(),
            Some(TicketError::NotOurs)
        );
    }
}
