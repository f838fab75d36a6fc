//! The person's decision: what the form may say, and what the page must warn of.

use crate::{
    authorize::AskConsent,
    client::{Client, KnownBy, MatchedRedirect},
    params::{Params, Repeated},
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
    uri::{RedirectKind, host_for_people},
};

/// What a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The app may.
    Allow,
    /// It may not; nothing is remembered of that.
    Deny,
}

/// The decision form. It carries a handle, a token and the decision; whatever else the page
/// showed is read from the handle, so there is nothing to edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionForm {
    /// See [`crate::ticket::Ticket::open`].
    pub ticket: String,
    /// See [`crate::ticket::Ticket::form_token_matches`].
    pub token: String,
    /// Allow or deny.
    pub decision: Decision,
    /// The identity provider that the person chose, by name, if the page let them.
    pub provider: Option<String>,
}

/// A form that our page did not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form is not the one that was shown")]
pub struct FormMalformed;

impl From<Repeated> for FormMalformed {
    fn from(_: Repeated) -> Self {
        Self
    }
}

impl DecisionForm {
    /// Reads the body of the decision.
    ///
    /// # Errors
    /// [`FormMalformed`] for anything but one ticket, one token and one known decision.
    pub fn read(params: &Params<'_>) -> Result<Self, FormMalformed> {
        // Fields that name parts of the request were never in our form (CONS-4, T-CON-06).
        const FOREIGN: [&str; 5] = [
            "redirect_uri",
            "scope",
            "client_id",
            "code_challenge",
            "resource",
        ];
        if FOREIGN.iter().any(|name| params.has(name)) {
            return Err(FormMalformed);
        }
        let decision = match params.one("decision")? {
            Some("allow") => Decision::Allow,
            Some("deny") => Decision::Deny,
            _ => return Err(FormMalformed),
        };
        Ok(Self {
            ticket: params.one("ticket")?.ok_or(FormMalformed)?.to_owned(),
            token: params.one("token")?.ok_or(FormMalformed)?.to_owned(),
            decision,
            provider: params.one("provider")?.map(str::to_owned),
        })
    }
}

/// What the page says above the buttons, besides the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The answer goes to a program on this computer; any program here could receive it.
    ThisComputer,
    /// The answer goes to an app that claims this scheme; any app could have claimed it.
    ClaimedScheme,
}

/// The warning for this redirect, if it needs one (CONS-3, T-CON-10).
pub fn warning(redirect: &MatchedRedirect) -> Option<Warning> {
    match redirect.kind() {
        RedirectKind::Https => None,
        RedirectKind::Loopback => Some(Warning::ThisComputer),
        RedirectKind::PrivateScheme => Some(Warning::ClaimedScheme),
    }
}

/// What a person allowed this client for this MCP server before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Where the answer went; see [`MatchedRedirect::without_loopback_port`].
    pub redirect: String,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// See [`Client::described`].
    pub described: Option<Digest>,
    /// When.
    pub allowed: Timestamp,
}

/// How a request stands to what its person allowed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// Nothing was allowed before.
    Nothing,
    /// All of it was, and nothing has changed.
    All {
        /// When.
        since: Timestamp,
    },
    /// A part of it was (step-up).
    Part {
        /// What.
        before: ScopeSet,
        /// When.
        since: Timestamp,
    },
    /// Something was, but the answer now goes elsewhere or the client describes itself
    /// differently.
    Changed {
        /// The host that the answer went to, if that changed.
        host_before: Option<String>,
        /// When.
        since: Timestamp,
    },
}

/// Compares `ask` with what its person allowed before (CONS-2, CIMD-9).
pub fn remembered(ask: &AskConsent, client: &Client, earlier: &[Earlier]) -> Remembered {
    let redirect = ask.redirect.without_loopback_port();
    let Some(latest) = earlier.iter().max_by_key(|earlier| earlier.allowed) else {
        return Remembered::Nothing;
    };
    let Some(same) = earlier.iter().find(|earlier| earlier.redirect == redirect) else {
        return Remembered::Changed {
            host_before: Some(host_for_people(&latest.redirect)),
            since: latest.allowed,
        };
    };
    let since = same.allowed;
    if same.described != Some(client.described()) {
        Remembered::Changed {
            host_before: None,
            since,
        }
    } else if same.scopes.includes(&ask.scopes) {
        Remembered::All { since }
    } else {
        Remembered::Part {
            before: same.scopes.clone(),
            since,
        }
    }
}

/// How the browser came to the page, by what it says itself (Fetch Metadata, `Sec-Fetch-Site`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Navigation {
    /// Opened by a person or a program, or from our own page.
    Direct,
    /// From another site's page, or the browser does not say.
    Elsewhere,
}

impl Navigation {
    /// Of the header's value.
    pub fn of(site: Option<&str>) -> Self {
        match site {
            Some("none" | "same-origin") => Self::Direct,
            Some(_) | None => Self::Elsewhere,
        }
    }
}

