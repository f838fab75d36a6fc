//! The control socket beside the store: the API for whoever has the rights of this process on
//! this computer, which is whoever could read the store's file anyway.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    serve::IncomingStream,
};
use http::StatusCode;
use tokio::net::UnixListener;
use vestibule_core::audit::Actor;

use super::{Asker, Desk, local};

/// Where the socket of a store is.
pub fn path_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// The user of this process.
///
/// # Errors
/// What the operating system says.
pub fn own_user() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// A user of the operating system, for the audit.
pub fn actor(user: u32) -> Actor {
    Actor::Console {
        user: format!("user {user} of the computer"),
    }
}

/// Listens at `path`, which whoever holds the store's lock may take over.
///
/// # Errors
/// What the operating system says.
pub fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Who is at the other end, by the operating system.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

/// Serves the API at a socket until `stopped`.
///
/// # Errors
/// What the operating system says.
pub async fn serve(
    listener: std::os::unix::net::UnixListener,
    desk: Arc<Desk>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let own = own_user()?;
    let router: Router = local(desk).layer(middleware::from_fn(
        move |ConnectInfo(Peer(user)): ConnectInfo<Peer>, request: Request, next: Next| {
            let_in(own, user, request, next)
        },
    ));
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(stopped)
    .await
}

/// Only the user of this process, and the one who may do anything: between making a socket
/// and closing it to others a moment passes.
async fn let_in(own: u32, user: Option<u32>, mut request: Request, next: Next) -> Response {
    let Some(user) = user.filter(|user| *user == own || *user == 0) else {
        tracing::warn!(
            event = "admin.refused",
            what = "another user at the control socket"
        );
        return StatusCode::FORBIDDEN.into_response();
    };
    request.extensions_mut().insert(Asker(actor(user)));
    next.run(request).await
}
