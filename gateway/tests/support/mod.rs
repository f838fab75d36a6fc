//! A whole gateway on real ports, with the demo's identity provider, an MCP server that
//! tells what it was sent, a browser without script, and a clock that can be turned.

#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

pub mod browser;
pub mod echo;
pub mod flawed;
pub mod github;
pub mod idp;
pub mod place;
pub mod platform;
pub mod service;
pub mod signer;
pub mod site;
pub mod standin;
pub mod wire;

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::Value;
use vestibule::{
    app::{self, Running},
    config::Config,
    demo::{
        loopback::require_loopback,
        provider::{DemoProvider, DemoProviderSettings},
    },
    world::{Source, World},
};
use vestibule_core::{pkce::CodeVerifier, time::Timestamp};

pub use self::browser::Browser;
use self::{
    echo::Echo,
    wire::{Answer, Wire},
};

/// The real clock, moved by as much as a test likes.
struct Turned(Arc<AtomicI64>);

impl Source for Turned {
    fn now(&self) -> Timestamp {
        let real = World::real().now().unix();
        Timestamp::from_unix(real.saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
    fn fill(&self, bytes: &mut [u8]) {
        World::real().fill(bytes);
    }
}

/// See the module.
pub struct Gate {
    pub origin: String,
    pub port: u16,
    pub admin: u16,
    pub provider: String,
    pub echo: Echo,
    pub folder: PathBuf,
    pub clock: Arc<AtomicI64>,
    runs: Runs,
    provider_runtime: tokio::runtime::Runtime,
    _temp: tempfile::TempDir,
}

/// Where the gateway under test is.
enum Runs {
    /// In this process, where its clock can be turned.
    Inside(Running),
    /// In a process of its own, which can be killed.
    Outside(Child, Vec<(String, String)>),
    Nowhere,
}

pub const REDIRECT: &str = "http://127.0.0.1:4711/callback";
pub const CLIENT: &str = "vcl_test";
/// A client that an operator added, with a redirect that is not on this computer.
pub const WEB_CLIENT: &str = "vcl_web";
pub const WEB_REDIRECT: &str = "https://client.example/cb";

impl Gate {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more configuration behind the usual.
    pub fn start_with(more: &str) -> Self {
        Self::start_in(more, &[])
    }

    /// With variables in the environment.
    pub fn start_in(more: &str, env: &[(&str, &str)]) -> Self {
        Self::prepare(more).started(env)
    }

    /// With this in place of the client secret at the provider; `make` writes the files that it
    /// names.
    pub fn start_proving(credential: &str, make: impl FnOnce(&Path), env: &[(&str, &str)]) -> Self {
        let gate = Self::prepare("");
        make(&gate.folder);
        let text = std::fs::read_to_string(gate.config_file()).expect("written");
        let secret = "client_secret = { file = \"secret\" }";
        assert!(text.contains(secret), "{text}");
        let text = text.replace(secret, credential);
        std::fs::write(gate.config_file(), text).expect("written");
        gate.started(env)
    }

    fn started(mut self, env: &[(&str, &str)]) -> Self {
        self.restart_in(env);
        self
    }

    /// Starts it in this process, with these variables; one that runs there is stopped first.
    pub fn restart_in(&mut self, env: &[(&str, &str)]) {
        if let Runs::Inside(running) = std::mem::replace(&mut self.runs, Runs::Nowhere) {
            running.stop();
        }
        let text = std::fs::read_to_string(self.config_file()).expect("written");
        let config = Config::read("test.toml", &text, &self.folder, &variables(env))
            .unwrap_or_else(|report| panic!("{report}"));
        let world = World::of(Turned(Arc::clone(&self.clock)));
        let running = app::start(config, &world, Box::new(|_| axum::Router::new()))
            .unwrap_or_else(|error| panic!("{error}"));
        self.runs = Runs::Inside(running);
    }

    /// Beside a site whose documents of clients it takes.
    pub fn start_beside(site: &site::Site) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, &site.certificate).expect("written");
        Self::start_with(&format!(
            "[registration]\nunsafe_document_addresses = [\"127.0.0.0/8\", \"::1/128\"]\n\
             [outbound]\nextra_ca_file = \"{}\"\n",
            file.display()
        ))
    }

