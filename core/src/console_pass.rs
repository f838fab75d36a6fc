//! A pass from our own pages, where a person signed in, to the console, which is at another
//! address: for one minute, for one browser, once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    assertion::Once,
    id::TicketId,
    seal::{Kind, Sealer},
    secret::Digest,
    ticket::{TicketError, open, seal},
    time::Timestamp,
};

/// How long the way may take.
pub const LIFE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// What is spent.
    pub id: TicketId,
    /// Digest of the session that it was made in: it is good while that one is.
    pub session: Digest,
    /// When.
    pub made: Timestamp,
}

impl Pass {
    /// The text, good only for the browser whose cookie at the console has this digest.
    pub fn seal(&self, sealer: &Sealer, browser: &Digest, nonce: [u8; 12]) -> String {
        seal(sealer, Kind::ConsolePass, browser.bytes(), nonce, self)
    }

    /// Opens a pass.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(
        text: &str,
        sealer: &Sealer,
        browser: &Digest,
        now: Timestamp,
    ) -> Result<Self, TicketError> {
        let pass: Self = open(sealer, Kind::ConsolePass, browser.bytes(), text)?;
        if now.since(pass.made) > LIFE {
            Err(TicketError::Expired)
        } else {
            Ok(pass)
        }
    }

    /// What its use spends.
    pub fn once(&self) -> Once {
        Once {
            digest: Digest::of(format!("console pass {}", self.id).as_bytes()),
            until: self.made.plus(LIFE + Duration::from_secs(60)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::sealer;

    #[test]
    fn t_adm_01_a_pass_is_for_one_browser_and_one_minute() {
        let pass = Pass {
            id: TicketId::new([1; 16]),
            session: Digest::of(b"session"),
            made: Timestamp::from_unix(1000),
        };
        let (mine, yours) = (Digest::of(b"mine"), Digest::of(b"yours"));
        let text = pass.seal(&sealer(), &mine, [0; 12]);
        let opened = |browser, at| Pass::open(&text, &sealer(), browser, Timestamp::from_unix(at));
        assert_eq!(opened(&mine, 1060), Ok(pass.clone()));
        assert_eq!(opened(&mine, 1061), Err(TicketError::Expired));
        assert_eq!(opened(&yours, 1001), Err(TicketError::NotOurs));
        let other = Pass {
            id: TicketId::new([3; 16]),
            ..pass.clone()
        };
        assert!(pass.once().digest != other.once().digest);
    }
}
