//! From what is wanted and what is there to what is to be done, in order.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Step,
    application::{Application, FederatedCredential, GROUP_MEMBERS, near_miss},
    credential,
    journal::{Kind, Known},
    tag,
};
use crate::{secret::Digest, time::Timestamp};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The name of this gateway, by which its application is tagged.
    pub instance: String,
    /// The application's label.
    pub app_name: String,
    /// Our redirect URI.
    pub redirect: String,
    /// Whether the application is to be a public client besides.
    pub public_client: bool,
    /// Whether tokens are to tell groups, since a rule names one.
    pub groups: bool,
    /// Whether it asks Microsoft Graph for groups by itself.
    pub members: bool,
    /// What the gateway proves itself with.
    pub proof: Proof,
    /// Whether the credential is to be made anew, and how long the one before is kept.
    pub rotate: Option<Duration>,
    /// The steps that may be gone.
    pub steps: Vec<Step>,
    /// What the run is called.
    pub run: String,
    /// The present time.
    pub now: Timestamp,
}

/// What the gateway proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret.
    Secret {
        /// What its file holds, if it holds anything.
        held: Option<Digest>,
        /// How long a new one lives.
        life: Duration,
    },
    /// A certificate that is at hand.
    Certificate {
        /// It, in DER.
        der: Vec<u8>,
        /// Its fingerprint, for people: SHA-256 in hexadecimal.
        fingerprint: String,
    },
    /// Tokens that the platform makes.
    Federated {
        /// Their issuer.
        issuer: String,
        /// Of whom they are.
        subject: String,
    },
}

impl Proof {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Secret { .. } => Kind::Secret,
            Self::Certificate { .. } => Kind::Certificate,
            Self::Federated { .. } => Kind::Federated,
        }
    }
}

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

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order.
    pub changes: Vec<Change>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The step that does it.
    pub step: Step,
    /// What happens to it.
    pub mark: Mark,
    /// What it is.
    pub what: String,
    /// More about it.
    pub details: Vec<String>,
    /// What does it; nothing for what is kept.
    pub act: Option<Act>,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It stays as it is.
    Keep,
    /// It is changed.
    Change,
    /// It is made.
    Create,
    /// It is removed.
    Remove,
}

impl Mark {
    /// As one character.
    pub const fn sign(self) -> char {
        match self {
            Self::Keep => '=',
            Self::Change => '~',
            Self::Create => '+',
            Self::Remove => '-',
        }
    }

    /// As a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Change => "change",
            Self::Create => "create",
            Self::Remove => "remove",
        }
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Make the application.
    CreateApp {
        /// Its properties.
        body: Value,
    },
    /// Set properties of it.
    UpdateApp {
        /// Which, to what.
        patch: Value,
    },
    /// Add redirect URIs and remove some of ours; all others stay.
    Redirects {
        /// What to add.
        add: Vec<String>,
        /// What to remove.
        remove: Vec<String>,
    },
    /// Make the service principal.
    AddPrincipal,
    /// Make a secret, and put it where the gateway reads it.
    AddSecret {
        /// Its name.
        name: String,
        /// Until when it works.
        ends: Timestamp,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Register the certificate beside those that are there.
    AddCertificate {
        /// Its name.
        name: String,
        /// It, in DER.
        der: Vec<u8>,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Trust tokens of the platform.
    AddFederated {
        /// Its name.
        name: String,
        /// Their issuer.
        issuer: String,
        /// Of whom they are.
        subject: String,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Write down that a credential that is there is the one in use from now on.
    Use {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its id there.
        key: String,
        /// From when ours before it are removed.
        retire_others: Timestamp,
    },
    /// Remove a credential of ours.
    RemoveCredential {
        /// Of which kind.
        kind: Kind,
        /// Its id there.
        key: String,
        /// How the journal calls it: its id, or its name if it was never completed.
        known_as: String,
    },
    /// Delete the application.
    DeleteApp,
    /// Strike the application from the journal, where nothing of ours is left in it.
    LetGo,
}

impl Act {
    /// The request that it is at Microsoft Graph.
    pub fn request(&self, object: &str) -> String {
        match self {
            Self::CreateApp { .. } => {
                "PATCH /applications(uniqueName='…')  Prefer: create-if-missing".to_owned()
            }
            Self::UpdateApp { .. } | Self::Redirects { .. } | Self::AddCertificate { .. } => {
                format!("PATCH /applications/{object}")
            }
            Self::AddPrincipal => "POST /servicePrincipals".to_owned(),
            Self::AddSecret { .. } => format!("POST /applications/{object}/addPassword"),
            Self::AddFederated { .. } => {
                format!("POST /applications/{object}/federatedIdentityCredentials")
            }
            Self::RemoveCredential { kind, key, .. } => match kind {
                Kind::Secret => format!("POST /applications/{object}/removePassword"),
                Kind::Certificate => format!("PATCH /applications/{object}"),
                Kind::Federated => {
                    format!("DELETE /applications/{object}/federatedIdentityCredentials/{key}")
                }
            },
            Self::DeleteApp => format!("DELETE /applications/{object}"),
            Self::Use { .. } | Self::LetGo => "nothing: a line of the journal".to_owned(),
        }
    }
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_done(&self) -> bool {
        self.changes.iter().all(|change| change.act.is_none())
    }

    /// Steps in which something is to be done, each once, in order.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for change in self.changes.iter().filter(|change| change.act.is_some()) {
            if !steps.contains(&change.step) {
                steps.push(change.step);
            }
        }
        steps
    }

    /// Leaves out what is not of these steps.
    pub fn only(&mut self, steps: &[Step]) {
        self.changes.retain(|change| steps.contains(&change.step));
    }

    pub(super) fn push(
        &mut self,
        step: Step,
        mark: Mark,
        what: impl Into<String>,
        act: Option<Act>,
    ) {
        self.changes.push(Change {
            step,
            mark,
            what: what.into(),
            details: Vec::new(),
            act,
        });
    }

    pub(super) fn detail(&mut self, text: impl Into<String>) {
        if let Some(last) = self.changes.last_mut() {
            last.details.push(text.into());
        }
    }
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
        plan.detail(format!("redirect address {}", wanted.redirect));
        plan.detail("asks people for openid, profile, email, offline_access");
        if wanted.public_client {
            plan.detail("is a public client besides (entra.allow_public_client)");
        }
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
    redirects(plan, wanted, known, app);
}

