//! `/connections`: accounts of a person at services behind MCP servers. They connect one, a
//! server gets its tokens when an app of theirs calls it, and they take it back.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};
use vestibule_core::{
    audit::Actor,
    callback::{Answer, Says},
    connecting::Connecting,
    params::Params,
    pkce::CodeVerifier,
    resource::Resource,
    secret::Digest,
    sign_in::Destination,
    ticket::TicketError,
};

use super::{
    answer,
    consent::store_failed,
    login::{begin_at, from_their_page},
    session::{Session, sign_in_first},
};
use crate::{
    office::Office,
    page,
    service::{Service, ServiceError},
    store::{Decided, Disconnect, NewConnection, StoreError, connection_place},
    vault::{self, CONNECTIONS, Vault},
};

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Connect,
    Disconnect,
    Confirm,
}

/// `GET /connections`.
pub async fn list(
    State(office): State<Arc<Office>>,
    Extension(vault): Extension<Arc<Vault>>,
    headers: HeaderMap,
) -> Response {
    match Session::of(&office, &headers).await {
        Ok(Some(session)) => draw(&office, &vault, &session).await,
        Ok(None) => sign_in_first(&office, Destination::Connections),
        Err(error) => store_failed(&office, &error),
    }
}

/// `POST /connections`.
pub async fn act(
    State(office): State<Arc<Office>>,
    Extension(vault): Extension<Arc<Vault>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let session = match Session::of(&office, &headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return sign_in_first(&office, Destination::Connections),
        Err(error) => return store_failed(&office, &error),
    };
    let text = from_their_page(&office, &session, &headers, body).await;
    let asked = text.as_deref().and_then(|text| {
        let params = Params::parse(text).ok()?;
        let act = match params.one("act").ok()?? {
            "connect" => Act::Connect,
            "disconnect" => Act::Disconnect,
            "confirm" => Act::Confirm,
            _ => return None,
        };
        Some((act, params.one("server").ok()??.to_owned()))
    });
    let Some((act, server)) = asked else {
        return answer::from_catalogue(&office, StatusCode::FORBIDDEN, "V-APP-001");
    };
    let service = office.services.get(&server);
    match (act, service) {
        (Act::Connect, Some(service)) => begin(&office, &session, &server, service).await,
        // Also one whose server is gone: its tokens are here still.
        (Act::Disconnect, _) => end(&office, &vault, &session, &server).await,
        (Act::Confirm, _) => confirm(&office, &vault, &session, &server, &headers).await,
        (Act::Connect, None) => answer::from_catalogue(&office, StatusCode::NOT_FOUND, "V-ACC-004"),
    }
}

/// On to the identity provider, where the person says that a server may act for them, or shows
/// what it wants to see. It keeps that; nothing comes back but that they are signed in.
async fn confirm(
    office: &Office,
    vault: &Vault,
    session: &Session,
    server: &str,
    headers: &HeaderMap,
) -> Response {
    let person = session.person.id;
    let wanted = vault.to_confirm(person, server);
    let wanted = wanted.and_then(|confirm| {
        let provider = office.providers.named(&confirm.provider)?;
        Some((confirm, provider))
    });
    let Some((confirm, provider)) = wanted else {
        return draw(office, vault, session).await;
    };
    let begun = begin_at(office, provider, Destination::Connections, None, headers).await;
    let begun = match begun {
        Ok(begun) => begun,
        Err(response) => return response,
    };
    vault.confirming(person, server);
    let (scope, claims) = (confirm.scope.as_deref(), confirm.claims.as_deref());
    let location = provider.confirming_url(&begun.location, scope, claims);
    // Our own page goes on: browsers hold a form to our own origin through every redirect.
    let mut response = page::answer(
        StatusCode::OK,
        &page::Onward {
            frame: office.frame(None),
            host: &provider.title(),
            location: &location,
            to_provider: true,
        },
    );
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, begun.cookie);
    response
}

