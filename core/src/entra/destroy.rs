//! What is to be done so that nothing of ours is left: what we made goes, and what we did not
//! make stays.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CREDENTIAL_PREFIX, Step,
    api::{WantedApi, id_of},
    application::Application,
    change::{Act, Mark, Plan},
    credential::there,
    journal::{Kind, Known},
    plan::Found,
};

/// How an application is found whose journal is lost: its unique name begins so if we made it.
pub const UNIQUE_NAME_PREFIX: &str = "vestibule-";

/// What of an application is ours, besides what the journal says.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'o> {
    /// By which it is found again ([`tag`](super::tag)).
    pub tag: &'o str,
    /// Our redirect URI, if people sign in to it.
    pub redirect: Option<&'o str>,
    /// The API that it is.
    pub api: Option<&'o WantedApi>,
}

/// What is to be done, in the reverse order of how it was made. With `even_if_shared`, an
/// application of ours is deleted although others have put things of theirs into it.
pub fn destroy(ours: Ours<'_>, known: &Known, found: &Found, even_if_shared: bool) -> Plan {
    let mut plan = Plan::default();
    let Some(app) = &found.app else {
        match &known.app {
            Some(gone) => {
                let what = format!("what is left of the app {}", gone.app);
                plan.push(Step::App, Mark::Remove, what, Some(Act::DeleteApp));
                plan.detail("it is not in this tenant any more");
            }
            None => plan
                .notes
                .push("there is no such app in this tenant".to_owned()),
        }
        return plan;
    };
    let made_by_us = match &known.app {
        Some(known) => !known.adopted,
        None => app
            .unique_name
            .as_deref()
            .is_some_and(|name| name.starts_with(UNIQUE_NAME_PREFIX)),
    };
    let foreign = foreign(ours, known, found, app, made_by_us);
    if made_by_us && (foreign.is_empty() || even_if_shared) {
        let what = format!("app \"{}\"  {}", app.display_name, app.app_id);
        plan.push(Step::App, Mark::Remove, what, Some(Act::DeleteApp));
        plan.changes[0]
            .details
            .push("with its service principal and all its credentials".to_owned());
        for what in foreign {
            plan.changes[0].details.push(format!("{what} is not ours"));
        }
        return plan;
    }
    for (kind, name, key) in credentials(known, found, made_by_us) {
        let what = format!("{} \"{name}\"", kind.name());
        let act = Act::RemoveCredential {
            kind,
            known_as: key.clone(),
            key,
        };
        plan.push(Step::Credential, Mark::Remove, what, Some(act));
    }
    let remove: Vec<String> = app
        .web
        .redirect_uris
        .iter()
        .filter(|uri| is_ours(ours.redirect, known, uri))
        .cloned()
        .collect();
    if !remove.is_empty() {
        let what = "web redirect addresses";
        let act = Act::Redirects {
            add: Vec::new(),
            remove: remove.clone(),
        };
        plan.push(Step::Redirect, Mark::Change, what, Some(act));
        for uri in remove {
            plan.detail(format!("- {uri}"));
        }
    }
    give_back(&mut plan, known, app);
    let tag = ours.tag;
    let name = format!("app \"{}\"  {}", app.display_name, app.app_id);
    if app.tags.iter().any(|other| other == tag) {
        let tags: Vec<&String> = app.tags.iter().filter(|other| *other != tag).collect();
        let patch = json!({ "tags": tags });
        plan.push(
            Step::App,
            Mark::Change,
            name,
            Some(Act::UpdateApp { patch }),
        );
        plan.detail(format!("- tag {tag}"));
    } else {
        plan.push(Step::App, Mark::Keep, name, None);
    }
    plan.detail(match made_by_us {
        true => "stays, since others use it; --even-if-shared deletes it",
        false => "stays: it was made by somebody else",
    });
    for what in foreign {
        plan.detail(format!("= {what}"));
    }
    plan.push(
        Step::App,
        Mark::Remove,
        "what the journal says of it",
        Some(Act::LetGo),
    );
    plan
}

