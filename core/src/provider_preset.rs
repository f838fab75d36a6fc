//! What is known of the identity providers that companies use: what their issuers look like,
//! what they want to be asked, and where they tell groups. Data, from each one's
//! documentation; everything here can be said in the configuration instead.

use url::Url;

/// One of them. `idp.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderPreset {
    /// Its word in the configuration.
    pub kind: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What its issuer looks like.
    pub issuer: IssuerShape,
    /// Scopes that are asked for.
    pub scopes: &'static [&'static str],
    /// What else is in the authorization request.
    pub params: &'static [(&'static str, &'static str)],
    /// Claims that tell groups and roles, by name or by path.
    pub groups: &'static [&'static str],
    /// Whether anybody in the world has an account there, so that a domain must be named.
    pub is_for_everybody: bool,
    /// What to set there besides redirect address and secret.
    pub register: &'static [&'static str],
}

/// What an issuer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerShape {
    /// However it likes.
    Any,
    /// There is one.
    Only(&'static str),
    /// There is one, and some companies have their own.
    Usual(&'static str),
    /// Like an example; with what its path begins with or has in it, and whether it ends in a
    /// slash where that is known.
    Like {
        /// The example.
        example: &'static str,
        /// A part of its path; none means that there is no path.
        path: Option<&'static str>,
        /// Whether it ends in a slash.
        slash: Option<bool>,
    },
}

const USUAL: &[&str] = &["openid", "profile", "email", "offline_access"];
const WITH_GROUPS: &[&str] = &["openid", "profile", "email", "groups", "offline_access"];

/// All of them but Microsoft Entra, which has ways of its own.
pub const PRESETS: [ProviderPreset; 12] = [
    ProviderPreset {
        kind: "oidc",
        name: "OpenID Connect",
        issuer: IssuerShape::Any,
        scopes: USUAL,
        params: &[],
        groups: &["groups", "roles"],
        is_for_everybody: false,
        register: &[],
    },
    ProviderPreset {
        kind: "auth0",
        name: "Auth0",
        issuer: IssuerShape::Like {
            example: "https://TENANT.auth0.com/",
            path: None,
            slash: Some(true),
        },
        scopes: USUAL,
        params: &[],
        groups: &["groups", "roles"],
        is_for_everybody: false,
        register: &[
            "grant type Refresh Token on, rotation as you like",
            "for groups: an Action that sets a claim such as https://example.com/roles in the ID token, and idp.groups_claim with its name",
        ],
    },
    ProviderPreset {
        kind: "authelia",
        name: "Authelia",
        issuer: IssuerShape::Any,
        scopes: WITH_GROUPS,
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &[
            "scopes openid, profile, email, groups, offline_access; grant types authorization_code and refresh_token",
        ],
    },
    ProviderPreset {
        kind: "authentik",
        name: "authentik",
        issuer: IssuerShape::Like {
            example: "https://auth.example.com/application/o/vestibule/",
            path: Some("/application/o/"),
            slash: Some(true),
        },
        scopes: USUAL,
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &[
            "scope mapping offline_access among those of the provider",
            "a signing key, so that ID tokens are signed with RS256",
        ],
    },
    ProviderPreset {
        kind: "dex",
        name: "Dex",
        issuer: IssuerShape::Any,
        scopes: WITH_GROUPS,
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &["a connector that knows groups, if a rule names one"],
    },
    // OAuth without ID tokens: who somebody is, and of which organizations, is asked of its API.
    ProviderPreset {
        kind: "github",
        name: "GitHub",
        issuer: IssuerShape::Usual("https://github.com"),
        scopes: &["read:user", "read:org"],
        params: &[],
        groups: &["org", "team"],
        is_for_everybody: true,
        register: &[
            "an OAuth app of your organization, with PKCE as GitHub has it",
            "an owner of the organization approves the app, or it does not see who is a member",
        ],
    },
    ProviderPreset {
        kind: "google",
        name: "Google",
        issuer: IssuerShape::Only("https://accounts.google.com"),
        scopes: &["openid", "profile", "email"],
        // Its way of saying offline_access; it gives a refresh token at the first consent only.
        params: &[("access_type", "offline"), ("prompt", "consent")],
        groups: &[],
        is_for_everybody: true,
        register: &[
            "user type Internal on the consent screen, if everybody is of one organization",
        ],
    },
    ProviderPreset {
        kind: "kanidm",
        name: "Kanidm",
        issuer: IssuerShape::Like {
            example: "https://idm.example.com/oauth2/openid/vestibule",
            path: Some("/oauth2/openid/"),
            slash: Some(false),
        },
        // It gives refresh tokens without being asked.
        scopes: &["openid", "profile", "email", "groups"],
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &["a scope map of openid, profile, email, groups for the people who may sign in"],
    },
    ProviderPreset {
        kind: "keycloak",
        name: "Keycloak",
        issuer: IssuerShape::Like {
            example: "https://id.example.com/realms/company",
            path: Some("/realms/"),
            slash: Some(false),
        },
        scopes: USUAL,
        params: &[],
        groups: &["groups", "realm_access.roles"],
        is_for_everybody: false,
        register: &[
            "client authentication on, standard flow on",
            "for groups: a mapper Group Membership with the claim groups, full path off, added to the ID token",
            "backchannel logout URL as below, with session required",
        ],
    },
    ProviderPreset {
        kind: "okta",
        name: "Okta",
        issuer: IssuerShape::Like {
            example: "https://example.okta.com or https://example.okta.com/oauth2/default",
            path: Some("/oauth2/"),
            slash: Some(false),
        },
        scopes: USUAL,
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &[
            "grant type Refresh Token on",
            "for groups: a groups claim filter for the ID token of the application; with an authorization server of your own, a claim groups there",
        ],
    },
    ProviderPreset {
        kind: "ory",
        name: "Ory",
        issuer: IssuerShape::Any,
        scopes: USUAL,
        params: &[],
        groups: &["groups"],
        is_for_everybody: false,
        register: &[
            "scopes openid, profile, email, offline_access; grant types authorization_code and refresh_token",
        ],
    },
    ProviderPreset {
        kind: "zitadel",
        name: "Zitadel",
        issuer: IssuerShape::Like {
            example: "https://example.zitadel.cloud",
            path: None,
            slash: Some(false),
        },
        scopes: &[
            "openid",
            "profile",
            "email",
            "offline_access",
            "urn:zitadel:iam:org:project:roles",
        ],
        params: &[],
        groups: &["urn:zitadel:iam:org:project:roles"],
        is_for_everybody: false,
        register: &[
            "grant type Refresh Token on",
            "for roles: Assert Roles on Authentication on for the project",
        ],
    },
];

impl ProviderPreset {
    /// Scopes that are asked for at `issuer`. Okta's own authorization server tells groups to
    /// whoever asks for `groups`; one that a company adds knows no such scope.
    pub fn scopes_at(&self, issuer: &str) -> &'static [&'static str] {
        let has_path = Url::parse(issuer).is_ok_and(|url| url.path() != "/");
        match self.kind {
            "okta" if !has_path => WITH_GROUPS,
            _ => self.scopes,
        }
    }
}

