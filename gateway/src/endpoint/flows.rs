//! `/flows/{code}`: the record of a login, for whoever may see it.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use vestibule_core::{
    flow::{FlowCode, Outcome},
    secret::Digest,
};

use super::answer::Refused;
use crate::{
    flows::{self, Flow},
    office::Office,
    page,
};

/// Shown to the browser that began it; in the demo, which is on loopback, to everybody.
pub async fn show(
    State(office): State<Arc<Office>>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(code) = FlowCode::parse(&code) else {
        return not_for_you(&office, None);
    };
    let Some(flow) = office.flows.find(code).await else {
        return not_for_you(&office, Some(code));
    };
    let browser = office
        .jar
        .form(&headers)
        .map(|cookie| Digest::of(cookie.as_bytes()));
    let begun_here = browser.is_some() && browser == flow.browser;
    if !begun_here && !office.flows_open {
        return not_for_you(&office, Some(code));
    }
    draw(&office, code, &flow)
}

fn draw(office: &Office, code: FlowCode, flow: &Flow) -> Response {
    let first = flow.steps.first().map(|entry| entry.at);
    let steps = flow
        .steps
        .iter()
        .map(|entry| {
            let after = first.map_or(0, |first| entry.at.since(first).as_secs());
            let mark = match entry.step.outcome() {
                Outcome::Failed => "failed",
                Outcome::Open | Outcome::Succeeded => "ok",
            };
            (after, flows::sentence(&entry.step), mark)
        })
        .collect();
    let state = match flow.outcome() {
        Outcome::Open => "Not finished: waiting for the person or the identity provider.",
        Outcome::Succeeded => "Succeeded.",
        Outcome::Failed => "Failed.",
    };
    let code = code.to_string();
    page::answer(
        StatusCode::OK,
        &page::Flow {
            frame: office.frame(None),
            code: &code,
            state,
            steps,
        },
    )
}

/// The same whether there is such a login or not.
fn not_for_you(office: &Office, code: Option<FlowCode>) -> Response {
    Refused {
        status: StatusCode::NOT_FOUND,
        code: "V-FLW-001",
        title: "This record is not for this browser",
        what: "The record of a sign-in is shown to the browser that began it, and to operators.",
        fix: "Give your operator the flow code.",
        back: None,
    }
    .page(office, code)
}
