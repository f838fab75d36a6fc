//! `vestibule entra destroy`: what failed is told, and the rest goes on.

use vestibule_core::entra::{
    Step,
    change::{Act, Plan},
    destroy::{Ours, destroy},
    journal::Did,
};

use super::{
    Session,
    arguments::Destroy,
    change::{changed_meanwhile, confirmed},
    exit_of, print_json,
    told::{as_json, lines},
};
use crate::{
    cli::{Exit, print, say},
    entra::{Trouble, journal::Journal},
};

impl Session<'_> {
    pub(super) async fn destroy(&self, command: &Destroy) -> Exit {
        let opened = match self.open().await {
            Ok(opened) => opened,
            Err(trouble) => return self.failed(&trouble, "nothing was removed"),
        };
        let journal = match command.dry_run {
            true => Journal::look(&self.setup.entra.state, &self.world),
            false => Journal::open(&self.setup.entra.state, &self.world),
        };
        let planned = async {
            let mut work = self.work(&opened, journal?);
            let found = work.look_for_ours(command.app_id.as_deref()).await?;
            Ok::<_, Trouble>((work, found))
        };
        let (mut work, found) = match planned.await {
            Ok(planned) => planned,
            Err(trouble) => return self.failed(&trouble, "nothing was removed"),
        };
        let label = self.setup.label();
        let tag = self.setup.tag();
        let ours = Ours {
            tag: &tag,
            redirect: self.setup.redirect.as_deref(),
            api: self.setup.api.as_ref(),
        };
        let known = work.journal.known();
        let plan = destroy(ours, &known, &found, command.even_if_shared);
        if command.common.json && command.dry_run {
            print_json(&as_json(&plan));
            return Exit::Ok;
        }
        print(&self.head(&opened));
        print(&lines(&plan, &found, self.common.verbose));
        if plan.is_done() || command.dry_run {
            print("Nothing was removed.\n");
            return Exit::Ok;
        }
        if !command.yes {
            let question =
                format!("This cannot be taken back by us. Type the name \"{label}\" to go on: ");
            if let Err(trouble) = confirmed(&question, |line| line == label) {
                return self.failed(&trouble, "nothing was removed");
            }
        }
        // What was shown is what is done: somebody may have changed it meanwhile.
        let again = work.look_for_ours(command.app_id.as_deref()).await;
        let again = again.map(|found| destroy(ours, &known, &found, command.even_if_shared));
        match again {
            Ok(again) if again == plan => {}
            Ok(_) => {
                return self.failed(&changed_meanwhile(), "nothing was removed");
            }
            Err(trouble) => return self.failed(&trouble, "nothing was removed"),
        }
        let began = Did::Began {
            command: "destroy".to_owned(),
            tenant: opened.tenant.clone(),
        };
        if let Err(trouble) = work.journal.write(Step::SignIn, began) {
            return self.failed(&trouble, "nothing was removed");
        }
        // The last act strikes all from the journal: not while something of ours is left.
        let outcome = self.carry_out(&mut work, &plan, command.purge, true).await;
        let Some((step, trouble)) = outcome.stopped else {
            let _ = work.journal.write(
                Step::Retire,
                Did::Ended {
                    changed: outcome.done,
                },
            );
            self.summary(outcome.done, 0, 0);
            let deleted = known_deleted(&plan);
            if deleted && !command.purge {
                print("Entra keeps a deleted app for thirty days; --purge deletes for good.\n");
            }
            return Exit::Ok;
        };
        let code = trouble.code.to_owned();
        let _ = work.journal.write(step, Did::Failed { code });
        let failed = plan
            .changes
            .iter()
            .filter(|change| change.act.is_some())
            .count()
            - outcome.done;
        self.summary(outcome.done, 0, failed);
        say(&format!(
            "       state    what is left is listed by  vestibule entra destroy --dry-run{}",
            self.setup.flag()
        ));
        match outcome.done {
            0 => exit_of(trouble.class),
            _ => Exit::Partly,
        }
    }
}

fn known_deleted(plan: &Plan) -> bool {
    plan.changes
        .iter()
        .any(|change| change.act == Some(Act::DeleteApp))
}
