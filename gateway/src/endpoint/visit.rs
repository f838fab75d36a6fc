//! One request in one browser, and the record of a login that it belongs to.

use axum::response::Response;
use http::{HeaderMap, header};
use vestibule_core::{
    flow::{FlowCode, Step, earlier::About},
    secret::Digest,
};

use crate::office::Office;

/// See the module.
pub(super) struct Visit {
    pub(super) flow: FlowCode,
    /// The form cookie: kept if there is one.
    pub(super) cookie: String,
    fresh: bool,
}

impl Visit {
    /// A visit with which a record begins.
    pub(super) fn begin(office: &Office, headers: &HeaderMap) -> Self {
        Self::to(office, headers, office.flows.begin())
    }

    /// A visit that belongs to this record.
    pub(super) fn to(office: &Office, headers: &HeaderMap, flow: FlowCode) -> Self {
        let (cookie, fresh) = match office.jar.forms(headers).into_iter().next() {
            Some(cookie) => (cookie, false),
            None => (office.random_text(), true),
        };
        Self {
            flow,
            cookie,
            fresh,
        }
    }

    /// Gives the browser its form cookie, if it had none.
    pub(super) fn keep(&self, office: &Office, response: &mut Response) {
        if self.fresh {
            let cookie = office.jar.set_form(&self.cookie);
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    pub(super) fn step(&self, office: &Office, step: Step) {
        let browser = Digest::of(self.cookie.as_bytes());
        office.flows.early(self.flow, Some(browser), step);
    }

    /// What probably came before.
    pub(super) fn earlier(&self, office: &Office, about: &About<'_>) {
        let browser = Digest::of(self.cookie.as_bytes());
        for entry in office.earlier.before(about) {
            office.flows.early_at(self.flow, Some(browser), entry);
        }
    }

    pub(super) fn refused(&self, office: &Office, code: &str, why: &str) {
        self.step(office, Step::refused(code, why));
    }
}
