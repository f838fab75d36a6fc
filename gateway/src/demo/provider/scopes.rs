//! The scopes of the provider; everything else that is asked for is ignored.

pub(super) const SUPPORTED: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// A granted scope. `openid` is always part of it: without it nothing is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scopes {
    /// `name` and `preferred_username` in the ID token.
    pub(super) profile: bool,
    /// `email` in the ID token.
    pub(super) email: bool,
    /// A refresh token.
    pub(super) offline_access: bool,
}

impl Scopes {
    /// `None` if `openid` is missing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let asked = |name| text.split(' ').any(|scope| scope == name);
        asked("openid").then(|| Self {
            profile: asked("profile"),
            email: asked("email"),
            offline_access: asked("offline_access"),
        })
    }

    /// The part of this scope that a refresh asks for; `None` if it asks for more.
    pub(super) fn narrowed_to(self, text: &str) -> Option<Self> {
        let granted = self.to_string();
        let within = text
            .split(' ')
            .all(|scope| granted.split(' ').any(|known| known == scope));
        if within { Self::parse(text) } else { None }
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("openid")?;
        for (granted, name) in [
            (self.profile, " profile"),
            (self.email, " email"),
            (self.offline_access, " offline_access"),
        ] {
            if granted {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_print_what_was_understood_and_narrow_only_downwards() {
        let all = Scopes::parse("openid email unknown offline_access").unwrap();
        assert_eq!(all.to_string(), "openid email offline_access");
        assert_eq!(Scopes::parse("profile email"), None, "openid is missing");
        assert_eq!(
            all.narrowed_to("openid email").map(|it| it.to_string()),
            Some("openid email".to_owned())
        );
        assert_eq!(
            all.narrowed_to("openid profile"),
            None,
            "wider than granted"
        );
        assert_eq!(all.narrowed_to("email"), None, "openid cannot be left out");
    }
}
