//! What the proxy in front makes of a request: whether it says whose it is, and whether it is
//! believed. A request goes to the public address, and the gateway that runs tells over its
//! socket how it came.

use http::HeaderValue;
use ipnet::IpNet;
use serde_json::json;

use super::{Findings, State, there};
use crate::{
    cli::control::Control,
    config::{Config, Tls},
    fetch,
    http::{
        arrivals::{Arrival, PROBE},
        peer::address_of,
    },
};

const ABOUT: &str = "proxy in front";

/// An address of nobody's (RFC 5737 §3), which we claim to come from.
const CLAIMED: &str = "192.0.2.77";

/// How often is tried.
const TRIES: usize = 3;

const SAY_WHOSE: &str = "let it add the address, as nginx does: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

/// Blocks: the gateway is asked between.
pub(super) fn look(config: &Config, findings: &mut Findings) {
    let control = match Control::of_running(config) {
        Ok(Some(control)) => control,
        Ok(None) => {
            findings.skipped(
                ABOUT,
                "no gateway runs here that could tell how requests come",
            );
            return;
        }
        Err(why) => {
            findings.skipped(ABOUT, why);
            return;
        }
    };
    // A balancer sends one of several here.
    for _ in 0..TRIES {
        match tried(config, &control) {
            Ok(Some(arrival)) => {
                judge(&arrival, config.tls, findings);
                return;
            }
            Ok(None) => {}
            Err(why) => {
                findings.skipped(ABOUT, why);
                return;
            }
        }
    }
    let what = format!(
        "of {TRIES} requests to {} none came to the gateway that runs here",
        config.public_url
    );
    let fix = "let public_url lead here. It may be right, too: where others answer beside this one, or where something in between drops headers that it does not know";
    findings.add(State::Note, ABOUT, what).fix = Some(fix.to_owned());
}

/// How one request came, if it came here.
fn tried(config: &Config, control: &Control) -> Result<Option<Arrival>, String> {
    let silent = "the gateway that runs here does not tell";
    let expected = control.post("/arrivals", &json!({}));
    let expected = expected.map_err(|_| silent.to_owned())?;
    let probe = expected["probe"].as_str().unwrap_or_default();
    control.wait_for(send(config, probe))?;
    let told = control.get(&format!("/arrivals/{probe}"));
    let arrival = told.map_err(|_| silent.to_owned())?["arrival"].take();
    Ok(serde_json::from_value(arrival).ok())
}

async fn send(config: &Config, probe: &str) -> Result<(), String> {
    let http = there::client(config)?;
    // An address of its own each time: nothing in between has an answer to it.
    let at = format!(
        "{}/.well-known/oauth-authorization-server?probe={probe}",
        config.public_url
    );
    let probe = HeaderValue::from_str(probe).map_err(|error| error.to_string())?;
    let request = http
        .get(&at)
        .header(PROBE, probe)
        .header(http::header::CACHE_CONTROL, "no-cache")
        .header("x-forwarded-for", CLAIMED);
    let sent = fetch::whole(request).await;
    sent.map(|_| ())
        .map_err(|error| format!("nobody answers at {}: {error}", config.public_url))
}

