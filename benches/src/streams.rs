//! Event streams that stay open: what one costs in memory, how soon its first event comes,
//! and whether many busy ones slow somebody else down.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    Common,
    gateway::{Form, Gateway},
    load::{self, Aim},
    measure::{Series, Spread, percentile},
    peers, print,
    process::{Pin, Process},
    say,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Only how calls fare beside busy streams
    #[arg(long)]
    fairness: bool,
    /// Idle streams to hold; each takes two descriptors of a proxy
    #[arg(long, default_value_t = 9_800)]
    held: usize,
    /// Busy streams of one client beside the calls of another
    #[arg(long, default_value_t = 1_000)]
    busy: usize,
}

/// Streams opened one after the other to time their first events.
const FIRST: usize = 500;
/// The upstream stands alone on its port; the figures of the machine itself.
const DIRECT: u16 = 18_200;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.fairness {
        idle(arguments)?;
    }
    fairness(arguments)
}

fn idle(arguments: &Arguments) -> Result<()> {
    let mut all: BTreeMap<&str, Series> = BTreeMap::new();
    let names = [
        "direct",
        "nginx",
        "haproxy",
        "haproxy HS256",
        "hyper floor",
        "check",
    ];
    for round in 0..arguments.common.rounds {
        for turn in 0..names.len() {
            let name = names[(turn + round) % names.len()];
            say(&format!(
                "streams: round {} of {}: {name}",
                round + 1,
                arguments.common.rounds
            ));
            let series = all.entry(name).or_default();
            hold(name, arguments, series).with_context(|| name)?;
        }
    }
    let number = |of: &Series, figure: &str, digits| {
        Spread::of(of.of(figure).iter().copied())
            .map_or_else(String::new, |spread| spread.text(digits))
    };
    let rows: Vec<Vec<String>> = names
        .iter()
        .filter_map(|name| all.get(name).map(|of| (name, of)))
        .map(|(name, of)| {
            let to = |peer: &str, figure: &str| {
                all.get(peer)
                    .and_then(|peer| Spread::ratio(of.of(figure), peer.of(figure)))
                    .map_or_else(String::new, |spread| spread.text(2))
            };
            vec![
                (*name).to_owned(),
                number(of, "kib", 1),
                number(of, "held", 0),
                number(of, "idle mib", 1),
                number(of, "first p50", 0),
                to("nginx", "first p50"),
                number(of, "first p99", 0),
                number(of, "open", 0),
            ]
        })
        .collect();
    let heading = [
        "target",
        "KiB/stream",
        "held",
        "MiB idle",
        "first event p50 µs",
        "to nginx",
        "p99 µs",
        "CPU µs to open",
    ];
    print(&format!(
        "\n## Idle event streams\n\n{}",
        table(&heading, &rows)
    ));
    Ok(())
}

/// A fresh process of one target, so that nothing is left of the one before.
struct Target {
    process: Process,
    port: u16,
    path: String,
    token: Option<String>,
    _upstream: Option<Process>,
    _folder: tempfile::TempDir,
}

fn target(name: &str, arguments: &Arguments, kind: &str, pins: (Pin, Pin)) -> Result<Target> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let upstream = peers::upstream(at, DIRECT, pins.0)?;
    let port = DIRECT + 10;
    let path = format!("/{kind}");
    let (process, port, path, token, upstream) = match name {
        "direct" => {
            return Ok(Target {
                process: upstream,
                port: DIRECT,
                path,
                token: None,
                _upstream: None,
                _folder: folder,
            });
        }
        "nginx" => (
            peers::nginx(at, port, DIRECT, 1, pins.1)?,
            port,
            path,
            None,
            upstream,
        ),
        "haproxy" => (
            peers::haproxy(at, port, DIRECT, 1, pins.1)?,
            port,
            path,
            None,
            upstream,
        ),
        "haproxy HS256" => (
            peers::haproxy(at, port, DIRECT, 1, pins.1)?,
            port + 1,
            path,
            Some(peers::haproxy_token()?),
            upstream,
        ),
        "hyper floor" => (
            peers::floor(at, port, DIRECT, 1, pins.1)?,
            port,
            path,
            None,
            upstream,
        ),
        "check" => {
            let gateway = Gateway::prepare(at, port, DIRECT, 1, "")?;
            let path = format!("/check/{kind}");
            let token = gateway.tokens(&path, 1, Form::Sealed)?.pop();
            let process = gateway.start(&arguments.common.bin, pins.1)?;
            (process, port, path, token, upstream)
        }
        _ => bail!("no such target"),
    };
    Ok(Target {
        process,
        port,
        path,
        token,
        _upstream: Some(upstream),
        _folder: folder,
    })
}

fn hold(name: &str, arguments: &Arguments, series: &mut Series) -> Result<()> {
    let target = target(name, arguments, "hold", (Pin::Core(0), Pin::Core(1)))?;
    let (process, port) = (&target.process, target.port);
    let request = request(&target);
    // The first few build what all share.
    let mut streams = Vec::with_capacity(arguments.held);
    for _ in 0..50 {
        streams.push(open(port, &request)?.0);
    }
    series.push("idle mib", process.resident()? as f64 / 1024.0);
    let mut times = Vec::with_capacity(FIRST);
    for _ in 0..FIRST {
        let (stream, time) = open(port, &request)?;
        times.push(time.as_secs_f64() * 1e6);
        streams.push(stream);
    }
    times.sort_by(f64::total_cmp);
    series.push("first p50", percentile(&times, 0.5));
    series.push("first p99", percentile(&times, 0.99));
    let (before, cpu) = (process.resident()?, process.cpu()?);
    let already = streams.len();
    while streams.len() < arguments.held {
        match open(port, &request) {
            Ok((stream, _)) => streams.push(stream),
            // As many as it takes.
            Err(_) => break,
        }
    }
    let more = (streams.len() - already).max(1) as f64;
    series.push("held", streams.len() as f64);
    series.push(
        "kib",
        (process.resident()?.saturating_sub(before)) as f64 / more,
    );
    series.push("open", (process.cpu()? - cpu) * 1e6 / more);
    Ok(())
}

