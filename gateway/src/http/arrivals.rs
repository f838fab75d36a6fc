//! How a request of our own arrives that an operator sends to the public address: what the proxy
//! in front makes of it. Told over the socket only, so that nobody else learns it.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vestibule_core::{text::on_one_line, time::Timestamp};

use super::peer::client_address;

/// The header by which such a request is told from others.
pub const PROBE: &str = "vestibule-probe";

/// How many are waited for at once, and how long.
const MOST: usize = 8;
const LIFE: Duration = Duration::from_secs(60);

/// Hops and characters that are kept of what a proxy says.
const HOPS: usize = 16;
const TEXT: usize = 80;

/// See the module.
#[derive(Default)]
pub struct Arrivals(Mutex<Vec<Expected>>);

struct Expected {
    probe: String,
    since: Timestamp,
    arrived: Option<Arrival>,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Whose connection it was.
    pub peer: IpAddr,
    /// Whether that one is believed about addresses.
    pub is_trusted: bool,
    /// From where it came, as limits and audit have it.
    pub client: IpAddr,
    /// What `X-Forwarded-For` said, the nearest hop last.
    pub forwarded_for: Vec<String>,
}

impl Arrivals {
    fn all(&self, now: Timestamp) -> MutexGuard<'_, Vec<Expected>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| now.since(one.since) < LIFE);
        all
    }

    /// Waits for a request with this in [`PROBE`].
    pub fn expect(&self, probe: String, now: Timestamp) {
        let mut all = self.all(now);
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Expected {
            probe,
            since: now,
            arrived: None,
        });
    }

    /// A request came; if it is one that was waited for, how it came is kept.
    pub fn saw(&self, peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], now: Timestamp) {
        let Some(probe) = headers.get(PROBE) else {
            return;
        };
        let mut all = self.all(now);
        let expected = all.iter_mut().find(|one| probe == one.probe.as_str());
        let Some(expected) = expected else { return };
        let said = headers.get_all("x-forwarded-for").iter();
        let mut hops: Vec<String> = said
            .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
            .map(|hop| on_one_line(String::from_utf8_lossy(hop).trim(), TEXT))
            .collect();
        let far = hops.len().saturating_sub(HOPS);
        hops.drain(..far);
        expected.arrived = Some(Arrival {
            peer: peer.to_canonical(),
            is_trusted: trusted
                .iter()
                .any(|network| network.contains(&peer.to_canonical())),
            client: client_address(peer, headers, trusted),
            forwarded_for: hops,
        });
    }

    /// How the one with this came, if it did.
    pub fn told(&self, probe: &str, now: Timestamp) -> Option<Arrival> {
        let mut all = self.all(now);
        let at = all.iter().position(|one| one.probe == probe)?;
        all.remove(at).arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_000 + seconds)
    }

    #[test]
    fn tls_4_how_a_probe_came_is_told_once_and_to_whoever_knows_it() {
        let trusted = ["10.0.0.0/8".parse::<IpNet>().expect("a network")];
        let arrivals = Arrivals::default();
        let peer = "10.0.0.1".parse().expect("an address");
        let mut headers = HeaderMap::new();
        headers.insert(PROBE, "abc".parse().expect("a value"));
        for said in ["192.0.2.77, 198.51.100.1", "203.0.113.9"] {
            headers.append("x-forwarded-for", said.parse().expect("a value"));
        }
        // Nobody waits for it.
        arrivals.saw(peer, &headers, &trusted, at(0));
        assert_eq!(arrivals.told("abc", at(0)), None);
        arrivals.expect("abc".to_owned(), at(0));
        arrivals.saw(peer, &HeaderMap::new(), &trusted, at(0));
        arrivals.saw(peer, &headers, &trusted, at(1));
        assert_eq!(arrivals.told("abd", at(2)), None);
        let told = arrivals.told("abc", at(2)).expect("it came");
        assert_eq!(
            told.forwarded_for,
            ["192.0.2.77", "198.51.100.1", "203.0.113.9"]
        );
        assert!(told.is_trusted);
        assert_eq!(told.client.to_string(), "203.0.113.9");
        assert_eq!(arrivals.told("abc", at(2)), None);
    }

    #[test]
    fn what_is_waited_for_is_bounded_in_number_and_time() {
        let arrivals = Arrivals::default();
        let peer = "10.0.0.1".parse().expect("an address");
        for n in 0..20 {
            arrivals.expect(n.to_string(), at(0));
        }
        assert_eq!(arrivals.all(at(0)).len(), MOST);
        let mut headers = HeaderMap::new();
        headers.insert(PROBE, "19".parse().expect("a value"));
        arrivals.saw(peer, &headers, &[], at(61));
        assert_eq!(arrivals.told("19", at(61)), None);
        assert_eq!(arrivals.all(at(61)).len(), 0);
    }
}
