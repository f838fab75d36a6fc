//! Calls at saturation, every target in turn, the order rotated from round to round.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    Common,
    gateway::{Form, Gateway, KINDS, Variant},
    load::{self, Aim, Seen},
    measure::{Series, Spread},
    peers, print,
    process::{Pin, Process},
    say,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Form of the answer
    #[arg(long, default_value = "json", value_parser = KINDS)]
    kind: String,
    /// Connections that are kept open, several settings one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [32, 256])]
    connections: Vec<usize>,
    /// Let everything use both cores, each proxy with two threads
    #[arg(long)]
    unpinned: bool,
    /// Measure these only; the two references are always measured
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// The two that everything is compared with.
const REFERENCES: [&str; 2] = ["haproxy HS256", "hyper floor"];

/// Tokens of different people, for the target that shows a new one each time.
const MANY: usize = 20_000;

struct Target {
    name: &'static str,
    /// Which process's CPU counts.
    process: usize,
    aim: Aim,
}

/// Everything that runs while it is measured.
struct Stage {
    processes: Vec<Process>,
    targets: Vec<Target>,
    load: Pin,
    folder: tempfile::TempDir,
}

impl Stage {
    fn set(arguments: &Arguments) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        let (load, proxy, threads) = if arguments.unpinned {
            (Pin::No, Pin::No, 2)
        } else {
            (Pin::Core(0), Pin::Core(1), 1)
        };
        let kind = arguments.kind.as_str();
        let direct = 18_000;
        let [nginx, haproxy, floor, first, second] = [18_010, 18_020, 18_030, 18_040, 18_050];
        let gateway = Gateway::prepare(&at.join("first"), first, direct, threads, "")?;
        let again = Gateway::prepare(&at.join("second"), second, direct, threads, "")?;
        let bin = &arguments.common.bin;
        let processes = vec![
            peers::upstream(at, direct, load)?,
            peers::nginx(at, nginx, direct, threads, proxy)?,
            peers::haproxy(at, haproxy, direct, threads, proxy)?,
            peers::floor(at, floor, direct, threads, proxy)?,
            gateway.start(bin, proxy)?,
            again.start(bin, proxy)?,
        ];
        let plain = |port| Aim {
            port,
            path: format!("/{kind}"),
            tokens: Vec::new(),
        };
        let ours = |gateway: &Gateway, variant: Variant, count, form| -> Result<Aim> {
            let path = format!("/{}/{kind}", variant.word());
            Ok(Aim {
                port: gateway.port(),
                tokens: gateway.tokens(&path, count, form)?,
                path,
            })
        };
        let checked = Aim {
            tokens: vec![peers::haproxy_token()?],
            ..plain(haproxy + 1)
        };
        let sealed = |variant| ours(&gateway, variant, 1, Form::Sealed);
        let target = |name, process, aim| Target { name, process, aim };
        let mut targets = vec![
            target("direct", 0, plain(direct)),
            target("nginx", 1, plain(nginx)),
            target("haproxy", 2, plain(haproxy)),
            target("haproxy HS256", 2, checked),
            target("hyper floor", 3, plain(floor)),
            target("public", 4, sealed(Variant::Public)?),
            target("check", 4, sealed(Variant::Check)?),
            target(
                "check again",
                5,
                ours(&again, Variant::Check, 1, Form::Sealed)?,
            ),
            target("rules", 4, sealed(Variant::Rules)?),
            target("headers", 4, sealed(Variant::Headers)?),
            target("jwt", 4, ours(&gateway, Variant::Check, 1, Form::Jwt)?),
            target(
                "many",
                4,
                ours(&gateway, Variant::Check, MANY, Form::Sealed)?,
            ),
        ];
        if !arguments.only.is_empty() {
            targets.retain(|target| {
                REFERENCES.contains(&target.name)
                    || arguments.only.iter().any(|name| name == target.name)
            });
        }
        Ok(Self {
            processes,
            targets,
            load,
            folder,
        })
    }

    fn turn(
        &self,
        target: &Target,
        connections: usize,
        common: &Common,
    ) -> Result<(Seen, f64, u64)> {
        let process = &self.processes[target.process];
        let before = process.cpu()?;
        let seen = load::wrk(
            &target.aim,
            connections,
            common.time(),
            self.load,
            self.folder.path(),
        )?;
        let used = process.cpu()? - before;
        Ok((seen, used, process.resident()?))
    }
}

