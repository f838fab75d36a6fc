//! What `vestibule entra` says, in words and as JSON.

use serde_json::{Value, json};
use vestibule_core::{
    entra::{
        journal::{Ending, Known},
        plan::{Found, Plan},
    },
    text::on_one_line,
};

use crate::{config::EntraSetup, page::time::moment};

/// The lines of a plan; with the request behind each, if asked for.
pub(super) fn lines(plan: &Plan, found: &Found, verbose: bool) -> String {
    let object = found.app.as_ref().map_or("ID", |app| app.id.as_str());
    let mut out = String::new();
    for change in &plan.changes {
        out.push_str(&format!(
            "  {} {:<7} {}\n",
            change.mark.sign(),
            change.mark.word(),
            on_one_line(&change.what, 120)
        ));
        for detail in &change.details {
            out.push_str(&format!("              {}\n", on_one_line(detail, 160)));
        }
        if let (true, Some(act)) = (verbose, &change.act) {
            out.push_str(&format!("              {}\n", act.request(object)));
        }
    }
    for note in &plan.notes {
        out.push_str(&format!("  ! {}\n", on_one_line(note, 300)));
    }
    out
}

/// One cause, told once.
pub(super) fn not_run(steps: &[&str]) -> String {
    match steps {
        [] => "no step was left".to_owned(),
        [one] => format!("1 step not run: {one}"),
        more => format!("{} steps not run: {}", more.len(), more.join(", ")),
    }
}

pub(super) fn last_run(known: &Known) -> String {
    let Some(run) = &known.last else {
        return String::new();
    };
    let how = match &run.ended {
        None => "was cut off; apply goes on where it was".to_owned(),
        Some(Ending::Done) => "came to its end".to_owned(),
        Some(Ending::Failed { step, at, code }) => format!(
            "stopped at step \"{}\", {} ({code}); apply goes on there",
            step.name(),
            moment(*at)
        ),
    };
    format!(
        "  (before: {} of {}, run {}, {how})\n",
        run.command,
        moment(run.began),
        run.id
    )
}

/// Where an administrator lets everybody in at once, if people may not consent themselves.
pub(super) fn consent_link(setup: &EntraSetup, app: &str) -> String {
    let redirect = format!("{}/oauth-callback", setup.public_url);
    let base = format!("{}/{}/adminconsent", setup.entra.authority, setup.tenant);
    let link =
        vestibule_core::uri::with_query(&base, &[("client_id", app), ("redirect_uri", &redirect)]);
    let who = match setup.members {
        true => "To let it ask for groups, an administrator opens once:",
        false => "If people may not consent themselves, an administrator opens once:",
    };
    format!("{who}\n  {link}\n")
}

pub(super) fn as_json(plan: &Plan) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| {
            json!({
                "step": change.step.name(),
                "mark": change.mark.word(),
                "what": change.what,
                "details": change.details,
                "to_do": change.act.is_some(),
            })
        })
        .collect();
    json!({ "changes": changes, "notes": plan.notes, "done": plan.is_done() })
}
