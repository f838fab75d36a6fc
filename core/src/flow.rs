//! The record of a login: which steps it took, and what may be kept of each.
//!
//! What can be recorded is what these types can hold. There is no field for a code, a
//! token, a verifier, a cookie or an address with a query, so none can slip in.

pub mod diagram;
pub mod earlier;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::earlier::Guess;
use crate::time::Timestamp;

/// The name of one login attempt, short enough to say on the telephone: `K7Q2-9MTX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowCode([u8; 8]);

/// Crockford's alphabet: no I, L, O, U, so that nothing is misread or spelled.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl FlowCode {
    /// A code of forty random bits out of eight random bytes.
    pub fn from_random(bytes: &[u8; 8]) -> Self {
        Self(bytes.map(|byte| ALPHABET[usize::from(byte % 32)]))
    }

    /// Reads a code as a person may type it: case, dash and look-alikes do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = [0; 8];
        let mut digits =
            text.bytes()
                .filter(|b| *b != b'-')
                .map(|b| match b.to_ascii_uppercase() {
                    b'O' => b'0',
                    b'I' | b'L' => b'1',
                    other => other,
                });
        for place in &mut code {
            *place = digits.next().filter(|b| ALPHABET.contains(b))?;
        }
        digits.next().is_none().then_some(Self(code))
    }
}

impl fmt::Display for FlowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        write!(f, "{}-{}", &text[..4], &text[4..])
    }
}

impl Serialize for FlowCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for FlowCode {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a flow code"))
    }
}

/// One step with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: Step,
}

/// What can happen on the way from the first request to the first token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// What the app did before, as far as it can be guessed.
    Probably {
        /// What.
        what: Guess,
    },
    /// The app registered itself.
    Registered,
    /// The authorization request was understood.
    Asked {
        /// The app's name, cleaned for people.
        client: String,
        /// How it is known.
        known_by: String,
        /// Host of the redirect URI.
        redirect_host: String,
        /// The MCP server's title.
        server: String,
        /// What is asked for.
        scopes: String,
    },
    /// The consent page was drawn.
    ConsentShown,
    /// The consent page was left out: the person had allowed the same before.
    Remembered,
    /// The person allowed it.
    Allowed,
    /// The person declined.
    Denied,
    /// The browser was sent to the identity provider.
    SentToProvider {
        /// Its host.
        host: String,
    },
    /// The browser came back.
    CameBack,
    /// The provider said no in the browser.
    ProviderRefused {
        /// Its `error`, cleaned.
        error: String,
        /// Its own words, cleaned and shortened.
        said: String,
    },
    /// The provider's token endpoint answered with an error, or not at all.
    ProviderTokenFailed {
        /// HTTP status; 0 if there was no answer.
        status: u16,
        /// Its `error`, cleaned.
        error: String,
        /// Its own words, cleaned and shortened.
        said: String,
    },
    /// The ID token was not believed.
    IdentityRefused {
        /// Which rule it broke, in our words.
        why: String,
    },
    /// The person is known.
    SignedIn {
        /// What the provider calls them, cleaned.
        person: String,
    },
    /// The client was sent its code.
    CodeSent,
    /// The code was redeemed.
    TokensIssued,
    /// The app came with its access for the first time.
    Used,
    /// It asked the server for the first time which tools there are.
    ToolsListed,
    /// The access was renewed.
    Refreshed,
    /// The access was given back or stopped.
    Revoked,
    /// This step was refused.
    Refused {
        /// The error of the catalogue.
        code: String,
        /// What happened, in our words.
        why: String,
    },
}

/// How a login stands, by its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, or waits for the person.
    Open,
    /// The client got its code.
    Succeeded,
    /// It ended without.
    Failed,
}

impl Step {
    /// Whether the login ends here, and how.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Probably { .. }
            | Self::Registered
            | Self::Asked { .. }
            | Self::ConsentShown
            | Self::Remembered
            | Self::Allowed
            | Self::SentToProvider { .. }
            | Self::CameBack
            | Self::SignedIn { .. } => Outcome::Open,
            Self::CodeSent
            | Self::TokensIssued
            | Self::Used
            | Self::ToolsListed
            | Self::Refreshed
            | Self::Revoked => Outcome::Succeeded,
            Self::Denied
            | Self::ProviderRefused { .. }
            | Self::ProviderTokenFailed { .. }
            | Self::IdentityRefused { .. } => Outcome::Failed,
            // The login is over, and was good.
            Self::Refused { code, .. } if code == "V-TOK-008" || code.starts_with("V-SRV-") => {
                Outcome::Succeeded
            }
            Self::Refused { .. } => Outcome::Failed,
        }
    }
}

