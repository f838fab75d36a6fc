//! The process is killed at random moments of a load of logins and refreshes: nothing that
//! was answered is lost, and nothing works twice. And no answer leaves before the disk has it.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use support::{Browser, CLIENT, Gate, PING, Tokens};
use vestibule::world::World;
use vestibule_core::pkce::CodeVerifier;

/// What the gateway answered, as a client would have kept it.
struct Held {
    tokens: Tokens,
    code: String,
    verifier: CodeVerifier,
    /// Refresh tokens that were rotated out, oldest first.
    spent: Vec<String>,
}

const KILLS: usize = 50;
const WORKERS: usize = 3;

#[test]
fn t_tok_16_ops_2_fifty_kills_lose_nothing_answered_and_let_nothing_work_twice() {
    let mut gate = Gate::start_process("[tokens]\nrefresh_window = \"10s\"\n", &[]);
    let seed: u64 = u64::from_be_bytes(World::real().random());
    eprintln!("seed {seed}");
    let mut random = seed;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let held: Mutex<Vec<Held>> = Mutex::default();
    let mut old: Vec<String> = Vec::new();
    let (mut answered, mut replays) = (0, 0);
    for kill in 0..KILLS {
        load_until_killed(&mut gate, &held, Duration::from_millis(10 + next(150)));
        gate.restart();
        let mut held = held.lock().expect("no panic while it was held");
        for each in held.iter_mut() {
            answered += 1;
            let call = gate.call("a", &each.tokens.access, PING);
            assert_eq!(
                call.status, 200,
                "kill {kill}: an answered access token is gone"
            );
            // A refresh may have been committed and its answer lost: then this is a repeat.
            let renewed = gate.refresh(&each.tokens.refresh);
            assert_eq!(
                renewed.status,
                200,
                "kill {kill}: an answered refresh token is gone: {}",
                renewed.text()
            );
            each.spent
                .push(std::mem::replace(&mut each.tokens, Tokens::of(&renewed.json())).refresh);
        }
        // Some are given up to see that what was used stays used.
        while held.len() > 3 {
            let each = held.remove(0);
            let replay = gate.token(&[
                ("grant_type", "authorization_code"),
                ("client_id", CLIENT),
                ("code", &each.code),
                ("code_verifier", each.verifier.expose()),
            ]);
            assert_eq!(replay.status, 400, "kill {kill}: a code worked twice");
            assert_eq!(gate.call("a", &each.tokens.access, PING).status, 401);
            replays += 1;
        }
        if let Some(each) = held.first()
            && let Some(first) = each.spent.first()
        {
            old.push(first.clone());
        }
    }
    assert!(
        answered >= KILLS && replays >= 10,
        "{answered} answers, {replays} replays: too little load"
    );
    // The oldest spent tokens are past their window by now: each is a replay.
    let oldest = old.first().expect("some were spent");
    assert_eq!(
        gate.refresh(oldest).status,
        400,
        "a refresh token worked twice"
    );
    gate.honest_login();
}

/// Logins and refreshes on several threads, until the process is killed under them.
fn load_until_killed(gate: &mut Gate, held: &Mutex<Vec<Held>>, after: Duration) {
    let over = AtomicBool::new(false);
    let (done, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let shared: &Gate = gate;
        for worker in 0..WORKERS {
            let (over, done) = (&over, done.clone());
            scope.spawn(move || {
                let _done = done;
                while !over.load(Ordering::SeqCst) {
                    // A broken connection is what a client sees of a kill.
                    let one = std::panic::AssertUnwindSafe(|| work(shared, held, worker));
                    if std::panic::catch_unwind(one).is_err() {
                        return;
                    }
                }
            });
        }
        let _ = wait.recv_timeout(after);
        over.store(true, Ordering::SeqCst);
        shared.kill_now();
    });
    gate.kill();
}

fn work(gate: &Gate, held: &Mutex<Vec<Held>>, worker: usize) {
    let browser = Browser::new(if worker.is_multiple_of(2) {
        "ada"
    } else {
        "bob"
    });
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let code = browser.code(gate, &path);
    let tokens = gate.redeem(&code, &verifier);
    let at = {
        let mut held = held.lock().expect("no panic while it is held");
        held.push(Held {
            tokens,
            code,
            verifier,
            spent: Vec::new(),
        });
        held.len() - 1
    };
    for _ in 0..3 {
        let refresh = held.lock().expect("no panic while it is held")[at]
            .tokens
            .refresh
            .clone();
        let renewed = gate.refresh(&refresh);
        if renewed.status == 200 {
            let mut held = held.lock().expect("no panic while it is held");
            held[at].tokens = Tokens::of(&renewed.json());
            held[at].spent.push(refresh);
        }
    }
}

