//! How long a call takes at a rate that everybody bears: half of what HAProxy with
//! `jwt_verify` does at saturation.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    Common,
    gateway::{Form, Gateway},
    load::{self, Aim},
    measure::{Series, Spread},
    peers, print,
    process::Pin,
    say,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Calls in a second; half of HAProxy's most if it is not given
    #[arg(long)]
    rate: Option<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let (load, proxy) = (Pin::Core(0), Pin::Core(1));
    let (direct, nginx, haproxy, floor, port) = (18_300, 18_310, 18_320, 18_330, 18_340);
    let gateway = Gateway::prepare(at, port, direct, 1, "")?;
    let _processes = [
        peers::upstream(at, direct, load)?,
        peers::nginx(at, nginx, direct, 1, proxy)?,
        peers::haproxy(at, haproxy, direct, 1, proxy)?,
        peers::floor(at, floor, direct, 1, proxy)?,
        gateway.start(&arguments.common.bin, proxy)?,
    ];
    let plain = |port| Aim {
        port,
        path: "/json".to_owned(),
        tokens: Vec::new(),
    };
    let checked = Aim {
        tokens: vec![peers::haproxy_token()?],
        ..plain(haproxy + 1)
    };
    let path = "/check/json";
    let ours = Aim {
        port,
        path: path.to_owned(),
        tokens: gateway.tokens(path, 1, Form::Sealed)?,
    };
    let rate = match arguments.rate {
        Some(rate) => rate,
        None => capacity(&checked, arguments, load, at)? / 2.0,
    };
    let targets = [
        ("direct", plain(direct)),
        ("nginx", plain(nginx)),
        ("haproxy", plain(haproxy)),
        ("haproxy HS256", checked),
        ("hyper floor", plain(floor)),
        ("check", ours.clone()),
        ("check again", ours),
    ];
    let mut all: BTreeMap<&str, Series> = BTreeMap::new();
    for round in 0..arguments.common.rounds {
        say(&format!(
            "latency: round {} of {}",
            round + 1,
            arguments.common.rounds
        ));
        for turn in 0..targets.len() {
            let (name, aim) = &targets[(turn + round) % targets.len()];
            let time = arguments.common.time();
            let seen = load::h2load(aim, arguments.connections, rate, time, load, at)
                .with_context(|| *name)?;
            ensure!(seen.bad == 0, "{name}: {} bad answers", seen.bad);
            let series = all.entry(name).or_default();
            series.push("p50", seen.p50);
            series.push("p99", seen.p99);
            series.push("rate", seen.rate);
        }
    }
    let empty = Series::default();
    let of = |name: &str| all.get(name).unwrap_or(&empty);
    let rows: Vec<Vec<String>> = targets
        .iter()
        .map(|(name, _)| {
            let number = |figure: &str| {
                Spread::of(of(name).of(figure).iter().copied())
                    .map_or_else(String::new, |spread| spread.text(0))
            };
            let ratio = |figure: &str| {
                Spread::ratio(of(name).of(figure), of("haproxy HS256").of(figure))
                    .map_or_else(String::new, |spread| spread.text(2))
            };
            vec![
                (*name).to_owned(),
                number("rate"),
                number("p50"),
                ratio("p50"),
                number("p99"),
                ratio("p99"),
            ]
        })
        .collect();
    let heading = [
        "target",
        "calls/s",
        "p50 µs",
        "to haproxy HS256",
        "p99 µs",
        "to haproxy HS256",
    ];
    print(&format!(
        "\n## Latency at {rate:.0} calls/s, {} connections, pinned\n\n{}",
        arguments.connections,
        table(&heading, &rows)
    ));
    Ok(())
}

fn capacity(aim: &Aim, arguments: &Arguments, load: Pin, folder: &Path) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let time = arguments.common.time();
        rates.push(load::wrk(aim, arguments.connections, time, load, folder)?.rate);
    }
    Ok(Spread::of(rates).context("a rate")?.median)
}
