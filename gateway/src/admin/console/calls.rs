//! The audit: calls of tools with filters and exports, and acts.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use vestibule_core::uri::with_query;

use super::{
    super::{
        Admin,
        api::{self, CallLine, CallQuery},
        who::Who,
    },
    Frame, not_there,
};
use crate::{
    endpoint::store_failed,
    page::{self, time},
};

/// Calls of one page, and of one export.
const SHOWN: usize = 100;
const EXPORTED: usize = 10_000;

#[derive(askama::Template)]
#[template(path = "console/calls.html")]
struct List<'p> {
    frame: Frame,
    wrong: Option<&'static str>,
    person: &'p str,
    client: &'p str,
    server: &'p str,
    tool: &'p str,
    outcome: &'p str,
    flow: &'p str,
    servers: Vec<&'p str>,
    calls: Vec<CallLine>,
    older: Option<String>,
    csv: String,
    json: String,
}

/// `GET /console/calls`.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Query(query): Query<CallQuery>,
) -> Response {
    let office = &admin.office;
    let asked = query.texts();
    let of = |name| asked.get(name).copied().unwrap_or_default();
    let params: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, *value)).collect();
    let (found, wrong) = match query.filter() {
        Ok(filter) => match office.audit.calls(&filter, query.cursor(), SHOWN).await {
            Ok(found) => (found, None),
            Err(error) => return store_failed(office, &error),
        },
        Err(wrong) => (crate::audit::Found::default(), Some(wrong)),
    };
    let older = found.next.map(|next| {
        let next = next.to_string();
        let mut params = params.clone();
        params.push(("after", &next));
        with_query("/console/calls", &params)
    });
    page::answer_with_form(
        match wrong {
            Some(_) => StatusCode::BAD_REQUEST,
            None => StatusCode::OK,
        },
        &List {
            frame: Frame::of(&admin, &who, "/console/calls"),
            wrong,
            person: of("person"),
            client: of("client"),
            server: of("server"),
            tool: of("tool"),
            outcome: of("outcome"),
            flow: of("flow"),
            servers: office
                .catalogue
                .iter()
                .map(|known| known.name.as_str())
                .collect(),
            calls: found.calls.into_iter().map(CallLine::of).collect(),
            older,
            csv: with_query("/console/calls/csv", &params),
            json: with_query("/console/calls/json", &params),
        },
    )
}

/// `GET /console/calls/csv` and `/json`: what the filter finds, ten thousand at most.
pub(super) async fn export(
    State(admin): State<Arc<Admin>>,
    _who: Who,
    Path(form): Path<String>,
    Query(query): Query<CallQuery>,
) -> Response {
    let office = &admin.office;
    let Ok(filter) = query.filter() else {
        return not_there(&admin);
    };
    let mut calls: Vec<CallLine> = Vec::new();
    let mut after = query.cursor();
    // A search stops now and then, so that it holds up nobody; an export goes on.
    let next = loop {
        let most = EXPORTED - calls.len();
        let found = match office.audit.calls(&filter, after, most).await {
            Ok(found) => found,
            Err(error) => return store_failed(office, &error),
        };
        calls.extend(found.calls.into_iter().map(CallLine::of));
        after = found.next;
        if after.is_none() || calls.len() >= EXPORTED {
            break after;
        }
    };
    let (kind, name, body) = match form.as_str() {
        "csv" => ("text/csv; charset=utf-8", "tool-calls.csv", csv(&calls)),
        "json" => (
            "application/json",
            "tool-calls.json",
            format!(
                "{:#}\n",
                serde_json::json!({ "calls": calls, "next": next.map(|next| next.to_string()) })
            ),
        ),
        _ => return not_there(&admin),
    };
    let mut response = Response::new(body.into());
    page::harden(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn csv(calls: &[CallLine]) -> String {
    let mut out = String::from(
        "time,person,person_id,client,client_ref,server,tool,outcome,ended,milliseconds,flow,arguments\r\n",
    );
    for call in calls {
        let id = |id: Option<String>| id.unwrap_or_default();
        let cells = [
            call.time.clone(),
            call.person.clone(),
            id(call.person_id.map(|id| id.text())),
            call.client.clone(),
            id(call.client_ref.map(|id| id.text())),
            call.server.clone(),
            call.tool.clone(),
            call.outcome.to_owned(),
            call.ended.clone(),
            call.milliseconds.to_string(),
            id(call.flow.map(|flow| flow.to_string())),
            call.arguments.clone().unwrap_or_default(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        let _ = write!(out, "{}\r\n", cells.join(","));
    }
    out
}

/// A cell that no reader takes for something else, and no table program for a formula.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if formula { "'" } else { "" };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

struct ActLine {
    at: String,
    by: String,
    event: &'static str,
    words: String,
}

#[derive(askama::Template)]
#[template(path = "console/acts.html")]
struct Acts {
    frame: Frame,
    acts: Vec<ActLine>,
}

/// `GET /console/acts`.
pub(super) async fn acts(State(admin): State<Arc<Admin>>, who: Who) -> Response {
    match api::acts_of(&admin.desk).await {
        Ok(acts) => page::answer_with_form(
            StatusCode::OK,
            &Acts {
                frame: Frame::of(&admin, &who, "/console/acts"),
                acts: acts
                    .into_iter()
                    .map(|act| ActLine {
                        at: time::moment(act.at),
                        by: act.by.shown().to_owned(),
                        event: act.what.event(),
                        words: act.what.sentence(),
                    })
                    .collect(),
            },
        ),
        Err(error) => store_failed(&admin.office, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn t_adm_04_a_cell_is_a_cell_and_no_formula() {
        assert_eq!(quoted("plain"), "\"plain\"");
        assert_eq!(quoted("a\"b,c\r\nd"), "\"a\"\"b,c\r\nd\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(quoted(formula), format!("\"'{formula}\""));
        }
    }
}
