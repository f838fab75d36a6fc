//! The API that an application is: a server whose tokens Entra issues, with the scopes that
//! people may allow there and the clients that nobody is asked about (`api` of
//! `microsoft.graph.application`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::application::Application;
use crate::secret::Digest;

/// Most characters of what a consent page says, in short and at length.
const TITLE_MAX: usize = 100;
const DESCRIPTION_MAX: usize = 1024;

/// What is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedApi {
    /// Its Application ID URI, which clients put before its scopes.
    pub uri: String,
    /// Its scopes, each with what it allows, for people.
    pub scopes: BTreeMap<String, String>,
    /// Client ids of the applications that nobody is asked about.
    pub clients: Vec<String>,
}

impl WantedApi {
    /// Properties for a new application.
    pub(super) fn properties(&self) -> [(&'static str, Value); 2] {
        let scopes: Vec<Value> = self.scopes.keys().map(|name| self.scope(name)).collect();
        let api = json!({ "requestedAccessTokenVersion": 2, "oauth2PermissionScopes": scopes });
        [("identifierUris", json!([self.uri])), ("api", api)]
    }

    /// Adds to `patch` what `app` has otherwise, and words for each. What others put there stays.
    pub(super) fn differences(
        &self,
        app: &Application,
        patch: &mut Value,
        details: &mut Vec<String>,
    ) {
        if !app.identifier_uris.contains(&self.uri) {
            let uris: Vec<&String> = app.identifier_uris.iter().chain([&self.uri]).collect();
            patch["identifierUris"] = json!(uris);
            details.push(format!("+ Application ID URI {}", self.uri));
        }
        if app.api.requested_access_token_version != Some(2) {
            patch["api"]["requestedAccessTokenVersion"] = 2.into();
            details.push("access tokens of version 2".to_owned());
        }
        let mut scopes = app.api.oauth2_permission_scopes.clone();
        let mut is_other = false;
        for name in self.scopes.keys() {
            match scopes.iter_mut().find(|scope| scope["value"] == **name) {
                None => {
                    scopes.push(self.scope(name));
                    details.push(format!("+ scope {name}"));
                }
                Some(scope) if scope["isEnabled"] == false => {
                    scope["isEnabled"] = true.into();
                    details.push(format!("scope {name} may be asked for again"));
                }
                Some(_) => continue,
            }
            is_other = true;
        }
        if is_other {
            patch["api"]["oauth2PermissionScopes"] = scopes.into();
        }
    }

    /// `preAuthorizedApplications` with each client in it, if that is otherwise, and words for
    /// it. It names scopes by their ids, which must be there before.
    pub(super) fn authorizations(&self, app: Option<&Application>) -> Option<(Value, Vec<String>)> {
        let ids = self.ids(app);
        if ids.is_empty() {
            return None;
        }
        let there = app.map(|app| app.api.pre_authorized_applications.clone());
        let mut list = there.unwrap_or_default();
        let mut details = Vec::new();
        for client in &self.clients {
            let known = list.iter_mut().find(|entry| entry["appId"] == **client);
            let Some(entry) = known else {
                list.push(json!({ "appId": client, "delegatedPermissionIds": ids }));
                details.push(format!("+ {client}"));
                continue;
            };
            let of_entry = entry["delegatedPermissionIds"].as_array();
            let had: BTreeSet<String> = of_entry
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect();
            if !ids.is_subset(&had) {
                entry["delegatedPermissionIds"] = json!(had.union(&ids).collect::<Vec<_>>());
                details.push(format!("~ {client}, for the other scopes, too"));
            }
        }
        let patch = json!({ "api": { "preAuthorizedApplications": list } });
        (!details.is_empty()).then_some((patch, details))
    }

    /// Names of scopes that `app` has besides.
    pub(super) fn others<'a>(&self, app: &'a Application) -> Vec<&'a str> {
        let all = app.api.oauth2_permission_scopes.iter();
        all.filter_map(|scope| scope["value"].as_str())
            .filter(|name| !self.scopes.contains_key(*name))
            .collect()
    }

    /// Ids of its scopes: those that they have, or will have.
    fn ids(&self, app: Option<&Application>) -> BTreeSet<String> {
        let there = |name: &str| {
            let all = &app?.api.oauth2_permission_scopes;
            let scope = all.iter().find(|scope| scope["value"] == *name)?;
            scope["id"].as_str().map(str::to_owned)
        };
        let id = |name: &String| there(name).unwrap_or_else(|| self.id(name));
        self.scopes.keys().map(id).collect()
    }

    /// One scope, as it is made (`permissionScope`).
    fn scope(&self, name: &str) -> Value {
        let said = match self.scopes.get(name).map(|said| said.trim()) {
            None | Some("") => name,
            Some(said) => said,
        };
        let cut = |most: usize| said.chars().take(most).collect::<String>();
        json!({
            "id": self.id(name),
            "value": name,
            "type": "User",
            "isEnabled": true,
            "adminConsentDisplayName": cut(TITLE_MAX),
            "adminConsentDescription": cut(DESCRIPTION_MAX),
            "userConsentDisplayName": cut(TITLE_MAX),
            "userConsentDescription": cut(DESCRIPTION_MAX),
        })
    }

    /// The id of a scope, which we choose: always the same one, so that a run that was cut off
    /// makes it once (RFC 9562 §5.8).
    fn id(&self, name: &str) -> String {
        id_of(&self.uri, name)
    }
}

