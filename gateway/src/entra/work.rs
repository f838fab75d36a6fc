//! One run: look at what is there, and do what a plan says, one act after the other. The
//! journal is written before each act whose answer may be lost, and after each act.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tokio::time::Instant;
use vestibule_core::entra::{
    Step,
    application::Application,
    change::{Act, Change, Plan},
    credential,
    destroy::UNIQUE_NAME_PREFIX,
    journal::{Did, Kind, KnownApp},
    plan::Found,
    wanted::Wanted,
};

use super::{
    Class, Trouble, file,
    graph::{Graph, Upserted},
    journal::Journal,
    proof::{STAGED, read_secret, with_suffix},
    sign_in::Place,
};
use crate::{
    config::{ClientIdAt, EntraSetup, ProofAt},
    world::World,
};

/// How long an application may be unknown to a part of the directory after it was made.
const REPLICATION: Duration = Duration::from_secs(600);

/// See the module.
pub struct Work<'w> {
    /// What the configuration says.
    pub setup: &'w EntraSetup,
    /// Whom we ask.
    pub graph: Graph<'w>,
    /// Where Microsoft is.
    pub place: Place<'w>,
    /// What was done.
    pub journal: Journal,
    /// How long a new credential is waited for: the directory has replicas.
    pub patience: Duration,
    /// Time and entropy.
    pub world: World,
    /// Whom to tell what takes long.
    pub talk: &'w (dyn Fn(&str) + Sync),
    /// The application, once it is known.
    app: Option<(String, String)>,
    /// Application ID URIs, and what nobody is asked about, that were there.
    exposed: BTreeSet<String>,
}

/// Whom to tell what became of each change, and how long it took.
pub type Told<'t> = dyn FnMut(&Change, Option<&Trouble>, Duration) + 't;

/// What came of carrying out a plan.
#[derive(Debug)]
pub struct Outcome {
    /// How many acts were done.
    pub done: usize,
    /// Where it stopped.
    pub stopped: Option<(Step, Trouble)>,
}

impl<'w> Work<'w> {
    /// Work at this place, with nothing known yet.
    pub fn new(
        setup: &'w EntraSetup,
        graph: Graph<'w>,
        place: Place<'w>,
        journal: Journal,
        patience: Duration,
        world: World,
        talk: &'w (dyn Fn(&str) + Sync),
    ) -> Self {
        Self {
            patience,
            setup,
            graph,
            place,
            journal,
            world,
            talk,
            app: None,
            exposed: BTreeSet::new(),
        }
    }

    /// What is there. It is looked for by its object id, then by its unique name among those
    /// with our tag; one that somebody else made under our tag is not taken silently.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask, or there are several.
    pub async fn look(&mut self) -> Result<Found, Trouble> {
        let known = self.journal.known();
        let mut app = None;
        if let Some(known) = &known.app {
            app = self.of_journal(known).await?;
        }
        if app.is_none() {
            app = self.by_tag(known.unique_name.as_deref()).await?;
            if let Some(app) = &app {
                // Made by a run that was cut off before it could say so.
                self.created(app)?;
            }
        }
        self.agrees(app.as_ref()).await?;
        self.found(app).await
    }

    /// What is there, where the journal may be lost: whatever has our tag.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask, or there are several.
    pub async fn look_for_ours(&mut self, client_id: Option<&str>) -> Result<Found, Trouble> {
        let known = self.journal.known();
        let mut app = match &known.app {
            Some(known) => self.of_journal(known).await?,
            None => None,
        };
        if known.app.is_none() {
            app = match client_id {
                Some(client_id) => self.graph.application_of_client(client_id).await?,
                None => {
                    let mut all = self.graph.tagged(&self.setup.tag()).await?;
                    match all.len() {
                        0 | 1 => all.pop(),
                        _ => return Err(self.several(&all).await),
                    }
                }
            };
        }
        // The journal speaks of its own app only, and without it the tag alone says whose it is.
        let other = |app: &Application| client_id.is_some_and(|id| id != app.app_id);
        let untagged =
            |app: &Application| known.app.is_none() && !app.tags.contains(&self.setup.tag());
        if let Some(app) = app.as_ref().filter(|app| other(app) || untagged(app)) {
            let what = match other(app) {
                true => format!(
                    "this folder's journal knows the app {}, not that one",
                    app.app_id
                ),
                false => format!("the app {} is not tagged as this gateway's", app.app_id),
            };
            let fix = "run it in the folder of the gateway whose app it is";
            return Err(Trouble::new("V-ENT-015", Class::Refused, what, fix));
        }
        if let (None, Some(gone)) = (&app, known.app) {
            self.app = Some((gone.object, gone.app));
            return Ok(Found::default());
        }
        self.found(app).await
    }