    /// The built program in a process of its own, with these variables besides.
    pub fn start_process(more: &str, env: &[(&str, &str)]) -> Self {
        let mut gate = Self::prepare(more);
        let env = env
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        gate.spawn(env);
        gate
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("vestibule.toml")
    }

    fn spawn(&mut self, env: Vec<(String, String)>) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("opens");
        let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "-c"])
            .arg(self.config_file())
            .env("VESTIBULE_LOG", "error")
            .envs(env.iter().map(|(n, v)| (n, v)))
            .stderr(log)
            .spawn()
            .expect("starts");
        self.runs = Runs::Outside(child, env);
        let admin = format!("127.0.0.1:{}", self.admin);
        for _ in 0..2000 {
            if std::net::TcpStream::connect(&admin).is_ok()
                && Wire::to(&admin).get(&admin, "/readyz", &[]).status == 200
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("the gateway is not ready");
    }

    /// Writes other configuration behind the usual, for the next start.
    pub fn configure(&self, more: &str) {
        let admin = self.admin;
        let text = configuration(&self.origin, admin, &self.provider, &self.echo.origin, more);
        std::fs::write(self.config_file(), text).expect("written");
    }

    /// Ends the process as a power cut would, as far as the process can tell.
    pub fn kill(&mut self) {
        if let Runs::Outside(child, _) = &mut self.runs {
            let _ = child.kill();
            child.wait().expect("ended");
        }
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub fn end(&mut self) {
        if let Runs::Inside(_) = &self.runs
            && let Runs::Inside(running) = std::mem::replace(&mut self.runs, Runs::Nowhere)
        {
            running.stop();
        }
        if let Runs::Outside(child, _) = &mut self.runs {
            let asked = Command::new("kill").arg(child.id().to_string()).status();
            assert!(asked.expect("kill runs").success());
            assert!(child.wait().expect("ended").success());
        }
    }

    /// As [`Self::kill`], while others still use it: by signal, without waiting.
    pub fn kill_now(&self) {
        if let Runs::Outside(child, _) = &self.runs {
            let killed = Command::new("kill")
                .args(["-9", &child.id().to_string()])
                .status();
            assert!(killed.expect("kill runs").success());
        }
    }

    /// Starts it again, on the same store and ports.
    pub fn restart(&mut self) {
        if let Runs::Outside(_, env) = std::mem::replace(&mut self.runs, Runs::Nowhere) {
            self.spawn(env);
        }
    }

    fn prepare(more: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let temp = tempfile::tempdir().expect("a folder");
        let [port, admin, provider_port] = free_ports();
        let origin = format!("http://127.0.0.1:{port}");
        let provider = format!("http://127.0.0.1:{provider_port}");
        let clock = Arc::new(AtomicI64::new(0));
        let world = World::of(Turned(Arc::clone(&clock)));
        let echo = Echo::start();
        let provider_runtime = start_provider(&provider, provider_port, &origin, &world);
        std::fs::write(temp.path().join("secret"), "canary-idp-secret").expect("written");
        let text = configuration(&origin, admin, &provider, &echo.origin, more);
        std::fs::write(temp.path().join("vestibule.toml"), text).expect("written");
        Self {
            origin,
            port,
            admin,
            provider,
            echo,
            folder: temp.path().to_owned(),
            clock,
            runs: Runs::Nowhere,
            provider_runtime,
            _temp: temp,
        }
    }

    /// Moves the clock.
    pub fn turn_clock(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn wire(&self) -> Wire {
        Wire::connect(self.port)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.wire().get(&self.host(), path, &[])
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn resource(&self, server: &str) -> String {
        format!("{}/{server}/mcp", self.origin)
    }

    /// The address where a login begins, and what redeems its code.
    pub fn authorize_path(&self, server: &str, scope: &str) -> (String, CodeVerifier) {
        let verifier = CodeVerifier::from_random(&World::real().random());
        let path = vestibule_core::uri::with_query(
            "/authorize",
            &[
                ("response_type", "code"),
                ("client_id", CLIENT),
                ("redirect_uri", REDIRECT),
                ("code_challenge", &verifier.challenge().text()),
                ("code_challenge_method", "S256"),
                ("state", "st+a&te"),
                ("resource", &self.resource(server)),
                ("scope", scope),
            ],
        );
        (path, verifier)
    }

    /// Registers a client (RFC 7591); its id.
    pub fn register(&self, metadata: &Value) -> String {
        let registered = self.wire().request(
            &self.host(),
            "POST",
            "/register",
            &[("content-type", "application/json")],
            metadata.to_string().as_bytes(),
        );
        let id = registered.json()["client_id"].as_str().map(str::to_owned);
        id.unwrap_or_else(|| panic!("{}", registered.text()))
    }

    /// A whole login of `person`, to the tokens.
    pub fn login(&self, browser: &mut Browser, server: &str, scope: &str) -> Tokens {
        let (path, verifier) = self.authorize_path(server, scope);
        let code = browser.code(self, &path);
        self.redeem(&code, &verifier)
    }

    /// An honest login, as every attack must leave possible.
    pub fn honest_login(&self) -> Tokens {
        let tokens = self.login(&mut Browser::new("ada"), "a", "a:read");
        let answer = self.call("a", &tokens.access, PING);
        assert_eq!(answer.status, 200, "an honest call: {}", answer.text());
        tokens
    }

    pub fn redeem(&self, code: &str, verifier: &CodeVerifier) -> Tokens {
        let answer = self.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", code),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", REDIRECT),
        ]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        Tokens::of(&answer.json())
    }

    pub fn refresh(&self, refresh: &str) -> Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT),
            ("refresh_token", refresh),
        ])
    }

    pub fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.wire().post_form(&self.host(), "/token", form, &[])
    }

    /// A POST to a server with a token.
    pub fn call(&self, server: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.post_mcp(server, &[("authorization", &bearer)], body)
    }

    pub fn post_mcp(&self, server: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        all.extend_from_slice(headers);
        self.wire().request(
            &self.host(),
            "POST",
            &format!("/{server}/mcp"),
            &all,
            body.as_bytes(),
        )
    }

    /// A stream of a server, open.
    pub fn stream(&self, server: &str, token: &str) -> Wire {
        let mut wire = self.open_stream(server, token, "");
        let (status, headers) = wire.head().expect("an answer");
        assert_eq!(status, 200);
        let has = |name: &str, value: &str| headers.iter().any(|(n, v)| n == name && v == value);
        assert!(has("x-accel-buffering", "no") && has("cache-control", "no-cache, no-transform"));
        wire
    }

    /// The same before its answer, with more lines in its head.
    pub fn open_stream(&self, server: &str, token: &str, more: &str) -> Wire {
        let mut wire = self.wire();
        wire.send(
            format!(
                "GET /{server}/mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
                 accept: text/event-stream\r\nmcp-param-want: stream\r\n{more}\r\n",
                self.host()
            )
            .as_bytes(),
        );
        wire
    }

    /// What the running gateway's endpoints share.
    pub fn running(&self) -> &Running {
        match &self.runs {
            Runs::Inside(running) => running,
            Runs::Outside(..) | Runs::Nowhere => panic!("it runs elsewhere"),
        }
    }

    /// Everything that lies on disk, for canaries.
    pub fn disk(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_file() && path.file_name().is_some_and(|name| name != "secret") {
                all.extend(std::fs::read(path).expect("readable"));
            }
        }
        all
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.runs, Runs::Nowhere) {
            Runs::Inside(running) => running.stop(),
            Runs::Outside(mut child, _) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Runs::Nowhere => {}
        }
    }
}