/// Makes the disk wait for as long as a file is there, and counts who waits.
struct Hold {
    gate_file: PathBuf,
    count_file: PathBuf,
    library: PathBuf,
}

impl Hold {
    fn build(folder: &Path) -> Self {
        Self {
            gate_file: folder.join("hold"),
            count_file: folder.join("held"),
            library: support::preloaded(folder, "hold.c"),
        }
    }

    fn hold(&self) {
        std::fs::write(&self.count_file, "").expect("written");
        std::fs::write(&self.gate_file, "").expect("written");
    }

    fn release(&self) {
        std::fs::remove_file(&self.gate_file).expect("there");
    }

    fn is_reached(&self) -> bool {
        std::fs::metadata(&self.count_file).is_ok_and(|file| file.len() > 0)
    }
}

#[test]
fn no_answer_leaves_before_the_disk_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let hold = Hold::build(folder.path());
    let gate = Gate::start_process(
        "",
        &[
            ("LD_PRELOAD", hold.library.to_str().expect("text")),
            ("HOLD_WHILE", hold.gate_file.to_str().expect("text")),
            ("HOLD_COUNT", hold.count_file.to_str().expect("text")),
        ],
    );
    let held = |what: &str, ask: &(dyn Fn() -> u16 + Sync), expected: u16| {
        hold.hold();
        std::thread::scope(|scope| {
            let (send, answer) = mpsc::channel();
            scope.spawn(move || send.send(ask()));
            // Either the disk is asked first, or an answer came without it.
            for _ in 0..4000 {
                if hold.is_reached() || answer.try_recv().is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(
                hold.is_reached(),
                "{what}: answered without asking the disk"
            );
            // The disk has not answered: neither must we.
            let early = answer.recv_timeout(Duration::from_millis(300));
            assert!(
                early.is_err(),
                "{what}: answered {early:?} before the disk did"
            );
            hold.release();
            assert_eq!(answer.recv().expect("an answer"), expected, "{what}");
        });
    };
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let (ticket, token) = browser.consent_page(&gate, &path);
    let url = format!("{}/consent/decision", gate.origin);
    let form = [
        ("ticket", ticket.as_str()),
        ("token", token.as_str()),
        ("decision", "allow"),
    ];
    held(
        "deciding",
        &|| browser.submit(&url, &form, Some(&gate.origin)).status,
        303,
    );

    let provider = browser.decide(&gate, &path, "allow");
    let callback = browser.sign_in(&provider);
    let location = Mutex::new(String::new());
    held(
        "coming back",
        &|| {
            let back = browser.open(&callback);
            *location.lock().expect("no panic") = back.one("location");
            back.status
        },
        303,
    );
    let code = support::query_of(&location.lock().expect("no panic"), "code").expect("a code");
    let tokens = Mutex::new(None);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", code.as_str()),
        ("code_verifier", verifier.expose()),
    ];
    // The first page was allowed with another verifier, so this is the second page's code.
    held(
        "redeeming",
        &|| {
            let answer = gate.token(&form);
            *tokens.lock().expect("no panic") = Some(Tokens::of(&answer.json()));
            answer.status
        },
        200,
    );
    let refresh = tokens
        .lock()
        .expect("no panic")
        .clone()
        .expect("tokens")
        .refresh;
    let next = Mutex::new(String::new());
    held(
        "refreshing",
        &|| {
            let answer = gate.refresh(&refresh);
            *next.lock().expect("no panic") = Tokens::of(&answer.json()).refresh;
            answer.status
        },
        200,
    );
    let next = next.lock().expect("no panic").clone();
    let form = [("client_id", CLIENT), ("token", next.as_str())];
    held(
        "revoking",
        &|| {
            gate.wire()
                .post_form(&gate.host(), "/revoke", &form, &[])
                .status
        },
        200,
    );
    gate.honest_login();
}
