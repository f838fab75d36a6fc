//! What an app did before its login had a record: it called the server and was told where to
//! log in, it read the metadata, it registered itself. None of that names a login. Where and
//! when it came from makes a guess, which is told as one.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Entry, Step};
use crate::{secret::Digest, time::Timestamp};

/// How far back a guess looks, if it is known who registered the client.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// How far back by the address alone, which others may share.
const BY_ADDRESS: Duration = Duration::from_secs(2 * 60);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A call of this server without a token.
    Challenged(String),
    /// The metadata of this server was read (RFC 9728 §3).
    ResourceMetadata(String),
    /// The metadata of the gateway was read (RFC 8414 §3).
    ServerMetadata,
    /// A client was registered; by the digest of its id (RFC 7591 §3).
    Registered(Digest),
}

/// It, with who and when.
#[derive(Debug, Clone)]
pub struct Sight {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// What the program calls itself, by a digest.
    pub agent: Digest,
    /// What.
    pub seen: Seen,
}

/// Which login somebody asks about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Digest of the client's id.
    pub client: Digest,
    /// The server's name.
    pub server: &'a str,
    /// From where the browser comes.
    pub browser: IpAddr,
    /// When.
    pub now: Timestamp,
}

/// What is guessed, for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guess {
    /// See [`Seen::Challenged`].
    Challenged,
    /// See [`Seen::ResourceMetadata`].
    ResourceMetadata,
    /// See [`Seen::ServerMetadata`].
    ServerMetadata,
}

/// What probably came before a login, in order; `sights` are in order too.
///
/// Who registered the client is known by its id, and is the app. Otherwise the app is taken to
/// be on the computer of the browser, as most are.
pub fn probably(sights: &[Sight], about: &About<'_>) -> Vec<Entry> {
    let since = about.now.minus(WINDOW);
    let mut lately = sights.iter().rev().take_while(|sight| sight.at >= since);
    let registered = lately
        .clone()
        .find(|sight| sight.seen == Seen::Registered(about.client));
    let challenged = Seen::Challenged(about.server.to_owned());
    let challenged = lately.find(|sight| {
        let theirs = match registered {
            Some(app) => sight.address == app.address && sight.agent == app.agent,
            None => sight.address == about.browser && sight.at >= about.now.minus(BY_ADDRESS),
        };
        theirs && sight.seen == challenged
    });
    let mut out: Vec<Entry> = Vec::new();
    if let Some(first) = challenged {
        let guess = |what, seen: &Seen| {
            let sight = sights.iter().rev().find(|sight| {
                sight.seen == *seen
                    && sight.at >= first.at
                    && sight.address == first.address
                    && sight.agent == first.agent
            })?;
            let step = Step::Probably { what };
            Some(Entry { at: sight.at, step })
        };
        let resource = Seen::ResourceMetadata(about.server.to_owned());
        out.extend(guess(Guess::Challenged, &first.seen));
        out.extend(guess(Guess::ResourceMetadata, &resource));
        out.extend(guess(Guess::ServerMetadata, &Seen::ServerMetadata));
    }
    out.extend(registered.map(|sight| Entry {
        at: sight.at,
        step: Step::Registered,
    }));
    out.sort_by_key(|entry| entry.at);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; 4] = [192, 0, 2, 1];
    const OTHERS: [u8; 4] = [192, 0, 2, 2];

    fn sight(at: u64, address: [u8; 4], agent: &str, seen: Seen) -> Sight {
        Sight {
            at: Timestamp::from_unix(at),
            address: address.into(),
            agent: Digest::of(agent.as_bytes()),
            seen,
        }
    }

    fn told(sights: &[Sight], client: &str, now: u64) -> Vec<(u64, Step)> {
        let about = About {
            client: Digest::of(client.as_bytes()),
            server: "weather",
            browser: OURS.into(),
            now: Timestamp::from_unix(now),
        };
        let entries = probably(sights, &about).into_iter();
        entries.map(|entry| (entry.at.unix(), entry.step)).collect()
    }

    fn challenged(server: &str) -> Seen {
        Seen::Challenged(server.to_owned())
    }

    fn read(server: &str) -> Seen {
        Seen::ResourceMetadata(server.to_owned())
    }

    fn guess(what: Guess) -> Step {
        Step::Probably { what }
    }

    #[test]
    fn what_came_from_the_same_place_a_moment_before_is_guessed() {
        let sights = [
            sight(100, OTHERS, "node", challenged("weather")),
            sight(101, OURS, "node", challenged("mail")),
            sight(102, OURS, "node", challenged("weather")),
            sight(103, OURS, "python", read("weather")),
            sight(104, OURS, "node", read("weather")),
            sight(105, OTHERS, "node", Seen::ServerMetadata),
        ];
        let expected = [
            (102, guess(Guess::Challenged)),
            (104, guess(Guess::ResourceMetadata)),
        ];
        assert_eq!(told(&sights, "vcl_1", 110), expected);
        assert_eq!(told(&sights, "vcl_1", 102 + 121), [], "too long ago");
    }

    #[test]
    fn who_registered_the_client_is_the_app_wherever_the_browser_is() {
        let id = |id: &str| Seen::Registered(Digest::of(id.as_bytes()));
        let sights = [
            sight(100, OTHERS, "node", challenged("weather")),
            sight(101, OTHERS, "node", Seen::ServerMetadata),
            sight(102, OTHERS, "node", id("vcl_1")),
            sight(103, OURS, "node", challenged("weather")),
        ];
        let expected = [
            (100, guess(Guess::Challenged)),
            (101, guess(Guess::ServerMetadata)),
            (102, Step::Registered),
        ];
        assert_eq!(told(&sights, "vcl_1", 110), expected);
        let another = [(103, guess(Guess::Challenged))];
        assert_eq!(told(&sights, "vcl_2", 110), another);
    }

    #[test]
    fn nothing_is_guessed_of_what_was_read_before_the_call() {
        let sights = [
            sight(100, OURS, "node", read("weather")),
            sight(101, OURS, "node", Seen::ServerMetadata),
        ];
        assert_eq!(told(&sights, "vcl_1", 110), []);
    }
}
