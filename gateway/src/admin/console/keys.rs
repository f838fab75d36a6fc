//! Keys: names and times, and a new one.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use vestibule_core::{keyring::Purpose, params::Params};

use super::{
    super::{
        Admin, api,
        who::{self, Who},
    },
    Frame, Told,
};
use crate::{
    endpoint::answer,
    keys::{KeysError, PUBLISHED_BEFORE_USE},
    page::{self, time},
};

struct Line {
    purpose: &'static str,
    key: String,
    created: String,
    state: String,
}

#[derive(askama::Template)]
#[template(path = "console/keys.html")]
struct List {
    frame: Frame,
    told: Option<Told>,
    keys: Vec<Line>,
    purposes: Vec<&'static str>,
}

/// `GET /console/keys`.
pub(super) async fn list(State(admin): State<Arc<Admin>>, who: Who) -> Response {
    draw(&admin, &who, None).await
}

async fn draw(admin: &Admin, who: &Who, told: Option<Told>) -> Response {
    let now = admin.office.world.now();
    match api::listed(&admin.desk).await {
        Ok(keys) => page::answer_with_form(
            StatusCode::OK,
            &List {
                frame: Frame::of(admin, who, "/console/keys"),
                told,
                keys: keys
                    .list
                    .iter()
                    .map(|key| Line {
                        purpose: key.purpose.word(),
                        key: key.id.to_string(),
                        created: time::moment(key.created),
                        state: key.state(now),
                    })
                    .collect(),
                purposes: Purpose::ALL.iter().map(|purpose| purpose.word()).collect(),
            },
        ),
        Err(error) => failed(admin, &error),
    }
}

fn failed(admin: &Admin, error: &KeysError) -> Response {
    tracing::error!(event = "key.failed", %error);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer::from_catalogue(&admin.office, status, "V-KEY-003")
}

/// `POST /console/keys`.
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let text = match who::form(&admin, &who, &headers, body).await {
        Ok(text) => text,
        Err(response) => return response,
    };
    let params = Params::parse(&text).unwrap_or_default();
    let purpose = params.one("purpose").ok().flatten();
    let Some(purpose) = purpose.and_then(Purpose::parse) else {
        return super::not_there(&admin);
    };
    match api::rotate_key(&admin.desk, purpose, who.actor()).await {
        Ok(key) => {
            let told = format!(
                "Made {} key {key}. It is used in {} seconds; older ones go on opening what they sealed.",
                purpose.word(),
                PUBLISHED_BEFORE_USE.as_secs()
            );
            draw(&admin, &who, Some(Told(told))).await
        }
        Err(error) => failed(&admin, &error),
    }
}
