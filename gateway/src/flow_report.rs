//! The record of a login in words: what the API answers with, what a command prints and what
//! people take along to whoever can help.

use std::fmt;

use serde::{Deserialize, Serialize};
use vestibule_core::{
    flow::{FlowCode, Outcome, Step},
    resource::Catalogue,
    text::on_one_line,
    time::Timestamp,
};

use crate::{
    catalogue,
    flows::{Flow, sentence},
};

/// Longest sentence of a step, and longest paragraph of what to do, in characters.
const STEP_MAX: usize = 300;
const PARAGRAPH_MAX: usize = 1000;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub struct FlowReport {
    flow: FlowCode,
    outcome: String,
    steps: Vec<Told>,
    error: Option<Trouble>,
    /// The command that does the same with our own client.
    again: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    at: Timestamp,
    /// Seconds since the first.
    after: u64,
    step: Step,
    words: String,
    code: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trouble {
    code: String,
    title: String,
    said: Option<String>,
    cause: String,
    check: String,
    fix: String,
    who: String,
}

impl FlowReport {
    /// Of a record.
    pub fn of(code: FlowCode, flow: &Flow, servers: &Catalogue) -> Self {
        let first = flow.steps.first().map(|entry| entry.at);
        let steps = flow.steps.iter().map(|entry| Told {
            at: entry.at,
            after: first.map_or(0, |first| entry.at.since(first).as_secs()),
            words: sentence(&entry.step),
            code: entry.step.code().map(str::to_owned),
            step: entry.step.clone(),
        });
        let outcome = match flow.outcome() {
            Outcome::Open => "open",
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
        };
        Self {
            flow: code,
            outcome: outcome.to_owned(),
            steps: steps.collect(),
            error: flow.deciding().and_then(|(_, step)| trouble(step)),
            again: again(flow, servers),
        }
    }
}

fn trouble(step: &Step) -> Option<Trouble> {
    let (code, entry) = catalogue::find(step.code()?)?;
    Some(Trouble {
        code: code.to_owned(),
        title: entry.title.clone(),
        said: step.said().map(str::to_owned),
        cause: entry.cause.clone(),
        check: entry.check.clone(),
        fix: entry.fix.clone(),
        who: entry.who.words().to_owned(),
    })
}

/// The command that begins the same login with our own client: the same server and scopes.
pub fn again(flow: &Flow, servers: &Catalogue) -> Option<String> {
    let (title, scopes) = flow.steps.iter().find_map(|entry| match &entry.step {
        Step::Asked { server, scopes, .. } => Some((server, scopes)),
        _ => None,
    })?;
    let server = servers.iter().find(|server| server.title == *title)?;
    let mut command = format!("vestibule login {}", server.uri);
    // A shell must take it as it stands.
    if !scopes.is_empty() && !scopes.contains('\'') {
        command.push_str(&format!(" --scope '{scopes}'"));
    }
    Some(command)
}

impl fmt::Display for FlowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.flow, self.outcome)?;
        for (number, step) in (1..).zip(&self.steps) {
            let words = on_one_line(&step.words, STEP_MAX);
            write!(f, "{number:>3}  {:>4} s  {words}", step.after)?;
            match &step.code {
                Some(code) => writeln!(f, "  {}", on_one_line(code, 20))?,
                None => writeln!(f)?,
            }
        }
        if let Some(error) = &self.error {
            let title = on_one_line(&error.title, STEP_MAX);
            writeln!(f, "\n{}  {title}", on_one_line(&error.code, 20))?;
            for (name, value) in [
                ("it said", error.said.as_deref().unwrap_or_default()),
                ("cause", &error.cause),
                ("check", &error.check),
                ("fix", &error.fix),
                ("who can", &error.who),
            ] {
                if !value.is_empty() {
                    writeln!(f, "  {name:8} {}", on_one_line(value, PARAGRAPH_MAX))?;
                }
            }
        }
        if let Some(again) = &self.again {
            let again = on_one_line(again, PARAGRAPH_MAX);
            writeln!(f, "\nTo try it as a test: {again}")?;
        }
        Ok(())
    }
}
