//! From what is wanted and what is there to what is to be done, in order.

use serde_json::{Value, json};

use super::{
    Step,
    api::WantedApi,
    application::{Application, FederatedCredential, GROUP_MEMBERS, near_miss},
    change::{Act, Mark, Plan},
    credential,
    journal::Known,
    wanted::{Accounts, Wanted},
};

/// What is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The application.
    pub app: Option<Application>,
    /// Whether it has a service principal.
    pub principal: bool,
    /// Its federated credentials.
    pub federated: Vec<FederatedCredential>,
}

/// What is to be done so that what is wanted is there.
pub fn plan(wanted: &Wanted, known: &Known, found: &Found) -> Plan {
    let mut plan = Plan::default();
    app(&mut plan, wanted, known, found.app.as_ref());
    principal(&mut plan, found);
    credential::plan(&mut plan, wanted, known, found);
    plan.changes
        .retain(|change| wanted.steps.contains(&change.step));
    plan
}

fn app(plan: &mut Plan, wanted: &Wanted, known: &Known, app: Option<&Application>) {
    let name = format!("app \"{}\"", wanted.app_name);
    let Some(app) = app else {
        if let Some(gone) = &known.app {
            plan.notes.push(format!(
                "the app {} of before is not in this tenant any more; a new one has another client id, and people are asked for their consent again",
                gone.app
            ));
        }
        plan.push(
            Step::App,
            Mark::Create,
            name,
            Some(Act::CreateApp { body: body(wanted) }),
        );
        if let Some(redirect) = &wanted.redirect {
            plan.detail(format!("redirect address {redirect}"));
            plan.detail("asks people for openid, profile, email, offline_access");
        }
        if wanted.accounts != Accounts::OneTenant {
            plan.detail(wanted.accounts.words());
        }
        if let Some(api) = &wanted.api {
            plan.detail(format!("Application ID URI {}", api.uri));
            let scopes: Vec<&str> = api.scopes.keys().map(String::as_str).collect();
            if !scopes.is_empty() {
                plan.detail(format!("scopes {}", scopes.join(", ")));
            }
        }
        if wanted.public_client {
            plan.detail("is a public client besides (entra.allow_public_client)");
        }
        clients(plan, wanted, None);
        return;
    };
    let adopted = known.app.as_ref().is_some_and(|known| known.adopted);
    if adopted && !wanted.public_client && app.is_fallback_public_client == Some(true) {
        plan.notes.push("the app is a public client, too: whoever knows its id can sign in as it. Apps on devices may need that; take it away in the portal if not".to_owned());
    }
    let (patch, details) = differences(wanted, app, adopted);
    let shown = format!("app \"{}\"  {}", app.display_name, app.app_id);
    if details.is_empty() {
        plan.push(Step::App, Mark::Keep, shown, None);
    } else {
        plan.push(
            Step::App,
            Mark::Change,
            shown,
            Some(Act::UpdateApp { patch }),
        );
        for detail in details {
            plan.detail(detail);
        }
    }
    clients(plan, wanted, Some(app));
    if let Some(api) = &wanted.api {
        let others = api.others(app);
        if !others.is_empty() {
            plan.notes.push(format!(
                "the app has scopes that the server does not have: {}. Disable and remove them in the portal if nobody uses them",
                others.join(", ")
            ));
        }
    }
    if let Some(redirect) = &wanted.redirect {
        redirects(plan, redirect, known, app);
    }
}

/// Clients that nobody is asked about, by themselves: the scopes must be there first.
fn clients(plan: &mut Plan, wanted: &Wanted, app: Option<&Application>) {
    let Some((patch, details)) = wanted.api.as_ref().and_then(|api| api.authorizations(app)) else {
        return;
    };
    let what = "clients that nobody is asked about";
    let act = Some(Act::UpdateApp { patch });
    plan.push(Step::App, Mark::Change, what, act);
    for detail in details {
        plan.detail(detail);
    }
}

