//! `Mcp-Session-Id` as clients see it: a sealed wrapper around the MCP server's own
//! (SES-1, SES-2).
//!
//! Inside is whose session it is. Another person, client or server cannot use it, a weak id
//! of the server cannot be guessed, and no store is asked.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    access_token::AccessToken,
    id::{ClientRef, PersonId},
    seal::{Kind, Sealer},
};

/// Longest id that an MCP server may give.
pub const BACKEND_ID_MAX: usize = 1024;

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Person and client; nobody on a server that needs no token.
    pub caller: Option<(PersonId, ClientRef)>,
    /// The MCP server.
    pub resource: &'a str,
}

impl<'a> Owner<'a> {
    /// The owner of a session that `token` opens at `resource`. Bound to the person and the
    /// client, not to the token, so a refresh or a step-up keeps the session.
    pub fn of(token: &AccessToken, resource: &'a str) -> Self {
        Self {
            caller: Some((token.subject, token.client)),
            resource,
        }
    }

    pub(crate) fn place(&self) -> Vec<u8> {
        let mut place = Vec::with_capacity(40 + self.resource.len());
        match &self.caller {
            Some((person, client)) => {
                place.push(1);
                place.extend_from_slice(person.bytes());
                place.extend_from_slice(client.bytes());
            }
            None => place.push(0),
        }
        place.extend_from_slice(self.resource.as_bytes());
        place
    }
}

/// A session, unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The server's own id; empty if it gave none, and the session only says what its client
    /// shows.
    pub id: String,
    /// Whether its client can show somebody an address
    /// ([`elicitation`](crate::elicitation)).
    pub shows_addresses: bool,
}

/// Before the id of a session whose client shows addresses. No id has it.
const SHOWS_ADDRESSES: u8 = 1;

/// The id that the client gets for the server's own; `nonce` is random. `None` if the
/// server's is too long or not visible ASCII, or there is nothing to keep in it.
pub fn wrap(
    backend_id: &[u8],
    shows_addresses: bool,
    owner: &Owner<'_>,
    sealer: &Sealer,
    nonce: [u8; 12],
) -> Option<String> {
    let fit = (shows_addresses || !backend_id.is_empty())
        && backend_id.len() <= BACKEND_ID_MAX
        && backend_id.iter().all(|b| (0x21..=0x7e).contains(b));
    fit.then(|| {
        let marked = [&[SHOWS_ADDRESSES], backend_id].concat();
        let plain = match shows_addresses {
            true => &marked,
            false => backend_id,
        };
        URL_SAFE_NO_PAD.encode(sealer.seal(Kind::SessionId, &owner.place(), nonce, plain))
    })
}

/// The session behind `wrapped`; `None` unless it is this owner's.
pub fn unwrap(wrapped: &[u8], owner: &Owner<'_>, sealer: &Sealer) -> Option<Session> {
    if wrapped.len() > BACKEND_ID_MAX * 2 {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(wrapped).ok()?;
    let plain = sealer.open(Kind::SessionId, &owner.place(), &mut bytes)?;
    let (shows_addresses, id) = match plain.split_first() {
        Some((&SHOWS_ADDRESSES, id)) => (true, id),
        _ => (false, &plain[..]),
    };
    Some(Session {
        id: String::from_utf8(id.to_vec()).ok()?,
        shows_addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access_token::tests::token, seal::tests::sealer};

    #[test]
    fn ses_1_ses_2_ses_3_t_mcp_07_a_session_belongs_to_person_client_and_server() {
        let a = "https://gw.example/a/mcp";
        let owner = Owner::of(&token(), a).caller;
        let mine = Owner {
            caller: owner,
            resource: a,
        };
        let wrapped = wrap(b"1", false, &mine, &sealer(), [0; 12]).expect("fit");
        assert!(wrapped.len() > 20 && wrapped.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        assert_eq!(
            unwrap(wrapped.as_bytes(), &mine, &sealer()),
            Some(Session {
                id: "1".to_owned(),
                shows_addresses: false,
            })
        );
        let marked = wrap(b"1", true, &mine, &sealer(), [0; 12]).expect("fit");
        assert_eq!(
            unwrap(marked.as_bytes(), &mine, &sealer()),
            Some(Session {
                id: "1".to_owned(),
                shows_addresses: true,
            })
        );
        let (person, client) = owner.expect("a caller");
        for (other, why) in [
            (
                Owner {
                    caller: Some((PersonId::new([9; 16]), client)),
                    ..mine
                },
                "person",
            ),
            (
                Owner {
                    caller: Some((person, ClientRef::new([9; 16]))),
                    ..mine
                },
                "client",
            ),
            (
                Owner {
                    caller: None,
                    ..mine
                },
                "nobody",
            ),
            (
                Owner {
                    resource: "https://gw.example/b/mcp",
                    ..mine
                },
                "server",
            ),
        ] {
            assert_eq!(
                unwrap(wrapped.as_bytes(), &other, &sealer()),
                None,
                "another {why}"
            );
        }
        assert_eq!(
            unwrap(b"1", &mine, &sealer()),
            None,
            "the raw id is worth nothing"
        );
        let ours = wrap(b"", true, &mine, &sealer(), [0; 12]).expect("fit");
        let ours = unwrap(ours.as_bytes(), &mine, &sealer()).expect("ours");
        assert_eq!((ours.id.as_str(), ours.shows_addresses), ("", true));
        assert_eq!(wrap(b"", false, &mine, &sealer(), [0; 12]), None);
        for unfit in [&b"a b"[..], b"\xff", &[b'x'; BACKEND_ID_MAX + 1], b"\x01x"] {
            assert_eq!(wrap(unfit, true, &mine, &sealer(), [0; 12]), None);
        }
    }
}