fn variables(env: &[(&str, &str)]) -> BTreeMap<String, String> {
    env.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Reads a configuration beside which a file `secret` lies; or the codes of what is wrong.
pub fn read_config(text: &str) -> Result<Config, Vec<&'static str>> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "s").expect("written");
    let read = Config::read("t", text, folder.path(), &BTreeMap::new());
    read.map_err(|report| report.problems().iter().map(|one| one.code()).collect())
}

/// Waits for a condition, for as long as anything here takes.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{what} did not happen");
}

pub const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

pub fn tool_call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub scope: String,
}

impl Tokens {
    pub fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
        }
    }
}

/// A parameter of an address.
pub fn query_of(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    url.query_pairs()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}

fn free_ports() -> [u16; 3] {
    [(); 3].map(|()| free_port())
}

/// A port below those that the system gives to connections, with two more behind it: these
/// are not taken away between now and their use by a test beside, which runs in another
/// process.
pub fn free_port() -> u16 {
    /// Locks on what this process has claimed, until it ends.
    static CLAIMED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("vestibule-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder");
    loop {
        let port = 10_000 + u16::from_be_bytes(World::real().random()) % 20_000;
        let all = [port, port + 1, port + 2];
        let locks: Option<Vec<File>> = all
            .iter()
            .map(|port| {
                let file = File::create(folder.join(port.to_string())).ok()?;
                file.try_lock().ok()?;
                TcpListener::bind(("127.0.0.1", *port)).ok()?;
                Some(file)
            })
            .collect();
        if let Some(locks) = locks {
            CLAIMED.lock().expect("no panic before").extend(locks);
            return port;
        }
    }
}

