//! Complete logins and refreshes: CPU of the process, durable commits, and how many in a
//! second, beside how often the disk itself can be made to remember something.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    Common,
    browser::{Browser, Door, Tokens},
    gateway::Gateway,
    measure::{Series, Spread},
    print,
    process::{Pin, Process},
    provider, say,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// People who log in at the same time
    #[arg(long, default_value_t = 16)]
    together: usize,
}

/// The gateway's port; the provider's is behind its management port.
const PORT: u16 = 18_400;

/// Logins under the eyes of strace, one after the other, so that none shares a commit.
const WATCHED: usize = 25;

/// A gateway with a provider, ready for logins.
pub(crate) struct House {
    pub(crate) process: Process,
    pub(crate) door: Door,
    _provider: tokio::runtime::Runtime,
}

impl House {
    /// Starts both; `folder` has the store, and `fill` may put something in it first.
    pub(crate) fn start(
        bin: &Path,
        folder: &Path,
        port: u16,
        upstream: u16,
        settings: &str,
        fill: impl FnOnce(&Gateway) -> Result<()>,
    ) -> Result<Self> {
        let origin = format!("http://127.0.0.1:{port}");
        let redirect = "http://127.0.0.1:4711/callback";
        let more = format!(
            "[clients.bench]\nname = \"A client of measurements\"\nredirect_uris = [\"{redirect}\"]\n{settings}"
        );
        let issuer = format!("http://127.0.0.1:{}", port + 2);
        let gateway = Gateway::prepare_with(folder, port, upstream, 1, &issuer, &more)?;
        fill(&gateway)?;
        let provider = provider::start(&issuer, port + 2, &origin)?;
        Ok(Self {
            process: gateway.start(bin, Pin::No)?,
            door: Door {
                resource: format!("{origin}/check/json"),
                origin,
                client: "bench".to_owned(),
                redirect: redirect.to_owned(),
                person: "ada".to_owned(),
            },
            _provider: provider,
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let house = House::start(
        &arguments.common.bin,
        folder.path(),
        PORT,
        9,
        "",
        |_| Ok(()),
    )?;
    let mut series = Series::default();
    commits(&house, folder.path(), &mut series)?;
    for round in 0..arguments.common.rounds {
        say(&format!(
            "logins: round {} of {}",
            round + 1,
            arguments.common.rounds
        ));
        series.push("disk/s", syncs(folder.path())?);
        for (word, together) in [("alone", 1), ("together", arguments.together)] {
            measure(&house, together, arguments.common.time(), word, &mut series)?;
        }
    }
    let text = |name: &str, digits| {
        Spread::of(series.of(name).iter().copied())
            .map_or_else(|| "-".to_owned(), |spread| spread.text(digits))
    };
    let row = |what: &str| {
        vec![
            what.to_owned(),
            text(&format!("{what} commits"), 2),
            text(&format!("{what} alone cpu"), 2),
            text(&format!("{what} alone rate"), 0),
            text(&format!("{what} together cpu"), 2),
            text(&format!("{what} together rate"), 0),
        ]
    };
    let together = format!("{} together: CPU ms", arguments.together);
    let heading = [
        "what",
        "commits",
        "one after the other: CPU ms",
        "per second",
        &together,
        "per second",
    ];
    print(&format!(
        "\n## Logins and refreshes, SQLite with synchronous=FULL\n\n{}\n\n\
         The disk by itself, 4 KiB and fdatasync: {} per second",
        table(&heading, &[row("login"), row("refresh")]),
        text("disk/s", 0),
    ));
    Ok(())
}

/// Counts durable commits: what the kernel is asked to bring to the disk.
fn commits(house: &House, folder: &Path, series: &mut Series) -> Result<()> {
    let mut browser = Browser::default();
    let mut tokens = browser.login(&house.door)?;
    let counted = watch(house, folder, || {
        for _ in 0..WATCHED {
            browser.login(&house.door)?;
        }
        Ok(())
    })?;
    series.push("login commits", counted / WATCHED as f64);
    let counted = watch(house, folder, || {
        for _ in 0..WATCHED {
            tokens = browser.refresh(&house.door, &tokens)?;
        }
        Ok(())
    })?;
    series.push("refresh commits", counted / WATCHED as f64);
    Ok(())
}

fn watch(house: &House, folder: &Path, done: impl FnOnce() -> Result<()>) -> Result<f64> {
    let log = folder.join("strace");
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&log)
        .args(["-p", &house.process.id().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .context("strace")?;
    // It says nothing when it has begun; the kernel does.
    let status = format!("/proc/{}/status", house.process.id());
    let begun =
        || -> Result<bool> { Ok(!fs::read_to_string(&status)?.contains("TracerPid:\t0\n")) };
    for _ in 0..500 {
        if begun()? {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    ensure!(begun()?, "strace does not attach");
    thread::sleep(Duration::from_millis(300));
    let result = done();
    let _ = Command::new("kill")
        .args(["-INT", &tracer.id().to_string()])
        .status();
    tracer.wait()?;
    result?;
    let text = fs::read_to_string(&log)?;
    fs::remove_file(&log)?;
    Ok(text
        .lines()
        .filter(|line| line.contains("sync(") && !line.contains("resumed"))
        .count() as f64)
}

pub(crate) fn measure(
    house: &House,
    together: usize,
    time: Duration,
    word: &str,
    series: &mut Series,
) -> Result<()> {
    let begun = |house: &House| -> Result<(f64, Instant)> { Ok((house.process.cpu()?, now())) };
    let (cpu, since) = begun(house)?;
    let logins = each(together, |_| {
        let mut browser = Browser::default();
        let mut last = None;
        let mut count = 0;
        while since.elapsed() < time {
            last = Some(browser.login(&house.door)?);
            count += 1;
        }
        Ok((count, last.context("no login in time")?))
    })?;
    let count: usize = logins.iter().map(|(count, _)| count).sum();
    let (seconds, used) = (since.elapsed().as_secs_f64(), house.process.cpu()? - cpu);
    series.push(&format!("login {word} cpu"), used * 1e3 / count as f64);
    series.push(&format!("login {word} rate"), count as f64 / seconds);

    let tokens: Vec<Tokens> = logins.into_iter().map(|(_, tokens)| tokens).collect();
    let (cpu, since) = begun(house)?;
    let counts = each(together, |number| {
        let mut browser = Browser::default();
        let mut tokens = tokens[number].clone();
        let mut count = 0;
        while since.elapsed() < time {
            tokens = browser.refresh(&house.door, &tokens)?;
            count += 1;
        }
        Ok(count)
    })?;
    let count: usize = counts.iter().sum();
    let (seconds, used) = (since.elapsed().as_secs_f64(), house.process.cpu()? - cpu);
    series.push(&format!("refresh {word} cpu"), used * 1e3 / count as f64);
    series.push(&format!("refresh {word} rate"), count as f64 / seconds);
    Ok(())
}

/// Does the same on so many threads.
fn each<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread broke"))?
            })
            .collect()
    })
}

/// How often in a second the disk remembers 4 KiB more.
fn syncs(folder: &Path) -> Result<f64> {
    let mut file = fs::File::create(folder.join("sync"))?;
    let begun = now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

#[allow(clippy::disallowed_methods)] // a stopwatch, which no test turns
fn now() -> Instant {
    Instant::now()
}
