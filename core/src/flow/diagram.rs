//! A login as messages between those who take part, for a drawing.

use super::{Entry, Outcome, Step, earlier::Guess};

/// Who takes part, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The app, which is the OAuth client.
    App,
    /// The person's browser.
    Browser,
    /// This gateway.
    Gateway,
    /// The identity provider.
    Provider,
    /// The MCP server; only after a login.
    Server,
}

impl Lane {
    /// From left to right.
    pub const ALL: [Self; 5] = [
        Self::App,
        Self::Browser,
        Self::Gateway,
        Self::Provider,
        Self::Server,
    ];

    /// Those that these messages need: the server only where it is part of one.
    pub fn of(arrows: &[Arrow]) -> &'static [Self] {
        let server = arrows.iter().any(|arrow| arrow.to == Self::Server);
        let all: &'static [Self] = &Self::ALL;
        if server { all } else { &all[..4] }
    }

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::Browser => "Browser",
            Self::Gateway => "Vestibule",
            Self::Provider => "Provider",
            Self::Server => "MCP server",
        }
    }
}

/// One message, or something that one of them does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    /// From whom.
    pub from: Lane,
    /// To whom; the same for what somebody does alone.
    pub to: Lane,
    /// What, in a few words.
    pub label: String,
    /// The step that it belongs to, from 1.
    pub step: usize,
    /// Seconds since the first step.
    pub after: u64,
    /// Whether the login failed here.
    pub failed: bool,
    /// Whether this is a guess.
    pub guess: bool,
}

/// The messages of these steps, in order.
pub fn arrows(steps: &[Entry]) -> Vec<Arrow> {
    use Lane::{App, Browser, Gateway, Provider, Server};
    let begun = steps.first().map(|entry| entry.at);
    let mut out = Vec::new();
    for (number, entry) in (1..).zip(steps) {
        let words: Vec<(Lane, Lane, String)> = match &entry.step {
            Step::Probably {
                what: Guess::Challenged,
            } => vec![
                (App, Gateway, "probably: no token".into()),
                (Gateway, App, "401: log in here".into()),
            ],
            Step::Probably {
                what: Guess::ResourceMetadata,
            } => vec![(App, Gateway, "probably: which server?".into())],
            Step::Probably {
                what: Guess::ServerMetadata,
            } => vec![(App, Gateway, "probably: which endpoints?".into())],
            Step::Registered => vec![(App, Gateway, "registers".into())],
            Step::Asked { server, .. } => {
                vec![(App, Gateway, format!("asks for {server}"))]
            }
            Step::ConsentShown => vec![(Gateway, Browser, "consent page".into())],
            Step::Remembered => vec![(Gateway, Browser, "no page: allowed before".into())],
            Step::Allowed => vec![(Browser, Gateway, "Allow".into())],
            Step::Denied => vec![
                (Browser, Gateway, "Deny".into()),
                (Gateway, App, "access_denied".into()),
            ],
            Step::SentToProvider { host } => vec![
                (Gateway, Browser, format!("go to {host}")),
                (Browser, Provider, "sign in".into()),
            ],
            Step::CameBack => vec![(Provider, Gateway, "back, by browser".into())],
            Step::ProviderRefused { error, .. } => vec![(Provider, Gateway, error.clone())],
            Step::ProviderTokenFailed { status: 0, .. } => {
                vec![(Gateway, Provider, "code for tokens: no answer".into())]
            }
            Step::ProviderTokenFailed { status, error, .. } => vec![
                (Gateway, Provider, "code for tokens".into()),
                (Provider, Gateway, format!("{status} {error}")),
            ],
            Step::IdentityRefused { .. } => {
                vec![(Provider, Gateway, "ID token, not believed".into())]
            }
            Step::SignedIn { .. } => vec![
                (Gateway, Provider, "code for tokens".into()),
                (Provider, Gateway, "who it is".into()),
            ],
            Step::CodeSent => vec![(Gateway, App, "code".into())],
            Step::TokensIssued => vec![
                (App, Gateway, "code for tokens".into()),
                (Gateway, App, "access".into()),
            ],
            Step::Used => vec![(App, Gateway, "calls with its access".into())],
            Step::ToolsListed => vec![
                (App, Gateway, "which tools?".into()),
                (Gateway, Server, "which tools?".into()),
            ],
            Step::Refreshed => vec![(App, Gateway, "renews its access".into())],
            Step::Revoked => vec![(Gateway, Gateway, "access ended".into())],
            // What the server behind did not answer rightly, and what did not come to it.
            Step::Refused { code, .. }
                if ["V-SRV-001", "V-SRV-002", "V-SRV-003", "V-SRV-008"].contains(&&**code) =>
            {
                vec![
                    (App, Gateway, "calls".into()),
                    (Gateway, Server, code.clone()),
                ]
            }
            Step::Refused { code, .. } if code.starts_with("V-SRV-") => {
                vec![(App, Gateway, format!("refused: {code}"))]
            }
            Step::Refused { code, .. } => vec![(Gateway, Gateway, format!("refused: {code}"))],
        };
        let failed = entry.step.outcome() == Outcome::Failed || entry.step.code().is_some();
        let guess = matches!(entry.step, Step::Probably { .. });
        let after = begun.map_or(0, |begun| entry.at.since(begun).as_secs());
        let last = words.len();
        out.extend((1..).zip(words).map(|(place, (from, to, label))| Arrow {
            from,
            to,
            label,
            step: number,
            after,
            failed: failed && place == last,
            guess,
        }));
    }
    out
}

