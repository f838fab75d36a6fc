//! `/console`: what operators see and do. Each page begins with [`Who`]; each act with the
//! form of such a page, and it is in the audit.

mod calls;
mod clients;
mod keys;
mod overview;
mod people;
mod servers;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{get, post},
};
use http::{StatusCode, Uri};
use vestibule_core::operator::Role;

use super::{Admin, enter, who::Who};
use crate::{
    endpoint::{answer, errors, flows, store_failed},
    flow_list,
    page::{self, CauseLine, FlowForm, FlowLine},
};

/// All pages.
pub(super) fn routes(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    // What an error means is no secret; the pages are those of our own.
    let errors = Router::new()
        .route("/errors", get(errors::list))
        .route("/errors/{code}", get(errors::show))
        .with_state(Arc::clone(&admin.office));
    Router::new()
        .route("/console/enter", get(enter::enter))
        .route("/console/leave", post(enter::leave))
        .route("/console", get(overview::show))
        .route("/console/flows", get(flow_rows))
        .route("/console/clients", get(clients::list))
        .route(
            "/console/clients/{client}",
            get(clients::one).post(clients::act),
        )
        .route("/console/people", get(people::list))
        .route(
            "/console/people/{person}",
            get(people::one).post(people::act),
        )
        .route("/console/servers", get(servers::list))
        .route("/console/servers/{server}", post(servers::look))
        .route("/console/calls", get(calls::list))
        .route("/console/calls/{form}", get(calls::export))
        .route("/console/acts", get(calls::acts))
        .route("/console/keys", get(keys::list).post(keys::rotate))
        .route("/console/health", get(overview::health))
        .route("/flows/{code}", get(flow))
        .route("/flows/{code}/{form}", get(flow_in))
        .merge(errors)
}

/// What every page of the console has.
pub(super) struct Frame {
    instance: String,
    logo: bool,
    person: String,
    acts: bool,
    token: String,
    /// Which of the pages this is.
    here: &'static str,
}

impl Frame {
    fn of(admin: &Admin, who: &Who, here: &'static str) -> Self {
        Self {
            instance: admin.office.brand.name.clone(),
            logo: admin.office.brand.logo.is_some(),
            person: who.person.shown.clone(),
            acts: who.role == Role::Operator,
            token: who.form_token(&admin.office),
            here,
        }
    }

    /// The pages, and whether each is this one.
    fn pages(&self) -> Vec<(&'static str, &'static str, bool)> {
        [
            ("/console", "Overview"),
            ("/console/flows", "Logins"),
            ("/console/clients", "Clients"),
            ("/console/people", "People"),
            ("/console/servers", "Servers"),
            ("/console/calls", "Tool calls"),
            ("/console/acts", "Acts"),
            ("/console/keys", "Keys"),
            ("/console/health", "Health"),
        ]
        .into_iter()
        .map(|(path, title)| (path, title, path == self.here))
        .collect()
    }
}

#[derive(askama::Template)]
#[template(path = "console/flows.html")]
struct Flows<'p> {
    frame: Frame,
    flows: &'p [FlowLine],
    causes: &'p [CauseLine],
    filter: FlowForm<'p>,
    older: Option<&'p str>,
}

async fn flow_rows(State(admin): State<Arc<Admin>>, who: Who, uri: Uri) -> Response {
    let office = &admin.office;
    let query = uri.query().unwrap_or_default();
    match flow_list::of(&office.store, &office.flows, query, office.world.now()).await {
        Ok(list) => page::answer(
            StatusCode::OK,
            &Flows {
                frame: Frame::of(&admin, &who, "/console/flows"),
                flows: &list.flows,
                causes: &list.causes,
                filter: list.form(),
                older: list.older.as_deref(),
            },
        ),
        Err(error) => store_failed(office, &error),
    }
}

async fn flow(State(admin): State<Arc<Admin>>, _who: Who, Path(code): Path<String>) -> Response {
    flows::for_operators(&admin.office, &code, None).await
}

async fn flow_in(
    State(admin): State<Arc<Admin>>,
    _who: Who,
    Path((code, form)): Path<(String, String)>,
) -> Response {
    flows::for_operators(&admin.office, &code, Some(&form)).await
}

fn not_there(admin: &Admin) -> Response {
    answer::from_catalogue(&admin.office, StatusCode::NOT_FOUND, "V-ADM-005")
}

/// What was done, in a sentence above the page.
pub(super) struct Told(pub(super) String);
