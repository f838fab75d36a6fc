//! From which address a request really comes.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client's address: the connection's own, unless that is a proxy of ours, which then is
/// believed about the address before it, and so on (RFC 7239 §5.2). Whoever is not on the
/// list is believed nothing (TLS-4).
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_ours = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    };
    if !is_ours(peer) {
        return peer.to_canonical();
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let mut address = peer;
    // From the nearest hop outwards; what is before a stranger is the stranger's own story.
    for hop in said.iter().rev() {
        let Some(hop) = address_of(hop) else { break };
        address = hop;
        if !is_ours(hop) {
            break;
        }
    }
    address.to_canonical()
}

/// An address as proxies write it: alone, in brackets, or with a port.
pub fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_matches(['[', ']', '"']);
    bare.parse().ok().or_else(|| {
        hop.parse::<SocketAddr>()
            .ok()
            .map(|with_port| with_port.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_4_t_prx_06_only_a_proxy_of_ours_is_believed() {
        let trusted = ["10.0.0.0/8".parse::<IpNet>().expect("a network")];
        let of = |peer: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", value.parse().expect("a value"));
            }
            client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
        };
        let table: [(&str, &[&str], &str); 13] = [
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:5678"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9:1, 10.0.0.2:2"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ];
        for (peer, said, expected) in table {
            assert_eq!(of(peer, said), expected, "{peer} {said:?}");
        }
    }
}
