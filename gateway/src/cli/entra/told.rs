//! What `vestibule entra` says, in words and as JSON.

use serde_json::{Value, json};
use vestibule_core::{
    entra::{
        change::Plan,
        journal::{Ending, Known},
        plan::Found,
    },
    text::on_one_line,
    uri::with_query,
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

/// Where an administrator lets everybody in at once, if people may not consent themselves. Of
/// several tenants each has its own.
pub(super) fn consent_link(setup: &EntraSetup, app: &str) -> String {
    let Some(redirect) = &setup.redirect else {
        return String::new();
    };
    let (of, mut tenants) = match &setup.tenants[..] {
        [] => ("an administrator", vec![&setup.tenant]),
        several => ("an administrator of each tenant", several.iter().collect()),
    };
    // Personal accounts have no administrator.
    tenants.retain(|tenant| *tenant != PERSONAL_TENANT);
    let mut out = match setup.members {
        true => format!("To let it ask for groups, {of} opens once:\n"),
        false => format!("If people may not consent themselves, {of} opens once:\n"),
    };
    for tenant in tenants {
        let base = format!("{}/{tenant}/adminconsent", setup.entra.authority);
        let query = [("client_id", app), ("redirect_uri", redirect)];
        out.push_str(&format!("  {}\n", with_query(&base, &query)));
    }
    out
}

/// The tenant that personal accounts are of, in each cloud.
const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

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

/// Why there is nothing to do for this server.
pub(super) fn no_app_of(setup: &EntraSetup, name: &str) -> String {
    let names: Vec<&str> = setup.servers.keys().map(String::as_str).collect();
    match names.is_empty() {
        true => format!(
            "server \"{name}\" has no app of its own: that is for servers with mode = \"direct\" and without on-behalf-of"
        ),
        false => format!(
            "server \"{name}\" has no app of its own; these have: {}",
            names.join(", ")
        ),
    }
}
