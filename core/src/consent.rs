//! The person's decision: what the form may say, and what the page must warn of.

use crate::{
    client::MatchedRedirect,
    params::{Params, Repeated},
    uri::RedirectKind,
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

#[cfg(test)]
mod tests {
    use super::*;

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