/// Takes back whom we let in without anybody being asked; what others let in stays.
fn give_back(plan: &mut Plan, known: &Known, app: &Application) {
    let uris = our_uris(known, app);
    let ours: BTreeSet<&str> = app
        .api
        .oauth2_permission_scopes
        .iter()
        .filter(|scope| is_made_for(scope, &uris))
        .filter_map(|scope| scope["id"].as_str())
        .collect();
    let mut stay = Vec::new();
    let mut gone = Vec::new();
    for entry in &app.api.pre_authorized_applications {
        let client = entry["appId"].as_str().unwrap_or_default();
        let ids = entry["delegatedPermissionIds"].as_array();
        let ids: Vec<&str> = ids
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_theirs = |id: &&&str| {
            !ours.contains(**id) && !known.permissions.contains(&format!("{client} {id}"))
        };
        let left: Vec<&&str> = ids.iter().filter(is_theirs).collect();
        if left.len() < ids.len() {
            gone.push(client);
        }
        if left.len() == ids.len() || !left.is_empty() {
            stay.push(json!({ "appId": client, "delegatedPermissionIds": left }));
        }
    }
    if !gone.is_empty() {
        let patch = json!({ "api": { "preAuthorizedApplications": stay } });
        let what = "clients that nobody is asked about";
        let act = Some(Act::UpdateApp { patch });
        plan.push(Step::App, Mark::Change, what, act);
        for client in gone {
            plan.detail(format!("- {client}"));
        }
    }
    for uri in app.identifier_uris.iter().filter(|uri| uris.contains(*uri)) {
        plan.notes.push(format!(
            "the Application ID URI {uri} and its scopes stay: remove them in the portal once no client asks for them"
        ));
    }
}

/// Application ID URIs of ours: those of the journal, and those of which a scope is.
fn our_uris(known: &Known, app: &Application) -> BTreeSet<String> {
    let has_ours = |uri: &&String| {
        let scopes = &app.api.oauth2_permission_scopes;
        known.uris.contains(*uri) || scopes.iter().any(|scope| is_made_of(scope, uri))
    };
    app.identifier_uris
        .iter()
        .filter(has_ours)
        .cloned()
        .collect()
}

fn is_made_for(scope: &Value, uris: &BTreeSet<String>) -> bool {
    uris.iter().any(|uri| is_made_of(scope, uri))
}

/// Whether we made this scope, for an API of this URI: we choose its id.
fn is_made_of(scope: &Value, uri: &str) -> bool {
    scope["value"]
        .as_str()
        .is_some_and(|name| scope["id"] == id_of(uri, name))
}

fn is_ours(redirect: Option<&str>, known: &Known, uri: &str) -> bool {
    // With a journal it says what we added; an address that was there before is another's.
    match &known.app {
        Some(app) if app.adopted => known.redirects.contains(uri),
        _ => known.redirects.contains(uri) || redirect == Some(uri),
    }
}

/// Kind, name and id of each credential of ours that is there.
fn credentials(known: &Known, found: &Found, made_by_us: bool) -> Vec<(Kind, String, String)> {
    let mut out = Vec::new();
    for kind in [Kind::Federated, Kind::Certificate, Kind::Secret] {
        for (id, name) in there(found, kind) {
            let ours = known.credentials.iter().any(|ours| {
                ours.kind == kind && (ours.key.as_ref() == Some(&id) || ours.name == name)
            });
            if ours || ((made_by_us || known.app.is_none()) && is_our_name(&name)) {
                out.push((kind, name, id));
            }
        }
    }
    out
}

fn is_our_name(name: &str) -> bool {
    name.starts_with(CREDENTIAL_PREFIX) || name.starts_with(UNIQUE_NAME_PREFIX)
}