fn start_provider(issuer: &str, port: u16, origin: &str, world: &World) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let (clock, entropy) = (world.clone(), world.clone());
    let provider = DemoProvider::new(DemoProviderSettings {
        issuer: issuer.to_owned(),
        client_id: "vestibule".to_owned(),
        client_secret: "canary-idp-secret".to_owned(),
        redirect_uri: format!("{origin}/oauth-callback"),
        signing_key_pkcs8: key.to_pkcs8v1().expect("a document").as_ref().to_vec(),
        clock: Arc::new(move || clock.now().unix()),
        entropy: Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes)),
    })
    .expect("a provider");
    runtime.block_on(async {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let listener = require_loopback(address)
            .expect("loopback")
            .listen()
            .await
            .expect("listens");
        tokio::spawn(provider.serve(listener, std::future::pending()));
    });
    runtime
}

fn configuration(origin: &str, admin: u16, provider: &str, echo: &str, more: &str) -> String {
    let listen = origin.trim_start_matches("http://");
    // Servers in it may be the same echo.
    let more = more.replace("ECHO", echo);
    format!(
        r#"
public_url = "{origin}"
listen = "{listen}"
[admin]
listen = "127.0.0.1:{admin}"
[idp]
issuer = "{provider}"
client_id = "vestibule"
client_secret = {{ file = "secret" }}
[servers.a]
path = "/a/mcp"
upstream = "{echo}/backend-a"
title = "Server A"
scopes = {{ "a:read" = "Read a", "a:write" = "Change a" }}
default_scopes = ["a:read"]
tools = {{ "set_*" = "a:write" }}
upstream_auth = "headers"
origins = ["https://app.example"]
[servers.b]
path = "/b/mcp"
upstream = "{echo}/backend-b"
title = "Server B"
[servers.open]
path = "/open/mcp"
upstream = "{echo}/backend-open"
public = true
[clients.{CLIENT}]
name = "Test client"
redirect_uris = ["{REDIRECT}"]
[clients.{WEB_CLIENT}]
name = "Web client"
redirect_uris = ["{WEB_REDIRECT}"]
{more}
"#
    )
}

/// A library of `tests/support`, built in `folder`, to be loaded before others.
pub fn preloaded(folder: &Path, source: &str) -> PathBuf {
    let library = folder.join(source).with_extension("so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(repository().join("gateway/tests/support").join(source))
        .args(["-ldl"])
        .status()
        .expect("a C compiler");
    assert!(built.success());
    library
}

/// Where a file of the repository is.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A client's id and secret as a header (RFC 6749 §2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}
