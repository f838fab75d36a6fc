//! Instructions that a call costs the whole program, counted by valgrind: the same on every
//! machine of a kind, whatever else it does.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    gateway::{Form, Gateway, Variant},
    load::{CALL, HEADERS},
    peers, print,
    process::{Pin, Process},
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    /// The gateway to measure
    #[arg(long, env = "VESTIBULE_BIN")]
    bin: PathBuf,
    /// Fail if a count is more than 3 % above the one in this file
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// Write the counts to this file, for the next comparison
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keep all counts in this folder, for callgrind_annotate
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Calls before counting begins: caches are filled, connections made.
const WARM: usize = 200;
/// Calls that are counted.
const COUNTED: u64 = 1000;
/// How much more is no accident: the clock and random numbers make some tenths of a percent.
const MORE: f64 = 1.03;

/// What is counted by itself, by the name that a linker knows.
const FUNCTIONS: [&str; 6] = [
    "vestibule_core::bearer::judge",
    "vestibule_core::mcp::read",
    "vestibule_core::bearer::Caller::may_call",
    "vestibule::proxy::header::for_server",
    "vestibule::proxy::header::for_client",
    "vestibule::http::head::Framing::look",
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut counts = BTreeMap::new();
    for (variant, kind) in [
        (Variant::Check, "json"),
        (Variant::Rules, "json"),
        (Variant::Check, "sse10"),
    ] {
        count(arguments, variant, kind, &mut counts)?;
    }
    let before = match &arguments.gate {
        Some(file) => read(file)?,
        None => BTreeMap::new(),
    };
    let mut rows = Vec::new();
    let mut more = Vec::new();
    for (name, count) in &counts {
        let change = before
            .get(name)
            .map(|before| *count as f64 / *before as f64);
        if change.is_some_and(|change| change > MORE) {
            more.push(name.as_str());
        }
        rows.push(vec![
            name.clone(),
            count.to_string(),
            change.map_or_else(String::new, |change| {
                format!("{:+.1} %", (change - 1.0) * 100.0)
            }),
        ]);
    }
    print(&table(&["what", "instructions/call", "change"], &rows));
    // A function that was inlined or renamed would never be judged again.
    let gone: Vec<&str> = before
        .keys()
        .filter(|name| !counts.contains_key(*name))
        .map(String::as_str)
        .collect();
    ensure!(gone.is_empty(), "not counted any more: {}", gone.join(", "));
    if let Some(file) = &arguments.write {
        let text: String = counts
            .iter()
            .map(|(name, count)| format!("{name}\t{count}\n"))
            .collect();
        fs::write(file, text)?;
    }
    ensure!(
        more.is_empty(),
        "more than 3 % up: {}\nIf that is meant, write the new counts: \
         scripts/bench instructions --write benches/instructions.tsv",
        more.join(", ")
    );
    Ok(())
}

fn read(file: &Path) -> Result<BTreeMap<String, u64>> {
    fs::read_to_string(file)
        .with_context(|| file.display().to_string())?
        .lines()
        .map(|line| {
            let (name, count) = line.split_once('\t').context("a name and a count")?;
            Ok((name.to_owned(), count.parse()?))
        })
        .collect()
}

fn count(
    arguments: &Arguments,
    variant: Variant,
    kind: &str,
    counts: &mut BTreeMap<String, u64>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let (direct, port) = (18_100, 18_110);
    let path = format!("/{}/{kind}", variant.word());
    let gateway = Gateway::prepare(at, port, direct, 1, "")?;
    let token = gateway.tokens(&path, 1, Form::Sealed)?.remove(0);
    let _upstream = peers::upstream(at, direct, Pin::No)?;
    let out = at.join("callgrind.out");
    let process = under_valgrind(&arguments.bin, at, &out, port)?;
    let mut connection = Connection::to(port, &path, &token)?;
    for _ in 0..WARM {
        connection.call()?;
    }
    control(&process, &["-i", "on"])?;
    for _ in 0..COUNTED {
        connection.call()?;
    }
    control(&process, &["-i", "off"])?;
    drop(process);
    let annotated = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100", "--auto=no"])
        .arg(&out)
        .output()
        .context("callgrind_annotate")?;
    let text = String::from_utf8_lossy(&annotated.stdout);
    let of = |name: &str| {
        text.lines()
            .filter(|line| line.contains(name))
            .filter_map(|line| {
                line.split_whitespace()
                    .next()?
                    .replace(',', "")
                    .parse::<u64>()
                    .ok()
            })
            .max()
    };
    let what = format!("{} {kind}", variant.word());
    let total = of("PROGRAM TOTALS").with_context(|| format!("{what}: no totals"))?;
    counts.insert(format!("{what}: the whole program"), total / COUNTED);
    for function in FUNCTIONS {
        // A function's name ends a column; those of its closures go on.
        if let Some(count) = of(&format!(":{function} ")) {
            counts.insert(format!("{what}: {function}"), count / COUNTED);
        }
    }
    if let Some(keep) = &arguments.keep {
        fs::create_dir_all(keep)?;
        fs::copy(&out, keep.join(format!("{}-{kind}.out", variant.word())))?;
    }
    Ok(())
}

fn under_valgrind(bin: &Path, folder: &Path, out: &Path, port: u16) -> Result<Process> {
    let config = folder.join("vestibule.toml");
    let arguments = [
        "--tool=callgrind".to_owned(),
        "--instr-atstart=no".to_owned(),
        "--compress-strings=no".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
        bin.display().to_string(),
        "serve".to_owned(),
        "-c".to_owned(),
        config.display().to_string(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = folder.join("log");
    Process::start(Path::new("valgrind"), &arguments, Pin::No, port, &log)
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())
}

fn control(process: &Process, words: &[&str]) -> Result<()> {
    let done = Command::new("callgrind_control")
        .args(words)
        .arg(process.id().to_string())
        .output()
        .context("callgrind_control")?;
    ensure!(done.status.success(), "callgrind_control {words:?}");
    Ok(())
}

/// One kept connection that calls again and again.
struct Connection {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Connection {
    fn to(port: u16, path: &str, token: &str) -> Result<Self> {
        let mut request = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
        for (name, value) in HEADERS {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!(
            "Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{CALL}",
            CALL.len()
        );
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            request: request.into_bytes(),
        })
    }

    fn call(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(&self.request)?;
        let (mut length, mut chunked, mut line) = (0, false, String::new());
        self.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let lower = line.trim().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= lower == "transfer-encoding: chunked";
        }
        if !chunked {
            self.stream.read_exact(&mut vec![0; length])?;
            return Ok(());
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16)?;
            self.stream.read_exact(&mut vec![0; size + 2])?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}
