//! `vestibule entra …`: the gateway's registration at Microsoft Entra ID.

mod arguments;
mod destroy;
mod told;
mod whoami;

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use vestibule_core::{
    entra::{
        PERMISSION, Step,
        change::{Act, Change, Plan},
        journal::{Did, Known},
        plan::{Found, plan},
    },
    secret::Secret,
    text::on_one_line,
};

pub(super) use self::arguments::Command;
use self::arguments::{Adopt, Apply, Auth, Common, Rotate};
use self::told::{as_json, consent_link, last_run, lines, no_app_of, not_run};
use super::{Exit, environment, print, say};
use crate::{
    config::{Config, EntraSetup},
    entra::{
        Class, Trouble,
        graph::Graph,
        journal::Journal,
        sign_in::{DEVICE_CLIENT, Means, Place, SignedIn, sign_in, tenant_id},
        work::{Outcome, Work},
    },
    fetch,
    provider_credential::{Certificate, ManagedIdentity},
    trust::Trust,
    world::World,
};

pub(super) fn run(command: &Command) -> Exit {
    let common = match command {
        Command::Whoami(common) | Command::Plan(common) => common,
        Command::Apply(apply) => &apply.common,
        Command::Rotate(rotate) => &rotate.common,
        Command::Adopt(adopt) => &adopt.common,
        Command::Destroy(destroy) => &destroy.common,
    };
    let setup = match Config::load_entra(&common.file.config, &environment()) {
        Ok(setup) => setup,
        Err(report) => {
            say(&report.to_string());
            return Exit::Usage;
        }
    };
    let setup = match (&common.server, command) {
        (None, _) => setup,
        (Some(_), Command::Rotate(_)) => {
            say("an app of a server has no credential, so there is nothing to rotate");
            return Exit::Usage;
        }
        (Some(name), Command::Destroy(_)) => {
            match setup
                .of_server(name)
                .or_else(|| setup.of_former_server(name))
            {
                Some(setup) => setup,
                None => {
                    say(&no_app_of(&setup, name));
                    return Exit::Usage;
                }
            }
        }
        (Some(name), _) => match setup.of_server(name) {
            Some(setup) => setup,
            None => {
                say(&no_app_of(&setup, name));
                return Exit::Usage;
            }
        },
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&error.to_string());
            return Exit::Unexpected;
        }
    };
    runtime.block_on(async {
        let trust = Trust::load(setup.extra_ca_file.as_deref());
        let http = trust.and_then(|trust| fetch::provider_client(&trust, Duration::from_secs(30)));
        let http = match http {
            Ok(http) => http,
            Err(error) => {
                say(&error);
                return Exit::Unexpected;
            }
        };
        let session = Session {
            common,
            setup: &setup,
            http: &http,
            world: World::real(),
        };
        match command {
            Command::Whoami(_) => session.whoami().await,
            Command::Plan(_) => session.plan().await,
            Command::Apply(apply) => session.apply(apply).await,
            Command::Rotate(rotate) => session.rotate(rotate).await,
            Command::Adopt(adopt) => session.adopt(adopt).await,
            Command::Destroy(destroy) => session.destroy(destroy).await,
        }
    })
}

/// What all commands have.
struct Session<'s> {
    common: &'s Common,
    setup: &'s EntraSetup,
    http: &'s Client,
    world: World,
}

/// The tenant's id, and who is signed in to it.
struct Opened {
    tenant: String,
    signed_in: SignedIn,
    means: &'static str,
}

fn exit_of(class: Class) -> Exit {
    match class {
        Class::Usage => Exit::Usage,
        Class::SignIn => Exit::SignIn,
        Class::Unreachable => Exit::Unreachable,
        Class::Failed => Exit::Failed,
        Class::Refused => Exit::Refused,
        Class::Unexpected => Exit::Unexpected,
    }
}

fn talk(text: &str) {
    say(&format!("       {text}"));
}