/// Words for what others have put into the application.
fn foreign(
    ours: Ours<'_>,
    known: &Known,
    found: &Found,
    app: &Application,
    made_by_us: bool,
) -> Vec<String> {
    let our_credentials: BTreeSet<String> = credentials(known, found, made_by_us)
        .into_iter()
        .map(|(_, _, id)| id)
        .collect();
    let redirects = app
        .all_redirects()
        .filter(|uri| !is_ours(ours.redirect, known, uri))
        .map(|uri| format!("redirect address {uri}"));
    let credentials = [Kind::Secret, Kind::Certificate, Kind::Federated]
        .into_iter()
        .flat_map(|kind| there(found, kind).into_iter().map(move |each| (kind, each)))
        .filter(|(_, (id, _))| !our_credentials.contains(id))
        .map(|(kind, (_, name))| format!("{} \"{name}\"", kind.name()));
    // What we made stays ours when the configuration has another path or other scopes by now.
    let mut uris = our_uris(known, app);
    uris.extend(ours.api.map(|api| api.uri.clone()));
    let is_exposed = app.identifier_uris.iter().any(|uri| !uris.contains(uri));
    let is_our_scope = |scope: &Value| {
        let name = scope["value"].as_str().unwrap_or_default();
        let wanted = ours.api.is_some_and(|api| api.scopes.contains_key(name));
        wanted || is_made_for(scope, &uris)
    };
    let has_scopes = !app.api.oauth2_permission_scopes.iter().all(is_our_scope);
    let exposed = [
        (is_exposed, "an API that it exposes"),
        (has_scopes, "permissions that it defines"),
        (!app.app_roles.is_empty(), "roles that it defines"),
    ];
    let exposed = exposed
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, what)| what.to_owned());
    redirects.chain(credentials).chain(exposed).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            application::{Credential, Redirects},
            journal::{Did, Entry},
        },
        *,
    };
    use crate::time::Timestamp;

    const REDIRECT: &str = "https://mcp.example.com/oauth-callback";
    const OURS: Ours<'_> = Ours {
        tag: "vestibule:prod",
        redirect: Some(REDIRECT),
        api: None,
    };

    fn found(redirects: &[&str], secrets: &[&str]) -> Found {
        let secret = |name: &&str| Credential {
            key_id: format!("key of {name}"),
            display_name: Some((*name).to_owned()),
            end_date_time: None,
        };
        Found {
            app: Some(Application {
                id: "object".to_owned(),
                app_id: "client".to_owned(),
                display_name: "Vestibule".to_owned(),
                unique_name: Some("vestibule-prod-1".to_owned()),
                tags: vec!["theirs".to_owned(), "vestibule:prod".to_owned()],
                web: Redirects {
                    redirect_uris: redirects.iter().map(|uri| (*uri).to_owned()).collect(),
                },
                password_credentials: secrets.iter().map(secret).collect(),
                ..Application::default()
            }),
            principal: true,
            federated: Vec::new(),
        }
    }

    fn entry_of(did: Did) -> Entry {
        Entry {
            time: Timestamp::from_unix(1),
            run: "r".to_owned(),
            step: Step::App,
            did,
        }
    }

    fn journal(did: Did) -> Known {
        Known::of(&[
            entry_of(did),
            entry_of(Did::AddingRedirect {
                uri: REDIRECT.to_owned(),
            }),
            entry_of(Did::Adding {
                kind: Kind::Secret,
                name: "vestibule r".to_owned(),
            }),
        ])
    }

    fn made() -> Did {
        Did::Created {
            object: "object".to_owned(),
            app: "client".to_owned(),
        }
    }

    fn acts(plan: &Plan) -> Vec<Act> {
        plan.changes
            .iter()
            .filter_map(|change| change.act.clone())
            .collect()
    }

    #[test]
    fn m_4_what_is_all_ours_is_deleted() {
        let there = found(&[REDIRECT], &["vestibule r"]);
        let plan = destroy(OURS, &journal(made()), &there, false);
        assert_eq!(acts(&plan), [Act::DeleteApp]);
        let plan = destroy(OURS, &Known::default(), &Found::default(), false);
        assert!(plan.is_done());
    }

    #[test]
    fn m_2_without_a_journal_it_is_known_by_its_tag_and_names() {
        let there = found(&[REDIRECT], &["vestibule r"]);
        let plan = destroy(OURS, &Known::default(), &there, false);
        assert_eq!(acts(&plan), [Act::DeleteApp]);
        let mut by_hand = there;
        by_hand.app.as_mut().expect("an app").unique_name = None;
        let plan = destroy(OURS, &Known::default(), &by_hand, false);
        assert!(!acts(&plan).contains(&Act::DeleteApp), "{plan:?}");
    }

    #[test]
    fn m_4_what_others_put_there_keeps_the_application() {
        let theirs = "https://theirs.example.com/cb";
        let there = found(&[REDIRECT, theirs], &["vestibule r", "by hand"]);
        let plan = destroy(OURS, &journal(made()), &there, false);
        assert_eq!(
            acts(&plan),
            [
                Act::RemoveCredential {
                    kind: Kind::Secret,
                    key: "key of vestibule r".to_owned(),
                    known_as: "key of vestibule r".to_owned(),
                },
                Act::Redirects {
                    add: Vec::new(),
                    remove: vec![REDIRECT.to_owned()],
                },
                Act::UpdateApp {
                    patch: json!({ "tags": ["theirs"] }),
                },
                Act::LetGo,
            ]
        );
        let told: Vec<String> = plan
            .changes
            .iter()
            .flat_map(|c| c.details.clone())
            .collect();
        assert!(told.iter().any(|text| text.contains(theirs)), "{told:?}");
        assert!(told.iter().any(|text| text.contains("by hand")), "{told:?}");
        let forced = destroy(OURS, &journal(made()), &there, true);
        assert_eq!(acts(&forced), [Act::DeleteApp]);
    }

    #[test]
    fn p_4_an_api_of_ours_goes_and_one_with_scopes_of_others_stays() {
        let api = WantedApi {
            uri: "https://mcp.example.com/weather/mcp".to_owned(),
            scopes: [("weather.read".to_owned(), String::new())].into(),
            clients: Vec::new(),
        };
        let ours = Ours {
            redirect: None,
            api: Some(&api),
            ..OURS
        };
        let mut there = found(&[], &[]);
        let app = there.app.as_mut().expect("an app");
        app.identifier_uris = vec![api.uri.clone()];
        app.api.oauth2_permission_scopes = vec![json!({ "value": "weather.read" })];
        let deleted = |there: &Found| {
            let plan = destroy(ours, &journal(made()), there, false);
            acts(&plan).contains(&Act::DeleteApp)
        };
        assert!(deleted(&there));
        // Of a path and a scope that it had before.
        let before = "https://mcp.example.com/before/mcp";
        let app = there.app.as_mut().expect("an app");
        app.identifier_uris.push(before.to_owned());
        let made = json!({ "value": "gone", "id": id_of(before, "gone") });
        app.api.oauth2_permission_scopes.push(made);
        assert!(deleted(&there));
        let mut theirs = there.clone();
        let app = theirs.app.as_mut().expect("an app");
        app.api
            .oauth2_permission_scopes
            .push(json!({ "value": "theirs" }));
        assert!(!deleted(&theirs));
        let app = there.app.as_mut().expect("an app");
        app.identifier_uris.push("api://theirs".to_owned());
        assert!(!deleted(&there));
    }

    #[test]
    fn p_4_of_whom_nobody_is_asked_about_what_we_gave_is_taken_back_alone() {
        let uri = "https://mcp.example.com/weather/mcp";
        let ours = id_of(uri, "weather.read");
        let mut there = found(&[], &[]);
        let app = there.app.as_mut().expect("an app");
        app.identifier_uris = vec![uri.to_owned()];
        app.api.oauth2_permission_scopes = vec![
            json!({ "value": "weather.read", "id": ours }),
            json!({ "value": "theirs", "id": "t" }),
        ];
        let entry =
            |client: &str, ids: &[&str]| json!({ "appId": client, "delegatedPermissionIds": ids });
        app.api.pre_authorized_applications = vec![
            entry("both", &[&ours, "t"]),
            entry("ours", &[&ours]),
            entry("theirs", &["t"]),
            entry("let in by us for theirs", &["t"]),
            entry("empty", &[]),
        ];
        let adopted = Did::Adopted {
            object: "object".to_owned(),
            app: "client".to_owned(),
        };
        let exposing = Did::Exposing {
            uris: Vec::new(),
            permissions: vec!["let in by us for theirs t".to_owned()],
        };
        let known = Known::of(&[entry_of(adopted), entry_of(exposing)]);
        let plan = destroy(OURS, &known, &there, false);
        let left = acts(&plan).into_iter().find_map(|act| match act {
            Act::UpdateApp { patch } => patch["api"].get("preAuthorizedApplications").cloned(),
            _ => None,
        });
        let stay = json!([
            entry("both", &["t"]),
            entry("theirs", &["t"]),
            entry("empty", &[])
        ]);
        assert_eq!(left, Some(stay));
    }

    #[test]
    fn m_4_an_adopted_application_stays_with_what_it_had() {
        let adopted = Did::Adopted {
            object: "object".to_owned(),
            app: "client".to_owned(),
        };
        let there = found(&[REDIRECT], &["vestibule r"]);
        let plan = destroy(OURS, &journal(adopted), &there, true);
        assert!(!acts(&plan).contains(&Act::DeleteApp));
        assert!(acts(&plan).contains(&Act::LetGo));
    }
}
