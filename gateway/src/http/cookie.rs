//! Our two cookies, and how strictly they are read.
//!
//! The form cookie says "the same browser as the one that was shown the page", and is worth
//! nothing else. The binding cookie is set by an Allow only, one for each login, and says
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

const FORM: &str = "vestibule_form";
const LOGIN: &str = "vestibule_login_";

/// How long the browser keeps a binding cookie: as long as a login may take.
const LOGIN_SECONDS: u64 = 600;

impl Jar {
    fn name(self, name: &str) -> String {
        match self {
            Self::Secure => format!("__Host-{name}"),
            Self::PlainLoopback => name.to_owned(),
        }
    }

    /// The form cookie of a request.
    pub fn form(self, headers: &HeaderMap) -> Option<String> {
        one(headers, &self.name(FORM)).filter(|value| value.len() == 43)
    }

    /// Sets the form cookie.
    pub fn set_form(self, value: &str) -> HeaderValue {
        self.set(FORM, value, "/", None)
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

fn login_name(state: &Digest) -> String {
    format!("{LOGIN}{}", &state.text()[..12])
}

/// The value of the cookie of exactly this name; none if it comes twice, since a sibling
/// domain could have planted the other (T-CON-12).
fn one(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = None;
    for value in headers.get_all(header::COOKIE) {
        for pair in value.as_bytes().split(|b| *b == b';') {
            let pair = pair.strip_prefix(b" ").unwrap_or(pair);
            let Some(at) = pair.iter().position(|b| *b == b'=') else {
                continue;
            };
            let (key, value) = pair.split_at(at);
            if key != name.as_bytes() {
                continue;
            }
            let value = std::str::from_utf8(&value[1..]).ok()?;
            if found.replace(value.to_owned()).is_some() {
                return None;
            }
        }
    }
    found.filter(|value| !value.is_empty())
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
        let form = |cookies: &[&str]| Jar::Secure.form(&headers(cookies)).is_some();
        let ours = format!("__Host-vestibule_form={value}");
        assert!(form(&[&format!("a=b; {ours}; c=d")]));
        assert!(!form(&[&format!("{ours}; {ours}")]));
        assert!(!form(&[&ours, &ours]));
        assert!(
            !form(&[&format!("vestibule_form={value}")]),
            "without its prefix"
        );
        assert!(
            !form(&[&format!(" \u{a0}{ours}").replace('\u{a0}', "\t")]),
            "no trimming"
        );
        assert!(!form(&[&ours.to_lowercase()]), "case counts");
        assert!(!form(&["__Host-vestibule_form=short"]));
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
