//! What Microsoft Graph tells of an application, as far as it is our concern
//! (`microsoft.graph.application`).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::GRAPH_APP_ID;

/// An application.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Application {
    /// Its object id, by which it is changed.
    pub id: String,
    /// Its application id, which is the client id.
    pub app_id: String,
    /// A label.
    pub display_name: String,
    /// The name by which it is made at most once.
    pub unique_name: Option<String>,
    /// When it was made (RFC 3339).
    pub created_date_time: Option<String>,
    /// Whose accounts may sign in to it.
    pub sign_in_audience: Option<String>,
    /// Whether it is a public client besides.
    pub is_fallback_public_client: Option<bool>,
    /// Which groups its tokens tell.
    pub group_membership_claims: Option<String>,
    /// Words of those who manage it.
    pub tags: Vec<String>,
    /// As a web application.
    pub web: Redirects,
    /// As a single-page application.
    pub spa: Redirects,
    /// As an app on a device.
    pub public_client: Redirects,
    /// Names of the API that it is, if it is one.
    pub identifier_uris: Vec<String>,
    /// Permissions of that API.
    pub api: Api,
    /// Roles in it.
    pub app_roles: Vec<Value>,
    /// What it asks people for.
    pub required_resource_access: Vec<ResourceAccess>,
    /// Its secrets, without their text.
    pub password_credentials: Vec<Credential>,
    /// Its certificates, as they are to be sent back: the list is replaced as a whole.
    pub key_credentials: Vec<Value>,
}

/// Where it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirects {
    /// Redirect URIs.
    pub redirect_uris: Vec<String>,
}

/// An application as an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Api {
    /// Of which version its access tokens are; 1 if nothing is said.
    pub requested_access_token_version: Option<u64>,
    /// What people may allow others there.
    pub oauth2_permission_scopes: Vec<Value>,
    /// Applications about which nobody is asked there.
    pub pre_authorized_applications: Vec<Value>,
}

/// Permissions of one API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAccess {
    /// The API.
    pub resource_app_id: String,
    /// The permissions, as they are to be sent back.
    pub resource_access: Vec<Value>,
}

/// A secret or a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credential {
    /// Its id.
    pub key_id: String,
    /// Its label.
    pub display_name: Option<String>,
    /// When it ends (RFC 3339).
    pub end_date_time: Option<String>,
}

/// An issuer whose tokens stand for the application
/// (`microsoft.graph.federatedIdentityCredential`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FederatedCredential {
    /// Its id.
    pub id: String,
    /// Its name, unique in the application.
    pub name: String,
    /// Whose tokens.
    pub issuer: String,
    /// Of whom.
    pub subject: String,
    /// For whom they must be.
    pub audiences: Vec<String>,
}

/// For whom a token must be that stands for an application.
pub const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The permissions of Microsoft Graph that each person may give by himself, with their ids,
/// which are the same in each tenant: OpenID Connect, and nothing of Graph.
const SIGN_IN: [(&str, &str); 4] = [
    ("openid", "37f7f235-527c-4136-accd-4a02d197296e"),
    ("profile", "14dad69e-099b-42c9-810b-d002981feec1"),
    ("email", "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0"),
    ("offline_access", "7427e0e9-2fba-42fe-b0c0-848c9e6a8182"),
];

/// The application permission of Microsoft Graph that tells of which groups people are
/// (`idp.groups_from_graph`). Only an administrator gives it.
pub const GROUP_MEMBERS: (&str, &str) = (
    "GroupMember.Read.All",
    "98830695-27a2-44f7-8c18-0c3ebc9698f6",
);

impl Application {
    /// Its certificates.
    pub fn certificates(&self) -> Vec<Credential> {
        self.key_credentials
            .iter()
            .filter_map(|value| serde_json::from_value(value.clone()).ok())
            .collect()
    }

