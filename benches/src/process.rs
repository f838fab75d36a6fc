//! A program under measurement: started, pinned, watched by `/proc`, and ended.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// Which core a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    /// This one only.
    Core(usize),
    /// Any.
    No,
}

/// A running program; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// Clock ticks of the kernel in a second, as `/proc` counts CPU time.
const TICKS: f64 = 100.0;

impl Process {
    /// Starts `program` and waits until `port` answers. What it says goes to `log`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        pin: Pin,
        port: u16,
        log: &Path,
    ) -> Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        let mut command = match pin {
            Pin::No => Command::new(program),
            Pin::Core(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
        };
        let child = command
            .args(arguments)
            .env("VESTIBULE_LOG", "error")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}", program.display()))?;
        let mut process = Self { child };
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(process);
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("{} ended: {status}", program.display());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("{} does not listen on {port}", program.display())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds that it and its children have used.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let mut sum = 0.0;
        for pid in tree(self.child.id()) {
            sum += cpu_of(pid)?;
        }
        Ok(sum)
    }

    /// Resident memory of it and its children, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in tree(self.child.id()) {
            sum += resident_of(pid)?;
        }
        Ok(sum)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its children end with it: nginx's workers when their master does.
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        for _ in 0..300 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        at += 1;
    }
    found
}

/// `utime` and `stime` (proc(5)), behind the name, which may hold anything.
fn cpu_of(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind = stat.rsplit_once(')').context("no name in stat")?.1;
    let mut fields = behind.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("stat is short")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS)
}

fn resident_of(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}
