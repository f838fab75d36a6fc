//! People: what may act for them, and whether they are let in.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use vestibule_core::{
    apps,
    id::{ClientRef, PersonId},
    operator::{Block, PersonRow},
    params::Params,
    text::on_one_line,
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
    store::{Outcome, StoreError, ToApps, ToPerson, UnmakeOperator},
};

#[derive(Deserialize)]
pub(super) struct Named {
    named: Option<String>,
}

struct Line {
    id: String,
    shown: String,
    issuer: String,
    seen: String,
    apps: u64,
    state: &'static str,
}

#[derive(askama::Template)]
#[template(path = "console/people.html")]
struct List {
    frame: Frame,
    named: String,
    people: Vec<Line>,
}

/// `GET /console/people`.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Query(query): Query<Named>,
) -> Response {
    let office = &admin.office;
    let now = office.world.now();
    let named = query.named.unwrap_or_default();
    let wanted = (!named.trim().is_empty()).then(|| named.trim().to_owned());
    match office.store.people(wanted, now, 200).await {
        Ok(rows) => page::answer_with_form(
            StatusCode::OK,
            &List {
                frame: Frame::of(&admin, &who, "/console/people"),
                named,
                people: rows
                    .iter()
                    .map(|row| Line {
                        id: row.id.text(),
                        shown: row.shown.clone(),
                        issuer: row.issuer.clone(),
                        seen: time::ago(row.seen, now),
                        apps: row.apps,
                        state: state_of(row),
                    })
                    .collect(),
            },
        ),
        Err(error) => store_failed(office, &error),
    }
}

fn state_of(row: &PersonRow) -> &'static str {
    match (&row.blocked, row.operator) {
        (Some(_), _) => "blocked",
        (None, true) => "operator by link",
        (None, false) => "",
    }
}

struct AppLine {
    reference: String,
    name: String,
    server: String,
    may: String,
    since: String,
    used: String,
    stopped: bool,
}

#[derive(askama::Template)]
#[template(path = "console/person.html")]
struct One {
    frame: Frame,
    told: Option<Told>,
    wrong: Option<&'static str>,
    shown: String,
    id: String,
    issuer: String,
    seen: String,
    state: &'static str,
    blocked: Option<(String, String)>,
    apps: Vec<AppLine>,
    live: usize,
    operator: bool,
}

/// `GET /console/people/{person}`.
pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(person): Path<String>,
) -> Response {
    let Some(person) = PersonId::parse(&person) else {
        return not_there(&admin);
    };
    match draw(&admin, &who, person, None, None).await {
        Ok(response) => response,
        Err(error) => store_failed(&admin.office, &error),
    }
}

async fn draw(
    admin: &Admin,
    who: &Who,
    person: PersonId,
    told: Option<Told>,
    wrong: Option<&'static str>,
) -> Result<Response, StoreError> {
    let office = &admin.office;
    let now = office.world.now();
    let Some(row) = office.store.person(person, now).await? else {
        return Ok(not_there(admin));
    };
    let allowed = office.store.allowed(person, now).await?;
    let apps = apps::apps(allowed.consents, allowed.grants);
    let lines = apps
        .iter()
        .flat_map(|app| {
            app.servers.iter().map(|reach| AppLine {
                reference: app.client.text(),
                name: match &app.name {
                    Some(name) => name.clone(),
                    None => on_one_line(&app.client_id, 60),
                },
                server: match office.catalogue.by_uri(&reach.resource) {
                    Some(known) => known.title.clone(),
                    None => reach.resource.clone(),
                },
                may: reach.scopes.to_string(),
                since: time::day(reach.since),
                used: match reach.used {
                    Some(used) => time::ago(used, now),
                    None => "not connected".to_owned(),
                },
                stopped: reach.stopped,
            })
        })
        .collect();
    let status = match wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    Ok(page::answer_with_form(
        status,
        &One {
            frame: Frame::of(admin, who, "/console/people"),
            told,
            wrong,
            state: state_of(&row),
            operator: row.operator,
            shown: row.shown,
            id: row.id.text(),
            issuer: row.issuer,
            seen: time::ago(row.seen, now),
            blocked: row
                .blocked
                .map(|block| (time::moment(block.since), block.why)),
            live: apps.iter().map(|app| app.grants).sum(),
            apps: lines,
        },
    ))
}

/// `POST /console/people/{person}`.
pub(super) async fn act(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(person): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let text = match who::form(&admin, &who, &headers, body).await {
        Ok(text) => text,
        Err(response) => return response,
    };
    let Some(person) = PersonId::parse(&person) else {
        return not_there(&admin);
    };
    match acted(&admin, &who, person, &text).await {
        Ok(response) => response,
        Err(error) => store_failed(&admin.office, &error),
    }
}

async fn acted(
    admin: &Admin,
    who: &Who,
    person: PersonId,
    text: &str,
) -> Result<Response, StoreError> {
    let office = &admin.office;
    let now = office.world.now();
    let params = Params::parse(text).unwrap_or_default();
    let one = |name| params.one(name).ok().flatten();
    if office.store.person(person, now).await?.is_none() {
        return Ok(not_there(admin));
    }
    let act = one("act").unwrap_or_default();
    let client = one("client").and_then(ClientRef::parse);
    let apps = |client| ToApps {
        person,
        client,
        by: who.actor(),
        now,
    };
    let decided = |block| ToPerson {
        person,
        block,
        by: who.actor(),
        now,
    };
    let ended = match (act, client) {
        ("stop", Some(client)) => office.store.stop(apps(Some(client))).await?,
        ("stop_all", _) => office.store.stop(apps(None)).await?,
        ("allow_again", Some(client)) => {
            office.store.allow_again(apps(Some(client))).await?;
            0
        }
        ("block", _) => match api::why_of(one("why")) {
            Ok(why) => {
                let block = Block { since: now, why };
                let accounts = api::accounts_of(Some(office), person).await;
                match office.store.decide_person(decided(Some(block))).await? {
                    Outcome::Now(ended) => {
                        api::take_back(Some(office), accounts);
                        ended
                    }
                    Outcome::NotThere | Outcome::NeverSeen => return Ok(not_there(admin)),
                }
            }
            Err(wrong) => return draw(admin, who, person, None, Some(wrong)).await,
        },
        ("unmake", _) => {
            let unmake = UnmakeOperator {
                person,
                by: who.actor(),
                now,
            };
            office.store.unmake_operator(unmake).await?;
            0
        }
        ("unblock", _) => {
            office.store.decide_person(decided(None)).await?;
            0
        }
        _ => {
            let wrong = Some("This is nothing that can be done to a person.");
            return draw(admin, who, person, None, wrong).await;
        }
    };
    tracing::warn!(event = "admin.person", act, person = %person, user_ref = %who.person.id, ended);
    let told = match act {
        "stop" | "stop_all" | "block" => {
            format!("Done. {ended} live grants and codes ended, and are refused from now on.")
        }
        _ => "Done.".to_owned(),
    };
    draw(admin, who, person, Some(Told(told)), None).await
}
