//! The HTTP with SSE transport of 2024-11-05, deprecated since 2025-03-26: a stream whose
//! first event says where messages are posted.
//!
//! What the MCP server says stays inside; the client gets an address of ours that holds it
//! sealed and is good for the same person, client and server alone (SSE-2, SSE-3).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use crate::{
    event_stream::{self, Event},
    seal::{Kind, Sealer},
    session::Owner,
};

/// The event that says where.
pub const ENDPOINT: &str = "endpoint";

/// Longest address that an MCP server may say.
const ADDRESS_MAX: usize = 1024;

/// The query parameter of our own address that holds the server's.
const PARAMETER: &str = "sessionId";

/// Why an `endpoint` event is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It has no address in it, or none that can be used.
    #[error("the endpoint event has no address")]
    NoAddress,
    /// It points to another origin than the server's own.
    #[error("the endpoint event points to another host")]
    Foreign,
}

/// The server's own target (path and query) that an `endpoint` event names, relative or
/// absolute, on a stream that came from `base`.
///
/// # Errors
/// [`EndpointError`].
pub fn target(event: &Event, base: &Url) -> Result<String, EndpointError> {
    let said = event.data.as_deref().ok_or(EndpointError::NoAddress)?;
    if said.is_empty() || said.len() > ADDRESS_MAX || !event_stream::is_one_line(said) {
        return Err(EndpointError::NoAddress);
    }
    let url = base.join(said).map_err(|_| EndpointError::NoAddress)?;
    let foreign =
        url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some();
    if foreign {
        return Err(EndpointError::Foreign);
    }
    Ok(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

/// The address that the client gets for `target`, at the public `path`; `nonce` is random.
pub fn seal(
    path: &str,
    target: &str,
    owner: &Owner<'_>,
    sealer: &Sealer,
    nonce: [u8; 12],
) -> String {
    let sealed = sealer.seal(Kind::Endpoint, &owner.place(), nonce, target.as_bytes());
    format!("{path}?{PARAMETER}={}", URL_SAFE_NO_PAD.encode(sealed))
}

/// The server's target behind the query of a POST; `None` unless it is this owner's.
pub fn open(query: Option<&str>, owner: &Owner<'_>, sealer: &Sealer) -> Option<String> {
    let value = query?.strip_prefix(PARAMETER)?.strip_prefix('=')?;
    if value.len() > ADDRESS_MAX * 2 {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
    let plain = sealer.open(Kind::Endpoint, &owner.place(), &mut bytes)?;
    String::from_utf8(plain.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{ClientRef, PersonId},
        seal::tests::sealer,
    };

    #[test]
    fn sse_2_t_mcp_13_an_endpoint_is_the_server_s_own_or_none() {
        let base = Url::parse("http://10.0.0.7:8000/v1/sse?a=b").expect("a URL");
        let of = |data: Option<&str>| {
            let event = Event {
                name: ENDPOINT.into(),
                data: data.map(str::to_owned),
                id: None,
                retry: None,
            };
            target(&event, &base)
        };
        for (said, expected) in [
            ("/messages?sessionId=1", "/messages?sessionId=1"),
            ("messages/?session_id=2", "/v1/messages/?session_id=2"),
            ("?sessionId=3", "/v1/sse?sessionId=3"),
            ("http://10.0.0.7:8000/m", "/m"),
            ("../../x#fragment", "/x"),
        ] {
            assert_eq!(of(Some(said)).as_deref(), Ok(expected), "{said}");
        }
        for foreign in [
            "http://10.0.0.8:8000/m",
            "http://10.0.0.7/m",
            "https://10.0.0.7:8000/m",
            "//evil.example/m",
            "\\\\evil.example/m",
            "http://user@10.0.0.7:8000/m",
            "javascript:alert(1)",
        ] {
            assert_eq!(of(Some(foreign)), Err(EndpointError::Foreign), "{foreign}");
        }
        for none in [None, Some(""), Some("/a\n/b"), Some("http://[")] {
            assert_eq!(of(none), Err(EndpointError::NoAddress), "{none:?}");
        }
        let long = format!("/{}", "a".repeat(ADDRESS_MAX));
        assert_eq!(of(Some(&long)), Err(EndpointError::NoAddress));
    }

    #[test]
    fn sse_3_a_message_address_is_good_for_its_owner_only() {
        let sealer = sealer();
        let owner = |person: u8, client: u8, resource: &'static str| Owner {
            caller: Some((PersonId::new([person; 16]), ClientRef::new([client; 16]))),
            resource,
        };
        let mine = owner(1, 1, "https://a.example/x");
        let address = seal("/x/sse", "/messages?sessionId=1", &mine, &sealer, [7; 12]);
        let (path, query) = address.split_once('?').expect("a query");
        assert_eq!(path, "/x/sse");
        let opened = |owner: Owner<'_>| open(Some(query), &owner, &sealer);
        assert_eq!(opened(mine).as_deref(), Some("/messages?sessionId=1"));
        assert_eq!(opened(owner(2, 1, mine.resource)), None);
        assert_eq!(opened(owner(1, 2, mine.resource)), None);
        assert_eq!(opened(owner(1, 1, "https://a.example/y")), None);
        assert_eq!(
            opened(Owner {
                caller: None,
                ..mine
            }),
            None
        );
        for wrong in [None, Some(""), Some("sessionId="), Some("sessionId=AAAA")] {
            assert_eq!(open(wrong, &mine, &sealer), None);
        }
        // A session id of the newer transport is none of these.
        let session =
            crate::session::wrap(b"/messages", false, &mine, &sealer, [7; 12]).expect("fit");
        let query = format!("sessionId={session}");
        assert_eq!(open(Some(&query), &mine, &sealer), None);
    }
}
