//! Which addresses a stranger may send us to.
//!
//! The IANA special-purpose registries, in one table. Whatever is not plainly a public
//! unicast address is refused, and so is an IPv6 address that carries a refused IPv4 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a request that a stranger caused may be sent to `address` (CIMD §6.5).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)                // this network, private, loopback
            | (100, 64..=127, _)          // shared address space (RFC 6598)
            | (169, 254, _)               // link-local, cloud metadata
            | (172, 16..=31, _)           // private
            | (192, 0, 0 | 2)             // protocol assignments, documentation
            | (192, 31, 196)              // AS112
            | (192, 52, 193)              // AMT
            | (192, 88, 99)               // 6to4 relay
            | (192, 168, _)               // private
            | (192, 175, 48)              // AS112
            | (198, 18..=19, _)           // benchmarking
            | (198, 51, 100)              // documentation
            | (203, 0, 113)               // documentation
            | (224..=255, ..) // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low), // NAT64 (RFC 6052)
        [0x2002, high, low, ..] => embedded(high, low),               // 6to4
        [0x2001, second, ..] if second < 0x200 => false,              // Teredo, ORCHID and the like
        [0x2001, 0xdb8, ..] => false,                                 // documentation
        [0x3fff, second, ..] if second < 0x1000 => false,             // documentation (RFC 9637)
        // Only 2000::/3 is assigned for global unicast; this leaves out loopback, mapped,
        // unique local, link-local, multicast and what is not assigned at all.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cimd_3_t_reg_11_special_addresses_are_not_for_strangers() {
        let table = [
            ("93.184.215.14", true),
            ("8.8.8.8", true),
            ("172.15.0.1", true),
            ("100.63.255.255", true),
            ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", true),
            ("2002:0808:0808::1", true),
            ("64:ff9b::808:808", true),
            ("0.0.0.0", false),
            ("10.0.0.5", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::1", false),
            ("2002:a9fe:a9fe::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("100::1", false),
        ];
        for (text, public) in table {
            let address: IpAddr = text.parse().expect("the table holds addresses");
            assert_eq!(is_public(address), public, "{text}");
        }
    }
}