/// The one of this word.
pub fn of_kind(kind: &str) -> Option<&'static ProviderPreset> {
    PRESETS.iter().find(|preset| preset.kind == kind)
}

impl IssuerShape {
    /// Whether `issuer` looks like one of these. A slash too many or too few makes every
    /// comparison fail later, where nobody sees why.
    pub fn fits(&self, issuer: &str) -> bool {
        match self {
            Self::Any | Self::Usual(_) => true,
            Self::Only(only) => issuer == *only,
            Self::Like { path, slash, .. } => {
                let Ok(url) = Url::parse(issuer) else {
                    return false;
                };
                let bare = url.path() == "/";
                let placed = match path {
                    None => bare,
                    // Okta has one without.
                    Some("/oauth2/") => bare || url.path().starts_with("/oauth2/"),
                    Some(part) => url.path().contains(part) && !url.path().ends_with(part),
                };
                placed && slash.is_none_or(|slash| issuer.ends_with('/') == slash)
            }
        }
    }

    /// What to write.
    pub fn example(&self) -> &'static str {
        match self {
            Self::Any => "https://id.example.com",
            Self::Only(only) | Self::Usual(only) => only,
            Self::Like { example, .. } => example,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::groups_in;

    #[test]
    fn d14_okta_s_own_server_tells_groups_to_whoever_asks_for_them() {
        let okta = of_kind("okta").expect("known");
        assert_eq!(okta.scopes_at("https://c.okta.com"), WITH_GROUPS);
        assert_eq!(okta.scopes_at("https://c.okta.com/oauth2/default"), USUAL);
        let other = of_kind("zitadel").expect("known");
        assert_eq!(other.scopes_at("https://z.example"), other.scopes);
    }

    #[test]
    fn d14_an_issuer_of_another_shape_is_seen_before_anybody_signs_in() {
        for (kind, good, bad) in [
            ("oidc", &["https://x/", "https://x/y"][..], &[][..]),
            (
                "auth0",
                &["https://t.eu.auth0.com/"],
                &["https://t.eu.auth0.com", "https://t.auth0.com/x/"],
            ),
            (
                "authentik",
                &["https://a.example/application/o/v/"],
                &[
                    "https://a.example/application/o/v",
                    "https://a.example/",
                    "https://a.example/application/o/",
                ],
            ),
            (
                "google",
                &["https://accounts.google.com"],
                &["https://accounts.google.com/", "https://google.com"],
            ),
            (
                "kanidm",
                &["https://i.example/oauth2/openid/v"],
                &["https://i.example", "https://i.example/oauth2/openid/"],
            ),
            (
                "keycloak",
                &[
                    "https://k.example/realms/c",
                    "https://k.example/auth/realms/c",
                ],
                &["https://k.example/realms/c/", "https://k.example"],
            ),
            (
                "okta",
                &["https://c.okta.com", "https://c.okta.com/oauth2/default"],
                &["https://c.okta.com/", "https://c.okta.com/app"],
            ),
            (
                "zitadel",
                &["https://z.example"],
                &["https://z.example/", "https://z.example/oauth"],
            ),
        ] {
            let preset = of_kind(kind).expect("known");
            for issuer in good {
                assert!(preset.issuer.fits(issuer), "{kind} {issuer}");
            }
            for issuer in bad {
                assert!(!preset.issuer.fits(issuer), "{kind} {issuer}");
            }
        }
        assert_eq!(of_kind("entra"), None);
        for preset in &PRESETS {
            let example = preset.issuer.example().split(' ').next().expect("one");
            assert!(preset.issuer.fits(example), "{}", preset.kind);
            let openid = preset.scopes.contains(&"openid");
            assert_eq!(openid, preset.kind != "github", "{}", preset.kind);
        }
    }

    #[test]
    fn d14_groups_are_where_each_provider_tells_them() {
        let groups = |kind: &str, claims: Value| {
            let preset = of_kind(kind).expect("known");
            groups_in(claims.as_object().expect("an object"), preset.groups)
        };
        let told = |list: &[&str]| Ok(Some(list.iter().map(|one| (*one).to_owned()).collect()));
        for kind in ["authelia", "authentik", "dex", "kanidm", "okta", "ory"] {
            assert_eq!(
                groups(kind, json!({ "groups": ["a", "b"] })),
                told(&["a", "b"]),
                "{kind}"
            );
        }
        assert_eq!(
            groups(
                "keycloak",
                json!({ "groups": ["a"], "realm_access": { "roles": ["r"] } })
            ),
            told(&["a", "r"])
        );
        let zitadel = json!({
            "urn:zitadel:iam:org:project:roles": { "admin": { "1": "x.example" }, "staff": {} },
        });
        assert_eq!(groups("zitadel", zitadel), told(&["admin", "staff"]));
        assert_eq!(groups("google", json!({ "groups": ["a"] })), Ok(None));
        // A name that has dots in it is a name first.
        let auth0 = json!({ "https://example.com/roles": ["r"], "https://example": { "com/roles": ["x"] } });
        let claims = auth0.as_object().expect("an object");
        assert_eq!(
            groups_in(claims, &["https://example.com/roles"]),
            told(&["r"])
        );
        assert_eq!(groups_in(claims, &["https://example.com/other"]), Ok(None));
        assert!(groups("okta", json!({ "groups": 7 })).is_err());
    }
}
