//! Whether the addresses are free that a gateway is to listen on, if none runs here.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
};

use super::Findings;
use crate::{admin::socket, config::Config};

const ABOUT: &str = "listening";

pub(super) fn look(config: &Config, findings: &mut Findings) {
    match UnixStream::connect(socket::path_of(&config.store)) {
        Ok(_) => {
            findings.ok(ABOUT, "a gateway runs here");
            return;
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.ok(ABOUT, "a gateway runs here, as another user");
            return;
        }
        Err(_) => {}
    }
    for (key, address) in [
        ("listen", config.listen),
        ("admin.listen", config.admin.listen),
    ] {
        free(key, address, findings);
    }
}

fn free(key: &str, address: SocketAddr, findings: &mut Findings) {
    let Err(error) = TcpListener::bind(address) else {
        findings.ok(ABOUT, format!("{address} is free ({key})"));
        return;
    };
    let (what, fix) = match error.kind() {
        ErrorKind::AddrInUse => (
            format!("another program listens on {address} ({key})"),
            format!("ss -ltnp shows which; stop it, or choose another address with {key}"),
        ),
        ErrorKind::PermissionDenied => (
            format!("this user may not listen on {address} ({key})"),
            format!("choose a port above 1023 with {key}, or run this as the gateway's user"),
        ),
        _ => (
            format!("nobody can listen on {address} ({key}): {error}"),
            format!("let {key} be an address of this computer"),
        ),
    };
    findings.wrong(ABOUT, what, fix);
}
