//! Clients: how they are known, for whom they act, and what is decided about them.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use vestibule_core::{
    id::ClientRef,
    operator::{ClientRow, Kind, PersonRow},
    params::Params,
    text::on_one_line,
    time::Timestamp,
};

use super::{
    super::{
        Admin, api,
        who::{self, Who},
    },
    Frame, Told, not_there,
};
use crate::{
    endpoint::store_failed,
    page::{self, time},
    store::{Outcome, StoreError, ToClient},
};

#[derive(Deserialize)]
pub(super) struct Named {
    named: Option<String>,
}

struct Line {
    reference: String,
    name: String,
    kind: &'static str,
    people: u64,
    grants: u64,
    used: String,
    state: &'static str,
}

#[derive(askama::Template)]
#[template(path = "console/clients.html")]
struct List {
    frame: Frame,
    named: String,
    clients: Vec<Line>,
}

fn name_of(row: &ClientRow) -> String {
    match &row.name {
        Some(name) => name.clone(),
        None => on_one_line(&row.client_id, 60),
    }
}

fn state_of(row: &ClientRow) -> &'static str {
    match (&row.standing.blocked, row.standing.trusted) {
        (Some(_), _) => "blocked",
        (None, Some(_)) => "trusted",
        (None, None) => match Kind::of(&row.client_id) {
            Kind::Operator => "trusted",
            Kind::Document => "address checked",
            Kind::Dynamic => "not verified",
        },
    }
}

/// `GET /console/clients`.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Query(query): Query<Named>,
) -> Response {
    let office = &admin.office;
    let now = office.world.now();
    let named = query.named.unwrap_or_default();
    let wanted = (!named.trim().is_empty()).then(|| named.trim().to_owned());
    match office.store.clients(wanted, now, 200).await {
        Ok(rows) => page::answer_with_form(
            StatusCode::OK,
            &List {
                frame: Frame::of(&admin, &who, "/console/clients"),
                named,
                clients: rows.iter().map(|row| line(row, now)).collect(),
            },
        ),
        Err(error) => store_failed(office, &error),
    }
}

fn line(row: &ClientRow, now: Timestamp) -> Line {
    Line {
        reference: row.reference.text(),
        name: name_of(row),
        kind: Kind::of(&row.client_id).word(),
        people: row.people,
        grants: row.grants,
        used: match row.used {
            Some(used) => time::ago(used, now),
            None => "not connected".to_owned(),
        },
        state: state_of(row),
    }
}

struct PersonLine {
    id: String,
    shown: String,
    seen: String,
}

#[derive(askama::Template)]
#[template(path = "console/client.html")]
struct One {
    frame: Frame,
    told: Option<Told>,
    wrong: Option<&'static str>,
    reference: String,
    name: String,
    client_id: String,
    kind: &'static str,
    since: String,
    line: Line,
    blocked: Option<(String, String)>,
    trusted: Option<String>,
    limit: Option<String>,
    redirects: Vec<String>,
    people: Vec<PersonLine>,
}

/// `GET /console/clients/{client}`.
pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(client): Path<String>,
) -> Response {
    let Some(client) = ClientRef::parse(&client) else {
        return not_there(&admin);
    };
    match draw(&admin, &who, client, None, None).await {
        Ok(response) => response,
        Err(error) => store_failed(&admin.office, &error),
    }
}

async fn draw(
    admin: &Admin,
    who: &Who,
    client: ClientRef,
    told: Option<Told>,
    wrong: Option<&'static str>,
) -> Result<Response, StoreError> {
    let office = &admin.office;
    let now = office.world.now();
    let Some(row) = office.store.client(client, now).await? else {
        return Ok(not_there(admin));
    };
    let people = office.store.people_of(client, now, 200).await?;
    let status = match wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let standing = &row.standing;
    Ok(page::answer_with_form(
        status,
        &One {
            frame: Frame::of(admin, who, "/console/clients"),
            told,
            wrong,
            reference: row.reference.text(),
            name: name_of(&row),
            kind: Kind::of(&row.client_id).word(),
            since: time::day(row.since),
            line: line(&row, now),
            blocked: standing
                .blocked
                .as_ref()
                .map(|block| (time::moment(block.since), block.why.clone())),
            trusted: standing.trusted.map(time::moment),
            limit: standing.limit.as_ref().map(ToString::to_string),
            redirects: row.redirects.clone(),
            people: people.iter().map(|row| person_line(row, now)).collect(),
            client_id: row.client_id,
        },
    ))
}

fn person_line(row: &PersonRow, now: Timestamp) -> PersonLine {
    PersonLine {
        id: row.id.text(),
        shown: row.shown.clone(),
        seen: time::ago(row.seen, now),
    }
}

/// `POST /console/clients/{client}`.
pub(super) async fn act(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(client): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let text = match who::form(&admin, &who, &headers, body).await {
        Ok(text) => text,
        Err(response) => return response,
    };
    let Some(client) = ClientRef::parse(&client) else {
        return not_there(&admin);
    };
    match acted(&admin, &who, client, &text).await {
        Ok(response) => response,
        Err(error) => store_failed(&admin.office, &error),
    }
}

async fn acted(
    admin: &Admin,
    who: &Who,
    client: ClientRef,
    text: &str,
) -> Result<Response, StoreError> {
    let office = &admin.office;
    let now = office.world.now();
    let params = Params::parse(text).unwrap_or_default();
    let one = |name| params.one(name).ok().flatten();
    let Some(row) = office.store.client(client, now).await? else {
        return Ok(not_there(admin));
    };
    let act = one("act").unwrap_or_default();
    // Whoever ends something for everybody types what it is.
    let typed = one("name").unwrap_or_default();
    if matches!(act, "block" | "end") && typed.trim() != name_of(&row) {
        let wrong = Some("To end it for everybody, type its name as it is written above.");
        return draw(admin, who, client, None, wrong).await;
    }
    let decision = api::decision(act, one("why"), one("scopes"), now);
    let decision = match decision {
        Ok(decision) => decision,
        Err(wrong) => return draw(admin, who, client, None, Some(wrong)).await,
    };
    let decided = office.store.decide_client(ToClient {
        client,
        decision,
        by: who.actor(),
        now,
    });
    let ended = match decided.await? {
        Outcome::Now(ended) => ended,
        Outcome::NotThere => return Ok(not_there(admin)),
        Outcome::NeverSeen => {
            return draw(admin, who, client, None, Some(api::NEVER_SEEN)).await;
        }
    };
    tracing::warn!(event = "admin.client", act, client = %client, user_ref = %who.person.id, ended);
    let told = match (act, ended) {
        ("block" | "end" | "limit", ended) => {
            format!("Done. {ended} live grants and codes ended, and are refused from now on.")
        }
        _ => "Done.".to_owned(),
    };
    draw(admin, who, client, Some(Told(told)), None).await
}