/// On to the service. Nothing is stored until they are back.
async fn begin(office: &Office, session: &Session, server: &str, service: &Service) -> Response {
    let endpoints = match service.endpoints().await {
        Ok(endpoints) => endpoints,
        Err(error) => return failed(office, server, &error),
    };
    let verifier = CodeVerifier::from_random(&office.world.random());
    let connecting = Connecting {
        server: server.to_owned(),
        verifier: verifier.expose().to_owned(),
        person: session.person.id,
        session: session.digest(),
        begun: office.world.now(),
    };
    let binding = office.random_text();
    let keys = office.keys.load();
    let state = connecting.seal(&keys.browser, &binding, office.world.random());
    let location = service.authorization_url(&endpoints, &state, &verifier.challenge());
    // Our own page goes on: browsers hold a form to our own origin through every redirect.
    let mut response = page::answer(
        StatusCode::OK,
        &page::Onward {
            frame: office.frame(None),
            host: &service.host(),
            location: &location,
            to_provider: true,
        },
    );
    let state = Digest::of(state.as_bytes());
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.set_login(&state, &binding));
    response
}

/// `GET /oauth-callback/connect/{server}`: back from the service.
pub async fn came_back(
    State(office): State<Arc<Office>>,
    Extension(vault): Extension<Arc<Vault>>,
    Path(server): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = Params::parse(uri.query().unwrap_or_default())
        .ok()
        .and_then(|params| Answer::read(&params).ok());
    let (Some(answer), Some(service)) = (answer, office.services.get(&server)) else {
        return answer::from_catalogue(&office, StatusCode::BAD_REQUEST, "V-ACC-003");
    };
    let state = Digest::of(answer.state.as_bytes());
    let mut response = match finish(&office, &vault, &server, service, &answer, &headers).await {
        Ok(response) | Err(response) => response,
    };
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.clear_login(&state));
    response
}

async fn finish(
    office: &Office,
    vault: &Vault,
    server: &str,
    service: &Service,
    answer: &Answer,
    headers: &HeaderMap,
) -> Result<Response, Response> {
    let refused = |status| answer::from_catalogue(office, status, "V-ACC-003");
    let not_stored = |error: StoreError| store_failed(office, &error);
    let binding = office
        .jar
        .login(headers, &Digest::of(answer.state.as_bytes()));
    let binding = binding.ok_or_else(|| refused(StatusCode::FORBIDDEN))?;
    let keys = office.keys.load_full();
    let now = office.world.now();
    let opened = Connecting::open(&answer.state, server, &keys.browser, &binding, now);
    let connecting = opened.map_err(|error| match error {
        TicketError::Expired => refused(StatusCode::GONE),
        TicketError::NotOurs => refused(StatusCode::FORBIDDEN),
    })?;
    let once = office.store.spend(connecting.once(&answer.state));
    if once.await.map_err(not_stored)? == Decided::Before {
        return Err(refused(StatusCode::BAD_REQUEST));
    }
    // Whoever signed out meanwhile, or was signed out, connects nothing.
    let vouched = now.minus(office.vouching.recheck);
    let person = office.store.session(connecting.session, vouched, now);
    let person = person.await.map_err(not_stored)?;
    if person.is_none_or(|person| person.id != connecting.person) {
        return Err(refused(StatusCode::FORBIDDEN));
    }
    let endpoints = service.endpoints().await;
    let endpoints = endpoints.map_err(|error| failed(office, server, &error))?;
    if !Service::is_from(&endpoints, answer.iss.as_deref()) {
        return Err(refused(StatusCode::BAD_REQUEST));
    }
    let code = match &answer.says {
        Says::Code(code) => code,
        Says::Error { error, said } => {
            tracing::info!(event = "service.refused", server, error, said);
            let status = StatusCode::FORBIDDEN;
            return Err(answer::from_catalogue(office, status, "V-ACC-002"));
        }
    };
    let verifier = CodeVerifier::parse(&connecting.verifier);
    let verifier = verifier.map_err(|_| refused(StatusCode::FORBIDDEN))?;
    let kept = service.redeem(&endpoints, code, &verifier, now).await;
    let kept = kept.map_err(|error| failed(office, server, &error))?;
    let place = connection_place(connecting.person, server);
    let connected = office.store.connect(NewConnection {
        person: connecting.person,
        server: server.to_owned(),
        sealed: keys.seal_at_rest(&place, &kept.to_bytes(), &office.world),
        session: connecting.session,
        now: office.world.now(),
    });
    if !connected.await.map_err(not_stored)? {
        let _ = service.revoke(&kept).await;
        return Err(refused(StatusCode::FORBIDDEN));
    }
    vault.changed(connecting.person, server);
    tracing::info!(event = "account.connected", server, user_ref = %connecting.person);
    Ok(page::answer(
        StatusCode::OK,
        &page::SignedIn {
            frame: office.frame(None),
            path: CONNECTIONS,
        },
    ))
}

