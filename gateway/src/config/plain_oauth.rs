//! Providers that speak OAuth and no OpenID Connect, GitHub above all.

use vestibule_core::identity::ProfileClaims;

/// What rules write before the id of an organization, and a colon.
pub const ORGANIZATION: &str = "org";

/// A provider that speaks OAuth and no OpenID Connect.
#[derive(Debug, Clone)]
pub struct PlainOAuth {
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// What it calls itself in `iss` of its answers (RFC 9207), if not as its people are filed.
    pub iss: Option<String>,
    /// Where its codes are redeemed.
    pub token_endpoint: String,
    /// Whether that takes a secret in the form alone.
    pub secret_in_form: bool,
    /// What answers who the bearer of an access token is.
    pub userinfo_endpoint: String,
    /// Where that answer says so.
    pub claims: ProfileClaims,
    /// What answers of which organizations and teams they are.
    pub memberships: Vec<Membership>,
    /// Organizations of which a person must be in one, by their lasting ids; none if anybody may
    /// sign in.
    pub organizations: Option<Vec<String>>,
}

/// A list of what somebody is a member of, each by its `id`.
#[derive(Debug, Clone)]
pub struct Membership {
    /// What rules write before the id, and a colon.
    pub kind: &'static str,
    /// Where it is; it takes `per_page` and `page`.
    pub address: String,
}

impl PlainOAuth {
    /// GitHub's own, or a company's at `issuer`, which has its API elsewhere.
    pub(super) fn github(issuer: &str, organizations: Option<Vec<String>>) -> Self {
        let issuer = issuer.trim_end_matches('/');
        let api = match issuer {
            "https://github.com" => "https://api.github.com".to_owned(),
            own => format!("{own}/api/v3"),
        };
        let membership = |kind, path| Membership {
            kind,
            address: format!("{api}/user/{path}"),
        };
        Self {
            authorization_endpoint: format!("{issuer}/login/oauth/authorize"),
            iss: Some(format!("{issuer}/login/oauth")),
            token_endpoint: format!("{issuer}/login/oauth/access_token"),
            secret_in_form: true,
            userinfo_endpoint: format!("{api}/user"),
            claims: ProfileClaims {
                // A login name is given to somebody else once it is free.
                subject: "id".to_owned(),
                name: "name".to_owned(),
                username: "login".to_owned(),
                email: "email".to_owned(),
                groups: Vec::new(),
            },
            memberships: vec![
                membership(ORGANIZATION, "orgs"),
                membership("team", "teams"),
            ],
            organizations,
        }
    }
}