fn body(wanted: &Wanted) -> Value {
    let mut body = json!({
        "displayName": wanted.app_name,
        "signInAudience": wanted.accounts.name(),
        "isFallbackPublicClient": wanted.public_client,
        "tags": [wanted.tag],
        "web": {
            "redirectUris": wanted.redirect.as_slice(),
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false,
                "enableIdTokenIssuance": false,
            },
        },
    });
    if wanted.redirect.is_some() {
        body["requiredResourceAccess"] = Application::default().full_access(wanted.members);
    }
    if wanted.accounts.are_personal() {
        body["api"]["requestedAccessTokenVersion"] = 2.into();
    }
    for (name, value) in wanted.api.iter().flat_map(WantedApi::properties) {
        body[name] = value;
    }
    if wanted.groups {
        body["groupMembershipClaims"] = "SecurityGroup".into();
    }
    body
}

/// Properties that are otherwise, and words for each.
fn differences(wanted: &Wanted, app: &Application, adopted: bool) -> (Value, Vec<String>) {
    let mut patch = json!({});
    let mut details = Vec::new();
    if !adopted && app.display_name != wanted.app_name {
        patch["displayName"] = wanted.app_name.clone().into();
        details.push(format!("name \"{}\"", wanted.app_name));
    }
    let tag = &wanted.tag;
    if !app.tags.contains(tag) {
        let tags: Vec<&String> = app.tags.iter().chain([tag]).collect();
        patch["tags"] = json!(tags);
        details.push(format!("+ tag {tag}"));
    }
    accounts(wanted.accounts, app, adopted, &mut patch, &mut details);
    if let Some(api) = &wanted.api {
        api.differences(app, &mut patch, &mut details);
    }
    let public = app.is_fallback_public_client.unwrap_or(false);
    // Who made it may have others who use it so.
    if public != wanted.public_client && !(adopted && public) {
        patch["isFallbackPublicClient"] = wanted.public_client.into();
        details.push(if wanted.public_client {
            "is a public client besides (entra.allow_public_client)".to_owned()
        } else {
            "is no public client any more: whoever knows its id could sign in as it".to_owned()
        });
    }
    let tells = app.group_membership_claims.as_deref().unwrap_or("None");
    if wanted.groups && matches!(tells, "None" | "") {
        patch["groupMembershipClaims"] = "SecurityGroup".into();
        details.push("tokens tell security groups, since a rule names one".to_owned());
    }
    let mut missing = match wanted.redirect {
        Some(_) => app.missing_access(wanted.members),
        None => Vec::new(),
    };
    if !missing.is_empty() {
        patch["requiredResourceAccess"] = app.full_access(wanted.members);
    }
    if missing.last() == Some(&GROUP_MEMBERS.0) {
        missing.pop();
        details.push(format!(
            "asks an administrator for {}, by idp.groups_from_graph",
            GROUP_MEMBERS.0
        ));
    }
    if !missing.is_empty() {
        details.push(format!("asks people for {} besides", missing.join(", ")));
    }
    (patch, details)
}

/// Whose accounts it is for, if that is otherwise. One that somebody else made stays open to
/// those whom they let in.
fn accounts(
    wanted: Accounts,
    app: &Application,
    adopted: bool,
    patch: &mut Value,
    details: &mut Vec<String>,
) {
    let there = app.sign_in_audience.as_deref();
    let there = there.unwrap_or(Accounts::OneTenant.name());
    let wanted = match adopted {
        true => wanted.with(there),
        false => wanted,
    };
    if there == wanted.name() {
        return;
    }
    patch["signInAudience"] = wanted.name().into();
    if wanted.are_personal() && app.api.requested_access_token_version != Some(2) {
        patch["api"]["requestedAccessTokenVersion"] = 2.into();
    }
    details.push(wanted.words().to_owned());
}

