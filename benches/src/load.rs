//! Load from other programs: wrk at saturation, h2load at a fixed rate.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{measure::percentile, process::Pin};

/// The call that everybody sends: 336 bytes.
pub(crate) const CALL: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":"#,
    r#"{"city":"Lisbon","units":"metric","days":3,"language":"en"},"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#,
);

/// Its headers, but for the token.
pub(crate) const HEADERS: [(&str, &str); 5] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("MCP-Protocol-Version", "2026-07-28"),
    ("Mcp-Method", "tools/call"),
    ("Mcp-Name", "get_weather"),
];

/// What one turn of load saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Answers with a good status.
    pub(crate) answered: u64,
    /// All others, and broken connections.
    pub(crate) bad: u64,
    /// Per second.
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// Where load goes.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) port: u16,
    pub(crate) path: String,
    /// Used in turn.
    pub(crate) tokens: Vec<String>,
}

/// wrk: as much as goes through.
pub(crate) fn wrk(
    aim: &Aim,
    connections: usize,
    time: Duration,
    pin: Pin,
    folder: &Path,
) -> Result<Seen> {
    let script = folder.join("call.lua");
    let tokens = folder.join("tokens");
    fs::write(&tokens, aim.tokens.join("\n"))?;
    let headers: String = HEADERS
        .iter()
        .map(|(name, value)| format!("  [\"{name}\"] = \"{value}\",\n"))
        .collect();
    fs::write(
        &script,
        format!(
            "local made, next = {{}}, 0
local headers = {{
{headers}}}
function init(args)
  for token in io.lines(args[1]) do
    headers['Authorization'] = 'Bearer ' .. token
    made[#made + 1] = wrk.format('POST', nil, headers, [[{CALL}]])
  end
  if #made == 0 then made[1] = wrk.format('POST', nil, headers, [[{CALL}]]) end
end
function request()
  next = next % #made + 1
  return made[next]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('seen %d %d %d %f %f\\n', summary.requests,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end
"
        ),
    )?;
    let url = format!("http://127.0.0.1:{}{}", aim.port, aim.path);
    let (connections, seconds) = (connections.to_string(), format!("{}s", time.as_secs()));
    let output = pinned("wrk", pin)
        .args([
            "-t1",
            "-c",
            &connections,
            "-d",
            &seconds,
            "--timeout",
            "10s",
            "-s",
        ])
        .arg(&script)
        .arg(&url)
        .arg("--")
        .arg(&tokens)
        .output()
        .context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("seen "));
    let Some(line) = line else {
        bail!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let numbers: Vec<f64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, bad, micros, p50, p99] = numbers[..] else {
        bail!("wrk: {line}");
    };
    Ok(Seen {
        answered: (requests - bad).max(0.0) as u64,
        bad: bad as u64,
        rate: requests / (micros / 1e6),
        p50,
        p99,
    })
}

fn pinned(program: &str, pin: Pin) -> Command {
    match pin {
        Pin::No => Command::new(program),
        Pin::Core(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), program]);
            command
        }
    }
}

/// h2load: a fixed rate over HTTP/1.1. One token only.
pub(crate) fn h2load(
    aim: &Aim,
    connections: usize,
    rate: f64,
    time: Duration,
    pin: Pin,
    folder: &Path,
) -> Result<Seen> {
    let (body, log) = (folder.join("call.json"), folder.join("h2load.log"));
    fs::write(&body, CALL)?;
    // It adds to what is there.
    let _ = fs::remove_file(&log);
    let each = (rate / connections as f64).max(1.0);
    let count = (each * connections as f64 * time.as_secs_f64()) as usize;
    let mut command = pinned("h2load", pin);
    command
        .args(["--h1", "-t", "1", "-c", &connections.to_string()])
        .args(["-n", &count.to_string(), "--rps", &format!("{each:.2}")])
        .arg("-d")
        .arg(&body)
        .arg(format!("--log-file={}", log.display()));
    for (name, value) in HEADERS {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(token) = aim.tokens.first() {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = command
        .arg(format!("http://127.0.0.1:{}{}", aim.port, aim.path))
        .output()
        .context("h2load")?;
    let text = fs::read_to_string(&log)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    // Begin in microseconds, status, duration in microseconds.
    let (mut times, mut bad, mut first, mut last) = (Vec::new(), 0, f64::MAX, 0.0_f64);
    for line in text.lines() {
        let fields: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [begun, status, took] = fields[..] else {
            bail!("h2load: {line}");
        };
        if status == 200.0 {
            times.push(took);
        } else {
            bad += 1;
        }
        (first, last) = (first.min(begun), last.max(begun));
    }
    times.sort_by(f64::total_cmp);
    Ok(Seen {
        answered: times.len() as u64,
        bad,
        rate: times.len() as f64 / ((last - first) / 1e6),
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
    })
}
