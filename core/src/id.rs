//! Identifiers of our own making: sixteen bytes, random or digested, with one text form.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::Digest;

macro_rules! id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The identifier made of these bytes.
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes.
            pub const fn bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Base64url, 22 characters; the form in the store and in logs.
            pub fn text(&self) -> String {
                URL_SAFE_NO_PAD.encode(self.0)
            }

            /// Reads [`Self::text`] back.
            pub fn parse(text: &str) -> Option<Self> {
                URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.text())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.text())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an identifier"))
            }
        }
    };
}

id!(
    /// One login of one person for one client: a refresh token family and its access tokens.
    GrantId
);
id!(
    /// One access token.
    TokenId
);
id!(
    /// A person, as this gateway knows them; stable and unrelated to the provider's own text.
    PersonId
);
id!(
    /// A client, short: the first half of the SHA-256 of its `client_id`. Self-describing
    /// ids are up to a kilobyte long; tokens and session ids carry this instead.
    ClientRef
);
id!(
    /// One drawing of the consent page. Spent by the first decision on it.
    TicketId
);

impl ClientRef {
    /// The reference of the client with this `client_id`.
    pub fn of(client_id: &str) -> Self {
        let digest = Digest::of(client_id.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&digest.bytes()[..16]);
        Self(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = GrantId::new([9; 16]);
        assert_eq!(GrantId::parse(&id.text()), Some(id));
        assert_eq!(GrantId::parse("short"), None);
        assert_eq!(id.text().len(), 22);
    }

    #[test]
    fn client_references_follow_the_id() {
        assert_eq!(ClientRef::of("a"), ClientRef::of("a"));
        assert_ne!(ClientRef::of("a"), ClientRef::of("A"));
    }
}