    /// Names of what it should ask for and does not yet: people for a sign-in, and, if it asks
    /// Graph for groups (`members`), an administrator for that.
    pub fn missing_access(&self, members: bool) -> Vec<&'static str> {
        let asked: BTreeSet<&str> = self
            .required_resource_access
            .iter()
            .filter(|access| access.resource_app_id == GRAPH_APP_ID)
            .flat_map(|access| &access.resource_access)
            .filter_map(|access| access["id"].as_str())
            .collect();
        let wanted = SIGN_IN.iter().chain(members.then_some(&GROUP_MEMBERS));
        wanted
            .filter(|(_, id)| !asked.contains(id))
            .map(|(name, _)| *name)
            .collect()
    }

    /// `requiredResourceAccess` with what is missing, and all that is there.
    pub fn full_access(&self, members: bool) -> Value {
        let missing = self.missing_access(members);
        let is_missing = |(name, _): &&(&str, &str)| missing.contains(name);
        let people = SIGN_IN.iter().filter(is_missing);
        let people = people.map(|(_, id)| json!({ "id": id, "type": "Scope" }));
        let itself = [GROUP_MEMBERS];
        let itself = itself.iter().filter(is_missing);
        let more = people.chain(itself.map(|(_, id)| json!({ "id": id, "type": "Role" })));
        let mut graph: Vec<Value> = Vec::new();
        let mut all: Vec<Value> = Vec::new();
        for access in &self.required_resource_access {
            if access.resource_app_id == GRAPH_APP_ID {
                graph.extend(access.resource_access.iter().cloned());
            } else {
                all.push(json!({
                    "resourceAppId": access.resource_app_id,
                    "resourceAccess": access.resource_access,
                }));
            }
        }
        graph.extend(more);
        all.insert(
            0,
            json!({ "resourceAppId": GRAPH_APP_ID, "resourceAccess": graph }),
        );
        Value::Array(all)
    }

    /// All its redirect URIs, of whichever kind.
    pub fn all_redirects(&self) -> impl Iterator<Item = &str> {
        [&self.web, &self.spa, &self.public_client]
            .into_iter()
            .flat_map(|kind| kind.redirect_uris.iter().map(String::as_str))
    }
}

/// How a registered redirect URI differs from the one that is wanted, byte by byte, if it is
/// the same to a person's eye.
pub fn near_miss(registered: &str, wanted: &str) -> Option<&'static str> {
    if registered == wanted {
        return None;
    }
    let parts = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let (host, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, port.to_owned())
            }
            _ => (host, String::new()),
        };
        Some((scheme.to_owned(), host.to_owned(), port, path.to_owned()))
    };
    let (one, two) = (parts(registered)?, parts(wanted)?);
    let lower = |text: &str| text.to_ascii_lowercase();
    let bare = |text: &str| lower(text.trim_end_matches('/'));
    if lower(&one.1) != lower(&two.1) || bare(&one.3) != bare(&two.3) {
        return None;
    }
    Some(if lower(&one.0) != lower(&two.0) {
        "another scheme"
    } else if one.2 != two.2 {
        "another port"
    } else if one.3.ends_with('/') != two.3.ends_with('/') {
        "a slash at the end"
    } else {
        "capital letters"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_3_a_difference_that_an_eye_does_not_see_is_named() {
        let wanted = "https://mcp.example.com/oauth-callback";
        for (registered, difference) in [
            (wanted, None),
            (
                "https://mcp.example.com/oauth-callback/",
                Some("a slash at the end"),
            ),
            (
                "https://mcp.example.com/OAuth-Callback",
                Some("capital letters"),
            ),
            (
                "https://MCP.example.com/oauth-callback",
                Some("capital letters"),
            ),
            (
                "http://mcp.example.com/oauth-callback",
                Some("another scheme"),
            ),
            (
                "https://mcp.example.com:443/oauth-callback",
                Some("another port"),
            ),
            ("https://other.example.com/oauth-callback", None),
            ("https://mcp.example.com/auth", None),
            ("nonsense", None),
        ] {
            assert_eq!(near_miss(registered, wanted), difference, "{registered}");
        }
    }

    #[test]
    fn d_10_what_people_are_asked_for_is_added_to_what_is_there() {
        let app: Application = serde_json::from_value(json!({
            "requiredResourceAccess": [
                { "resourceAppId": "other", "resourceAccess": [{ "id": "x", "type": "Role" }] },
                { "resourceAppId": GRAPH_APP_ID, "resourceAccess": [
                    { "id": "37f7f235-527c-4136-accd-4a02d197296e", "type": "Scope" },
                    { "id": "y", "type": "Scope" },
                ] },
            ],
        }))
        .expect("an application");
        assert_eq!(
            app.missing_access(false),
            ["profile", "email", "offline_access"]
        );
        let full = app.full_access(false);
        let ids = |at: usize| -> Vec<String> {
            let list = full[at]["resourceAccess"].as_array().expect("a list");
            let id = |access: &Value| access["id"].as_str().expect("an id").to_owned();
            list.iter().map(id).collect()
        };
        assert_eq!(ids(0).len(), 5, "{full}");
        assert!(ids(0).contains(&"y".to_owned()));
        assert_eq!(ids(1), ["x"]);
        let then: Application =
            serde_json::from_value(json!({ "requiredResourceAccess": full })).expect("one");
        assert!(then.missing_access(false).is_empty());
        // What the gateway asks Graph by itself is a role, and an administrator's to give.
        assert_eq!(then.missing_access(true), [GROUP_MEMBERS.0]);
        let full = then.full_access(true);
        let role = json!({ "id": GROUP_MEMBERS.1, "type": "Role" });
        assert_eq!(full[0]["resourceAccess"][5], role, "{full}");
    }
}