fn redirects(plan: &mut Plan, wanted: &String, known: &Known, app: &Application) {
    let there = &app.web.redirect_uris;
    let add: Vec<String> = match there.contains(wanted) {
        true => Vec::new(),
        false => vec![wanted.clone()],
    };
    // Only what we added, and only while we do not want it.
    let remove: Vec<String> = there
        .iter()
        .filter(|uri| known.redirects.contains(*uri) && *uri != wanted)
        .cloned()
        .collect();
    for uri in there {
        if let Some(difference) = near_miss(uri, wanted) {
            plan.notes.push(format!(
                "{uri} is registered, too, and differs from ours by {difference}: Entra compares byte by byte"
            ));
        }
    }
    if add.is_empty() && remove.is_empty() {
        let what = format!("web redirect address {wanted}");
        plan.push(Step::Redirect, Mark::Keep, what, None);
        return;
    }
    if let Some(before) = remove.first() {
        plan.notes.push(format!(
            "the public address changes: {before} was ours, so the issuer is another one now, and MCP clients must connect and register again"
        ));
    }
    plan.push(
        Step::Redirect,
        Mark::Change,
        "web redirect addresses",
        Some(Act::Redirects {
            add: add.clone(),
            remove: remove.clone(),
        }),
    );
    for uri in &add {
        plan.detail(format!("+ {uri}"));
    }
    for uri in &remove {
        plan.detail(format!("- {uri}  (added by us)"));
    }
    let others = there.len() - remove.len();
    if others > 0 {
        plan.detail(format!("= {others} of others stay"));
    }
}