/// Whether the page is left out: all of it is remembered, for a client that an operator
/// vouches for, whose answer no other program can receive, and no page of another site sent
/// the browser here (CONS-8).
pub fn may_be_left_out(
    remembered: &Remembered,
    ask: &AskConsent,
    client: &Client,
    navigation: Navigation,
) -> bool {
    let vouched_for = match &client.known_by {
        KnownBy::Operator | KnownBy::Vouched | KnownBy::Document { trusted: true, .. } => true,
        KnownBy::Document { trusted: false, .. } | KnownBy::Dynamic => false,
    };
    matches!(remembered, Remembered::All { .. })
        && vouched_for
        && warning(&ask.redirect).is_none()
        && navigation == Navigation::Direct
        && !ask.login.ask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authorize::tests::ask, client::tests::client};

    fn earlier(scopes: &ScopeSet, client: &Client) -> Earlier {
        Earlier {
            redirect: "https://a.example/cb".into(),
            scopes: scopes.clone(),
            described: Some(client.described()),
            allowed: Timestamp::from_unix(7),
        }
    }

    #[test]
    fn cons_2_cimd_9_only_the_very_same_is_remembered() {
        let (ask, client) = (ask(), client(&["https://a.example/cb"]));
        let since = Timestamp::from_unix(7);
        let same = earlier(&ask.scopes, &client);
        let with = |change: &dyn Fn(&mut Earlier)| {
            let mut changed = same.clone();
            change(&mut changed);
            remembered(&ask, &client, &[changed])
        };
        assert_eq!(remembered(&ask, &client, &[]), Remembered::Nothing);
        assert_eq!(with(&|_| {}), Remembered::All { since });
        let wider = ask.scopes.with(&ScopeSet::of(["more"]));
        assert_eq!(
            with(&|e| e.scopes = wider.clone()),
            Remembered::All { since }
        );
        let before = ScopeSet::empty();
        assert_eq!(
            with(&|e| e.scopes = ScopeSet::empty()),
            Remembered::Part { before, since }
        );
        for described in [None, Some(Digest::of(b"another"))] {
            assert_eq!(
                with(&|e| e.described = described),
                Remembered::Changed {
                    host_before: None,
                    since
                }
            );
        }
        for elsewhere in ["https://b.example/cb", "https://a.example/cb2"] {
            let Remembered::Changed { host_before, .. } =
                with(&|e| e.redirect = elsewhere.to_owned())
            else {
                panic!("{elsewhere}");
            };
            assert_eq!(host_before, Some(host_for_people(elsewhere)));
        }
    }

    #[test]
    fn cons_8_the_page_is_left_out_only_where_nobody_else_can_profit() {
        let by = |known_by: KnownBy| Client {
            known_by,
            ..client(&["https://a.example/cb"])
        };
        let document = |trusted| KnownBy::Document {
            host: "a.example".into(),
            trusted,
        };
        let all = Remembered::All {
            since: Timestamp::from_unix(7),
        };
        let direct = Navigation::Direct;
        assert!(may_be_left_out(
            &all,
            &ask(),
            &by(KnownBy::Operator),
            direct
        ));
        assert!(may_be_left_out(&all, &ask(), &by(document(true)), direct));
        for known_by in [KnownBy::Dynamic, document(false)] {
            assert!(!may_be_left_out(&all, &ask(), &by(known_by), direct));
        }
        let operator = by(KnownBy::Operator);
        let part = Remembered::Part {
            before: ScopeSet::empty(),
            since: Timestamp::from_unix(7),
        };
        for not_all in [Remembered::Nothing, part] {
            assert!(!may_be_left_out(&not_all, &ask(), &operator, direct));
        }
        let mut here = ask();
        let local = client(&["http://127.0.0.1/cb"]);
        here.redirect = local
            .match_redirect(Some("http://127.0.0.1:4711/cb"))
            .expect("registered");
        assert!(!may_be_left_out(&all, &here, &operator, direct));
        let mut insisting = ask();
        insisting.login.ask = true;
        assert!(!may_be_left_out(&all, &insisting, &operator, direct));
        for site in [Some("cross-site"), Some("same-site"), Some("None"), None] {
            let navigation = Navigation::of(site);
            assert!(
                !may_be_left_out(&all, &ask(), &operator, navigation),
                "{site:?}"
            );
        }
        for site in ["none", "same-origin"] {
            assert_eq!(Navigation::of(Some(site)), direct);
        }
    }

    #[test]
    fn t_con_06_the_form_says_three_things_and_nothing_else() {
        let read = |text: &str| DecisionForm::read(&Params::parse(text).expect("readable"));
        let good = read("ticket=t&token=k&decision=allow").expect("the form as shown");
        assert_eq!(good.decision, Decision::Allow);
        for bad in [
            "ticket=t&token=k",
            "ticket=t&token=k&decision=maybe",
            "ticket=t&token=k&decision=%3Cscript%3E",
            "ticket=t&decision=allow",
            "token=k&decision=allow",
            "ticket=t&ticket=u&token=k&decision=allow",
            "ticket=t&token=k&decision=allow&decision=deny",
            "ticket=t&token=k&decision=allow&redirect_uri=https%3A%2F%2Fevil.example",
            "ticket=t&token=k&decision=allow&scope=write",
        ] {
            assert_eq!(read(bad), Err(FormMalformed), "{bad}");
        }
    }

    #[test]
    fn cons_3_t_con_10_loopback_and_claimed_schemes_are_warned_of() {
        use crate::client::tests::client;
        let warned = |text: &str| {
            let client = client(&[text]);
            warning(&client.match_redirect(Some(text)).expect("registered"))
        };
        assert_eq!(warned("https://a.example/cb"), None);
        for here in ["http://127.0.0.1/cb", "https://localhost/cb"] {
            assert_eq!(warned(here), Some(Warning::ThisComputer), "{here}");
        }
    }
}