/// The same as a sequence diagram of Mermaid.
pub fn mermaid(steps: &[Entry]) -> String {
    let mut out = String::from("sequenceDiagram\n");
    let arrows = arrows(steps);
    for lane in Lane::of(&arrows) {
        out += &format!("    participant {lane:?} as {}\n", lane.title());
    }
    for arrow in arrows {
        // What ends a statement there, or begins a comment, is no part of a label.
        let label: String = arrow
            .label
            .chars()
            .map(|c| {
                if matches!(c, ';' | '#' | '%' | '\n') {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        let line = match (arrow.failed, arrow.guess) {
            (true, _) => "--x",
            (false, true) => "-->>",
            (false, false) => "->>",
        };
        out += &format!(
            "    {:?}{line}{:?}: {}. {label} ({} s)\n",
            arrow.from, arrow.to, arrow.step, arrow.after
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn at(seconds: u64, step: Step) -> Entry {
        Entry {
            at: Timestamp::from_unix(seconds),
            step,
        }
    }

    #[test]
    fn a_failed_login_is_drawn_with_its_failure_last() {
        let steps = [
            at(
                100,
                Step::Asked {
                    client: "a".into(),
                    known_by: "b".into(),
                    redirect_host: "c".into(),
                    server: "Weather; drop".into(),
                    scopes: "e".into(),
                },
            ),
            at(101, Step::ConsentShown),
            at(107, Step::Allowed),
            at(
                107,
                Step::SentToProvider {
                    host: "login.example".into(),
                },
            ),
            at(124, Step::CameBack),
            at(
                125,
                Step::ProviderTokenFailed {
                    status: 401,
                    error: "invalid_client".into(),
                    said: "secret of theirs".into(),
                },
            ),
        ];
        let drawn = arrows(&steps);
        assert_eq!(drawn.len(), 8);
        assert!(drawn[..7].iter().all(|arrow| !arrow.failed));
        let last = &drawn[7];
        assert!(last.failed);
        assert_eq!((last.from, last.to), (Lane::Provider, Lane::Gateway));
        assert_eq!((last.step, last.after), (6, 25));
        let text = mermaid(&steps);
        assert!(
            text.contains("Provider--xGateway: 6. 401 invalid_client (25 s)"),
            "{text}"
        );
        assert!(text.contains("asks for Weather  drop"), "{text}");
        assert!(!text.contains("secret of theirs"));
        assert!(arrows(&[]).is_empty());
    }
}