fn principal(plan: &mut Plan, found: &Found) {
    if found.app.is_some() && found.principal {
        plan.push(Step::Principal, Mark::Keep, "service principal", None);
    } else {
        let act = Some(Act::AddPrincipal);
        plan.push(Step::Principal, Mark::Create, "service principal", act);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{
            application::Credential,
            journal::{Did, Entry, Kind},
            wanted::Proof,
        },
        *,
    };

    use crate::time::Timestamp;
    use std::time::Duration;

    const REDIRECT: &str = "https://mcp.example.com/oauth-callback";
    pub(in crate::entra) const DAY: u64 = 86_400;

    pub(in crate::entra) fn wanted() -> Wanted {
        Wanted {
            tag: "vestibule:prod".to_owned(),
            app_name: "Vestibule".to_owned(),
            accounts: Accounts::OneTenant,
            redirect: Some(REDIRECT.to_owned()),
            api: None,
            public_client: false,
            groups: false,
            members: false,
            proof: Some(Proof::Secret {
                held: credential::digest_of("the secret"),
                life: Duration::from_secs(180 * DAY),
            }),
            rotate: None,
            steps: Step::ALL.to_vec(),
            run: "r9".to_owned(),
            now: Timestamp::from_unix(100 * DAY),
        }
    }

    pub(in crate::entra) fn app() -> Application {
        Application {
            id: "object".to_owned(),
            app_id: "client".to_owned(),
            display_name: "Vestibule".to_owned(),
            tags: vec!["vestibule:prod".to_owned()],
            web: super::super::application::Redirects {
                redirect_uris: vec![REDIRECT.to_owned()],
            },
            required_resource_access: serde_json::from_value(
                Application::default().full_access(false),
            )
            .expect("its own"),
            password_credentials: vec![Credential {
                key_id: "k1".to_owned(),
                display_name: Some("vestibule r1".to_owned()),
                end_date_time: None,
            }],
            ..Application::default()
        }
    }

    pub(in crate::entra) fn journal(more: &[Did]) -> Known {
        let lines = [
            Did::Created {
                object: "object".to_owned(),
                app: "client".to_owned(),
            },
            Did::Adding {
                kind: Kind::Secret,
                name: "vestibule r1".to_owned(),
            },
            Did::Added {
                kind: Kind::Secret,
                name: "vestibule r1".to_owned(),
                key: "k1".to_owned(),
                ends: Some(Timestamp::from_unix(200 * DAY)),
                retire_others: Timestamp::from_unix(0),
                digest: credential::digest_of("the secret"),
            },
        ];
        let entries: Vec<Entry> = lines
            .iter()
            .chain(more)
            .map(|did| Entry {
                time: Timestamp::from_unix(1),
                run: "r1".to_owned(),
                step: Step::App,
                did: did.clone(),
            })
            .collect();
        Known::of(&entries)
    }

    pub(in crate::entra) fn found(app: Application) -> Found {
        Found {
            app: Some(app),
            principal: true,
            federated: Vec::new(),
        }
    }

    /// Sign and subject of each line that does something.
    pub(in crate::entra) fn lines(plan: &Plan) -> Vec<String> {
        plan.changes
            .iter()
            .filter(|change| change.act.is_some())
            .map(|change| format!("{} {}", change.mark.sign(), change.what))
            .collect()
    }

    #[test]
    fn d_4_what_is_there_is_not_made_again() {
        let done = plan(&wanted(), &journal(&[]), &found(app()));
        assert!(done.is_done(), "{done:?}");
        assert_eq!(done.changes.len(), 4);
        let from_nothing = plan(&wanted(), &Known::default(), &Found::default());
        assert_eq!(
            lines(&from_nothing),
            [
                "+ app \"Vestibule\"",
                "+ service principal",
                "+ secret \"vestibule r9\"",
            ]
        );
        assert_eq!(
            from_nothing.steps(),
            [Step::App, Step::Principal, Step::Credential]
        );
    }

    #[test]
    fn d_5_d_13_up_20_the_application_is_made_with_its_redirect_and_as_no_public_client() {
        let from_nothing = plan(&wanted(), &Known::default(), &Found::default());
        let Some(Act::CreateApp { body }) = &from_nothing.changes[0].act else {
            panic!("{from_nothing:?}");
        };
        assert_eq!(body["web"]["redirectUris"], json!([REDIRECT]));
        assert_eq!(body["isFallbackPublicClient"], false);
        assert_eq!(body["signInAudience"], "AzureADMyOrg");
        assert_eq!(body.get("groupMembershipClaims"), None);
        let public = Application {
            is_fallback_public_client: Some(true),
            ..app()
        };
        let mends = plan(&wanted(), &journal(&[]), &found(public.clone()));
        assert_eq!(mends.changes[0].mark, Mark::Change);
        let allowed = Wanted {
            public_client: true,
            ..wanted()
        };
        assert!(plan(&allowed, &journal(&[]), &found(public)).is_done());
    }

    #[test]
    fn h_2_redirects_of_others_stay_and_ours_are_replaced() {
        let old = "https://old.example.com/oauth-callback".to_owned();
        let theirs = "https://theirs.example.com/cb".to_owned();
        let mut there = app();
        there.web.redirect_uris = vec![old.clone(), theirs.clone()];
        let known = journal(&[Did::AddingRedirect { uri: old.clone() }]);
        let planned = plan(&wanted(), &known, &found(there));
        let act = planned.changes[1].act.clone();
        assert_eq!(
            act,
            Some(Act::Redirects {
                add: vec![REDIRECT.to_owned()],
                remove: vec![old],
            })
        );
        assert!(
            planned.changes[1]
                .details
                .contains(&"= 1 of others stay".to_owned())
        );
    }

    #[test]
    fn h_6_another_public_address_is_told_as_another_issuer() {
        let old = "https://old.example.com/oauth-callback".to_owned();
        let mut there = app();
        there.web.redirect_uris = vec![old.clone()];
        let known = journal(&[Did::AddingRedirect { uri: old }]);
        let planned = plan(&wanted(), &known, &found(there));
        assert!(
            planned
                .notes
                .iter()
                .any(|note| note.contains("the issuer is another one"))
        );
    }

    #[test]
    fn h_3_an_address_that_nearly_is_ours_is_pointed_at() {
        let mut there = app();
        there.web.redirect_uris = vec![format!("{REDIRECT}/")];
        let planned = plan(&wanted(), &journal(&[]), &found(there));
        assert!(
            planned.notes[0].contains("a slash at the end"),
            "{planned:?}"
        );
    }

    #[test]
    fn up_16_several_tenants_sign_in_to_an_application_that_is_for_them() {
        let several = Wanted {
            accounts: Accounts::Organizations,
            ..wanted()
        };
        let made = body(&several);
        assert_eq!(made["signInAudience"], "AzureADMultipleOrgs");
        let patch_of = |wanted: &Wanted, known: &Known, there: &Application| match &plan(
            wanted,
            known,
            &found(there.clone()),
        )
        .changes[0]
            .act
        {
            Some(Act::UpdateApp { patch }) => patch.clone(),
            other => {
                assert_eq!(*other, None);
                json!({})
            }
        };
        let one = app();
        let patch = patch_of(&several, &journal(&[]), &one);
        assert_eq!(patch, json!({ "signInAudience": "AzureADMultipleOrgs" }));
        let everybody = Wanted {
            accounts: Accounts::Everybody,
            ..wanted()
        };
        let patch = patch_of(&everybody, &journal(&[]), &one);
        assert_eq!(patch["api"]["requestedAccessTokenVersion"], 2, "{patch}");
        // Ours is made narrower again; one that was somebody's stays as open as they want it.
        let open = Application {
            sign_in_audience: Some("AzureADMultipleOrgs".to_owned()),
            ..app()
        };
        let patch = patch_of(&wanted(), &journal(&[]), &open);
        assert_eq!(patch, json!({ "signInAudience": "AzureADMyOrg" }));
        assert_eq!(patch_of(&wanted(), &adopted(), &open), json!({}));
        let patch = patch_of(&several, &adopted(), &one);
        assert_eq!(patch, json!({ "signInAudience": "AzureADMultipleOrgs" }));
        let personal = Wanted {
            accounts: Accounts::Personal,
            ..wanted()
        };
        let patch = patch_of(&personal, &adopted(), &open);
        assert_eq!(
            patch["signInAudience"],
            "AzureADandPersonalMicrosoftAccount"
        );
    }

    #[test]
    fn p_4_a_server_is_an_application_without_login_and_credential() {
        let api = WantedApi {
            uri: "https://mcp.example.com/weather/mcp".to_owned(),
            scopes: [("weather.read".to_owned(), "Read the weather".to_owned())].into(),
            clients: vec!["client of all".to_owned()],
        };
        let server = Wanted {
            redirect: None,
            proof: None,
            api: Some(api),
            ..wanted()
        };
        let planned = plan(&server, &Known::default(), &Found::default());
        assert_eq!(
            lines(&planned),
            [
                "+ app \"Vestibule\"",
                "~ clients that nobody is asked about",
                "+ service principal",
            ]
        );
        let Some(Act::CreateApp { body }) = &planned.changes[0].act else {
            panic!("{planned:?}");
        };
        assert_eq!(body["web"]["redirectUris"], json!([]));
        assert_eq!(body.get("requiredResourceAccess"), None);
        let there = Application {
            web: Default::default(),
            required_resource_access: Vec::new(),
            password_credentials: Vec::new(),
            identifier_uris: serde_json::from_value(body["identifierUris"].clone())
                .expect("a list"),
            api: serde_json::from_value(body["api"].clone()).expect("an API"),
            ..app()
        };
        let known = Known {
            app: journal(&[]).app,
            ..Known::default()
        };
        let planned = plan(&server, &known, &found(there));
        assert_eq!(lines(&planned), ["~ clients that nobody is asked about"]);
    }

    fn adopted() -> Known {
        Known::of(&[Entry {
            time: Timestamp::from_unix(1),
            run: "r1".to_owned(),
            step: Step::App,
            did: Did::Adopted {
                object: "object".to_owned(),
                app: "client".to_owned(),
            },
        }])
    }

    #[test]
    fn n_10_an_adopted_application_keeps_its_name() {
        let by_hand = Application {
            display_name: "By hand".to_owned(),
            tags: vec!["theirs".to_owned()],
            ..app()
        };
        let planned = plan(&wanted(), &adopted(), &found(by_hand));
        let Some(Act::UpdateApp { patch }) = &planned.changes[0].act else {
            panic!("{planned:?}");
        };
        assert_eq!(patch, &json!({ "tags": ["theirs", "vestibule:prod"] }));
    }
}