async fn end(office: &Office, accounts: &Vault, session: &Session, server: &str) -> Response {
    let person = &session.person;
    let account = vault::opened(office, person.id, server).await;
    let gone = office.store.disconnect(Disconnect {
        person: person.id,
        server: server.to_owned(),
        by: Actor::Person {
            id: person.id,
            shown: person.shown.clone(),
        },
        now: office.world.now(),
    });
    if let Err(error) = gone.await {
        return store_failed(office, &error);
    }
    accounts.changed(person.id, server);
    tracing::info!(event = "account.disconnected", server, user_ref = %person.id);
    vault::take_back(office, account.into_iter().collect()).await;
    draw(office, accounts, session).await
}

fn failed(office: &Office, server: &str, error: &ServiceError) -> Response {
    tracing::warn!(event = "service.failed", server, %error);
    let (status, code) = match error {
        ServiceError::Unreachable(_) | ServiceError::Metadata(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "V-ACC-001")
        }
        _ => (StatusCode::FORBIDDEN, "V-ACC-002"),
    };
    answer::from_catalogue(office, status, code)
}

async fn draw(office: &Office, vault: &Vault, session: &Session) -> Response {
    let connections = match office.store.connections(session.person.id).await {
        Ok(connections) => connections,
        Err(error) => return store_failed(office, &error),
    };
    let row = |resource: &Resource| {
        let service = office.services.get(&resource.name)?;
        let found = connections.iter().find(|one| one.server == resource.name);
        Some(page::ConnectionRow {
            server: resource.name.clone(),
            title: resource.title.clone(),
            host: service.host(),
            since: found
                .filter(|one| !one.broken)
                .map(|one| page::time::day(one.since)),
            broken: found.is_some_and(|one| one.broken),
            serves: true,
        })
    };
    let mut rows: Vec<_> = office.catalogue.iter().filter_map(row).collect();
    let gone = connections
        .iter()
        .filter(|one| !office.services.contains_key(&one.server));
    rows.extend(gone.map(|one| page::ConnectionRow {
        server: one.server.clone(),
        title: one.server.clone(),
        host: one.server.clone(),
        since: Some(page::time::day(one.since)),
        broken: one.broken,
        serves: false,
    }));
    let confirm = |resource: &Resource| {
        let confirm = vault.to_confirm(session.person.id, &resource.name)?;
        let provider = office.providers.named(&confirm.provider)?;
        Some(page::ConfirmRow {
            server: resource.name.clone(),
            title: resource.title.clone(),
            provider: provider.title(),
        })
    };
    let confirms: Vec<_> = office.catalogue.iter().filter_map(confirm).collect();
    page::answer_with_form(
        StatusCode::OK,
        &page::Connections {
            frame: office.frame(None),
            person: &session.person.shown,
            rows,
            confirms,
            token: &session.form_token(office),
        },
    )
}
