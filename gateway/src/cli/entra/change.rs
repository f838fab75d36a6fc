//! `vestibule entra apply`, `rotate` and `adopt`: signs in, looks, plans, asks, does.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use vestibule_core::entra::{
    Step,
    change::{Act, Change, Plan},
    journal::{Did, Known},
    plan::{Found, plan},
};

use super::{
    Opened, Session,
    arguments::{Adopt, Apply, Rotate},
    print_json,
    told::{as_json, consent_link, last_run, lines, not_run},
};
use crate::{
    cli::{Exit, print},
    entra::{
        Class, Trouble,
        journal::Journal,
        work::{Outcome, Work},
    },
};

impl Session<'_> {
    pub(super) async fn apply(&self, apply: &Apply) -> Exit {
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

    pub(super) async fn rotate(&self, rotate: &Rotate) -> Exit {
        let way = Way {
            command: "rotate",
            steps: vec![Step::Credential, Step::Retire],
            rotate: Some(rotate.grace),
            adopt: None,
            ask: if rotate.yes { Ask::Nothing } else { Ask::Once },
        };
        self.change(&way).await
    }

    pub(super) async fn adopt(&self, adopt: &Adopt) -> Exit {
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
}

fn is_yes(line: &str) -> bool {
    matches!(line, "y" | "yes")
}

pub(super) fn changed_meanwhile() -> Trouble {
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

pub(super) fn confirmed(question: &str, is_yes: impl Fn(&str) -> bool) -> Result<(), Trouble> {
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
