//! `/.well-known/…`, `/jwks.json` and the style sheet.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Path, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use vestibule_core::{flow::earlier::Seen, metadata, resource::Resource};

use super::answer;
use crate::office::Office;

/// RFC 8414 §3; also where OpenID Connect clients look.
pub async fn authorization_server(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    office.saw(peer.ip(), &headers, Seen::ServerMetadata);
    let now = office.world.now();
    office
        .arrivals
        .saw(peer.ip(), &headers, &office.trusted_proxies, now);
    let scopes = office
        .catalogue
        .iter()
        .filter(|resource| resource.direct.is_none())
        .flat_map(|resource| resource.default_scopes.iter());
    document(&metadata::authorization_server(
        &office.issuer,
        office.offered,
        scopes,
    ))
}

/// RFC 9728 §3.1, at the path of each server.
pub async fn protected_resource(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let resource = office
        .catalogue
        .iter()
        .find(|resource| resource.path[1..] == path);
    if let Some(resource) = resource {
        let seen = Seen::ResourceMetadata(resource.name.clone());
        office.saw(peer.ip(), &headers, seen);
    }
    of_resource(&office, resource)
}

/// Without a path only where there is one server: with several, a client would bind itself
/// to the wrong one.
pub async fn only_protected_resource(State(office): State<Arc<Office>>) -> Response {
    of_resource(&office, office.catalogue.only())
}

fn of_resource(office: &Office, resource: Option<&Resource>) -> Response {
    match resource {
        Some(resource) => document(&metadata::protected_resource(&office.issuer, resource)),
        None => answer::json(
            StatusCode::NOT_FOUND,
            &serde_json::json!({ "error": "not_found" }),
        ),
    }
}

/// RFC 7517 §5.
pub async fn jwks(State(office): State<Arc<Office>>) -> Response {
    document(&office.keys.load().jwks)
}

fn document(body: &serde_json::Value) -> Response {
    let mut response = answer::json(StatusCode::OK, body);
    // Shorter than the overlap of keys at a rotation.
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response.headers_mut().remove(header::PRAGMA);
    response
}