impl Session<'_> {
    fn means(&self) -> Result<Means, Trouble> {
        let common = self.common;
        let usage = |what: &str, fix: &str| Trouble::new("V-ENT-014", Class::Usage, what, fix);
        let client_id = || {
            let fix = "add --client-id ID: the program that may change app registrations";
            let what = "it is not said which program signs in";
            common.client_id.clone().ok_or_else(|| usage(what, fix))
        };
        let file = |path: &Option<PathBuf>, flag: &str| {
            let path = path.as_ref().ok_or_else(|| {
                let what = format!("{flag} is missing");
                usage(&what, &format!("add {flag} FILE"))
            })?;
            std::fs::read_to_string(path).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                usage(&what, "name a file that is there and can be read")
            })
        };
        Ok(match common.auth {
            Auth::Az => Means::Az,
            Auth::Device => Means::Device {
                client_id: common
                    .client_id
                    .clone()
                    .unwrap_or_else(|| DEVICE_CLIENT.to_owned()),
            },
            Auth::Secret => Means::Secret {
                client_id: client_id()?,
                secret: Secret::new(
                    file(&common.client_secret_file, "--client-secret-file")?
                        .trim()
                        .to_owned(),
                ),
            },
            Auth::Certificate => {
                let certificate = file(&common.certificate, "--certificate")?;
                let key = file(&common.certificate_key, "--certificate-key")?;
                let read = Certificate::read(certificate.as_bytes(), key.as_bytes());
                let certificate = read.map_err(|error| {
                    let fix = "name the registered certificate and its own key, both in PEM";
                    usage(&error.to_string(), fix)
                })?;
                Means::Certificate {
                    client_id: client_id()?,
                    certificate: Box::new(certificate),
                }
            }
            Auth::ManagedIdentity => Means::Managed(ManagedIdentity::of(
                common.client_id.clone(),
                &environment(),
            )),
        })
    }

    /// Preflight: the very token that will be used.
    async fn open(&self) -> Result<Opened, Trouble> {
        let means = self.means()?;
        let authority = &self.setup.entra.authority;
        let tenant = tenant_id(self.http, authority, &self.setup.tenant).await?;
        let signed_in = sign_in(&self.place(&tenant), &means, &self.world, &talk).await?;
        Ok(Opened {
            tenant,
            signed_in,
            means: means.name(),
        })
    }

    fn place<'p>(&'p self, tenant: &'p str) -> Place<'p> {
        Place {
            http: self.http,
            authority: &self.setup.entra.authority,
            graph: &self.setup.entra.graph,
            tenant,
        }
    }

    fn graph(&self, opened: &Opened) -> Graph<'static> {
        Graph::new(
            self.http.clone(),
            self.setup.entra.graph.clone(),
            opened.signed_in.token.clone(),
            self.common.wait,
            &talk,
        )
    }

    fn work<'w>(&'w self, opened: &'w Opened, journal: Journal) -> Work<'w> {
        Work::new(
            self.setup,
            self.graph(opened),
            self.place(&opened.tenant),
            journal,
            self.common.wait,
            self.world.clone(),
            &talk,
        )
    }

    async fn plan(&self) -> Exit {
        let told = async {
            let opened = self.open().await?;
            let journal = Journal::look(&self.setup.entra.state, &self.world)?;
            let mut work = self.work(&opened, journal);
            let found = work.look().await?;
            let wanted = work.wanted(None, &Step::ALL).await?;
            let known = work.journal.known();
            let plan = plan(&wanted, &known, &found);
            Ok::<_, Trouble>((self.head(&opened), plan, known, found))
        };
        let (head, plan, known, found) = match told.await {
            Ok(told) => told,
            Err(trouble) => return self.failed(&trouble, "nothing was changed"),
        };
        if self.common.json {
            print_json(&as_json(&plan));
            return Exit::Ok;
        }
        let mut out = head;
        out.push_str(&lines(&plan, &found, self.common.verbose));
        out.push_str(&last_run(&known));
        out.push_str(match plan.is_done() {
            true => "Nothing is to be done.\n",
            false => "Nothing was changed. Apply with:  vestibule entra apply",
        });
        if !plan.is_done() {
            out.push_str(&format!("{}\n", self.setup.flag()));
        }
        if !plan.is_done() && self.common.verbose {
            out.push_str(&format!(
                "Each change needs {} (a program: {}).\n",
                PERMISSION.delegated, PERMISSION.application
            ));
        }
        if self.common.verbose
            && let Some(app) = &found.app
        {
            out.push_str(&consent_link(self.setup, &app.app_id));
        }
        print(&out);
        Exit::Ok
    }

    async fn apply(&self, apply: &Apply) -> Exit {
        let steps: Vec<Step> = match (&apply.only[..], apply.from) {
            ([], None) => Step::ALL.to_vec(),
            ([], Some(from)) => Step::ALL.into_iter().filter(|step| *step >= from).collect(),
            (only, _) => only.to_vec(),
        };
        let way = Way {
            command: "apply",
            steps,
            rotate: None,
            adopt: None,
            ask: match (apply.yes, apply.step) {
                (true, _) => Ask::Nothing,
                (false, true) => Ask::Each,
                (false, false) => Ask::Once,
            },
        };
        self.change(&way).await
    }

    async fn rotate(&self, rotate: &Rotate) -> Exit {
        let way = Way {
            command: "rotate",
            steps: vec![Step::Credential, Step::Retire],
            rotate: Some(rotate.grace),
            adopt: None,
            ask: if rotate.yes { Ask::Nothing } else { Ask::Once },
        };
        self.change(&way).await
    }

    async fn adopt(&self, adopt: &Adopt) -> Exit {
        let way = Way {
            command: "adopt",
            steps: Step::ALL.to_vec(),
            rotate: None,
            adopt: Some(&adopt.app_id),
            ask: if adopt.yes { Ask::Nothing } else { Ask::Once },
        };
        self.change(&way).await
    }

    /// Signs in, looks, plans, asks, does.
    async fn change(&self, way: &Way<'_>) -> Exit {
        let since = tokio::time::Instant::now();
        let opened = match self.open().await {
            Ok(opened) => opened,
            Err(trouble) => {
                self.line(Step::SignIn, "FAIL", since.elapsed(), "");
                let blocked: Vec<&str> = way
                    .steps
                    .iter()
                    .filter(|step| !matches!(step, Step::SignIn | Step::Retire))
                    .map(|step| step.name())
                    .collect();
                let state = format!("nothing was changed; {}", not_run(&blocked));
                return self.failed(&trouble, &state);
            }
        };
        let who = opened.signed_in.facts.as_ref().map(|facts| facts.who());
        self.line(
            Step::SignIn,
            "ok",
            since.elapsed(),
            &who.unwrap_or_default(),
        );
        let journal = match Journal::open(&self.setup.entra.state, &self.world) {
            Ok(journal) => journal,
            Err(trouble) => return self.failed(&trouble, "nothing was changed"),
        };
        let mut work = self.work(&opened, journal);
        match self.planned(&mut work, way).await {
            Ok((plan, found)) => self.done(&mut work, way, &opened, plan, &found).await,
            Err(trouble) => self.failed(&trouble, "nothing was changed"),
        }
    }

    async fn planned(&self, work: &mut Work<'_>, way: &Way<'_>) -> Result<(Plan, Found), Trouble> {
        work.settle()?;
        let found = match way.adopt {
            Some(client_id) => work.adopt(client_id).await?,
            None => work.look().await?,
        };
        let wanted = work.wanted(way.rotate, &way.steps).await?;
        let mut known = work.journal.known();
        if let (Some(_), Some(app)) = (way.adopt, &found.app)
            && known
                .app
                .as_ref()
                .is_none_or(|known| known.object != app.id)
        {
            // Nothing in it is ours yet; the name stays as it is.
            known = Known {
                app: Some(vestibule_core::entra::journal::KnownApp {
                    object: app.id.clone(),
                    app: app.app_id.clone(),
                    adopted: true,
                    since: self.world.now(),
                }),
                ..Known::default()
            };
        }
        Ok((plan(&wanted, &known, &found), found))
    }

    async fn done(
        &self,
        work: &mut Work<'_>,
        way: &Way<'_>,
        opened: &Opened,
        plan: Plan,
        found: &Found,
    ) -> Exit {
        let before = last_run(&work.journal.known());
        if !self.common.json {
            print(&self.head(opened));
            print(&lines(&plan, found, self.common.verbose));
            print(&before);
        }
        if way.ask == Ask::Once
            && !plan.is_done()
            && let Err(trouble) = self.agreed("Go on? [y/N] ", work, way, found).await
        {
            return self.failed(&trouble, "nothing was changed");
        }
        let started = self.start(work, way, opened, found);
        if let Err(trouble) = started {
            return self.failed(&trouble, "nothing was changed");
        }
        let outcome = match way.ask {
            Ask::Each => self.one_by_one(work, way, &plan, found).await,
            Ask::Nothing | Ask::Once => self.carry_out(work, &plan, false, false).await,
        };
        self.ended(work, &plan, outcome)
    }

    /// Asks. What was shown is what is done: somebody may have changed it meanwhile, and lists
    /// are written as a whole.
    async fn agreed(
        &self,
        question: &str,
        work: &mut Work<'_>,
        way: &Way<'_>,
        found: &Found,
    ) -> Result<(), Trouble> {
        confirmed(question, is_yes)?;
        let again = match way.adopt {
            Some(client_id) => work.adopt(client_id).await?,
            None => work.look().await?,
        };
        match again == *found {
            true => Ok(()),
            false => Err(changed_meanwhile()),
        }
    }

    fn start(
        &self,
        work: &mut Work<'_>,
        way: &Way<'_>,
        opened: &Opened,
        found: &Found,
    ) -> Result<(), Trouble> {
        work.journal.write(
            Step::SignIn,
            Did::Began {
                command: way.command.to_owned(),
                tenant: opened.tenant.clone(),
            },
        )?;
        match (way.adopt, &found.app) {
            (Some(_), Some(app)) => work.adopted(app),
            _ => Ok(()),
        }
    }

    async fn one_by_one(
        &self,
        work: &mut Work<'_>,
        way: &Way<'_>,
        plan: &Plan,
        found: &Found,
    ) -> Outcome {
        let mut outcome = Outcome {
            done: 0,
            stopped: None,
        };
        for step in plan.steps() {
            let question = format!("Do step \"{}\"? [y/N] ", step.name());
            // Of the first step lists are written as a whole.
            let agreed = match step {
                Step::App => self.agreed(&question, work, way, found).await,
                _ => confirmed(&question, is_yes),
            };
            let trouble = match agreed {
                Ok(()) => {
                    let mut part = plan.clone();
                    part.only(&[step]);
                    let once = self.carry_out(work, &part, false, false).await;
                    outcome.done += once.done;
                    once.stopped
                }
                Err(trouble) => Some((step, trouble)),
            };
            if trouble.is_some() {
                outcome.stopped = trouble;
                break;
            }
        }
        outcome
    }

    async fn carry_out(
        &self,
        work: &mut Work<'_>,
        plan: &Plan,
        purge: bool,
        go_on: bool,
    ) -> Outcome {
        let mut told = |change: &Change, trouble: Option<&Trouble>, took: Duration| {
            let word = if trouble.is_none() { "ok" } else { "FAIL" };
            self.line(change.step, word, took, &change.what);
            if go_on && let Some(trouble) = trouble {
                say(&trouble.to_string());
            }
        };
        work.carry_out(plan, purge, go_on, &mut told).await
    }

    /// Writes how it ended, and says it.
    fn ended(&self, work: &mut Work<'_>, plan: &Plan, outcome: Outcome) -> Exit {
        let Outcome { mut done, stopped } = outcome;
        // What was made is of use even where a later step failed.
        let stopped = match (stopped, work.keep_client_id()) {
            (None, Err(trouble)) => Some((Step::App, trouble)),
            (stopped, Ok(true)) => {
                done += usize::from(plan.is_done());
                stopped
            }
            (stopped, _) => stopped,
        };
        let kept = plan
            .changes
            .iter()
            .filter(|change| change.act.is_none())
            .count();
        let Some((step, trouble)) = stopped else {
            let ended = work
                .journal
                .write(Step::Retire, Did::Ended { changed: done });
            if let Err(trouble) = ended {
                return self.failed(&trouble, "all was done");
            }
            self.summary(done, kept, 0);
            if self.common.json {
                let mut out = as_json(plan);
                out["changed"] = done.into();
                out["app_id"] = work.journal.known().app.map(|app| app.app).into();
                print_json(&out);
            } else {
                print(&self.next(work, plan));
            }
            return Exit::Ok;
        };
        let code = trouble.code.to_owned();
        let _ = work.journal.write(step, Did::Failed { code });
        let blocked: Vec<&str> = plan
            .steps()
            .into_iter()
            .filter(|later| *later > step)
            .map(Step::name)
            .collect();
        let state = match done {
            0 => format!("nothing was changed; {}", not_run(&blocked)),
            done => format!(
                "{done} changed before, which stays; {}. Resume with:  vestibule entra apply{}",
                not_run(&blocked),
                self.setup.flag()
            ),
        };
        self.summary(done, kept, 1);
        let exit = self.failed(&trouble, &state);
        if done == 0 { exit } else { Exit::Partly }
    }

    fn summary(&self, changed: usize, unchanged: usize, failed: usize) {
        say(&format!(
            "{changed} changed, {unchanged} unchanged, {failed} failed"
        ));
    }

    /// What a person needs after an app was made, or asks for more.
    fn next(&self, work: &Work<'_>, plan: &Plan) -> String {
        let made = |change: &Change| matches!(change.act, Some(Act::CreateApp { .. }));
        let asks_for_more = |change: &Change| match &change.act {
            Some(Act::UpdateApp { patch }) => patch.get("requiredResourceAccess").is_some(),
            _ => false,
        };
        let Some(app) = work.journal.known().app else {
            return String::new();
        };
        if !plan.changes.iter().any(made) {
            return match plan.changes.iter().any(asks_for_more) {
                true => consent_link(self.setup, &app.app),
                false => String::new(),
            };
        }
        format!(
            "client id    {}\n{}Next:  vestibule {} -c {}\n",
            app.app,
            consent_link(self.setup, &app.app),
            if self.setup.server.is_none() {
                "serve"
            } else {
                "check"
            },
            self.common.file.config.display(),
        )
    }

    fn head(&self, opened: &Opened) -> String {
        let who = match &opened.signed_in.facts {
            Some(facts) => on_one_line(&facts.who(), 80),
            None => opened.means.to_owned(),
        };
        let whose = match self.setup.server {
            Some(_) => "this server",
            None => "this gateway",
        };
        format!(
            "Tenant {}, signed in as {who}; {} is \"{}\"\n",
            opened.tenant,
            whose,
            self.setup.label()
        )
    }

    fn line(&self, step: Step, word: &str, took: Duration, what: &str) {
        let line = format!(
            "{:<11} {word:<5} {:>5.1} s  {}",
            step.name(),
            took.as_secs_f32(),
            on_one_line(what, 100)
        );
        say(line.trim_end());
    }

    fn failed(&self, trouble: &Trouble, state: &str) -> Exit {
        if self.common.json {
            print_json(&json!({
                "error": trouble.code,
                "what": trouble.what,
                "said": trouble.said,
                "fix": trouble.fix,
                "state": state,
            }));
        }
        say(&format!("{trouble}\n  state    {state}"));
        exit_of(trouble.class)
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line, "y" | "yes")
}

fn changed_meanwhile() -> Trouble {
    let what = "the app was changed while you were asked";
    let fix = "run it again and look at what it lists now";
    Trouble::new("V-ENT-013", Class::Refused, what, fix)
}

/// How a change is made.
struct Way<'w> {
    command: &'static str,
    steps: Vec<Step>,
    rotate: Option<Duration>,
    adopt: Option<&'w str>,
    ask: Ask,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Nothing,
    Once,
    Each,
}

fn confirmed(question: &str, is_yes: impl Fn(&str) -> bool) -> Result<(), Trouble> {
    let refused = |what: &str| {
        let fix = "answer the question, or add --yes if that is meant";
        Trouble::new("V-ENT-013", Class::Refused, what, fix)
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("it was not confirmed, and nobody can be asked"));
    }
    let _ = write!(std::io::stderr(), "{question}");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read.is_ok() && is_yes(line.trim()) {
        true => Ok(()),
        false => Err(refused("it was not confirmed")),
    }
}

fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}