impl Step {
    /// A step that was refused, by its entry of the catalogue and in our words.
    pub fn refused(code: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused {
            code: code.into(),
            why: why.into(),
        }
    }

    /// Whether it is about the use of an access, after its login.
    pub fn is_afterwards(&self) -> bool {
        match self {
            Self::Used | Self::ToolsListed | Self::Refreshed => true,
            Self::Refused { code, .. } => code.starts_with("V-SRV-"),
            _ => false,
        }
    }

    /// The error of the catalogue, if this step is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::ProviderRefused { error, .. } => Some(match error.as_str() {
                "server_error" | "temporarily_unavailable" => "V-IDP-009",
                "access_denied"
                | "login_required"
                | "consent_required"
                | "interaction_required"
                | "account_selection_required" => "V-IDP-007",
                _ => "V-IDP-008",
            }),
            Self::ProviderTokenFailed { status: 0, .. } => Some("V-IDP-010"),
            Self::ProviderTokenFailed { status, error, .. } => Some(match error.as_str() {
                "invalid_client" | "unauthorized_client" => "V-IDP-014",
                "invalid_grant" => "V-IDP-012",
                "not_json" => "V-IDP-019",
                _ if *status >= 500 => "V-IDP-010",
                _ => "V-IDP-013",
            }),
            Self::IdentityRefused { .. } => Some("V-IDP-011"),
            _ => None,
        }
    }

    /// The same step without the provider's words, which stand beside it.
    #[must_use]
    pub fn without_words(&self) -> Self {
        let mut step = self.clone();
        if let Self::ProviderRefused { said, .. } | Self::ProviderTokenFailed { said, .. } =
            &mut step
        {
            said.clear();
        }
        step
    }

    /// The provider's own words, if this step has any.
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::ProviderRefused { said, .. } | Self::ProviderTokenFailed { said, .. } => {
                Some(said.as_str()).filter(|said| !said.is_empty())
            }
            _ => None,
        }
    }
}

/// Which of these steps says how a login stands: the last, unless all that came after a
/// failure is what apps still tried with an access that is over.
pub fn deciding(steps: &[Entry]) -> Option<usize> {
    let last = steps.len().checked_sub(1)?;
    let before = steps.iter().rposition(|entry| !entry.step.is_afterwards());
    let failed = before.filter(|at| steps[*at].step.outcome() == Outcome::Failed);
    Some(failed.unwrap_or(last))
}

/// Where on its way a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The app asks.
    Request,
    /// The person decides.
    Consent,
    /// The person is at the provider.
    SignIn,
    /// The browser comes back.
    WayBack,
    /// The provider tells who it is.
    Identity,
    /// The app exchanges its code.
    CodeForTokens,
    /// The app renews its access.
    Renewal,
    /// The app calls its server.
    Use,
}

