//! `/consent/…`: the person's decision, and our own page that goes on from it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use vestibule_core::{
    authorize::AuthorizeError,
    consent::{Decision, DecisionForm},
    flow::{FlowCode, Step},
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
    provider::{Provider, ProviderError},
    store::{Decided, NewLogin, StoreError, login_place},
};

/// What of a login rests sealed while the person is at the provider.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct LoginSecrets {
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// Why a decision is not taken.
#[derive(Debug, Clone, Copy)]
enum NotTaken {
    /// Sent by a page of another site, or by none.
    AnotherSite,
    /// Without the cookie of the browser that was shown the page, or with another's.
    AnotherBrowser,
    /// Not the form that was shown.
    Malformed,
    /// The page is too old, or its app is no longer admitted.
    Expired,
    /// Decided before.
    Used,
}

/// `POST /consent/decision`.
pub async fn decide(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asker = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let text = answer::form(&headers, body, office.body_max).await;
    let form = text.ok().and_then(|text| {
        let params = Params::parse(&text).ok()?;
        DecisionForm::read(&params).ok()
    });
    let keys = office.keys.load_full();
    let flow = form
        .as_ref()
        .and_then(|form| Ticket::flow_of(&form.ticket, &keys.browser));
    let (ticket, cookie) = match judge(&office, &headers, form.as_ref(), asker).await {
        Ok(judged) => judged,
        Err(why) => return not_taken(&office, flow, why),
    };
    let resource = office.catalogue.by_uri(&ticket.ask.resource);
    let chosen = form.as_ref().and_then(|form| form.provider.as_deref());
    let provider = resource.and_then(|resource| office.providers.chosen(resource, chosen));
    match (form.as_ref().map(|form| form.decision), provider) {
        (Some(Decision::Allow), Some(provider)) => {
            let session = office.jar.session(&headers);
            let session = session.map(|cookie| Digest::of(cookie.as_bytes()));
            allow(&office, provider, &ticket, &cookie, session).await
        }
        (Some(Decision::Deny), _) => {
            let why = AuthorizeError::Denied;
            refuse(&office, &ticket, &cookie, why, Step::Denied).await
        }
        // A provider that is none of this server's was not on the page.
        (Some(Decision::Allow), None) | (None, _) => not_taken(&office, flow, NotTaken::Malformed),
    }
}

/// The ticket that is decided on, and the cookie that its browser holds.
async fn judge(
    office: &Office,
    headers: &HeaderMap,
    form: Option<&DecisionForm>,
    asker: IpAddr,
) -> Result<(Ticket, String), NotTaken> {
    if !comes_from_our_page(office, headers) {
        return Err(NotTaken::AnotherSite);
    }
    let cookies = office.jar.forms(headers);
    if cookies.is_empty() {
        return Err(NotTaken::AnotherBrowser);
    }
    let form = form.ok_or(NotTaken::Malformed)?;
    let keys = office.keys.load_full();
    let ticket = Ticket::open(&form.ticket, &keys.browser, office.world.now());
    let ticket = ticket.map_err(|error| match error {
        TicketError::NotOurs => NotTaken::AnotherBrowser,
        TicketError::Expired => NotTaken::Expired,
    })?;
    let cookie = cookies
        .into_iter()
        .find(|cookie| ticket.form_token_matches(&keys.form, cookie, &form.token))
        .ok_or(NotTaken::AnotherBrowser)?;
    // Today's rules: a client that was blocked since the page was drawn is no longer one.
    let client = office.client(&ticket.ask.client_id, Purpose::Login, asker);
    client.await.map_err(|_| NotTaken::Expired)?;
    Ok((ticket, cookie))
}

/// The page; and the record of the login that it belongs to, while nobody has decided on it:
/// what is pressed later on an old page changes nothing.
fn not_taken(office: &Office, flow: Option<FlowCode>, why: NotTaken) -> Response {
    let refused = why.page();
    if let Some(flow) = flow {
        let step = Step::refused(refused.code(), refused.title());
        office.flows.early_once(flow, step);
    }
    refused.page(office, flow)
}

