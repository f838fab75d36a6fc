//! `/consent/…`: the person's decision, and our own page that goes on from it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header};
use vestibule_core::{
    authorize::AuthorizeError,
    consent::{Decision, DecisionForm},
    flow::Step,
    params::Params,
    pkce::CodeVerifier,
    secret::Digest,
    ticket::{Onward, Ticket, TicketError},
    uri::host_for_people,
};

use super::answer::{self, Refused};
use crate::{
    http::{cookie, peer::client_address},
    office::{Office, Purpose},
    page,
    store::{Decided, NewLogin, StoreError, login_place},
};

/// What of a login rests sealed while the person is at the provider.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct LoginSecrets {
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// `POST /consent/decision`.
pub async fn decide(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asker = client_address(peer.ip(), &headers, &office.trusted_proxies);
    if !comes_from_our_page(&office, &headers) {
        return not_our_form(&office);
    }
    let Some(cookie) = office.jar.form(&headers) else {
        return not_our_form(&office);
    };
    let Ok(text) = answer::form(&headers, body, office.body_max).await else {
        return malformed(&office);
    };
    let Some(form) = Params::parse(&text)
        .ok()
        .and_then(|params| DecisionForm::read(&params).ok())
    else {
        return malformed(&office);
    };
    let keys = office.keys.load_full();
    let ticket = match Ticket::open(&form.ticket, &keys.browser, office.world.now()) {
        Ok(ticket) => ticket,
        Err(TicketError::NotOurs) => return not_our_form(&office),
        Err(TicketError::Expired) => return expired(&office),
    };
    if !ticket.form_token_matches(&keys.form, &cookie, &form.token) {
        return not_our_form(&office);
    }
    // Today's rules: a client that was blocked since the page was drawn is no longer one.
    if office
        .client(&ticket.ask.client_id, Purpose::Login, asker)
        .await
        .is_err()
    {
        return expired(&office);
    }
    match form.decision {
        Decision::Deny => {
            refuse(
                &office,
                &ticket,
                &cookie,
                AuthorizeError::Denied,
                Step::Denied,
            )
            .await
        }
        Decision::Allow => allow(&office, &ticket, &cookie).await,
    }
}

async fn allow(office: &Office, ticket: &Ticket, form_cookie: &str) -> Response {
    let discovered = match office.provider.discovered().await {
        Ok(discovered) => discovered,
        Err(error) => {
            let step = Step::Refused {
                code: "V-IDP-001".to_owned(),
                why: error.to_string(),
            };
            let why = AuthorizeError::ProviderUnreachable;
            return refuse(office, ticket, form_cookie, why, step).await;
        }
    };
    let keys = office.keys.load_full();
    let now = office.world.now();
    let state = office.random_text();
    let nonce = office.random_text();
    let binding = office.random_text();
    let verifier = CodeVerifier::from_random(&office.world.random());
    let state_digest = Digest::of(state.as_bytes());
    let secrets = LoginSecrets {
        nonce: nonce.clone(),
        verifier: verifier.expose().to_owned(),
    };
    let Ok(plain) = serde_json::to_vec(&secrets) else {
        return malformed(office);
    };
    let begun = office
        .store
        .begin_login(NewLogin {
            ticket: ticket.id,
            state: state_digest,
            binding: Digest::of(binding.as_bytes()),
            flow: ticket.flow,
            issuer: office.provider.issuer().to_owned(),
            ask: ticket.ask.clone(),
            sealed: keys.seal_at_rest(&login_place(&state_digest), &plain, &office.world),
            expires: cookie::login_ends(now),
        })
        .await;
    match begun {
        Ok(Decided::Now) => {}
        Ok(Decided::Before) => return used(office),
        Err(error) => return store_failed(office, &error),
    }
    office.flows.record(ticket.flow, Step::Allowed);
    let location = office.provider.authorization_url(
        &discovered,
        &state,
        &nonce,
        &verifier.challenge(),
        &ticket.ask.login,
    );
    office.flows.record(
        ticket.flow,
        Step::SentToProvider {
            host: host_for_people(&location),
        },
    );
    let mut response = go_on(office, ticket, form_cookie, location, true);
    // Only now, and only for this login: the browser that pressed Allow (CONS-6).
    response.headers_mut().append(
        header::SET_COOKIE,
        office.jar.set_login(&state_digest, &binding),
    );
    response
}

