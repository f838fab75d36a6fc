//! `/` and `/connect/{server}`: which servers there are, and how each is given to an app.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use vestibule_core::connect;

use super::answer::nothing_here;
use crate::{office::Office, page};

/// `/`.
pub async fn landing(State(office): State<Arc<Office>>) -> Response {
    if !office.landing {
        return nothing_here(&office);
    }
    let servers = office
        .catalogue
        .iter()
        .map(|resource| {
            let (title, name, uri) = (&resource.title, &resource.name, &resource.uri);
            (title.as_str(), name.as_str(), uri.as_str())
        })
        .collect();
    page::answer(
        StatusCode::OK,
        &page::Landing {
            frame: office.frame(None),
            servers,
        },
    )
}

/// `/connect/{server}`.
pub async fn server(State(office): State<Arc<Office>>, Path(name): Path<String>) -> Response {
    let found = office.catalogue.iter().find(|known| known.name == name);
    let Some(resource) = found.filter(|_| office.landing) else {
        return nothing_here(&office);
    };
    page::answer(
        StatusCode::OK,
        &page::Connect {
            frame: office.frame(None),
            server: &resource.title,
            uri: &resource.uri,
            may: resource
                .scopes
                .iter()
                .map(|(scope, sentence)| (sentence.as_str(), scope.as_str()))
                .collect(),
            ways: connect::ways(&resource.name, &resource.uri),
        },
    )
}
