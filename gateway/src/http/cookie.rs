//! Our cookies, and how strictly they are read.
//!
//! A form cookie says "the same browser as the one that was shown the page", and is worth
//! nothing else. A browser that opens several pages at its first visit gets one for each,
//! under one of a few names, so that hardly one takes another's place and none piles up. The
//! binding cookie is set by an Allow or at the start of a sign-in to our own pages, one for
//! each, and says "this browser began that". The session cookie says who signed in, and no
//! browser sends it with what another site's page began. The console, at another address, has
//! one of each kind.

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

/// When a browser sends a cookie with what a page of another site began
/// (RFC 6265bis §5.2); named as in the attribute.
#[derive(Debug, Clone, Copy)]
enum Site {
    /// When the person goes here.
    Lax,
    /// Never.
    Strict,
}

const FORM: &str = "vestibule_form_";
const LOGIN: &str = "vestibule_login_";
const SESSION: &str = "vestibule_session";
const CONSOLE: &str = "vestibule_console";
const ENTERING: &str = "vestibule_entering";

/// Names of form cookies.
const FORM_NAMES: u8 = 16;

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
        (0..FORM_NAMES)
            .filter_map(|slot| {
                let value = one(headers, &self.name(&form_name(slot)))?;
                (value.len() == 43 && slot_of(&value) == slot).then_some(value)
            })
            .collect()
    }

    /// Sets a form cookie.
    pub fn set_form(self, value: &str) -> HeaderValue {
        self.set(&form_name(slot_of(value)), value, "/", Site::Lax, None)
    }

    /// Removes all of a browser: whoever uses it next sees no record of whoever leaves.
    pub fn clear_forms(self) -> impl Iterator<Item = HeaderValue> {
        (0..FORM_NAMES).map(move |slot| self.set(&form_name(slot), "", "/", Site::Lax, Some(0)))
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
            Site::Lax,
            Some(LOGIN_SECONDS),
        )
    }

    /// Removes it once the login is over.
    pub fn clear_login(self, state: &Digest) -> HeaderValue {
        self.set(
            &login_name(state),
            "",
            "/oauth-callback",
            Site::Lax,
            Some(0),
        )
    }

    /// The session cookie of a request.
    pub fn session(self, headers: &HeaderMap) -> Option<String> {
        one(headers, &self.name(SESSION))
    }

    /// Sets the session cookie; the browser forgets it when it is closed.
    pub fn set_session(self, value: &str) -> HeaderValue {
        self.set(SESSION, value, "/", Site::Strict, None)
    }

    /// Removes it.
    pub fn clear_session(self) -> HeaderValue {
        self.set(SESSION, "", "/", Site::Strict, Some(0))
    }

    /// The session cookie of the console.
    pub fn console(self, headers: &HeaderMap) -> Option<String> {
        one(headers, &self.name(CONSOLE))
    }

    /// Sets it.
    pub fn set_console(self, value: &str) -> HeaderValue {
        self.set(CONSOLE, value, "/", Site::Strict, None)
    }

    /// Removes it.
    pub fn clear_console(self) -> HeaderValue {
        self.set(CONSOLE, "", "/", Site::Strict, Some(0))
    }

    /// The cookie of a browser on its way to the console.
    pub fn entering(self, headers: &HeaderMap) -> Option<String> {
        one(headers, &self.name(ENTERING))
    }

    /// Sets it; it must come back with a browser that our own pages send.
    pub fn set_entering(self, value: &str) -> HeaderValue {
        self.set(ENTERING, value, "/console", Site::Lax, Some(LOGIN_SECONDS))
    }

    /// Removes it.
    pub fn clear_entering(self) -> HeaderValue {
        self.set(ENTERING, "", "/console", Site::Lax, Some(0))
    }

    fn set(
        self,
        name: &str,
        value: &str,
        narrow_path: &str,
        site: Site,
        max_age: Option<u64>,
    ) -> HeaderValue {
        use std::fmt::Write as _;
        let mut cookie = format!("{}={value}; HttpOnly; SameSite={site:?}", self.name(name));
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

fn form_name(slot: u8) -> String {
    format!("{FORM}{slot:x}")
}

/// Which of the names a value has. Values are random, so two seldom share one.
fn slot_of(value: &str) -> u8 {
    value.bytes().next().unwrap_or_default() % FORM_NAMES
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
        let value = "p".repeat(43); // the byte 0x70, so the name 0
        let form = |cookies: &[&str]| Jar::Secure.forms(&headers(cookies)) == [value.clone()];
        let ours = format!("__Host-vestibule_form_0={value}");
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
        assert!(!form(&["__Host-vestibule_form_0=short"]));
        assert!(
            !form(&[&ours.replace("form_0", "form_1")]),
            "another's name"
        );
        assert!(!form(&[&ours.replace("form_0", "form_00")]));
    }

    #[test]
    fn t_con_12_pages_opened_together_keep_a_cookie_each_and_none_pile_up() {
        let value = |n: u8| format!("{}{}", char::from(0x40 + n), "y".repeat(42));
        let cookie = |n: u8| format!("vestibule_form_{:x}={}", n % 16, value(n));
        let two = format!("{}; {}", cookie(1), cookie(2));
        assert_eq!(
            Jar::PlainLoopback.forms(&headers(&[&two])),
            [value(1), value(2)]
        );
        let names: std::collections::BTreeSet<String> = (0..60)
            .map(|n| {
                let set = Jar::Secure.set_form(&value(n));
                let text = set.to_str().expect("ascii").to_owned();
                text.split('=').next().expect("a name").to_owned()
            })
            .collect();
        assert_eq!(
            names.len(),
            16,
            "whoever makes a browser come again and again"
        );
    }

    #[test]
    fn cons_6_over_tls_every_cookie_has_the_host_prefix() {
        let state = Digest::of(b"state");
        for (cookie, site) in [
            (Jar::Secure.set_form("v"), "SameSite=Lax"),
            (Jar::Secure.set_login(&state, "v"), "SameSite=Lax"),
            (Jar::Secure.set_session("v"), "SameSite=Strict"),
        ] {
            let text = cookie.to_str().expect("ascii");
            assert!(text.starts_with("__Host-vestibule_"), "{text}");
            for part in ["Secure", "HttpOnly", site, "Path=/"] {
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