    /// Takes over an application that somebody made.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn adopt(&mut self, client_id: &str) -> Result<Found, Trouble> {
        let app = self.graph.application_of_client(client_id).await?;
        let Some(app) = app else {
            let what = format!("tenant {} has no app {client_id}", self.place.tenant);
            let fix = "copy the application (client) id, not the object id";
            return Err(Trouble::new("V-ENT-015", Class::Failed, what, fix));
        };
        if let Some(known) = &self.journal.known().app
            && known.object != app.id
        {
            let what = format!(
                "this folder's journal knows another app already, {}",
                known.app
            );
            let fix = "destroy that one first, or give this gateway an entra.state of its own";
            return Err(Trouble::new("V-ENT-015", Class::Refused, what, fix));
        }
        self.found(Some(app)).await
    }

    /// Writes down whose the application is from now on.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn adopted(&mut self, app: &Application) -> Result<(), Trouble> {
        let ours = app
            .unique_name
            .as_deref()
            .is_some_and(|name| name.starts_with(UNIQUE_NAME_PREFIX))
            && app.tags.contains(&self.setup.tag());
        if ours {
            return self.created(app);
        }
        self.journal.write(
            Step::App,
            Did::Adopted {
                object: app.id.clone(),
                app: app.app_id.clone(),
            },
        )
    }

    /// The application that the journal knows, if it is there. Of one that was made just now,
    /// not to be shown is no answer.
    async fn of_journal(&mut self, known: &KnownApp) -> Result<Option<Application>, Trouble> {
        let age = self.world.now().since(known.since);
        let is_young = age < REPLICATION && !self.journal.known().is_going;
        if is_young {
            self.graph.expect_replication();
        }
        let app = self.graph.application(&known.object).await?;
        if app.is_none() && is_young {
            let what = format!(
                "the app {} was made {} s ago, and Microsoft Graph does not show it yet",
                known.app,
                age.as_secs()
            );
            let fix = "run it again in some minutes; nothing is made twice";
            return Err(Trouble::new("V-ENT-004", Class::Unreachable, what, fix));
        }
        Ok(app)
    }

    async fn found(&mut self, app: Option<Application>) -> Result<Found, Trouble> {
        let Some(app) = app else {
            self.app = None;
            return Ok(Found::default());
        };
        self.app = Some((app.id.clone(), app.app_id.clone()));
        self.exposed = exposed(&app);
        Ok(Found {
            principal: self.graph.has_principal(&app.app_id).await?,
            federated: self.graph.federated(&app.id).await?,
            app: Some(app),
        })
    }

    async fn by_tag(&self, unique_name: Option<&str>) -> Result<Option<Application>, Trouble> {
        let mut all = self.graph.tagged(&self.setup.tag()).await?;
        let ours = all
            .iter()
            .position(|app| unique_name.is_some() && app.unique_name.as_deref() == unique_name);
        match ours {
            Some(at) => Ok(Some(all.swap_remove(at))),
            None if all.is_empty() => Ok(None),
            None => Err(self.several(&all).await),
        }
    }

    async fn several(&self, all: &[Application]) -> Trouble {
        let mut list = String::new();
        for app in all.iter().take(10) {
            let owners = self.graph.owners(&app.id).await;
            let made = app.created_date_time.as_deref().unwrap_or("–");
            list.push_str(&format!(
                "\n             {}  \"{}\"  made {}  owned by {}",
                app.app_id,
                app.display_name,
                made.get(..10).unwrap_or(made),
                match owners.is_empty() {
                    true => "nobody".to_owned(),
                    false => owners.join(", "),
                }
            ));
        }
        let count = match all.len() {
            1 => "an app has".to_owned(),
            more => format!("{more} apps have"),
        };
        let what = format!(
            "{count} the tag {} already, and this folder's journal knows none of them{list}",
            self.setup.tag()
        );
        let fix = format!(
            "choose one with  vestibule entra adopt --app-id ID{}  , or give this gateway another instance.name",
            self.setup.flag()
        );
        Trouble::new("V-ENT-006", Class::Refused, what, fix)
    }

    /// A client id that is written into the configuration must be the application's.
    async fn agrees(&self, app: Option<&Application>) -> Result<(), Trouble> {
        let ClientIdAt::Here(written) = &self.setup.client_id else {
            return Ok(());
        };
        if app.is_some_and(|app| &app.app_id == written) {
            return Ok(());
        }
        let (key, file) = match &self.setup.server {
            Some(name) => (
                format!("servers.{name}.audience"),
                format!("{name}/client_id"),
            ),
            None => ("idp.client_id".to_owned(), "client_id".to_owned()),
        };
        let what =
            format!("{key} is {written}, which is not the app that this folder's journal knows");
        let fix = format!(
            "take it over with  vestibule entra adopt --app-id {written}{}  , or write {key} = {{ file = \"entra/{file}\" }}",
            self.setup.flag()
        );
        Err(Trouble::new("V-ENT-015", Class::Refused, what, fix))
    }

    /// What is wanted, in these steps.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn wanted(
        &self,
        rotate: Option<Duration>,
        steps: &[Step],
    ) -> Result<Wanted, Trouble> {
        Ok(Wanted {
            tag: self.setup.tag(),
            app_name: self.setup.entra.app_name.clone(),
            accounts: self.setup.accounts,
            redirect: self.setup.redirect.clone(),
            api: self.setup.api.clone(),
            public_client: self.setup.entra.allow_public_client,
            groups: self.setup.groups,
            members: self.setup.members,
            proof: self.proof().await?,
            rotate,
            steps: steps.to_vec(),
            run: self.journal.run().to_owned(),
            now: self.world.now(),
        })
    }

    /// Does what `plan` says, and stops where something fails. Each step is told with how long
    /// it took.
    pub async fn carry_out(
        &mut self,
        plan: &Plan,
        purge: bool,
        go_on: bool,
        told: &mut Told<'_>,
    ) -> Outcome {
        let mut outcome = Outcome {
            done: 0,
            stopped: None,
        };
        for change in &plan.changes {
            let Some(act) = &change.act else { continue };
            if change.step == Step::App && outcome.stopped.is_some() {
                // Something of ours is left in it: tag and journal have to lead there still.
                break;
            }
            let since = Instant::now();
            let done = self.execute(change.step, act, purge).await;
            told(change, done.as_ref().err(), since.elapsed());
            match done {
                Ok(()) => outcome.done += 1,
                Err(trouble) => {
                    if outcome.stopped.is_none() {
                        outcome.stopped = Some((change.step, trouble));
                    }
                    if !go_on {
                        break;
                    }
                }
            }
        }
        outcome
    }

    async fn execute(&mut self, step: Step, act: &Act, purge: bool) -> Result<(), Trouble> {
        if let Act::CreateApp { body } = act {
            return self.create(body).await;
        }
        let (object, app) = self.app.clone().ok_or_else(|| self.without(step))?;
        match act {
            Act::CreateApp { .. } => {}
            Act::UpdateApp { patch } => {
                self.exposing(patch)?;
                self.graph.update(&object, patch).await?;
                let what = patch.as_object().into_iter().flat_map(|patch| patch.keys());
                let what = what.cloned().collect();
                self.journal.write(step, Did::Changed { what })?;
            }
            Act::Redirects { add, remove } => self.redirects(&object, add, remove).await?,
            Act::AddPrincipal => {
                self.journal.write(step, Did::AddingPrincipal)?;
                self.graph.add_principal(&app).await?;
            }
            Act::AddSecret {
                name,
                ends,
                retire_others,
            } => {
                self.adding(Kind::Secret, name)?;
                let made = self.graph.add_password(&object, name, *ends).await?;
                self.stage_secret(&app, &made.text).await?;
                self.journal.write(
                    step,
                    Did::Added {
                        kind: Kind::Secret,
                        name: name.clone(),
                        key: made.key,
                        ends: Some(*ends),
                        retire_others: *retire_others,
                        digest: credential::digest_of(made.text.expose()),
                    },
                )?;
                self.settle()?;
            }
            Act::AddCertificate {
                name,
                der,
                retire_others,
            } => {
                self.adding(Kind::Certificate, name)?;
                let key = self.graph.add_certificate(&object, name, der).await?;
                self.certificate_works(&app).await?;
                self.added(Kind::Certificate, name, key, *retire_others)?;
            }
            Act::AddFederated {
                name,
                issuer,
                subject,
                retire_others,
            } => {
                self.adding(Kind::Federated, name)?;
                let made = self.graph.add_federated(&object, name, issuer, subject);
                let key = made.await?;
                self.added(Kind::Federated, name, key, *retire_others)?;
            }
            Act::Use {
                kind,
                name,
                key,
                retire_others,
            } => self.journal.write(
                step,
                Did::InUse {
                    kind: *kind,
                    name: name.clone(),
                    key: key.clone(),
                    retire_others: *retire_others,
                },
            )?,
            Act::RemoveCredential {
                kind,
                key,
                known_as,
            } => {
                match kind {
                    Kind::Secret => self.graph.remove_password(&object, key).await?,
                    Kind::Certificate => self.graph.remove_certificate(&object, key).await?,
                    Kind::Federated => self.graph.remove_federated(&object, key).await?,
                }
                let key = known_as.clone();
                self.journal.write(step, Did::Removed { key })?;
            }
            Act::DeleteApp => {
                self.journal.write(step, Did::Deleting)?;
                self.graph.delete(&object).await?;
                if purge {
                    self.graph.expect_replication();
                    self.graph.purge(&object).await?;
                }
                self.forget_files();
                self.journal.write(step, Did::Deleted { purged: purge })?;
            }
            Act::LetGo => {
                self.forget_files();
                self.journal.write(step, Did::LetGo)?;
            }
        }
        Ok(())
    }

    /// Writes down what of an API is about to be there that was not.
    fn exposing(&mut self, properties: &Value) -> Result<(), Trouble> {
        let [uris, permissions] = exposed_by(properties);
        let new = |all: Vec<String>| -> Vec<String> {
            all.into_iter()
                .filter(|one| !self.exposed.contains(one))
                .collect()
        };
        let (uris, permissions) = (new(uris), new(permissions));
        if uris.is_empty() && permissions.is_empty() {
            return Ok(());
        }
        self.exposed
            .extend(uris.iter().chain(&permissions).cloned());
        self.journal
            .write(Step::App, Did::Exposing { uris, permissions })
    }

    fn without(&self, step: Step) -> Trouble {
        let failed = match self.journal.known().failed {
            Some((step, at)) => format!(
                ", and step \"{}\" failed at {}",
                step.name(),
                crate::page::time::moment(at)
            ),
            None => String::new(),
        };
        let what = format!(
            "step \"{}\" needs the app that step \"app\" makes, which is not there{failed}",
            step.name()
        );
        let fix = format!("run  vestibule entra apply --from app{}", self.setup.flag());
        Trouble::new("V-ENT-009", Class::Usage, what, fix)
    }

    async fn create(&mut self, body: &Value) -> Result<(), Trouble> {
        let known = self.journal.known();
        let unique_name = match known.unique_name {
            // An app of that name that was deleted would be in the way of another.
            Some(name) if known.is_promised => name,
            _ => {
                let random = self.world.random::<4>();
                let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                let unique_name = format!(
                    "{UNIQUE_NAME_PREFIX}{}-{random}",
                    self.setup.label().replace('/', ".")
                );
                let did = Did::Named {
                    unique_name: unique_name.clone(),
                };
                self.journal.write(Step::App, did)?;
                unique_name
            }
        };
        let app = match self.graph.upsert(&unique_name, body).await? {
            Upserted::Created(app) => *app,
            Upserted::Updated => {
                let found = self.by_tag(Some(&unique_name)).await?;
                found.ok_or_else(|| {
                    let what =
                        format!("Graph says that {unique_name} is there, and does not list it");
                    let fix = "run it again in a minute";
                    Trouble::new("V-ENT-007", Class::Unexpected, what, fix)
                })?
            }
        };
        self.graph.expect_replication();
        self.created(&app)
    }

    fn created(&mut self, app: &Application) -> Result<(), Trouble> {
        self.app = Some((app.id.clone(), app.app_id.clone()));
        self.journal.write(
            Step::App,
            Did::Created {
                object: app.id.clone(),
                app: app.app_id.clone(),
            },
        )?;
        if let Some(uri) = self.setup.redirect.clone() {
            self.journal.write(Step::App, Did::AddingRedirect { uri })?;
        }
        self.exposing(&serde_json::json!({ "identifierUris": app.identifier_uris }))
    }

    /// Puts the client id where the gateway reads it, if it is not there. Says whether.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn keep_client_id(&self) -> Result<bool, Trouble> {
        let (ClientIdAt::File(file), Some((_, app))) = (&self.setup.client_id, &self.app) else {
            return Ok(false);
        };
        if std::fs::read_to_string(file).is_ok_and(|text| text.trim() == app) {
            return Ok(false);
        }
        file::write_whole(file, app.as_bytes(), 0o644, file)?;
        Ok(true)
    }

    /// Read, changed and written back as a whole, since Graph replaces the list.
    async fn redirects(
        &mut self,
        object: &str,
        add: &[String],
        remove: &[String],
    ) -> Result<(), Trouble> {
        let app = self.graph.application(object).await?;
        let Some(app) = app else {
            return Err(self.without(Step::Redirect));
        };
        let mut uris = app.web.redirect_uris;
        for uri in add {
            if !uris.contains(uri) {
                let uri = uri.clone();
                self.journal
                    .write(Step::Redirect, Did::AddingRedirect { uri: uri.clone() })?;
                uris.push(uri);
            }
        }
        uris.retain(|uri| !remove.contains(uri));
        let patch = serde_json::json!({ "web": { "redirectUris": uris } });
        self.graph.update(object, &patch).await?;
        for uri in remove {
            let uri = uri.clone();
            self.journal
                .write(Step::Redirect, Did::RemovedRedirect { uri })?;
        }
        Ok(())
    }

    fn adding(&mut self, kind: Kind, name: &str) -> Result<(), Trouble> {
        let name = name.to_owned();
        self.journal
            .write(Step::Credential, Did::Adding { kind, name })
    }

    fn added(
        &mut self,
        kind: Kind,
        name: &str,
        key: String,
        retire_others: vestibule_core::time::Timestamp,
    ) -> Result<(), Trouble> {
        self.journal.write(
            Step::Credential,
            Did::Added {
                kind,
                name: name.to_owned(),
                key,
                ends: None,
                retire_others,
                digest: None,
            },
        )
    }

    /// Takes away the files that we wrote for an application that is not ours any more.
    fn forget_files(&mut self) {
        if let (ClientIdAt::File(file), Some((_, app))) = (&self.setup.client_id, &self.app)
            && std::fs::read_to_string(file).is_ok_and(|text| text.trim() == app)
        {
            let _ = std::fs::remove_file(file);
        }
        if let Some(ProofAt::SecretFile(file)) = &self.setup.proof {
            let _ = std::fs::remove_file(with_suffix(file, STAGED));
            let held = read_secret(file).ok().flatten();
            if self.journal.known().holds(held) {
                let _ = std::fs::remove_file(file);
            }
        }
        self.app = None;
    }
}

/// Application ID URIs, and what nobody is asked about, in properties of an application.
fn exposed_by(properties: &Value) -> [Vec<String>; 2] {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let texts = |all: Vec<Value>| -> Vec<String> {
        let text = |one: Value| one.as_str().map(str::to_owned);
        all.into_iter().filter_map(text).collect()
    };
    let entries = list(&properties["api"]["preAuthorizedApplications"]);
    let permissions = entries.iter().flat_map(|entry| {
        let client = entry["appId"].as_str().unwrap_or_default().to_owned();
        let ids = texts(list(&entry["delegatedPermissionIds"]));
        ids.into_iter().map(move |id| format!("{client} {id}"))
    });
    [
        texts(list(&properties["identifierUris"])),
        permissions.collect(),
    ]
}

fn exposed(app: &Application) -> BTreeSet<String> {
    let properties = serde_json::json!({
        "identifierUris": app.identifier_uris,
        "api": { "preAuthorizedApplications": app.api.pre_authorized_applications },
    });
    exposed_by(&properties).into_iter().flatten().collect()
}
