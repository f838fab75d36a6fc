//! A gateway to measure: its folder, its configuration, and tokens that its guard takes.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use vestibule::{keys::Keys, store::sqlite::Sqlite, world::World};
use vestibule_core::{
    access_token::{AccessToken, jwt as access_jwt},
    id::{ClientRef, GrantId, PersonId, TokenId},
    scope::ScopeSet,
    uri::Issuer,
};

use crate::process::{Pin, Process};

/// What is done with a request, by the first part of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// No token.
    Public,
    /// A token.
    Check,
    /// A token and a rule for each tool.
    Rules,
    /// A token, and the server is told who calls.
    Headers,
}

impl Variant {
    pub(crate) const ALL: [Self; 4] = [Self::Public, Self::Check, Self::Rules, Self::Headers];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Check => "check",
            Self::Rules => "rules",
            Self::Headers => "headers",
        }
    }

    fn settings(self) -> String {
        match self {
            Self::Public => "public = true\n".to_owned(),
            Self::Check => String::new(),
            Self::Rules => rules("NAME"),
            Self::Headers => "upstream_auth = \"headers\"\n".to_owned(),
        }
    }
}

/// Ten rules about the tools of a server.
fn rules(server: &str) -> String {
    let mut out = format!("[servers.{server}.tools]\n");
    for number in 0..9 {
        let _ = writeln!(out, "\"other_{number}_*\" = \"{SCOPE}\"");
    }
    let _ = writeln!(out, "\"get_*\" = \"{SCOPE}\"");
    out
}

const RULES_TABLE: &str = "[servers.rules-json.tools]";

/// Forms of an answer, as the upstream has them.
pub(crate) const KINDS: [&str; 7] = ["json", "large", "sse1", "sse10", "spaced", "hold", "busy"];

/// What the gateway shows its identity provider.
pub(crate) const SECRET: &str = "a secret of this measurement";

const SCOPE: &str = "weather:read";

/// See the module.
pub(crate) struct Gateway {
    port: u16,
    folder: PathBuf,
    issuer: Issuer,
    keys: Keys,
}

impl Gateway {
    /// Makes `folder`, with a store, keys, and a configuration for `port` with `more` in it.
    pub(crate) fn prepare(
        folder: &Path,
        port: u16,
        upstream: u16,
        threads: usize,
        more: &str,
    ) -> Result<Self> {
        // Nobody logs in, so nobody need answer there.
        let issuer = "http://127.0.0.1:9";
        Self::prepare_with(folder, port, upstream, threads, issuer, more)
    }

    /// The same with an identity provider.
    pub(crate) fn prepare_with(
        folder: &Path,
        port: u16,
        upstream: u16,
        threads: usize,
        provider: &str,
        more: &str,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("secret"), SECRET)?;
        let mut text = configuration(port, upstream, threads, provider);
        // A table that is written anew takes the place of the usual one.
        if more.contains(RULES_TABLE) {
            text = text.replace(&rules("rules-json"), "");
        }
        text += more;
        fs::write(folder.join("vestibule.toml"), text)?;
        let issuer = Issuer::parse(&format!("http://127.0.0.1:{port}"))?;
        // The store is let go of again: the gateway wants it for itself.
        let store = Sqlite::open(&folder.join("vestibule.db"), Arc::default())?;
        let keys = tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(Keys::load(
                &folder.join("keys"),
                issuer.text(),
                &store,
                &World::real(),
            ))?;
        Ok(Self {
            port,
            folder: folder.to_owned(),
            issuer,
            keys,
        })
    }

    /// Starts it.
    pub(crate) fn start(&self, bin: &Path, pin: Pin) -> Result<Process> {
        let config = self.folder.join("vestibule.toml");
        let path = config.to_str().context("a folder with a name in UTF-8")?;
        let log = self.folder.join("log");
        Process::start(bin, &["serve", "-c", path], pin, self.port, &log)
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What it calls itself.
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Its folder, with the store in it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Tokens for one path, each of another person.
    pub(crate) fn tokens(&self, path: &str, count: usize, form: Form) -> Result<Vec<String>> {
        let world = World::real();
        (0..count)
            .map(|_| {
                let token = token(&world, format!("{}{path}", self.issuer.text()))?;
                match form {
                    Form::Sealed => token.mint(&self.keys.access, world.random()),
                    Form::Jwt => {
                        let claims = access_jwt::to_claims(&token, "bench", &self.issuer);
                        let key = self.keys.signing.first().context("a signing key")?;
                        key.sign(access_jwt::TYP, &claims)
                    }
                }
                .context("a token")
            })
            .collect()
    }
}

fn configuration(port: u16, upstream: u16, threads: usize, provider: &str) -> String {
    let mut text = format!(
        "public_url = \"http://127.0.0.1:{port}\"\n\
         listen = \"127.0.0.1:{port}\"\n\
         default_server = \"check-json\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [idp]\nissuer = \"{provider}\"\nclient_id = \"bench\"\n\
         client_secret = {{ file = \"secret\" }}\n\
         [limits]\nthreads = {threads}\nstreams = 65536\nconnections = 100000\n",
        admin = port + 1,
    );
    for variant in Variant::ALL {
        for kind in KINDS {
            let name = format!("{}-{kind}", variant.word());
            let _ = write!(
                text,
                "[servers.{name}]\npath = \"/{word}/{kind}\"\n\
                 upstream = \"http://127.0.0.1:{upstream}/{kind}\"\n\
                 scopes = {{ \"{SCOPE}\" = \"Look up the weather\" }}\n{settings}",
                word = variant.word(),
                settings = variant.settings().replace("NAME", &name),
            );
        }
    }
    text
}

/// How a token is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Sealed,
    Jwt,
}

fn token(world: &World, resource: String) -> Result<AccessToken> {
    let issued = world.now();
    Ok(AccessToken {
        id: TokenId::new(world.random()),
        grant: GrantId::new(world.random()),
        subject: PersonId::new(world.random()),
        machine: false,
        client: ClientRef::new(world.random()),
        subject_epoch: 0,
        client_epoch: 0,
        issued,
        // As long as a whole run takes.
        expires: issued.plus(Duration::from_secs(24 * 3600)),
        resource,
        scopes: ScopeSet::parse(SCOPE)?,
        confirmation: None,
        actor: None,
        groups: Vec::new(),
    })
}