fn request(target: &Target) -> String {
    let mut out = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\n",
        target.path, target.port
    );
    if let Some(token) = &target.token {
        out += &format!("Authorization: Bearer {token}\r\n");
    }
    out + "\r\n"
}

/// Opens a stream and waits for its first event.
fn open(port: u16, request: &str) -> Result<(TcpStream, Duration)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let begun = now();
    stream.write_all(request.as_bytes())?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the stream ended");
        seen.extend_from_slice(&buffer[..count]);
        if seen.windows(7).any(|part| part == b"data: {") {
            ensure!(seen.starts_with(b"HTTP/1.1 200"), "no stream");
            return Ok((stream, begun.elapsed()));
        }
    }
}

/// Where busy streams of another client are while one person calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    Nowhere,
    /// At the MCP server, past the gateway: what they cost everybody who shares the machine.
    Past,
    Through,
}

impl Busy {
    const ALL: [(Self, &str); 3] = [
        (Self::Nowhere, "alone"),
        (Self::Past, "past"),
        (Self::Through, "through"),
    ];
}

/// Calls of one person at a fixed rate, with and without many busy streams of another.
fn fairness(arguments: &Arguments) -> Result<()> {
    let mut series = Series::default();
    for round in 0..arguments.common.rounds {
        for turn in 0..Busy::ALL.len() {
            let (busy, name) = Busy::ALL[(turn + round) % Busy::ALL.len()];
            say(&format!("fairness: round {}: {name}", round + 1));
            let pins = (Pin::Core(0), Pin::Core(1));
            let target = target("check", arguments, "busy", pins)?;
            let (p50, p99) = beside(&target, busy, arguments)?;
            series.push(&format!("{name} p50"), p50);
            series.push(&format!("{name} p99"), p99);
        }
    }
    let rows: Vec<Vec<String>> = ["p50", "p99"]
        .iter()
        .map(|figure| {
            let of = |name: &str| series.of(&format!("{name} {figure}"));
            let text = |name: &str| {
                Spread::of(of(name).iter().copied())
                    .map_or_else(String::new, |spread| spread.text(0))
            };
            let ratio = |name: &str, to: &str| {
                Spread::ratio(of(name), of(to)).map_or_else(String::new, |spread| spread.text(2))
            };
            vec![
                format!("{figure} µs"),
                text("alone"),
                text("past"),
                text("through"),
                ratio("past", "alone"),
                ratio("through", "past"),
            ]
        })
        .collect();
    let heading = [
        "a call",
        "alone",
        "beside, past it",
        "beside, through it",
        "past to alone",
        "through to past",
    ];
    print(&format!(
        "\n## Fairness: calls of one person beside {} busy streams of another\n\n{}",
        arguments.busy,
        table(&heading, &rows)
    ));
    Ok(())
}

/// Calls in a second while streams are busy.
const CALLS: f64 = 500.0;

/// p50 and p99 of the calls, in µs.
fn beside(target: &Target, busy: Busy, arguments: &Arguments) -> Result<(f64, f64)> {
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    let (port, request) = match busy {
        Busy::Past => (
            DIRECT,
            format!("GET /busy HTTP/1.1\r\nHost: 127.0.0.1:{DIRECT}\r\n\r\n"),
        ),
        _ => (target.port, request(target)),
    };
    if busy != Busy::Nowhere {
        let streams: Vec<TcpStream> = (0..arguments.busy)
            .map(|_| open(port, &request).map(|(stream, _)| stream))
            .collect::<Result<_>>()?;
        let over = Arc::clone(&over);
        readers.push(thread::spawn(move || {
            let mut streams = streams;
            let mut buffer = [0; 65_536];
            for stream in &streams {
                let _ = stream.set_nonblocking(true);
            }
            while !over.load(Ordering::Relaxed) {
                // A few at a time: a reader that takes all in one go is felt by everybody.
                for some in streams.chunks_mut(20) {
                    for stream in some {
                        let _ = stream.read(&mut buffer);
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }));
    }
    let seen = calls(target, arguments);
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        let _ = reader.join();
    }
    seen
}

fn calls(target: &Target, arguments: &Arguments) -> Result<(f64, f64)> {
    let aim = Aim {
        port: target.port,
        path: "/public/json".to_owned(),
        tokens: Vec::new(),
    };
    let folder = tempfile::tempdir()?;
    let seen = load::h2load(
        &aim,
        4,
        CALLS,
        arguments.common.time(),
        Pin::Core(0),
        folder.path(),
    )?;
    ensure!(seen.bad == 0, "{} bad answers", seen.bad);
    Ok((seen.p50, seen.p99))
}

#[allow(clippy::disallowed_methods)] // a stopwatch, which no test turns
fn now() -> Instant {
    Instant::now()
}
