//! Hints for the error numbers of Microsoft Entra ID (`AADSTS…`), for people to read.
//!
//! Microsoft says that numbers and words change and that programs must not rely on them, so
//! nothing is decided by this table: it only stands beside the provider's own words.

/// What a number usually means.
#[derive(Debug, PartialEq, Eq)]
pub struct Hint {
    /// The number behind `AADSTS`.
    pub number: u32,
    /// What it usually means.
    pub means: &'static str,
    /// What usually helps, and who can do it.
    pub helps: &'static str,
}

const HINTS: [Hint; 22] = [
    Hint {
        number: 50_011,
        means: "the redirect URI is not registered for this application",
        helps: "an administrator of the directory adds {public_url}/oauth-callback to the \
                application's web redirect URIs, to the letter",
    },
    Hint {
        number: 50_020,
        means: "the account is of another directory and no guest in this one",
        helps: "sign in with an account of this directory, or have the account invited as a guest",
    },
    Hint {
        number: 50_034,
        means: "the account does not exist in this directory",
        helps: "check the address that was typed, and idp.issuer, which names the directory",
    },
    Hint {
        number: 50_053,
        means: "the account is locked after too many wrong passwords",
        helps: "wait a while, or an administrator unlocks it",
    },
    Hint {
        number: 50_057,
        means: "the account is disabled",
        helps: "an administrator of the directory enables it",
    },
    Hint {
        number: 50_076,
        means: "a second factor is needed",
        helps: "sign in again and complete it",
    },
    Hint {
        number: 50_105,
        means: "the person is not assigned to this application",
        helps: "an administrator of the directory assigns the person or a group of theirs, or \
                turns off \u{201c}assignment required\u{201d}",
    },
    Hint {
        number: 50_126,
        means: "the name or the password is wrong",
        helps: "sign in again",
    },
    Hint {
        number: 53_003,
        means: "a conditional access policy blocked the sign-in",
        helps: "the sign-in log of the directory names the policy; look it up by the \
                correlation id in the words above",
    },
    Hint {
        number: 54_005,
        means: "the authorization code was redeemed before",
        helps: "start again from the app",
    },
    Hint {
        number: 65_001,
        means: "nobody consented to this application yet",
        helps: "the person accepts when asked, or an administrator grants consent for all",
    },
    Hint {
        number: 70_008,
        means: "the authorization code has expired",
        helps: "start again from the app; if it happens each time, look at the gateway's clock",
    },
    Hint {
        number: 70_011,
        means: "a scope is not one that this application may ask for",
        helps: "look at idp.scopes",
    },
    Hint {
        number: 90_002,
        means: "the directory does not exist",
        helps: "look at the directory's id in idp.issuer",
    },
    Hint {
        number: 90_094,
        means: "an administrator's consent is needed",
        helps: "an administrator of the directory grants consent to the application",
    },
    Hint {
        number: 500_011,
        means: "the resource that was asked for has no service principal in this directory",
        helps: "look at idp.scopes: each must belong to an application of this directory",
    },
    Hint {
        number: 501_481,
        means: "the code verifier does not match (PKCE)",
        helps: "start again from the app; if it happens each time, something between the \
                gateway and the directory changes requests",
    },
    Hint {
        number: 700_016,
        means: "the application is not in this directory",
        helps: "look at idp.client_id, and at the directory's id in idp.issuer",
    },
    Hint {
        number: 700_025,
        means: "the application is registered as a public client, which has no secret",
        helps: "register {public_url}/oauth-callback under \u{201c}Web\u{201d} and not under \
                \u{201c}Mobile and desktop\u{201d} or \u{201c}Single-page\u{201d}",
    },
    Hint {
        number: 7_000_215,
        means: "the client secret is wrong",
        helps: "the operator sets idp.client_secret to the secret's value, which is shown once \
                when it is made, and not to its id",
    },
    Hint {
        number: 7_000_222,
        means: "the client secret has expired",
        helps: "an administrator of the directory makes a new secret, and the operator sets \
                idp.client_secret to its value",
    },
    Hint {
        number: 9_002_313,
        means: "the request was not understood",
        helps: "look at the gateway's version; tell its makers with the flow code",
    },
];

/// The hint for the first number in the provider's words that is known.
pub fn hint(said: &str) -> Option<&'static Hint> {
    said.match_indices("AADSTS").find_map(|(at, prefix)| {
        let digits = &said[at + prefix.len()..];
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let number: u32 = digits[..end].parse().ok()?;
        HINTS.iter().find(|hint| hint.number == number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_number_is_found_in_the_providers_words() {
        let said = "AADSTS7000222: The provided client secret keys for app 'x' are expired.";
        assert_eq!(hint(said).map(|hint| hint.number), Some(7_000_222));
        let second = "AADSTS1: unknown. AADSTS50105: not assigned";
        assert_eq!(hint(second).map(|hint| hint.number), Some(50_105));
        for nothing in [
            "",
            "AADSTS",
            "AADSTSx",
            "AADSTS99999999999999",
            "50105",
            "AADSTS501050",
        ] {
            assert_eq!(hint(nothing), None, "{nothing}");
        }
        assert!(HINTS.is_sorted_by_key(|hint| hint.number));
    }
}