fn body(wanted: &Wanted) -> Value {
    let mut body = json!({
        "displayName": wanted.app_name,
        "signInAudience": "AzureADMyOrg",
        "isFallbackPublicClient": wanted.public_client,
        "tags": [tag(&wanted.instance)],
        "web": {
            "redirectUris": [wanted.redirect],
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false,
                "enableIdTokenIssuance": false,
            },
        },
        "requiredResourceAccess": Application::default().full_access(wanted.members),
    });
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
    let tag = tag(&wanted.instance);
    if !app.tags.contains(&tag) {
        let tags: Vec<&String> = app.tags.iter().chain([&tag]).collect();
        patch["tags"] = json!(tags);
        details.push(format!("+ tag {tag}"));
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
    let mut missing = app.missing_access(wanted.members);
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

fn redirects(plan: &mut Plan, wanted: &Wanted, known: &Known, app: &Application) {
    let there = &app.web.redirect_uris;
    let add: Vec<String> = match there.contains(&wanted.redirect) {
        true => Vec::new(),
        false => vec![wanted.redirect.clone()],
    };
    // Only what we added, and only while we do not want it.
    let remove: Vec<String> = there
        .iter()
        .filter(|uri| known.redirects.contains(*uri) && **uri != wanted.redirect)
        .cloned()
        .collect();
    for uri in there {
        if let Some(difference) = near_miss(uri, &wanted.redirect) {
            plan.notes.push(format!(
                "{uri} is registered, too, and differs from ours by {difference}: Entra compares byte by byte"
            ));
        }
    }
    if add.is_empty() && remove.is_empty() {
        let what = format!("web redirect address {}", wanted.redirect);
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
            journal::{Did, Entry},
        },
        *,
    };

    const REDIRECT: &str = "https://mcp.example.com/oauth-callback";
    pub(in crate::entra) const DAY: u64 = 86_400;

    pub(in crate::entra) fn wanted() -> Wanted {
        Wanted {
            instance: "prod".to_owned(),
            app_name: "Vestibule".to_owned(),
            redirect: REDIRECT.to_owned(),
            public_client: false,
            groups: false,
            members: false,
            proof: Proof::Secret {
                held: credential::digest_of("the secret"),
                life: Duration::from_secs(180 * DAY),
            },
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
    fn n_10_an_adopted_application_keeps_its_name() {
        let by_hand = Application {
            display_name: "By hand".to_owned(),
            tags: vec!["theirs".to_owned()],
            ..app()
        };
        let known = Known::of(&[Entry {
            time: Timestamp::from_unix(1),
            run: "r1".to_owned(),
            step: Step::App,
            did: Did::Adopted {
                object: "object".to_owned(),
                app: "client".to_owned(),
            },
        }]);
        let planned = plan(&wanted(), &known, &found(by_hand));
        let Some(Act::UpdateApp { patch }) = &planned.changes[0].act else {
            panic!("{planned:?}");
        };
        assert_eq!(patch, &json!({ "tags": ["theirs", "vestibule:prod"] }));
    }
}
