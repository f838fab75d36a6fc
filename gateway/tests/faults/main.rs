//! Faults along the way of a login: each is caused, and what the person, the client and the
//! login's record then say is held against `faults.tsv`, which was written before the code.
//! The table in `docs/reference/faults.md` is what was seen.

mod calls;
mod cause;
mod scene;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use cause::cause;
use scene::{between, code_in};
use support::repository;

/// One line of the list.
struct Expected {
    fault: String,
    step: String,
    code: String,
    told: String,
}

fn list() -> Vec<Expected> {
    include_str!("../faults.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut next = || fields.next().expect("four fields");
            Expected {
                fault: next(),
                step: next(),
                code: next(),
                told: next(),
            }
        })
        .collect()
}

#[test]
fn every_fault_is_named_at_its_step_to_whoever_looks() {
    let (some, others): (Vec<_>, Vec<_>) = list()
        .into_iter()
        .enumerate()
        .partition(|(place, _)| place % 2 == 0);
    // Two at a time, since most of the time goes by in waiting.
    let mut rows: Vec<(usize, Expected, Result<(), String>)> = std::thread::scope(|scope| {
        let running = [some, others].map(|part| {
            scope.spawn(move || {
                part.into_iter()
                    .map(|(place, expected)| {
                        let judged = judge(&expected);
                        (place, expected, judged)
                    })
                    .collect::<Vec<_>>()
            })
        });
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    rows.sort_by_key(|(place, ..)| *place);
    let rows: Vec<(Expected, Result<(), String>)> = rows
        .into_iter()
        .map(|(_, expected, judged)| (expected, judged))
        .collect();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(expected, judged)| {
            let why = judged.as_ref().err()?;
            Some(format!("{}: {why}", expected.fault))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    let page = page(&rows);
    let file: PathBuf = repository().join("docs/reference/faults.md");
    if std::env::var_os("WRITE_FAULTS").is_some() {
        std::fs::write(&file, &page).expect("written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page, "WRITE_FAULTS=1 writes {}", file.display());
}

/// What was seen of one fault, against what was expected.
fn judge(expected: &Expected) -> Result<(), String> {
    let (scene, seen) = cause(&expected.fault);
    let told = match (&seen.page, &seen.client) {
        (Some(_), None) => "page",
        (None, Some(error)) => error.as_str(),
        (None, None) => "nothing yet",
        (Some(_), Some(_)) => "both",
    };
    if told != expected.told {
        return Err(format!(
            "told {told} instead of {}: {seen:?}",
            expected.told
        ));
    }
    if let Some(code) = &seen.page
        && *code != expected.code
    {
        return Err(format!("the page says {code} instead of {}", expected.code));
    }
    if let Some(code) = &seen.named
        && *code != expected.code
    {
        return Err(format!(
            "the answer names {code} instead of {}",
            expected.code
        ));
    }
    let Some(flow) = &seen.flow else {
        // Nobody knows which login this belongs to: the page or the answer alone tells.
        return if seen.page.is_some() || seen.named.is_some() {
            Ok(())
        } else {
            Err("nothing tells".to_owned())
        };
    };
    let (json, page) = scene.record(flow);
    let last = json["steps"]
        .as_array()
        .and_then(|steps| steps.last())
        .cloned();
    let last = last.unwrap_or_default();
    if expected.code == "waiting" {
        let waits = page.contains("to come back from") && page.contains("redirect URI");
        return if waits {
            Ok(())
        } else {
            Err(format!("the record says {last}"))
        };
    }
    // Once used, a page says so; its login went on with the first decision.
    if expected.code == "V-CON-004" {
        return Ok(());
    }
    if code_in(&page).as_ref() != Some(&expected.code) {
        return Err(format!("the record does not say {}: {last}", expected.code));
    }
    let stage = between(&page, "data-stage=\"", |c| c != '"').unwrap_or_default();
    if stage != expected.step {
        return Err(format!(
            "the record says the step {stage} instead of {}",
            expected.step
        ));
    }
    for field in ["What happened", "Cause", "How to see it", "Fix", "Who can"] {
        if !page.contains(&format!("<dt>{field}</dt><dd")) {
            return Err(format!("the record lacks “{field}”"));
        }
    }
    Ok(())
}

fn page(rows: &[(Expected, Result<(), String>)]) -> String {
    let mut out = String::from(
        "# Faults, and what is said of them\n\n\
         Generated by `gateway/tests/faults`, which causes each of these on a running \
         gateway; do not edit. “Told” is what the person or the app hears: a page, the \
         error that the app is sent, or the status of HTTP. The record is what `/flows/CODE` shows.\n\n\
         | fault | step | error | told | shown rightly |\n|---|---|---|---|---|\n",
    );
    for (expected, judged) in rows {
        let code = if expected.code.starts_with("V-") {
            format!(
                "[{0}](errors.md#{1})",
                expected.code,
                expected.code.to_lowercase()
            )
        } else {
            expected.code.clone()
        };
        let right = if judged.is_ok() { "yes" } else { "no" };
        let _ = writeln!(
            out,
            "| {} | {} | {code} | {} | {right} |",
            expected.fault.replace('-', " "),
            expected.step,
            expected.told,
        );
    }
    let by_step: BTreeMap<&str, usize> = rows.iter().fold(BTreeMap::new(), |mut all, (row, _)| {
        *all.entry(row.step.as_str()).or_default() += 1;
        all
    });
    let _ = writeln!(out, "\n{} faults at {} steps.", rows.len(), by_step.len());
    out
}
