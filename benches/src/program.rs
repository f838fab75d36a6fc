//! The program by itself: its size, how soon it is ready, what it takes when nobody calls,
//! and what the check of a token costs.

use std::{
    fs,
    hint::black_box,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use vestibule::{
    keys::AccessKeys, proxy::seen_tokens::SeenTokens, revocation::Revocations, world::World,
};
use vestibule_core::{access_token::Opens, bearer, resource::Resource};

use crate::{
    Common,
    gateway::{Form, Gateway},
    measure::{Series, Spread},
    print,
    process::Pin,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

const PORT: u16 = 18_600;
/// Checks in one slice.
const CHECKS: u32 = 20_000;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut series = Series::default();
    for _ in 0..arguments.common.rounds {
        start(&arguments.common.bin, &mut series)?;
        check(&mut series)?;
    }
    series.push("size", stripped(&arguments.common.bin)?);
    let figures = [
        ("size", "the program, stripped, MiB", 1),
        ("ready", "start to ready, ms", 1),
        ("idle", "resident at rest, MiB", 1),
        ("private", "of it not shared with its file, MiB", 1),
        ("new", "check of a token, ns", 0),
        ("seen", "check of a token seen before, ns", 0),
        ("jwt", "check of a signed token, ns", 0),
    ];
    let rows: Vec<Vec<String>> = figures
        .into_iter()
        .map(|(name, words, digits)| {
            let text = Spread::of(series.of(name).iter().copied())
                .map_or_else(String::new, |spread| spread.text(digits));
            vec![words.to_owned(), text]
        })
        .collect();
    print(&format!(
        "\n## The program by itself\n\n{}",
        table(&["what", "figure"], &rows)
    ));
    Ok(())
}

fn stripped(bin: &Path) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("stripped");
    let done = Command::new("strip")
        .arg("-o")
        .arg(&out)
        .arg(bin)
        .status()?;
    ensure!(done.success(), "strip");
    Ok(fs::metadata(&out)?.len() as f64 / 1024.0 / 1024.0)
}

fn start(bin: &Path, series: &mut Series) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::prepare(folder.path(), PORT, 9, 1, "")?;
    let begun = now();
    let process = gateway.start(bin, Pin::No)?;
    while !is_ready(PORT + 1) {
        ensure!(begun.elapsed() < Duration::from_secs(10), "never ready");
        thread::sleep(Duration::from_millis(1));
    }
    series.push("ready", begun.elapsed().as_secs_f64() * 1e3);
    thread::sleep(Duration::from_secs(1));
    series.push("idle", process.resident()? as f64 / 1024.0);
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let private = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let private = private.and_then(|line| line.split_whitespace().next());
    let private: f64 = private.context("no RssAnon")?.parse()?;
    series.push("private", private / 1024.0);
    Ok(())
}

fn is_ready(port: u16) -> bool {
    let asked = || -> Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    asked().unwrap_or(false)
}

/// The guard's work, on this thread, with nothing around it.
fn check(series: &mut Series) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::prepare(folder.path(), PORT, 9, 1, "")?;
    let path = "/check/json";
    let keys = Arc::new(gateway.keys().clone());
    let resource = Resource::new(gateway.issuer(), "check-json", path, "Check");
    let revocations = Revocations::default();
    let world = World::real();
    let judge = |token: &str, opens: &dyn Opens| {
        bearer::judge(
            black_box(token),
            None,
            &resource,
            opens,
            &**revocations.now(),
            Duration::from_secs(30),
            world.now(),
        )
    };
    let time = |name: &str, token: &str, opens: &dyn Opens, series: &mut Series| -> Result<()> {
        ensure!(judge(token, opens).is_ok(), "the token is refused");
        let begun = now();
        for _ in 0..CHECKS {
            let _ = black_box(judge(token, opens));
        }
        series.push(
            name,
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(CHECKS),
        );
        Ok(())
    };
    let issuer = gateway.issuer();
    let opens = AccessKeys {
        keys: &keys,
        issuer,
    };
    let seen = SeenTokens::default();
    let sealed = gateway.tokens(path, 1, Form::Sealed)?.remove(0);
    let signed = gateway.tokens(path, 1, Form::Jwt)?.remove(0);
    time("new", &sealed, &opens, series)?;
    time("seen", &sealed, &seen.with(&keys, issuer), series)?;
    time("jwt", &signed, &opens, series)
}

#[allow(clippy::disallowed_methods)] // a stopwatch, which no test turns
fn now() -> Instant {
    Instant::now()
}