/// The id of a scope of the API at `uri`, if we made it.
pub(super) fn id_of(uri: &str, name: &str) -> String {
    let digest = Digest::of(format!("{uri}\n{name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.bytes()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| &hex[from..to];
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VS_CODE: &str = "aebc6443-996d-45c2-90f0-388ff96faa56";

    fn wanted() -> WantedApi {
        let scope = |name: &str, said: &str| (name.to_owned(), said.to_owned());
        WantedApi {
            uri: "https://mcp.example.com/weather/mcp".to_owned(),
            scopes: BTreeMap::from([
                scope("weather.read", "Read the weather"),
                scope("weather.write", ""),
            ]),
            clients: vec![VS_CODE.to_owned()],
        }
    }

    /// `app` after these properties were set.
    fn then(app: &Application, properties: &Value) -> Application {
        let mut next = app.clone();
        if let Some(uris) = properties.get("identifierUris") {
            next.identifier_uris = serde_json::from_value(uris.clone()).expect("a list");
        }
        for (name, value) in properties["api"].as_object().into_iter().flatten() {
            let list = || value.as_array().expect("a list").clone();
            match name.as_str() {
                "requestedAccessTokenVersion" => {
                    next.api.requested_access_token_version = value.as_u64();
                }
                "oauth2PermissionScopes" => next.api.oauth2_permission_scopes = list(),
                "preAuthorizedApplications" => next.api.pre_authorized_applications = list(),
                other => panic!("{other}"),
            }
        }
        next
    }

    #[test]
    fn p_4_what_was_made_once_is_not_made_again() {
        let wanted = wanted();
        let properties: Value = wanted
            .properties()
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(properties["api"]["requestedAccessTokenVersion"], 2);
        let scopes = &properties["api"]["oauth2PermissionScopes"];
        assert_eq!(scopes[0]["value"], "weather.read");
        assert_eq!(scopes[0]["userConsentDisplayName"], "Read the weather");
        assert_eq!(scopes[1]["userConsentDisplayName"], "weather.write");
        assert_ne!(scopes[0]["id"], scopes[1]["id"]);
        assert_eq!(scopes[0]["id"].as_str().map(|id| &id[14..15]), Some("8"));
        let app = then(&Application::default(), &properties);
        let (mut patch, mut details) = (json!({}), Vec::new());
        wanted.differences(&app, &mut patch, &mut details);
        assert_eq!((patch, details), (json!({}), Vec::new()));
        let (patch, details) = wanted.authorizations(Some(&app)).expect("a client is new");
        assert_eq!(details, [format!("+ {VS_CODE}")]);
        assert_eq!(
            wanted.authorizations(None).map(|(patch, _)| patch),
            Some(patch.clone())
        );
        assert_eq!(wanted.authorizations(Some(&then(&app, &patch))), None);
    }

    #[test]
    fn p_4_what_others_put_there_stays() {
        let by_hand: Application = serde_json::from_value(json!({
            "identifierUris": ["api://theirs"],
            "api": {
                "requestedAccessTokenVersion": null,
                "oauth2PermissionScopes": [
                    { "id": "their id", "value": "weather.read", "isEnabled": false },
                    { "id": "x", "value": "theirs", "isEnabled": true },
                ],
                "preAuthorizedApplications": [
                    { "appId": "theirs", "delegatedPermissionIds": ["x"] },
                    { "appId": VS_CODE, "delegatedPermissionIds": ["x"] },
                ],
            },
        }))
        .expect("an application");
        let wanted = wanted();
        let (mut patch, mut details) = (json!({}), Vec::new());
        wanted.differences(&by_hand, &mut patch, &mut details);
        assert_eq!(
            patch["identifierUris"],
            json!(["api://theirs", "https://mcp.example.com/weather/mcp"])
        );
        let scopes = &patch["api"]["oauth2PermissionScopes"];
        assert_eq!(scopes[0]["id"], "their id");
        assert_eq!(scopes[0]["isEnabled"], true);
        assert_eq!(scopes[1]["value"], "theirs");
        assert_eq!(scopes[2]["value"], "weather.write");
        assert_eq!(details.len(), 4, "{details:?}");
        let app = then(&by_hand, &patch);
        assert_eq!(wanted.others(&app), ["theirs"]);
        let (patch, _) = wanted.authorizations(Some(&app)).expect("more scopes");
        let list = &patch["api"]["preAuthorizedApplications"];
        assert_eq!(list[0]["appId"], "theirs");
        let ids = list[1]["delegatedPermissionIds"].as_array().expect("ids");
        assert_eq!(ids.len(), 3, "{list}");
        assert!(ids.contains(&json!("x")) && ids.contains(&json!("their id")));
    }
}
