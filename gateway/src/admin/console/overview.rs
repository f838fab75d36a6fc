//! The first page, in numbers; and health.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use vestibule_core::operator::{ClientRow, Kind};

use super::{
    super::{
        Admin,
        chart::{self, Bar},
        health,
        who::Who,
    },
    Frame,
};
use crate::{
    endpoint::store_failed,
    flow_list,
    page::{self, CauseLine, time},
    provider::Provider,
    pulse::Slot,
};

/// How far back failures are counted.
const SINCE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

struct Chart {
    title: &'static str,
    told: String,
    bars: Vec<Bar>,
    /// For each hour with anything in it: when, and what.
    rows: Vec<(String, String)>,
}

struct NewClient {
    reference: String,
    name: String,
    kind: &'static str,
    since: String,
    blocked: bool,
}

#[derive(askama::Template)]
#[template(path = "console/overview.html")]
struct Overview {
    frame: Frame,
    since: String,
    charts: Vec<Chart>,
    size: (usize, usize),
    causes: Vec<CauseLine>,
    clients: Vec<NewClient>,
    degraded: Vec<(String, String)>,
}

/// `GET /console`.
pub(super) async fn show(State(admin): State<Arc<Admin>>, who: Who) -> Response {
    let office = &admin.office;
    let now = office.world.now();
    office.flows.keep().await;
    office.audit.keep().await;
    let causes = match office.store.causes(now.minus(SINCE)).await {
        Ok(causes) => causes,
        Err(error) => return store_failed(office, &error),
    };
    let clients = match office.store.clients(None, now, 5).await {
        Ok(clients) => clients,
        Err(error) => return store_failed(office, &error),
    };
    let day = office.pulse.last_day(now);
    let (parts, _) = health::parts(office).await;
    page::answer_with_form(
        StatusCode::OK,
        &Overview {
            frame: Frame::of(&admin, &who, "/console"),
            since: time::moment(office.pulse.started()),
            charts: charts(&day, now.unix()),
            size: chart::SIZE,
            causes: causes.into_iter().map(flow_list::cause).collect(),
            clients: clients
                .into_iter()
                .map(|row| new_client(row, now))
                .collect(),
            degraded: parts
                .into_iter()
                .filter(|(mark, _, _)| *mark != '+')
                .map(|(_, name, more)| (name, more))
                .collect(),
        },
    )
}

fn new_client(row: ClientRow, now: vestibule_core::time::Timestamp) -> NewClient {
    NewClient {
        reference: row.reference.text(),
        kind: Kind::of(&row.client_id).word(),
        name: row.name.unwrap_or(row.client_id),
        since: time::ago(row.since, now),
        blocked: row.standing.blocked.is_some(),
    }
}

fn charts(day: &[Slot], now: u64) -> Vec<Chart> {
    let all = day.iter().fold(Slot::default(), |sum, slot| sum.with(slot));
    let pairs =
        |of: &dyn Fn(&Slot) -> (u64, u64)| -> Vec<(u64, u64)> { day.iter().map(of).collect() };
    let rows = |words: &dyn Fn(&Slot) -> Option<String>| hours(day, now, words);
    let logins = |slot: &Slot| (u64::from(slot.logins_ok), u64::from(slot.logins_failed));
    let calls = |slot: &Slot| {
        let bad = slot.calls_denied + slot.calls_failed;
        (u64::from(slot.calls_ok), u64::from(bad))
    };
    let p95 = |slot: &Slot| (slot.p95().unwrap_or_default(), 0);
    vec![
        Chart {
            title: "Logins",
            told: format!("{} ok, {} failed", all.logins_ok, all.logins_failed),
            bars: chart::bars(&pairs(&logins)),
            rows: rows(&|slot| {
                (slot.logins_ok + slot.logins_failed > 0)
                    .then(|| format!("{} ok, {} failed", slot.logins_ok, slot.logins_failed))
            }),
        },
        Chart {
            title: "Tool calls",
            told: format!(
                "{}, of them {} denied, {} failed",
                all.calls(),
                all.calls_denied,
                all.calls_failed
            ),
            bars: chart::bars(&pairs(&calls)),
            rows: rows(&|slot| {
                (slot.calls() > 0).then(|| {
                    format!(
                        "{} ok, {} denied, {} failed",
                        slot.calls_ok, slot.calls_denied, slot.calls_failed
                    )
                })
            }),
        },
        Chart {
            title: "Time to answer",
            told: match all.p95() {
                Some(most) => format!("95 of 100 calls within {most} ms"),
                None => "no calls yet".to_owned(),
            },
            bars: chart::bars(&pairs(&p95)),
            rows: rows(&|slot| slot.p95().map(|most| format!("95 of 100 within {most} ms"))),
        },
    ]
}

/// The slots by hours, for those who read rather than look.
fn hours(day: &[Slot], now: u64, words: &dyn Fn(&Slot) -> Option<String>) -> Vec<(String, String)> {
    let slot = crate::pulse::SLOT;
    let newest = now / slot;
    let first = newest - (day.len() as u64 - 1).min(newest);
    day.chunks(4)
        .enumerate()
        .filter_map(|(at, chunk)| {
            let sum = chunk
                .iter()
                .fold(Slot::default(), |sum, slot| sum.with(slot));
            let begins = (first + at as u64 * 4) * slot;
            let begins = vestibule_core::time::Timestamp::from_unix(begins);
            Some((time::moment(begins), words(&sum)?))
        })
        .collect()
}

#[derive(askama::Template)]
#[template(path = "console/health.html")]
struct Health {
    frame: Frame,
    parts: Vec<(char, String, String)>,
    facts: Vec<(&'static str, String)>,
}

/// `GET /console/health`.
pub(super) async fn health(State(admin): State<Arc<Admin>>, who: Who) -> Response {
    let office = &admin.office;
    let now = office.world.now();
    let (parts, _) = health::parts(office).await;
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let providers: Vec<&str> = office.providers.all().map(Provider::issuer).collect();
    let facts = vec![
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Public address", office.issuer.text().to_owned()),
        ("Console", admin.url.text().to_owned()),
        ("Identity provider", providers.join(", ")),
        (
            "Started",
            format!(
                "{} ({})",
                time::moment(admin.started),
                time::ago(admin.started, now)
            ),
        ),
        ("MCP servers", office.catalogue.iter().count().to_string()),
        (
            "Clients in the configuration",
            office.clients.len().to_string(),
        ),
        ("Calls are audited", yes(office.audit.keeps_calls())),
        ("Arguments too", yes(office.audit.wants_arguments())),
        (
            "The audit is kept for",
            format!("{} days", office.audit.retention().as_secs() / 86_400),
        ),
    ];
    page::answer_with_form(
        StatusCode::OK,
        &Health {
            frame: Frame::of(&admin, &who, "/console/health"),
            parts,
            facts,
        },
    )
}
