//! What can be looked at on this computer.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use vestibule_core::{
    entra::{credential::digest_of, journal::Kind},
    time::Timestamp,
};

use super::{Findings, public::days};
use crate::{
    cli::environment,
    config::{Config, ProofAt},
    entra::journal::Journal,
    provider_credential::{ProviderCredential, SOON},
    store::sqlite,
    world::World,
};

pub(super) fn look(config: &Config, findings: &mut Findings) {
    if config.public_url.is_plain_http() {
        findings.weak(
            "public address",
            format!(
                "{} is plain HTTP, for this computer only",
                config.public_url
            ),
            "give it an https address, with a proxy in front that ends TLS",
        );
    }
    if !config.admin.listen.ip().is_loopback() {
        findings.weak(
            "console",
            format!("it listens on {}, beyond this computer", config.admin.listen),
            "let admin.listen be 127.0.0.1:9090, or put a proxy with TLS in front and set admin.url",
        );
    }
    for server in config.servers.iter().filter(|server| server.public) {
        findings.weak(
            "servers",
            format!(
                "{} is public: everybody may call it without a token",
                server.resource.name
            ),
            "take servers.NAME.public out, if it is not for tests",
        );
    }
    if !config.registration.unsafe_document_addresses.is_empty() {
        findings.weak(
            "registration",
            "documents of clients are fetched from addresses that are not public",
            "take registration.unsafe_document_addresses out, which is for tests",
        );
    }
    for idp in config.providers() {
        if idp.issuer.starts_with("http://") {
            findings.weak(
                "provider",
                format!("{} is plain HTTP", idp.issuer),
                "use the provider's https address",
            );
        }
        if let ProviderCredential::Secret(secret) = &idp.credential
            && let Some(file) = secret.file()
        {
            private(findings, "client secret", file);
        }
        if let Some(ends) = idp.credential_ends() {
            certificate(findings, ends);
        }
    }
    keys(config, findings);
    store(config, findings);
}

/// When the secret ends that `vestibule entra` made; no other provider tells.
pub(super) fn registration(path: &Path, findings: &mut Findings) {
    let Ok(setup) = Config::load_entra(path, &environment()) else {
        return;
    };
    let Some(ProofAt::SecretFile(file)) = &setup.proof else {
        return;
    };
    let held = std::fs::read_to_string(file).ok();
    let held = held.and_then(|text| digest_of(&text));
    let journal = Journal::look(&setup.entra.state, &World::real());
    let ends = journal.ok().and_then(|journal| {
        let known = journal.known();
        let ours = known.current(Kind::Secret);
        // Another may have been put there by hand.
        ours.filter(|ours| held.is_some() && ours.digest == held)?
            .ends
    });
    let Some(ends) = ends else { return };
    ending(findings, "client secret", ends, "vestibule entra rotate");
}

fn certificate(findings: &mut Findings, ends: Timestamp) {
    const FIX: &str = "register another at the provider beside it, then name it in idp.credential; \
                       with Microsoft Entra, vestibule entra rotate does both";
    ending(findings, "client certificate", ends, FIX);
}

/// How long what proves us to the provider is good for.
fn ending(findings: &mut Findings, about: &'static str, ends: Timestamp, fix: &str) {
    let now = World::real().now();
    let what = format!("it ends in {} days", days(ends, now));
    if ends <= now {
        let what = "it has ended: the provider takes it no more";
        findings.wrong(about, what, fix);
    } else if ends.since(now) < SOON {
        findings.weak(about, what, fix);
    } else {
        findings.ok(about, what);
    }
}

/// What the store and its journal have room for. A full disk refuses logins (V-STO-001).
fn room(findings: &mut Findings, folder: &Path) {
    const ABOUT: &str = "disk";
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return;
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    let what = format!("{free} MiB are free where the store is");
    let fix = "make room, or move store.url; audit.retention bounds what is kept of calls";
    match free {
        0..100 => findings.wrong(ABOUT, what, fix),
        100..1024 => findings.weak(ABOUT, what, fix),
        _ => findings.ok(ABOUT, what),
    }
}

fn keys(config: &Config, findings: &mut Findings) {
    let root = config.keys_dir.join("root.key");
    if root.exists() {
        private(findings, "root key", &root);
    } else if config.store.exists() {
        findings.wrong(
            "root key",
            format!("{} is not there, and the store is", root.display()),
            "put the root key of this store back; without it its keys cannot be opened",
        );
    } else {
        findings.skipped("root key", "made at the first start");
    }
}

fn store(config: &Config, findings: &mut Findings) {
    let path = &config.store;
    if let Some(folder) = path.parent() {
        room(findings, folder);
    }
    if !path.exists() {
        findings.skipped(
            "store",
            format!("{} is made at the first start", path.display()),
        );
        return;
    }
    match sqlite::look(path) {
        Ok(version) => findings.ok("store", format!("{}, tables of version {version}", path.display())),
        Err(error) => findings.wrong(
            "store",
            format!("{}: {error}", path.display()),
            "look at its rights and the disk; a copy from before can be put in its place while nothing runs",
        ),
    }
}

/// A file that others on this computer can read is nobody's secret.
fn private(findings: &mut Findings, about: &'static str, path: &Path) {
    match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => findings.weak(
            about,
            format!("others on this computer can read {}", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(_) => findings.ok(
            about,
            format!("{}, readable by its user alone", path.display()),
        ),
        Err(error) => findings.wrong(
            about,
            format!("{}: {error}", path.display()),
            "put the file there, or name another",
        ),
    }
}