impl Stage {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Consent => "consent",
            Self::SignIn => "sign-in",
            Self::WayBack => "way back",
            Self::Identity => "identity",
            Self::CodeForTokens => "code for tokens",
            Self::Renewal => "renewal",
            Self::Use => "use",
        }
    }

    /// Where the last of these steps is.
    pub fn of(steps: &[Step]) -> Self {
        let Some((last, before)) = steps.split_last() else {
            return Self::Request;
        };
        if let Step::Refused { code, .. } = last {
            match code.as_str() {
                "V-IDP-002" | "V-IDP-003" | "V-IDP-004" | "V-STO-002" => return Self::WayBack,
                "V-TOK-001" | "V-TOK-002" | "V-TOK-003" | "V-TOK-004" | "V-TOK-005" => {
                    return Self::CodeForTokens;
                }
                code if code.starts_with("V-TOK-") => return Self::Renewal,
                code if code.starts_with("V-SRV-") => return Self::Use,
                // What else is refused is refused where the login was.
                _ => {
                    let back = before.contains(&Step::CameBack);
                    let asked = before.contains(&Step::ConsentShown);
                    return match (back, asked) {
                        (true, _) => Self::Identity,
                        (false, true) => Self::Consent,
                        (false, false) => Self::Request,
                    };
                }
            }
        }
        match last {
            Step::Probably { .. } | Step::Registered | Step::Asked { .. } => Self::Request,
            Step::ConsentShown | Step::Remembered | Step::Allowed | Step::Denied => Self::Consent,
            Step::SentToProvider { .. } | Step::ProviderRefused { .. } => Self::SignIn,
            Step::CameBack => Self::WayBack,
            Step::ProviderTokenFailed { .. }
            | Step::IdentityRefused { .. }
            | Step::SignedIn { .. }
            | Step::Refused { .. } => Self::Identity,
            Step::CodeSent | Step::TokensIssued => Self::CodeForTokens,
            Step::Refreshed | Step::Revoked => Self::Renewal,
            Step::Used | Step::ToolsListed => Self::Use,
        }
    }
}

/// What cannot be the cause of a failure that came after these steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuledOut {
    /// The app's id and its redirect URI were in order.
    App,
    /// The person allowed it, in the browser that began it.
    Consent,
    /// The provider knows our redirect URI: it sent the browser back to it.
    OurRedirect,
    /// The person could sign in: the provider sent a code.
    SignIn,
}

/// Errors that come after the provider has sent a code, and that do not depend on whose it
/// is. Its token endpoint may still refuse a person, for a policy or a second factor.
const WITH_CODE: [&str; 11] = [
    "V-IDP-011",
    "V-IDP-014",
    "V-IDP-015",
    "V-IDP-016",
    "V-IDP-017",
    "V-IDP-018",
    "V-IDP-019",
    "V-IDP-020",
    "V-IDP-022",
    "V-POL-001",
    "V-POL-002",
];

/// What the steps of a login rule out as the cause of its failure. What failed says what is
/// still in question: a provider that does not know us may not know our redirect URI either.
pub fn ruled_out(steps: &[Step]) -> Vec<RuledOut> {
    let Some(code) = steps.last().and_then(Step::code) else {
        return Vec::new();
    };
    let any = |is: fn(&Step) -> bool| steps.iter().any(is);
    let app = any(|step| matches!(step, Step::Asked { .. }))
        && !code.starts_with("V-CLI-")
        && !["V-CON-003", "V-TOK-004"].contains(&code);
    let redirect = any(|step| *step == Step::CameBack)
        && !["V-IDP-003", "V-IDP-012", "V-IDP-013", "V-IDP-014"].contains(&code);
    let sign_in = any(|step| matches!(step, Step::SignedIn { .. })) || WITH_CODE.contains(&code);
    [
        (app, RuledOut::App),
        (
            any(|step| matches!(step, Step::Allowed | Step::Remembered)) && code != "V-IDP-002",
            RuledOut::Consent,
        ),
        (redirect, RuledOut::OurRedirect),
        (sign_in, RuledOut::SignIn),
    ]
    .into_iter()
    .filter_map(|(holds, what)| holds.then_some(what))
    .collect()
}

