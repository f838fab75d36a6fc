//! All public URLs but the servers' own, on one page.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{any, get, post},
};
use http::{Method, StatusCode, header};
use serde_json::json;
use vestibule_core::{params::Params, token::device_code};

use crate::{
    endpoint::{
        answer, apps, assets, authorize, backchannel_logout, callback, connect, connections,
        consent, device, errors, flows, introspect, login, operator, par, register, revoke, token,
        well_known,
    },
    http::{cors, limit::Wait, peer::client_address},
    office::Office,
    page::language,
    vault::{self, Vault},
};

/// The router of pages and OAuth endpoints; `extra` are routes of the demo.
pub fn routes(office: Arc<Office>, vault: Arc<Vault>, extra: Router) -> Router {
    // What costs nothing to begin must not be begun without end.
    let beginnings = Router::new()
        .route("/register", post(register::post))
        .route("/par", post(par::post))
        .route("/device_authorization", post(device::begin))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&office),
            within_limits,
        ));
    // Endpoints that browser clients call with script: readable by every page, no cookies.
    let open = Router::new()
        .route(
            "/.well-known/oauth-authorization-server",
            get(well_known::authorization_server),
        )
        .route(
            "/.well-known/openid-configuration",
            get(well_known::authorization_server),
        )
        .route(
            "/.well-known/oauth-protected-resource",
            get(well_known::only_protected_resource),
        )
        .route(
            "/.well-known/oauth-protected-resource/{*path}",
            get(well_known::protected_resource),
        )
        .route("/jwks.json", get(well_known::jwks))
        .route("/token", post(token::post))
        .route("/revoke", post(revoke::post))
        .route("/introspect", post(introspect::post))
        .merge(beginnings)
        .layer(middleware::from_fn(preflight));
    // Pages for people: no page of another site reads them.
    let pages = Router::new()
        .route(
            "/authorize",
            get(authorize::authorize).post(authorize::authorize),
        )
        .route("/consent/decision", post(consent::decide))
        .route("/consent/onward/{handle}", get(consent::onward))
        .route("/oauth-callback", get(callback::callback))
        .route("/oauth-callback/{name}", get(callback::of_provider))
        .route("/login", get(login::begin))
        .route("/login/{to}", get(login::done))
        .route("/logout", get(login::ask_to_leave).post(login::leave))
        .route("/apps", get(apps::list).post(apps::act))
        .route(
            vault::CONNECTIONS,
            get(connections::list).post(connections::act),
        )
        .route(
            "/oauth-callback/connect/{server}",
            get(connections::came_back),
        )
        .layer(Extension(vault))
        .route("/device", get(device::page).post(device::typed))
        .route(device_code::DONE_PATH, get(device::done))
        .route("/operator", get(operator::welcome))
        .route(
            "/operator/pass/{browser}",
            get(operator::ask).post(operator::pass),
        )
        .route("/flows", get(flows::list))
        .route("/flows/{code}", get(flows::show))
        .route("/flows/{code}/{form}", get(flows::export))
        .route("/errors", get(errors::list))
        .route("/errors/{code}", get(errors::show))
        .route("/connect/{server}", get(connect::server))
        .route("/", get(connect::landing))
        .layer(middleware::from_fn(in_its_language));
    let nothing = any({
        let office = Arc::clone(&office);
        move |request: Request| not_found(office, request)
    });
    let assets = assets::routes(&office);
    Router::new()
        .merge(open)
        .merge(pages)
        .route("/backchannel-logout", post(backchannel_logout::post))
        .route(
            "/backchannel-logout/{name}",
            post(backchannel_logout::of_provider),
        )
        .with_state(office)
        .merge(assets)
        .merge(extra)
        .fallback_service(nothing.layer(middleware::from_fn(in_its_language)))
}

/// Pages speak the language that the request asks for.
async fn in_its_language(request: Request, next: Next) -> Response {
    let params = Params::parse(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let asked = params.one("ui_locales").ok().flatten();
    let accept = request.headers().get(header::ACCEPT_LANGUAGE);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let language = language::choose(asked, accept);
    language::within(language, next.run(request)).await
}

/// Answers preflights before the method is looked at, and lets answers be read.
async fn preflight(request: Request, next: Next) -> Response {
    let mut response = match to_preflight(&request) {
        Some(response) => response,
        None => next.run(request).await,
    };
    cors::open(response.headers_mut());
    response
}

fn to_preflight(request: &Request) -> Option<Response> {
    (request.method() == Method::OPTIONS).then(|| {
        let mut response = Response::default();
        *response.status_mut() = cors::preflight(response.headers_mut(), request.headers());
        response
    })
}

/// Turns away an address that begins too much (DCR-8).
async fn within_limits(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let address = client_address(peer.ip(), request.headers(), &office.trusted_proxies);
    match office.beginnings.take(address, office.world.now()) {
        Ok(()) => next.run(request).await,
        Err(Wait(seconds)) => answer::too_many(seconds),
    }
}

async fn not_found(office: Arc<Office>, request: Request) -> Response {
    // Clients try several places, some of them from a page, and go on after a clean 404 only.
    if request.uri().path().contains("/.well-known/") {
        let mut response = to_preflight(&request).unwrap_or_else(|| {
            answer::json(StatusCode::NOT_FOUND, &json!({ "error": "not_found" }))
        });
        cors::open(response.headers_mut());
        return response;
    }
    answer::nothing_here(&office)
}
