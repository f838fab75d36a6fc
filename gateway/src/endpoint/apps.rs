//! `/apps`: what may act for a person, and how they end it (CONS-10).

use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use vestibule_core::{
    apps::{self, App},
    audit::{Actor, Call, Outcome},
    id::ClientRef,
    params::Params,
    sign_in::Destination,
    text,
};

use super::{
    answer,
    consent::store_failed,
    login::from_their_page,
    session::{Session, sign_in_first},
};
use crate::{
    audit::Lately,
    office::Office,
    page::{self, Told, language},
    store::{StoreError, ToApps},
};

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Stop(ClientRef),
    StopAll,
    AllowAgain(ClientRef),
}

impl Act {
    fn read(params: &Params<'_>) -> Option<Self> {
        let client = || ClientRef::parse(params.one("client").ok()??);
        match params.one("act").ok()?? {
            "stop" => Some(Self::Stop(client()?)),
            "stop_all" => Some(Self::StopAll),
            "allow_again" => Some(Self::AllowAgain(client()?)),
            _ => None,
        }
    }
}

/// `GET /apps`.
pub async fn list(State(office): State<Arc<Office>>, headers: HeaderMap) -> Response {
    match Session::of(&office, &headers).await {
        Ok(Some(session)) => match seen_by(&office, &session).await {
            Ok((apps, calls)) => draw(&office, &session, &apps, &calls, None),
            Err(error) => store_failed(&office, &error),
        },
        Ok(None) => sign_in_first(&office, Destination::Apps),
        Err(error) => store_failed(&office, &error),
    }
}

/// `POST /apps`.
pub async fn act(State(office): State<Arc<Office>>, headers: HeaderMap, body: Body) -> Response {
    let session = match Session::of(&office, &headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return sign_in_first(&office, Destination::Apps),
        Err(error) => return store_failed(&office, &error),
    };
    let text = from_their_page(&office, &session, &headers, body).await;
    let act = text
        .as_deref()
        .and_then(|text| Act::read(&Params::parse(text).ok()?));
    let Some(act) = act else {
        return answer::from_catalogue(&office, StatusCode::FORBIDDEN, "V-APP-001");
    };
    match done(&office, &session, act).await {
        Ok(response) => response,
        Err(error) => store_failed(&office, &error),
    }
}

async fn done(office: &Office, session: &Session, act: Act) -> Result<Response, StoreError> {
    let person = &session.person;
    let before = apps_of(office, session).await?;
    let client = match act {
        Act::Stop(client) | Act::AllowAgain(client) => Some(client),
        Act::StopAll => None,
    };
    // Another's app and one that is not there are the same (T-ADM-07).
    let theirs: Vec<&App> = before
        .iter()
        .filter(|app| client.is_none_or(|client| app.client == client))
        .collect();
    if theirs.is_empty() {
        let status = StatusCode::NOT_FOUND;
        return Ok(answer::from_catalogue(office, status, "V-APP-002"));
    }
    let what = ToApps {
        person: person.id,
        client,
        by: Actor::Person {
            id: person.id,
            shown: person.shown.clone(),
        },
        now: office.world.now(),
    };
    let told = match act {
        Act::Stop(_) | Act::StopAll => {
            let ended = office.store.stop(what).await?;
            let names = theirs.iter().map(|app| name_of(app)).collect::<Vec<_>>();
            tracing::info!(event = "app.stopped", user_ref = %person.id, apps = names.len(), ended);
            Told::Stopped(names.join(", "))
        }
        Act::AllowAgain(client) => {
            office.store.allow_again(what).await?;
            tracing::info!(event = "app.allowed_again", user_ref = %person.id, client = %client);
            Told::AllowedAgain(name_of(theirs[0]))
        }
    };
    let (after, calls) = seen_by(office, session).await?;
    Ok(draw(office, session, &after, &calls, Some(&told)))
}

/// How far back calls are shown and counted, and how many are shown.
const LATELY: Duration = Duration::from_secs(7 * 86_400);
const SHOWN: usize = 10;

/// What a person sees: their apps, and what these did lately.
async fn seen_by(
    office: &Office,
    session: &Session,
) -> Result<(Vec<App>, Arc<Lately>), StoreError> {
    let apps = apps_of(office, session).await?;
    let (person, now) = (session.person.id, office.world.now());
    let calls = office.audit.lately(person, now, LATELY, SHOWN);
    Ok((apps, calls.await?))
}

fn call_row(office: &Office, call: &Call) -> page::CallRow {
    let server = office
        .catalogue
        .iter()
        .find(|known| known.name == call.server);
    let message = match call.ended.outcome() {
        Outcome::Ok => "call-ok",
        Outcome::Denied => "call-denied",
        Outcome::Failed => "call-failed",
    };
    page::CallRow {
        ago: page::time::ago(call.at, office.world.now()),
        app: text::on_one_line(&call.subject.client_name, 60),
        tool: text::on_one_line(&call.tool, 60),
        server: server.map_or_else(|| call.server.clone(), |server| server.title.clone()),
        ended: language::now().text(message),
    }
}

async fn apps_of(office: &Office, session: &Session) -> Result<Vec<App>, StoreError> {
    let now = office.world.now();
    let allowed = office.store.allowed(session.person.id, now).await?;
    Ok(apps::apps(allowed.consents, allowed.grants))
}

/// The name, or who it is without one.
fn name_of(app: &App) -> String {
    match &app.name {
        Some(name) => name.clone(),
        None => text::on_one_line(&app.client_id, 60),
    }
}

fn draw(
    office: &Office,
    session: &Session,
    apps: &[App],
    lately: &Lately,
    told: Option<&Told>,
) -> Response {
    let now = office.world.now();
    let rows = apps
        .iter()
        .map(|app| page::AppRow {
            reference: app.client.text(),
            name: name_of(app),
            stopped: app.is_stopped(),
            used: app.used().map(|used| page::time::ago(used, now)),
            calls: lately
                .counts
                .get(&app.client)
                .copied()
                .filter(|_| lately.whole),
            servers: app
                .servers
                .iter()
                .map(|reach| {
                    let resource = office.catalogue.by_uri(&reach.resource);
                    page::ServerRow {
                        title: resource.map_or(reach.resource.clone(), |known| known.title.clone()),
                        may: reach
                            .scopes
                            .iter()
                            .map(|scope| {
                                let sentence = resource
                                    .and_then(|known| known.sentence(scope))
                                    .unwrap_or(scope);
                                (sentence.to_owned(), scope.to_owned())
                            })
                            .collect(),
                        since: page::time::day(reach.since),
                    }
                })
                .collect(),
        })
        .collect();
    page::answer_with_form(
        StatusCode::OK,
        &page::Apps {
            frame: office.frame(None),
            person: &session.person.shown,
            told,
            apps: rows,
            calls: lately
                .last
                .iter()
                .map(|call| call_row(office, call))
                .collect(),
            more_calls: !lately.whole,
            connects: !office.services.is_empty(),
            token: &session.form_token(office),
        },
    )
}
