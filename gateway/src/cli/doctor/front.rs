//! What the proxy in front makes of a request: whether it says whose it is, and whether it is
//! believed. A request goes to the public address, and the gateway that runs tells over its
//! socket how it came.

use http::HeaderValue;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Findings, there};
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
    let Ok(expected) = control.post("/arrivals", &json!({})) else {
        findings.skipped(ABOUT, "the gateway that runs here does not tell");
        return;
    };
    let probe = expected["probe"].as_str().unwrap_or_default();
    if let Err(why) = control.wait_for(send(config, probe)) {
        findings.skipped(ABOUT, why);
        return;
    }
    let told = control.get(&format!("/arrivals/{probe}"));
    let arrival = told.ok().map(|mut told| told["arrival"].take());
    let arrival: Option<Arrival> =
        arrival.and_then(|arrival: Value| serde_json::from_value(arrival).ok());
    match arrival {
        Some(arrival) => judge(&arrival, config.tls, findings),
        None => findings.wrong(
            ABOUT,
            format!("a request to {} does not come to the gateway that runs here", config.public_url),
            "let public_url lead here; something in between may also answer from its memory, or drop headers that it does not know",
        ),
    }
}

async fn send(config: &Config, probe: &str) -> Result<(), String> {
    let http = there::client(config)?;
    let at = format!(
        "{}/.well-known/oauth-authorization-server",
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
    findings.ok(
        ABOUT,
        format!("{peer} is believed, and says that this came from {hop}"),
    );
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn tls_4_what_a_proxy_does_to_addresses_is_judged() {
        let judged = |is_trusted: bool, said: &[&str], tls| {
            let mut findings = Findings {
                all: Vec::new(),
                production: false,
            };
            let arrival = Arrival {
                peer: "10.0.0.1".parse().expect("an address"),
                is_trusted,
                client: "198.51.100.7".parse().expect("an address"),
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
        assert_eq!(near.0, State::Ok, "{near:?}");
        let straight = judged(false, &["192.0.2.77"], Tls::PlainLoopback);
        assert_eq!(straight.0, State::Ok, "{straight:?}");
        wrong(judged(false, &[], front), "[\"10.0.0.1/32\"]");
        wrong(judged(true, &[], front), "does not say");
        wrong(judged(true, &["192.0.2.77"], front), "anybody");
        wrong(judged(true, &["unknown"], front), "no address");
    }
}