/// One setting of a run, as it is kept in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Setting {
    title: String,
    targets: BTreeMap<String, Series>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let earlier = match &arguments.common.compare {
        Some(file) => read(file)?,
        None => Vec::new(),
    };
    let stage = Stage::set(arguments)?;
    let mut settings = Vec::new();
    for &connections in &arguments.connections {
        let where_ = if arguments.unpinned {
            "unpinned"
        } else {
            "pinned"
        };
        let title = format!(
            "{} answers, {connections} connections, {where_}",
            arguments.kind
        );
        let mut all: BTreeMap<String, Series> = BTreeMap::new();
        let count = stage.targets.len();
        for round in 0..arguments.common.rounds {
            say(&format!(
                "{title}: round {} of {}",
                round + 1,
                arguments.common.rounds
            ));
            for turn in 0..count {
                let target = &stage.targets[(turn + round) % count];
                let (seen, used, resident) = stage
                    .turn(target, connections, &arguments.common)
                    .with_context(|| target.name)?;
                let series = all.entry(target.name.to_owned()).or_default();
                series.push("cpu", used * 1e6 / seen.answered as f64);
                series.push("rate", seen.rate);
                series.push("p50", seen.p50);
                series.push("p99", seen.p99);
                series.push("resident", resident as f64 / 1024.0);
                series.push("bad", seen.bad as f64);
            }
        }
        let before = earlier.iter().find(|setting| setting.title == title);
        let names: Vec<&str> = stage.targets.iter().map(|target| target.name).collect();
        print(&format!("\n## {title}\n\n{}", show(&names, &all, before)));
        settings.push(Setting {
            title,
            targets: all,
        });
    }
    if let Some(file) = &arguments.common.json {
        fs::write(file, serde_json::to_string_pretty(&settings)?)?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Setting>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

fn show(names: &[&str], all: &BTreeMap<String, Series>, before: Option<&Setting>) -> String {
    let empty = Series::default();
    let series = |name: &str| all.get(name).unwrap_or(&empty);
    let number = |of: &Series, figure: &str, digits| {
        Spread::of(of.of(figure).iter().copied())
            .map_or_else(String::new, |spread| spread.text(digits))
    };
    let ratio = |of: &Series, to: &str| {
        Spread::ratio(of.of("cpu"), series(to).of("cpu"))
            .map_or_else(String::new, |spread| spread.text(2))
    };
    let mut heading = vec![
        "target",
        "CPU µs/request",
        "to haproxy HS256",
        "to hyper floor",
        "requests/s",
        "p50 µs",
        "p99 µs",
        "MiB",
        "bad",
    ];
    if before.is_some() {
        heading.push("CPU before");
    }
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let of = series(name);
            let mut row = vec![
                (*name).to_owned(),
                number(of, "cpu", 1),
                ratio(of, REFERENCES[0]),
                ratio(of, REFERENCES[1]),
                number(of, "rate", 0),
                number(of, "p50", 0),
                number(of, "p99", 0),
                Spread::of(of.of("resident").iter().copied())
                    .map_or_else(String::new, |spread| format!("{:.1}", spread.most)),
                format!("{}", of.of("bad").iter().sum::<f64>()),
            ];
            if let Some(before) = before {
                row.push(
                    before
                        .targets
                        .get(*name)
                        .map_or_else(String::new, |of| number(of, "cpu", 1)),
                );
            }
            row
        })
        .collect();
    table(&heading, &rows)
}
