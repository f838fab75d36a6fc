//! `vestibule flows …`: the record of logins.

use std::{collections::HashMap, path::Path, thread, time::Duration};

use clap::{Args, Subcommand};
use serde_json::Value;
use vestibule_core::{text::on_one_line, uri::with_query};

use super::{
    Exit,
    control::{Control, Said, segment, table},
    print, say,
};
use crate::flow_report::FlowReport;

/// How often `tail` asks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Logins, the newest first, and why they fail
    List(Filter),
    /// One login, step by step, with what to do
    Show {
        /// Its code, such as K7Q2-9MTX
        code: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: super::ConfigFile,
    },
    /// Each login as it happens; ends with Ctrl-C
    Tail(Filter),
}

#[derive(Args)]
pub(super) struct Filter {
    /// Only those that failed
    #[arg(long)]
    failed: bool,
    /// Only with this error, such as V-IDP-014
    #[arg(long)]
    code: Option<String>,
    /// A part of the app's name
    #[arg(long)]
    client: Option<String>,
    /// A part of the person's name
    #[arg(long)]
    person: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: super::ConfigFile,
}

impl Filter {
    fn path(&self) -> String {
        let mut params = Vec::new();
        if self.failed {
            params.push(("failed", "1"));
        }
        for (name, value) in [
            ("code", &self.code),
            ("client", &self.client),
            ("person", &self.person),
        ] {
            if let Some(value) = value {
                params.push((name, value.as_str()));
            }
        }
        with_query("/flows", &params)
    }
}

pub(super) fn run(command: &Command) -> Exit {
    let ran = match command {
        Command::List(filter) => list(filter),
        Command::Show { code, json, file } => show(code, *json, &file.config),
        Command::Tail(filter) => tail(filter),
    };
    ran.unwrap_or_else(|said| said)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(filter: &Filter) -> Result<Exit, Said> {
    let control = Control::open(&filter.file.config)?;
    let answer = control.get(&filter.path())?;
    if filter.json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let flows = answer["flows"].as_array().cloned().unwrap_or_default();
    if flows.is_empty() {
        say("No login is like that.");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = flows.iter().map(row).collect();
    let head = ["WHEN", "FLOW", "APP", "SERVER", "PERSON", "HOW IT STANDS"];
    print(&table(&head, &rows));
    for cause in answer["causes"].as_array().into_iter().flatten() {
        say(&format!(
            "{} x {} since yesterday: vestibule explain {}",
            cause["flows"],
            text(&cause["error"]),
            text(&cause["error"])
        ));
    }
    Ok(Exit::Ok)
}

fn row(flow: &Value) -> Vec<String> {
    let at = flow["last"].as_u64().unwrap_or_default();
    let at = vestibule_core::time::Timestamp::from_unix(at);
    let outcome = match flow["error"].as_str() {
        Some(code) => format!("{} {code}", text(&flow["outcome"])),
        None => text(&flow["outcome"]),
    };
    vec![
        crate::page::time::moment(at),
        text(&flow["flow"]),
        text(&flow["client"]),
        text(&flow["server"]),
        text(&flow["person"]),
        outcome,
    ]
}

fn show(code: &str, json: bool, config: &Path) -> Result<Exit, Said> {
    let control = Control::open(config)?;
    let answer = control.get(&format!("/flows/{}", segment(code)))?;
    if json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let report: FlowReport = serde_json::from_value(answer).map_err(|error| {
        say(&format!("the gateway answers with something else: {error}"));
        Exit::Unexpected
    })?;
    print(&report.to_string());
    Ok(Exit::Ok)
}

fn tail(filter: &Filter) -> Result<Exit, Said> {
    let control = Control::open(&filter.file.config)?;
    if !control.runs() {
        say("No gateway runs: nothing will happen. vestibule flows list shows what did.");
        return Ok(Exit::Unreachable);
    }
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut first = true;
    loop {
        let answer = control.get(&filter.path())?;
        let flows = answer["flows"].as_array().cloned().unwrap_or_default();
        for flow in flows.iter().rev() {
            let code = text(&flow["flow"]);
            let changed = seen.insert(code, flow.clone()).as_ref() != Some(flow);
            if changed && !first {
                if filter.json {
                    print(&format!("{flow}\n"));
                } else {
                    let line = row(flow);
                    let line: Vec<String> = line.iter().map(|cell| on_one_line(cell, 60)).collect();
                    print(&format!("{}\n", line.join("  ")));
                }
            }
        }
        first = false;
        thread::sleep(PAUSE);
    }
}