async fn allow(
    office: &Office,
    provider: &Provider,
    ticket: &Ticket,
    form_cookie: &str,
    session: Option<Digest>,
) -> Response {
    let (location, cookie) = match begin_login(office, provider, ticket, session, false).await {
        Ok(begun) => begun,
        Err(NotBegun::Provider(error)) => {
            let step = Step::refused("V-IDP-001", error.to_string());
            let why = AuthorizeError::ProviderUnreachable;
            return refuse(office, ticket, form_cookie, why, step).await;
        }
        Err(NotBegun::Page(response)) => return response,
    };
    let mut response = go_on(office, ticket, form_cookie, location, true);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Why a login did not begin.
pub(super) enum NotBegun {
    /// The provider's metadata are not at hand; nothing was stored.
    Provider(ProviderError),
    /// This page says it.
    Page(Response),
}

/// Begins the login of a ticket, which its person allowed: where the provider is, and the
/// cookie that binds the login to this browser (CONS-6). `session` is the browser's until now.
pub(super) async fn begin_login(
    office: &Office,
    provider: &Provider,
    ticket: &Ticket,
    session: Option<Digest>,
    left_out: bool,
) -> Result<(String, HeaderValue), NotBegun> {
    let discovered = provider.discovered().await;
    let discovered = discovered.map_err(NotBegun::Provider)?;
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
    let page = |why| NotBegun::Page(not_taken(office, Some(ticket.flow), why));
    let plain = serde_json::to_vec(&secrets).map_err(|_| page(NotTaken::Malformed))?;
    let begun = office
        .store
        .begin_login(NewLogin {
            ticket: ticket.id,
            state: state_digest,
            binding: Digest::of(binding.as_bytes()),
            flow: ticket.flow,
            issuer: provider.issuer().to_owned(),
            ask: ticket.ask.clone(),
            named: ticket.named,
            left_out,
            described: ticket.described,
            session,
            sealed: keys.seal_at_rest(&login_place(&state_digest), &plain, &office.world),
            expires: cookie::login_ends(now),
        })
        .await;
    match begun {
        Ok(Decided::Now) => {}
        Ok(Decided::Before) => return Err(page(NotTaken::Used)),
        Err(error) => return Err(NotBegun::Page(not_stored(office, ticket.flow, &error))),
    }
    if !left_out {
        office.flows.record(ticket.flow, Step::Allowed);
    }
    let wishes = &ticket.ask.login;
    let challenge = verifier.challenge();
    let location = provider.authorization_url(&discovered, &state, &nonce, &challenge, wishes);
    office.flows.record(
        ticket.flow,
        Step::SentToProvider {
            host: host_for_people(&location),
        },
    );
    Ok((location, office.jar.set_login(&state_digest, &binding)))
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
        Ok(Decided::Before) => return not_taken(office, Some(ticket.flow), NotTaken::Used),
        Err(error) => return not_stored(office, ticket.flow, &error),
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
    let keys = office.keys.load();
    let now = office.world.now();
    let opened = office
        .jar
        .forms(&headers)
        .iter()
        .map(|cookie| Onward::open(&handle, &keys.browser, cookie, now))
        .find(|opened| !matches!(opened, Err(TicketError::NotOurs)));
    match opened.unwrap_or(Err(TicketError::NotOurs)) {
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
        Err(TicketError::Expired) => NotTaken::Expired.page().page(&office, None),
        Err(TicketError::NotOurs) => NotTaken::AnotherBrowser.page().page(&office, None),
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

impl NotTaken {
    fn page(self) -> Refused<'static> {
        match self {
            Self::AnotherSite => Refused::of(StatusCode::FORBIDDEN, "V-CON-005"),
            Self::AnotherBrowser => Refused::of(StatusCode::FORBIDDEN, "V-CON-001"),
            Self::Malformed => Refused::of(StatusCode::BAD_REQUEST, "V-CON-002"),
            Self::Expired => Refused::of(StatusCode::GONE, "V-CON-003"),
            Self::Used => Refused::of(StatusCode::GONE, "V-CON-004"),
        }
    }
}

/// The store did not take a step of a login; its record hears of it, once the store is back.
pub(super) fn not_stored(office: &Office, flow: FlowCode, error: &StoreError) -> Response {
    let step = Step::refused("V-STO-001", "the store did not answer");
    office.flows.record(flow, step);
    store_failed(office, error)
}

/// A page for when the store does not answer.
pub fn store_failed(office: &Office, error: &StoreError) -> Response {
    tracing::error!(event = "store.failed", %error);
    let mut response = Refused::of(StatusCode::SERVICE_UNAVAILABLE, "V-STO-001").page(office, None);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
