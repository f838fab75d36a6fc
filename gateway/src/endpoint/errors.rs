//! `/errors` and `/errors/{code}`: the catalogue, for whoever was shown a code.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::answer::Refused;
use crate::{
    catalogue,
    office::Office,
    page::{self, language},
};

/// All of them.
pub async fn list(State(office): State<Arc<Office>>) -> Response {
    page::answer(
        StatusCode::OK,
        &page::ErrorCodes {
            frame: office.frame(None),
            entries: catalogue::all(),
        },
    )
}

/// One.
pub async fn show(State(office): State<Arc<Office>>, Path(code): Path<String>) -> Response {
    let Some((code, entry)) = catalogue::find(&code) else {
        return Refused::of(StatusCode::NOT_FOUND, "V-WEB-001")
            .saying("no-error")
            .page(&office, None);
    };
    page::answer(
        StatusCode::OK,
        &page::ErrorCode {
            frame: office.frame(None),
            code,
            who: language::now().text(entry.who.message()),
            entry,
        },
    )
}
