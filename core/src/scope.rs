//! Scopes as an ordered set that narrows and never widens (RFC 6749 §3.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of scope names, sorted, without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(Vec<String>);

/// Most scopes that a request may name.
pub const SCOPES_MAX: usize = 64;

/// A `scope` parameter that is not a list of scope tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of at most 64 scopes")]
pub struct ScopeMalformed;

/// Names of OpenID Connect that clients send out of habit. They name nothing here.
const OIDC: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];

impl ScopeSet {
    /// No scope.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// A set of names that are known to be scope tokens.
    pub fn of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        Self(names)
    }

    /// Reads a `scope` parameter: tokens separated by spaces.
    ///
    /// # Errors
    /// [`ScopeMalformed`] for characters outside the grammar or too many names.
    pub fn parse(text: &str) -> Result<Self, ScopeMalformed> {
        let mut names = Vec::new();
        for name in text.split(' ').filter(|name| !name.is_empty()) {
            if !is_token(name) || names.len() == SCOPES_MAX {
                return Err(ScopeMalformed);
            }
            names.push(name.to_owned());
        }
        Ok(Self::of(names))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0
            .binary_search_by(|have| have.as_str().cmp(name))
            .is_ok()
    }

    /// Whether all of `other` are among these.
    pub fn includes(&self, other: &Self) -> bool {
        other.iter().all(|name| self.contains(name))
    }

    /// What both have.
    #[must_use]
    pub fn narrowed_to(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .filter(|name| other.contains(name))
                .cloned()
                .collect(),
        )
    }

    /// What either has.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).cloned())
    }

    /// Whether every name is one of OpenID Connect's own.
    pub fn is_oidc_only(&self) -> bool {
        self.0.iter().all(|name| is_oidc(name))
    }
}

/// Whether this name is one of OpenID Connect's own.
pub fn is_oidc(name: &str) -> bool {
    OIDC.contains(&name)
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Whether `name` is a scope token: printable ASCII but space, quote and backslash.
pub fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|b| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_aut_11_scopes_follow_the_grammar() {
        assert_eq!(
            ScopeSet::parse("b a  b").map(|s| s.to_string()),
            Ok("a b".to_owned())
        );
        assert_eq!(ScopeSet::parse(""), Ok(ScopeSet::empty()));
        for bad in ["a\"b", "a\\b", "a\tb", "ä", "a\nb"] {
            assert_eq!(ScopeSet::parse(bad), Err(ScopeMalformed), "{bad:?}");
        }
        let many = (0..10_000)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(ScopeSet::parse(&many), Err(ScopeMalformed));
    }

    #[test]
    fn narrowing_never_widens() {
        let have = ScopeSet::of(["a", "b"]);
        let ask = ScopeSet::of(["b", "c"]);
        assert_eq!(have.narrowed_to(&ask), ScopeSet::of(["b"]));
        assert!(have.includes(&have.narrowed_to(&ask)));
        assert!(!have.includes(&ask));
        assert!(ScopeSet::of(["openid", "email"]).is_oidc_only());
        assert!(!ScopeSet::of(["openid", "x"]).is_oidc_only());
    }
}
