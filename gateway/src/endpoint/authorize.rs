//! `/authorize`: the request is judged, and a person is to be asked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use vestibule_core::{
    authorize::{self, AskConsent, PageRefusal, RedirectRefusal, Refusal},
    client::Client,
    flow::earlier::About,
    id::TicketId,
    par::{self, Pushed},
    params::Params,
    preset,
    secret::Digest,
    ticket::TicketError,
    uri::host_for_people,
};

use super::{
    answer::{self, Refused},
    ask::{self, Asking, Known},
    visit::Visit,
};
use crate::{
    http::peer::client_address,
    office::{NoClient, Office, Purpose},
    page::language,
};

/// GET and form POST (OpenID Connect Core §3.1.2.1).
pub async fn authorize(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let visit = Visit::begin(&office, &headers);
    let asker = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let asked = if method == Method::POST {
        answer::form(&headers, body, office.body_max).await.ok()
    } else {
        Some(uri.query().unwrap_or_default().to_owned())
    };
    let mut response = match &asked {
        Some(text) => answer(&office, &visit, &headers, asker, text).await,
        None => ask::unreadable(&office, &visit),
    };
    visit.keep(&office, &mut response);
    response
}

/// Answers the parameters in `text`, which somebody at `asker` sent.
async fn answer(
    office: &Office,
    visit: &Visit,
    headers: &HeaderMap,
    asker: IpAddr,
    text: &str,
) -> Response {
    let Ok(params) = Params::parse(text) else {
        return ask::unreadable(office, visit);
    };
    let id = match authorize::client_id(&params) {
        Ok(id) => id,
        Err(refusal) => return refused_page(office, visit, refusal),
    };
    let client = match office.client(id, Purpose::Login, asker).await {
        Ok(client) => client,
        Err(why) => return no_client(office, visit, &why, &params),
    };
    if let Ok(Some(request_uri)) = params.one("request_uri")
        && request_uri.starts_with(par::PREFIX)
    {
        return pushed(office, visit, headers, asker, &client, request_uri).await;
    }
    match authorize::judge(&params, &client, &office.catalogue, &office.policy.own) {
        Ok(ask) => {
            let id = TicketId::new(office.world.random());
            asked(office, visit, headers, asker, &client, &ask, id).await
        }
        Err(Refusal::Page(refusal)) => refused_page(office, visit, refusal),
        Err(Refusal::Redirect(refusal)) => refused_redirect(office, visit, &client, &refusal),
    }
}

/// Asks whoever is signed in at our own pages, or whoever comes.
async fn asked(
    office: &Office,
    visit: &Visit,
    headers: &HeaderMap,
    asker: IpAddr,
    client: &Client,
    ask: &AskConsent,
    ticket: TicketId,
) -> Response {
    let server = office.catalogue.by_uri(&ask.resource);
    visit.earlier(
        office,
        &About {
            client: Digest::of(client.id.as_bytes()),
            server: server.map_or("", |server| server.name.as_str()),
            browser: asker,
            now: office.world.now(),
        },
    );
    let known = Known::of(office, headers, client, ask).await;
    let asking = Asking {
        client,
        ask,
        ticket,
        device: None,
    };
    ask::ask(office, visit, &known, &asking).await
}

/// A request that was pushed before: nothing else of this one counts (RFC 9126 §4).
async fn pushed(
    office: &Office,
    visit: &Visit,
    headers: &HeaderMap,
    asker: IpAddr,
    client: &Client,
    request_uri: &str,
) -> Response {
    let keys = office.keys.load_full();
    let pushed = Pushed::read(request_uri, &client.id, &keys.browser, office.world.now());
    let still_theirs = |pushed: &Pushed| {
        let redirect = Some(pushed.ask.redirect.text());
        client.match_redirect(redirect).is_some()
    };
    match pushed {
        Ok(pushed) if still_theirs(&pushed) => {
            asked(
                office,
                visit,
                headers,
                asker,
                client,
                &pushed.ask,
                pushed.id,
            )
            .await
        }
        Ok(_) | Err(TicketError::NotOurs | TicketError::Expired) => {
            visit.refused(
                office,
                "V-AUT-005",
                "the pushed request is not known or too old",
            );
            Refused::of(StatusCode::BAD_REQUEST, "V-AUT-005").page(office, Some(visit.flow))
        }
    }
}

/// The client may hear of it by redirect, or by a link that a person follows (CONS-9).
fn refused_redirect(
    office: &Office,
    visit: &Visit,
    client: &Client,
    refusal: &RedirectRefusal,
) -> Response {
    visit.refused(office, "V-AUT-003", &refusal.error.to_string());
    let location = refusal.location(&office.issuer, Some(&office.flow_url(visit.flow)));
    if client.may_hear_early_errors(&refusal.to) {
        return answer::redirect(&location);
    }
    let host = host_for_people(refusal.to.text());
    let why = refusal.error.to_string();
    Refused::of(StatusCode::BAD_REQUEST, "V-AUT-003")
        .with("why", &why)
        .back(&location, &host)
        .page(office, Some(visit.flow))
}

fn refused_page(office: &Office, visit: &Visit, refusal: PageRefusal) -> Response {
    let code = match refusal {
        PageRefusal::ClientIdMissing | PageRefusal::Repeated => "V-AUT-001",
        PageRefusal::RedirectMissing | PageRefusal::RedirectUnknown => "V-AUT-002",
    };
    visit.refused(office, code, &refusal.to_string());
    let why = refusal.to_string();
    Refused::of(StatusCode::BAD_REQUEST, code)
        .saying("V-AUT-001")
        .with("why", &why)
        .page(office, Some(visit.flow))
}

fn no_client(office: &Office, visit: &Visit, why: &NoClient, params: &Params<'_>) -> Response {
    if *why == NoClient::NotNow {
        visit.refused(office, "V-STO-001", &why.to_string());
        return answer::from_catalogue(office, StatusCode::SERVICE_UNAVAILABLE, "V-STO-001");
    }
    // One page for every way a document can fail: nobody learns about our network by it.
    let code = match why {
        NoClient::Unknown => "V-CLI-001",
        NoClient::NotAdmitted => "V-CLI-002",
        NoClient::Blocked => "V-CLI-005",
        NoClient::Document(_) | NoClient::NotNow => "V-CLI-003",
    };
    visit.refused(office, code, &why.to_string());
    // Whoever is stuck here has an app that kept an id too long; its address tells which. What
    // its makers call things is known in English.
    let redirect = params.one("redirect_uri").ok().flatten();
    let preset = redirect.and_then(preset::by_redirect);
    let again = match preset.filter(|_| language::now().tag == language::english().tag) {
        Some(preset) => preset.start_again.to_owned(),
        None => language::now().text("start-again"),
    };
    Refused::of(StatusCode::BAD_REQUEST, code)
        .with("again", &again)
        .page(office, Some(visit.flow))
}