/// Text of a stranger, fit to be recorded: no control characters, at most `max` characters.
pub fn cleaned(text: &str, max: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_code_reads_back_as_people_type_it() {
        let code = FlowCode::from_random(&[7, 40, 255, 0, 31, 32, 10, 11]);
        assert_eq!(code.to_string(), "78Z0-Z0AB");
        for typed in ["78Z0-Z0AB", "78z0z0ab", "78ZO-zoAB"] {
            assert_eq!(FlowCode::parse(typed), Some(code), "{typed}");
        }
        for bad in ["", "78Z0-Z0A", "78Z0-Z0ABC", "78Z0-Z0A!", "../../etc"] {
            assert_eq!(FlowCode::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_failed_step_has_its_code_and_no_other_has() {
        let refused = |error: &str| Step::ProviderRefused {
            error: error.to_owned(),
            said: String::new(),
        };
        let token = |status, error: &str| Step::ProviderTokenFailed {
            status,
            error: error.to_owned(),
            said: "AADSTS7000222".to_owned(),
        };
        let table = [
            (refused("access_denied"), Some("V-IDP-007")),
            (refused("invalid_scope"), Some("V-IDP-008")),
            (refused("anything else"), Some("V-IDP-008")),
            (refused("server_error"), Some("V-IDP-009")),
            (token(0, ""), Some("V-IDP-010")),
            (token(503, ""), Some("V-IDP-010")),
            (token(401, "invalid_client"), Some("V-IDP-014")),
            (token(400, "invalid_grant"), Some("V-IDP-012")),
            (token(400, "invalid_request"), Some("V-IDP-013")),
            (token(200, "not_json"), Some("V-IDP-019")),
            (Step::Denied, None),
            (Step::CameBack, None),
        ];
        for (step, code) in table {
            assert_eq!(step.code(), code, "{step:?}");
        }
        assert_eq!(token(401, "invalid_client").said(), Some("AADSTS7000222"));
        assert_eq!(refused("access_denied").said(), None);
    }

    #[test]
    fn what_is_tried_after_a_failure_does_not_hide_it() {
        let refused = |code: &str| Step::Refused {
            code: code.to_owned(),
            why: String::new(),
        };
        let decides = |steps: &[Step]| {
            let entries: Vec<Entry> = steps
                .iter()
                .map(|step| Entry {
                    at: Timestamp::from_unix(1),
                    step: step.clone(),
                })
                .collect();
            deciding(&entries)
        };
        let (replay, late) = (refused("V-TOK-006"), refused("V-SRV-014"));
        let issued = Step::TokensIssued;
        assert_eq!(decides(&[]), None);
        assert_eq!(decides(&[issued.clone(), late.clone()]), Some(1));
        assert_eq!(
            decides(&[issued.clone(), replay.clone(), late.clone(), Step::Used]),
            Some(1)
        );
        assert_eq!(decides(&[replay, issued, late]), Some(2), "another try");
    }

    #[test]
    fn what_went_well_is_ruled_out_and_nothing_else() {
        use RuledOut as R;
        let asked = Step::Asked {
            client: "a".to_owned(),
            known_by: "b".to_owned(),
            redirect_host: "c".to_owned(),
            server: "d".to_owned(),
            scopes: "e".to_owned(),
        };
        let after = |last: Step| {
            let steps = [asked.clone(), Step::Allowed, Step::CameBack, last];
            ruled_out(&steps)
        };
        let refused = |code: &str| Step::Refused {
            code: code.to_owned(),
            why: String::new(),
        };
        let token = |error: &str| Step::ProviderTokenFailed {
            status: 400,
            error: error.to_owned(),
            said: String::new(),
        };
        let denied = Step::ProviderRefused {
            error: "access_denied".to_owned(),
            said: String::new(),
        };
        assert_eq!(ruled_out(&[]), []);
        assert_eq!(
            ruled_out(std::slice::from_ref(&asked)),
            [],
            "nothing failed"
        );
        let all = [R::App, R::Consent, R::OurRedirect, R::SignIn];
        assert_eq!(after(refused("V-IDP-016")), all);
        assert_eq!(after(refused("V-POL-001")), all);
        assert_eq!(after(denied), [R::App, R::Consent, R::OurRedirect]);
        // One that does not know us may know nothing of our redirect URI.
        assert_eq!(
            after(token("invalid_client")),
            [R::App, R::Consent, R::SignIn]
        );
        // A policy may speak at the token endpoint.
        assert_eq!(after(token("invalid_grant")), [R::App, R::Consent]);
        assert_eq!(after(refused("V-IDP-002")), [R::App, R::OurRedirect]);
        assert_eq!(after(refused("V-CLI-001")), [R::Consent, R::OurRedirect]);
        assert_eq!(after(refused("V-TOK-004")), [R::Consent, R::OurRedirect]);
    }

    #[test]
    fn t_sto_07_recorded_words_have_no_control_characters() {
        assert_eq!(cleaned("a\r\nb\x1b[31m", 100), "a  b [31m");
        assert_eq!(cleaned(&"x".repeat(500), 200).len(), 200);
    }
}
