//! MCP servers: how they do by the calls that went there, and a look at one from outside.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use url::Url;

use super::{
    super::{
        Admin,
        who::{self, Who},
    },
    Frame, not_there,
};
use crate::{
    client::{
        probe::{self, judge, report},
        web::Web,
    },
    page::{self, time},
};

struct Line {
    name: String,
    title: String,
    uri: String,
    ok: u64,
    failed: u64,
    last_ok: String,
    last_failed: String,
    mark: &'static str,
}

struct Looked {
    title: String,
    good: bool,
    report: String,
}

#[derive(askama::Template)]
#[template(path = "console/servers.html")]
struct List {
    frame: Frame,
    since: String,
    looked: Option<Looked>,
    servers: Vec<Line>,
}

/// `GET /console/servers`.
pub(super) async fn list(State(admin): State<Arc<Admin>>, who: Who) -> Response {
    draw(&admin, &who, None).await
}

async fn draw(admin: &Admin, who: &Who, looked: Option<Looked>) -> Response {
    let office = &admin.office;
    office.audit.keep().await;
    let now = office.world.now();
    let ago = |at: Option<_>| at.map_or_else(|| "never".to_owned(), |at| time::ago(at, now));
    let servers = office
        .catalogue
        .iter()
        .map(|resource| {
            let pulse = office.pulse.server(&resource.name);
            Line {
                name: resource.name.clone(),
                title: resource.title.clone(),
                uri: resource.uri.clone(),
                ok: pulse.ok,
                failed: pulse.failed,
                last_ok: ago(pulse.last_ok),
                last_failed: ago(pulse.last_failed),
                mark: match (pulse.last_ok, pulse.last_failed) {
                    (None, None) => "no calls yet",
                    (ok, failed) if failed > ok => "the last call failed",
                    _ => "answers",
                },
            }
        })
        .collect();
    page::answer_with_form(
        StatusCode::OK,
        &List {
            frame: Frame::of(admin, who, "/console/servers"),
            since: time::moment(office.pulse.started()),
            looked,
            servers,
        },
    )
}

/// `POST /console/servers/{server}`: a probe of our own public address of it, as any client
/// would. The address is the configuration's; nobody types one (T-ADM-06).
pub(super) async fn look(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(server): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(response) = who::form(&admin, &who, &headers, body).await {
        return response;
    }
    let office = &admin.office;
    let Some(resource) = office.catalogue.iter().find(|known| known.name == server) else {
        return not_there(&admin);
    };
    let looked = match probed(&admin, &resource.uri).await {
        Ok((good, report)) => Looked {
            title: resource.title.clone(),
            good,
            report,
        },
        Err(why) => Looked {
            title: resource.title.clone(),
            good: false,
            report: why,
        },
    };
    draw(&admin, &who, Some(looked)).await
}

async fn probed(admin: &Admin, uri: &str) -> Result<(bool, String), String> {
    let url = Url::parse(uri).map_err(|_| "its address cannot be read".to_owned())?;
    let web = Web::new()?;
    let options = probe::Options {
        register: false,
        token: None,
    };
    let facts = probe::look(&web, &admin.office.world, &url, &options).await;
    let facts = facts.map_err(|error| format!("{uri}: {error}"))?;
    let checks = judge::judge(&facts);
    Ok((report::is_good(&checks), report::text(uri, &checks, false)))
}
