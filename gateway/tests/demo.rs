//! The demo leaves nothing behind, unless it is asked to.

mod support;

use std::{path::Path, process::Command};

use support::{free_port, wire::Wire};

/// Starts the demo, waits for its page, and ends it as Ctrl-C would.
fn run_once(temp: &Path, more: &[&str]) {
    let port = free_port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["demo", "--no-open", "--port", &port.to_string()])
        .args(more)
        .env("TMPDIR", temp)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let address = format!("127.0.0.1:{port}");
    let mut ready = false;
    for _ in 0..2000 {
        if std::net::TcpStream::connect(&address).is_ok() {
            ready = Wire::to(&address).get(&address, "/try", &[]).status == 200;
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ended = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(ended.expect("kill runs").success());
    let status = child.wait().expect("ends");
    assert!(ready && status.success(), "{status}");
}

#[test]
fn the_demo_leaves_nothing_behind_except_by_keep() {
    let temp = tempfile::tempdir().expect("a folder");
    run_once(temp.path(), &[]);
    let left: Vec<_> = std::fs::read_dir(temp.path()).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
    let kept = temp.path().join("kept");
    let keep = ["--keep", kept.to_str().expect("text")];
    run_once(temp.path(), &keep);
    let root = std::fs::read(kept.join("keys/root.key")).expect("kept");
    run_once(temp.path(), &keep);
    assert_eq!(
        std::fs::read(kept.join("keys/root.key")).expect("kept"),
        root
    );
    assert!(kept.join("vestibule.db").exists());
}
