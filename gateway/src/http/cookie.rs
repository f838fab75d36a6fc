//! Our two cookies, and how strictly they are read.
//!
//! A form cookie says "the same browser as the one that was shown the page", and is worth
//! nothing else. A browser that opens several pages at its first visit gets one for each,
//! under a name of its own, so that none takes another's place. The binding cookie is set by an Allow only, one for each login, and says
//! "this browser allowed that login".

use http::{HeaderMap, HeaderValue, header};
use vestibule_core::{secret::Digest, time::Timestamp};

/// How cookies are named and marked, which depends on whether there is TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jar {
    /// `__Host-` names: `Secure`, the whole host, no domain (RFC 6265bis §4.1.3.2).
    Secure,
    /// Plain loopback, where browsers accept no `Secure` cookie: no prefix, narrow paths.
    PlainLoopback,
}

const FORM: &str = "vestibule_form_";
const LOGIN: &str = "vestibule_login_";

/// Form cookies of one browser that are looked at.
const FORMS_MAX: usize = 8;

/// How long the browser keeps a binding cookie: as long as a login may take.
const LOGIN_SECONDS: u64 = 600;

impl Jar {
    fn name(self, name: &str) -> String {
        match self {
            Self::Secure => format!("__Host-{name}"),
            Self::PlainLoopback => name.to_owned(),
        }
    }

    /// The form cookies of a request; the first is for pages that are drawn now.
    pub fn forms(self, headers: &HeaderMap) -> Vec<String> {
        let prefix = self.name(FORM);
        let mut found: Vec<String> = pairs(headers)
            .filter_map(|(name, value)| {
                let named = std::str::from_utf8(name).ok()?.strip_prefix(&prefix)?;
                let value = std::str::from_utf8(value).ok()?;
                (value.len() == 43 && value.get(..FORM_NAME) == Some(named))
                    .then(|| value.to_owned())
            })
            .collect();
        // A name that comes twice is none (T-CON-12).
        let all = found.clone();
        let times = |value: &str| all.iter().filter(|other| named_alike(other, value)).count();
        found.retain(|value| times(value) == 1);
        found.truncate(FORMS_MAX);
        found
    }

    /// Sets a form cookie.
    pub fn set_form(self, value: &str) -> HeaderValue {
        let name = format!("{FORM}{}", value.get(..FORM_NAME).unwrap_or_default());
        self.set(&name, value, "/", None)
    }

    /// The binding cookie of the login with this `state` digest.
    pub fn login(self, headers: &HeaderMap, state: &Digest) -> Option<String> {
        one(headers, &self.name(&login_name(state)))
    }

    /// Sets the binding cookie of a login.
    pub fn set_login(self, state: &Digest, value: &str) -> HeaderValue {
        self.set(
            &login_name(state),
            value,
            "/oauth-callback",
            Some(LOGIN_SECONDS),
        )
    }

    /// Removes it once the login is over.
    pub fn clear_login(self, state: &Digest) -> HeaderValue {
        self.set(&login_name(state), "", "/oauth-callback", Some(0))
    }

    fn set(self, name: &str, value: &str, narrow_path: &str, max_age: Option<u64>) -> HeaderValue {
        use std::fmt::Write as _;
        let mut cookie = format!("{}={value}; HttpOnly; SameSite=Lax", self.name(name));
        match self {
            // The prefix demands the whole host.
            Self::Secure => cookie.push_str("; Secure; Path=/"),
            Self::PlainLoopback => {
                let _ = write!(cookie, "; Path={narrow_path}");
            }
        }
        if let Some(max_age) = max_age {
            let _ = write!(cookie, "; Max-Age={max_age}");
        }
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// How much of a form cookie's value its name has.
const FORM_NAME: usize = 6;

fn named_alike(one: &str, other: &str) -> bool {
    one.get(..FORM_NAME) == other.get(..FORM_NAME)
}

fn login_name(state: &Digest) -> String {
    format!("{LOGIN}{}", &state.text()[..12])
}

/// The value of the cookie of exactly this name; none if it comes twice, since a sibling
/// domain could have planted the other (T-CON-12).
fn one(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = pairs(headers).filter(|(key, _)| *key == name.as_bytes());
    let (_, value) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let value = std::str::from_utf8(value).ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// Names and values as they were sent, with nothing trimmed but the one blank between pairs.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b';'))
        .filter_map(|pair| {
            let pair = pair.strip_prefix(b" ").unwrap_or(pair);
            let at = pair.iter().position(|b| *b == b'=')?;
            Some((&pair[..at], &pair[at + 1..]))
        })
}

/// When a binding cookie that is set now runs out.
pub fn login_ends(now: Timestamp) -> Timestamp {
    now.plus(std::time::Duration::from_secs(LOGIN_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(
                header::COOKIE,
                HeaderValue::from_str(cookie).expect("ascii"),
            );
        }
        headers
    }

    #[test]
    fn t_con_12_names_are_exact_and_a_name_twice_is_none() {
        let value = "x".repeat(43);
        let form = |cookies: &[&str]| Jar::Secure.forms(&headers(cookies)) == [value.clone()];
        let ours = format!("__Host-vestibule_form_xxxxxx={value}");
        assert!(form(&[&format!("a=b; {ours}; c=d")]));
        assert!(!form(&[&format!("{ours}; {ours}")]));
        assert!(!form(&[&ours, &ours]));
        let plain = ours.trim_start_matches("__Host-");
        assert!(!form(&[plain]), "without its prefix");
        assert!(
            !form(&[&format!(" \u{a0}{ours}").replace('\u{a0}', "\t")]),
            "no trimming"
        );
        assert!(!form(&[&ours.to_lowercase()]), "case counts");
        assert!(!form(&["__Host-vestibule_form_short=short"]));
        assert!(!form(&[&ours.replace("form_xxxxxx", "form_yyyyyy")]));
        assert!(!form(&[&ours.replace("form_xxxxxx", "form_")]));
    }

    #[test]
    fn pages_that_a_browser_opened_together_keep_a_cookie_each() {
        let value = |n: usize| format!("{n:06}{}", "y".repeat(37));
        let cookie = |n: usize| format!("vestibule_form_{n:06}={}", value(n));
        let two = format!("{}; {}", cookie(1), cookie(2));
        assert_eq!(
            Jar::PlainLoopback.forms(&headers(&[&two])),
            [value(1), value(2)]
        );
        let many: Vec<String> = (0..20).map(cookie).collect();
        let found = Jar::PlainLoopback.forms(&headers(&[&many.join("; ")]));
        assert_eq!(found.len(), FORMS_MAX, "and no more is looked at");
        let set = Jar::Secure.set_form(&value(7));
        let text = set.to_str().expect("ascii");
        assert!(text.starts_with(&format!("__Host-vestibule_form_000007={}", value(7))));
    }

    #[test]
    fn cons_6_over_tls_every_cookie_has_the_host_prefix() {
        let state = Digest::of(b"state");
        for cookie in [
            Jar::Secure.set_form("v"),
            Jar::Secure.set_login(&state, "v"),
        ] {
            let text = cookie.to_str().expect("ascii");
            assert!(text.starts_with("__Host-vestibule_"), "{text}");
            for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(text.split("; ").any(|p| p == part), "{part} in {text}");
            }
            assert!(!text.contains("Domain"));
        }
        let plain = Jar::PlainLoopback.set_login(&state, "v");
        assert!(
            plain
                .to_str()
                .expect("ascii")
                .contains("Path=/oauth-callback")
        );
    }
}
