//! Whether the identity provider still vouches for a person (MCP 2025-03-26, Session Binding
//! Requirements): when it is asked again, and what its answer means for a grant.

use std::time::Duration;

use crate::time::Timestamp;

/// How often it is asked, and how long its silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Its last answer is good for this long. `idp.recheck`.
    pub recheck: Duration,
    /// While it does not answer, its last one is good for this long. `idp.grace`.
    pub grace: Duration,
}

impl Bounds {
    /// Whether it must be asked before a grant is renewed whose person it vouched for at
    /// `checked`. A clock that was turned back makes nothing younger.
    pub fn is_due(&self, checked: Timestamp, now: Timestamp) -> bool {
        now < checked || now.since(checked) >= self.recheck
    }
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The person is still there.
    There,
    /// The person must sign in anew, or is not there any more.
    Gone,
    /// The person is there; in which groups they are by now is more than it could tell, and a
    /// rule asks for it.
    GroupsLeftOut,
    /// The access that this login gave is good no more. The person may be there all the same:
    /// some take the oldest back where there are many.
    TakenBack,
    /// It said no, and not by a word that is about the person: some have no other for a
    /// session of theirs that ended.
    Refused,
    /// It did not answer, does not know us, or somebody else is asking at this moment.
    Nothing,
}

/// What that means for the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is renewed.
    Renew,
    /// It ends, and with it all that is as good as the provider's word about the person.
    End,
    /// It ends alone.
    EndThis,
    /// Nobody knows: neither, for now.
    Wait,
}

/// Judges.
pub fn judge(told: Told, checked: Timestamp, bounds: &Bounds, now: Timestamp) -> Verdict {
    match told {
        Told::There => Verdict::Renew,
        Told::Gone => Verdict::End,
        Told::GroupsLeftOut | Told::TakenBack => Verdict::EndThis,
        Told::Refused | Told::Nothing if now >= checked && now.since(checked) < bounds.grace => {
            Verdict::Renew
        }
        // Nobody will say more; signing in anew does.
        Told::Refused => Verdict::EndThis,
        Told::Nothing => Verdict::Wait,
    }
}

/// What a refusal of the provider's token endpoint tells of the person (RFC 6749 §5.2, OpenID
/// Connect Core §3.1.2.6, which Entra uses here too). What is wrong with ourselves, such as
/// `invalid_client`, says nothing of the person.
pub fn refusal(status: u16, error: &str) -> Told {
    // A server that fails knows nothing of a person, whatever its page says.
    if !matches!(status, 400 | 401 | 403) {
        return Told::Nothing;
    }
    match error {
        "invalid_grant"
        | "access_denied"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "account_selection_required" => Told::Gone,
        "invalid_client"
        | "unauthorized_client"
        | "slow_down"
        | "temporarily_unavailable"
        | "server_error"
        | "" => Told::Nothing,
        _ => Told::Refused,
    }
}

/// Whether a refusal of a token for another service is one that the person can do something
/// about (OpenID Connect Core §3.1.2.6; Entra says `invalid_grant` of a missing consent, too).
pub fn wants_the_person(error: &str) -> bool {
    matches!(
        error,
        "interaction_required" | "consent_required" | "login_required" | "invalid_grant"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        recheck: Duration::from_secs(100),
        grace: Duration::from_secs(400),
    };

    #[test]
    fn up_10_an_answer_is_good_for_as_long_as_is_said() {
        let at = Timestamp::from_unix;
        for (checked, now, due) in [
            (1000, 1000, false),
            (1000, 1099, false),
            (1000, 1100, true),
            (1000, 999, true),
            (0, 1000, true),
        ] {
            assert_eq!(BOUNDS.is_due(at(checked), at(now)), due, "{checked} {now}");
        }
        use Verdict as V;
        for (told, now, verdict) in [
            (Told::There, 9999, V::Renew),
            (Told::Gone, 1001, V::End),
            (Told::GroupsLeftOut, 1001, V::EndThis),
            (Told::TakenBack, 1001, V::EndThis),
            (Told::Refused, 1399, V::Renew),
            (Told::Refused, 1400, V::EndThis),
            (Told::Nothing, 1399, V::Renew),
            (Told::Nothing, 1400, V::Wait),
            (Told::Nothing, 999, V::Wait),
        ] {
            assert_eq!(
                judge(told, at(1000), &BOUNDS, at(now)),
                verdict,
                "{told:?} {now}"
            );
        }
    }

    #[test]
    fn up_10_t_idp_13_what_is_wrong_with_us_ends_nobody_s_access() {
        for error in [
            "invalid_grant",
            "access_denied",
            "interaction_required",
            "login_required",
        ] {
            assert_eq!(refusal(400, error), Told::Gone, "{error}");
        }
        for error in ["invalid_client", "unauthorized_client", "server_error", ""] {
            assert_eq!(refusal(400, error), Told::Nothing, "{error}");
        }
        // Of a session that ended there some say no more than this.
        assert_eq!(refusal(400, "invalid_request"), Told::Refused);
        assert_eq!(refusal(403, "access_denied"), Told::Gone);
        assert_eq!(refusal(500, "invalid_grant"), Told::Nothing);
    }
}