fn judge(arrival: &Arrival, tls: Tls, findings: &mut Findings) {
    let peer = arrival.peer;
    let hop = arrival.forwarded_for.last().map(String::as_str);
    if !arrival.is_trusted {
        if tls == Tls::PlainLoopback {
            findings.ok(ABOUT, "none: requests come straight here");
            return;
        }
        findings.wrong(
            ABOUT,
            format!("{peer} passes requests on and is not believed: all people count as one, for limits and in the audit"),
            format!("add it: trusted_proxies = [\"{}\"]", IpNet::from(peer)),
        );
        return;
    }
    let Some(hop) = hop.filter(|hop| !hop.is_empty()) else {
        findings.wrong(
            ABOUT,
            format!("{peer} does not say whose requests it passes on: all people count as one, for limits and in the audit"),
            SAY_WHOSE,
        );
        return;
    };
    if hop == CLAIMED {
        findings.wrong(
            ABOUT,
            format!("{peer} passes on what anybody writes into X-Forwarded-For: limits are evaded so, and the audit lies"),
            SAY_WHOSE,
        );
        return;
    }
    if address_of(hop).is_none() {
        findings.wrong(
            ABOUT,
            format!("{peer} says \"{hop}\", which is no address"),
            SAY_WHOSE,
        );
        return;
    }
    // Behind the claim are proxies that are believed alone, and the outermost of them either
    // passed it on or is this computer, as they see it. From here nobody can tell.
    if arrival.client.to_string() == CLAIMED {
        let after = arrival.forwarded_for.iter().rev();
        let outermost = after.take_while(|hop| *hop != CLAIMED).last();
        let what = format!(
            "{} is in trusted_proxies, and so what it said of addresses was believed",
            outermost.map_or(hop, |hop| hop.as_str())
        );
        let fix = "if that is this computer, run doctor on one that is no proxy; if it is a proxy, let it add addresses in place of passing them on";
        findings.add(State::Note, ABOUT, what).fix = Some(fix.to_owned());
        return;
    }
    findings.ok(
        ABOUT,
        format!("{peer} is believed, and says that this came from {hop}"),
    );
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;
    use crate::http::peer::client_address;

    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

    #[test]
    fn tls_4_what_a_proxy_does_to_addresses_is_judged() {
        let judged = |is_trusted: bool, said: &[&str], tls| {
            let headers = HeaderValue::from_str(&said.join(", ")).expect("a value");
            let headers = HeaderMap::from_iter([(FORWARDED_FOR, headers)]);
            let trusted = ["10.0.0.0/8".parse::<IpNet>().expect("a network")];
            let peer = "10.0.0.1".parse().expect("an address");
            let mut findings = Findings {
                all: Vec::new(),
                production: false,
            };
            let arrival = Arrival {
                peer,
                is_trusted,
                client: client_address(peer, &headers, &trusted),
                forwarded_for: said.iter().map(|hop| (*hop).to_owned()).collect(),
            };
            judge(&arrival, tls, &mut findings);
            let found = findings.all.pop().expect("one");
            (found.state, found.what + &found.fix.unwrap_or_default())
        };
        let wrong = |judged: (State, String), part: &str| {
            assert!(
                judged.0 == State::Wrong && judged.1.contains(part),
                "{judged:?}"
            );
        };
        let front = Tls::BehindProxy;
        let good = judged(true, &["192.0.2.77", "198.51.100.7"], front);
        assert_eq!(good.0, State::Ok, "{good:?}");
        let replaced = judged(true, &["198.51.100.7"], front);
        assert_eq!(replaced.0, State::Ok, "{replaced:?}");
        // From the proxy's own network, as on one computer.
        let near = judged(true, &["192.0.2.77", "10.0.0.1"], front);
        assert_eq!(near.0, State::Note, "{near:?}");
        let straight = judged(false, &["192.0.2.77"], Tls::PlainLoopback);
        assert_eq!(straight.0, State::Ok, "{straight:?}");
        wrong(judged(false, &[], front), "[\"10.0.0.1/32\"]");
        wrong(judged(true, &[], front), "does not say");
        wrong(judged(true, &["192.0.2.77"], front), "anybody");
        wrong(judged(true, &["unknown"], front), "no address");
        // Or the outer one of two passes on what it was told.
        let two = judged(true, &["192.0.2.77", "10.0.0.2"], front);
        assert!(
            two.0 == State::Note && two.1.contains("10.0.0.2 is in"),
            "{two:?}"
        );
        let both = ["192.0.2.77", "198.51.100.7", "10.0.0.2"];
        assert_eq!(judged(true, &both, front).0, State::Ok);
    }
}