async fn refuse(
    office: &Office,
    ticket: &Ticket,
    form_cookie: &str,
    why: AuthorizeError,
    step: Step,
) -> Response {
    match office
        .store
        .decline(ticket.id, cookie::login_ends(office.world.now()))
        .await
    {
        Ok(Decided::Now) => {}
        Ok(Decided::Before) => return used(office),
        Err(error) => return store_failed(office, &error),
    }
    office.flows.record(ticket.flow, step);
    let error_uri = office.flow_url(ticket.flow);
    let location = ticket
        .ask
        .refused(why)
        .location(&office.issuer, Some(&error_uri));
    go_on(office, ticket, form_cookie, location, false)
}

/// Answers the form with a page of our own: browsers apply `form-action` to every redirect
/// that follows a form, and the provider's and the client's hosts are not ours to list.
fn go_on(
    office: &Office,
    ticket: &Ticket,
    form_cookie: &str,
    location: String,
    to_provider: bool,
) -> Response {
    let onward = Onward {
        location,
        made: office.world.now(),
        flow: ticket.flow,
        to_provider,
    };
    let keys = office.keys.load();
    let handle = onward.seal(&keys.browser, form_cookie, office.world.random());
    answer::redirect(&format!("{}/consent/onward/{handle}", office.issuer))
}

/// `GET /consent/onward/{handle}`: goes on by itself, and by a link.
pub async fn onward(
    State(office): State<Arc<Office>>,
    Path(handle): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(cookie) = office.jar.form(&headers) else {
        return not_our_form(&office);
    };
    let keys = office.keys.load();
    match Onward::open(&handle, &keys.browser, &cookie, office.world.now()) {
        Ok(onward) => {
            let host = host_for_people(&onward.location);
            page::answer(
                StatusCode::OK,
                &page::Onward {
                    frame: office.frame(Some(onward.flow)),
                    location: &onward.location,
                    host: &host,
                    to_provider: onward.to_provider,
                },
            )
        }
        Err(TicketError::Expired) => expired(&office),
        Err(TicketError::NotOurs) => not_our_form(&office),
    }
}

/// `Origin` must be ours; an absent one is refused, and so is any fetch that says it comes
/// from elsewhere (T-CON-05).
pub(super) fn comes_from_our_page(office: &Office, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let ours = origins
        .next()
        .is_some_and(|origin| origin.as_bytes() == office.issuer.text().as_bytes());
    let site = headers
        .get("sec-fetch-site")
        .is_none_or(|site| site.as_bytes() == b"same-origin");
    ours && origins.next().is_none() && site
}

fn not_our_form(office: &Office) -> Response {
    Refused {
        status: StatusCode::FORBIDDEN,
        code: "V-CON-001",
        title: "This page does not belong to this browser",
        what: "The decision did not come from the page that this browser was shown, or cookies \
               are switched off.",
        fix: "Start again from the app, allow cookies for this address, and decide in the same \
              window.",
        back: None,
    }
    .page(office, None)
}

fn malformed(office: &Office) -> Response {
    Refused {
        status: StatusCode::BAD_REQUEST,
        code: "V-CON-002",
        title: "This form cannot be read",
        what: "The form is not the one that was shown.",
        fix: "Start again from the app.",
        back: None,
    }
    .page(office, None)
}

fn expired(office: &Office) -> Response {
    Refused {
        status: StatusCode::GONE,
        code: "V-CON-003",
        title: "This page is no longer valid",
        what: "It was open for more than ten minutes, or the app is no longer admitted.",
        fix: "Start again from the app.",
        back: None,
    }
    .page(office, None)
}

fn used(office: &Office) -> Response {
    Refused {
        status: StatusCode::GONE,
        code: "V-CON-004",
        title: "This page was used already",
        what: "A decision was made on it before, perhaps in another tab.",
        fix: "If the app is not connected yet, start again from the app.",
        back: None,
    }
    .page(office, None)
}

pub(super) fn store_failed(office: &Office, error: &StoreError) -> Response {
    tracing::error!(event = "store.failed", %error);
    let mut response = Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "V-STO-001",
        title: "The gateway cannot go on right now",
        what: "Its store did not answer. Nothing was changed.",
        fix: "Wait a moment and start again from the app.",
        back: None,
    }
    .page(office, None);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, http::HeaderValue::from_static("5"));
    response
}
