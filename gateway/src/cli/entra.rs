//! `vestibule entra …`: the gateway's registration at Microsoft Entra ID.

mod arguments;
mod change;
mod destroy;
mod told;
mod whoami;

use std::{path::PathBuf, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};
use vestibule_core::{
    entra::{
        PERMISSION, Step,
        change::{Change, Plan},
        plan::plan,
    },
    secret::Secret,
    text::on_one_line,
};

pub(super) use self::arguments::Command;
use self::arguments::{Auth, Common};
use self::told::{as_json, consent_link, last_run, lines, no_app_of};
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

    fn summary(&self, changed: usize, unchanged: usize, failed: usize) {
        say(&format!(
            "{changed} changed, {unchanged} unchanged, {failed} failed"
        ));
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

fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}
