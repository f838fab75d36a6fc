//! The way to the management API: over the socket of the gateway that runs, or, if none does,
//! to the store itself.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Router, body::Body};
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, runtime::Runtime};
use tower::ServiceExt as _;
use vestibule_core::text::on_one_line;

use super::{Exit, environment, say};
use crate::{
    admin::{Asker, Desk, local, socket},
    audit::Audit,
    config::Config,
    flows::Flows,
    pulse::Pulse,
    store::{Store, StoreError, sqlite::Sqlite},
    world::World,
};

/// Bytes of an answer at most.
const ANSWER_MAX: usize = 64 << 20;

/// See the module.
pub(super) struct Control {
    runtime: Runtime,
    way: Way,
}

enum Way {
    Socket(PathBuf),
    Store(Router),
}

/// An error, said already.
pub(super) type Said = Exit;

impl Control {
    /// Opens the way to the gateway of this configuration.
    pub(super) fn open(config: &Path) -> Result<Self, Said> {
        let config = Config::load(config, &environment()).map_err(|report| {
            say(&report.to_string());
            Exit::Usage
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unexpected(&error.to_string()))?;
        let path = socket::path_of(&config.store);
        let runs = runtime.block_on(UnixStream::connect(&path)).is_ok();
        let way = if runs {
            Way::Socket(path)
        } else {
            Way::Store(in_process(config).map_err(|error| store(&error))?)
        };
        Ok(Self { runtime, way })
    }

    /// The way to the gateway of this configuration, if one runs.
    pub(super) fn of_running(config: &Config) -> Result<Option<Self>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let path = socket::path_of(&config.store);
        match runtime.block_on(UnixStream::connect(&path)) {
            Ok(_) => {
                let way = Way::Socket(path);
                Ok(Some(Self { runtime, way }))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(
                "the gateway that runs here is another user's; run this as that user".to_owned(),
            ),
            Err(_) => Ok(None),
        }
    }

    /// Does something else meanwhile.
    pub(super) fn wait_for<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// Whether a gateway answers.
    pub(super) fn runs(&self) -> bool {
        matches!(self.way, Way::Socket(_))
    }

    /// Asks.
    pub(super) fn get(&self, path: &str) -> Result<Value, Said> {
        self.ask(Method::GET, path, None)
    }

    /// Does.
    pub(super) fn post(&self, path: &str, with: &Value) -> Result<Value, Said> {
        self.ask(Method::POST, path, Some(with))
    }

    fn ask(&self, method: Method, path: &str, with: Option<&Value>) -> Result<Value, Said> {
        let body = with.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "control")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| unexpected(&error.to_string()))?;
        let (status, body) = self
            .runtime
            .block_on(self.send(request))
            .map_err(|error| unexpected(&error))?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| unexpected("the gateway's answer is no JSON"))?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let text = |name: &str| on_one_line(answer[name].as_str().unwrap_or_default(), 500);
        let fix = match answer["fix"].as_str() {
            Some(_) => format!("\n  fix: {}", text("fix")),
            None => String::new(),
        };
        say(&format!(
            "error[{}]: {}{fix}\nNothing was changed.",
            text("error"),
            text("what")
        ));
        Err(match status {
            400 => Exit::Usage,
            404 => Exit::Failed,
            403 => Exit::Refused,
            503 => Exit::Unreachable,
            _ => Exit::Unexpected,
        })
    }

    async fn send(&self, request: Request<Body>) -> Result<(u16, Vec<u8>), String> {
        let words = |error: &dyn std::error::Error| error.to_string();
        let response = match &self.way {
            Way::Store(router) => {
                let mut request = request;
                let user = socket::own_user().map_err(|error| words(&error))?;
                request.extensions_mut().insert(Asker(socket::actor(user)));
                let Ok(response) = router.clone().oneshot(request).await;
                response
            }
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.map_err(|error| words(&error))?;
                let io = TokioIo::new(stream);
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
                    .await
                    .map_err(|error| words(&error))?;
                tokio::spawn(connection);
                let sent = sender.send_request(request).await;
                sent.map_err(|error| words(&error))?.map(Body::new)
            }
        };
        let status = response.status().as_u16();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes().to_vec()))
    }
}

fn in_process(config: Config) -> Result<Router, StoreError> {
    let world = World::real();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&config.store, Arc::default())?);
    let pulse = Arc::new(Pulse::new(world.now()));
    let catalogue = config.catalogue();
    Ok(local(Arc::new(Desk {
        flows: Flows::new(world.clone(), Arc::clone(&store), Arc::clone(&pulse)),
        audit: Arc::new(Audit::new(config.audit, Arc::clone(&store), pulse)),
        store,
        catalogue,
        issuer: config.public_url,
        world,
        keys_dir: config.keys_dir,
        office: None,
    })))
}

fn store(error: &StoreError) -> Exit {
    say(&format!(
        "error[V-ADM-008]: no gateway answers at its socket, and the store cannot be opened: {error}\n  fix: run this as the user of the gateway, with its configuration (-c); if the gateway hangs, stop it\nNothing was changed."
    ));
    Exit::Unreachable
}

fn unexpected(what: &str) -> Exit {
    say(&format!(
        "error[V-ADM-009]: the gateway could not be asked: {what}\n  fix: see whether it still runs, and look at its log"
    ));
    Exit::Unexpected
}

/// Asks before something ends: `what` says what. Without a terminal, only `--yes` does it.
pub(super) fn confirmed(what: &str, yes: bool) -> Result<(), Said> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        say(&format!(
            "error[V-ADM-010]: {what}\n  fix: add --yes if that is meant\nNothing was changed."
        ));
        return Err(Exit::Refused);
    }
    let _ = write!(io::stderr(), "{} Go on? [y/N] ", on_one_line(what, 1000));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    if read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        say("Nothing was changed.");
        Err(Exit::Refused)
    }
}

/// Rows as columns, each as wide as its widest; words of others steer no terminal.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let clean: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| on_one_line(cell, 60)).collect())
        .collect();
    let width = |at: usize| {
        let cells = clean.iter().filter_map(|row| row.get(at));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or_default().max(head[at].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let mut out = line(&head);
    for row in &clean {
        out.push_str(&line(row));
    }
    out
}

/// A part of a path.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_it_must_be_and_obeys_nobody() {
        let rows = vec![
            vec!["ada".to_owned(), "1".to_owned()],
            vec!["a long\u{1b}[2J name".to_owned(), "22".to_owned()],
        ];
        let told = table(&["NAME", "N"], &rows);
        assert_eq!(
            told,
            "NAME          N\nada           1\na long[2J name  22\n".replace(
                "NAME          N\nada           1",
                "NAME            N\nada             1"
            )
        );
    }

    #[test]
    fn a_segment_of_a_path_is_one_segment() {
        assert_eq!(segment("ada@x/../y?"), "ada%40x%2F..%2Fy%3F");
    }
}
