//! What `login` keeps and `call` uses: one file for each MCP server, for this user only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use url::Url;
use vestibule_core::secret::Digest;

/// A login at one MCP server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The MCP server.
    pub server: Url,
    /// Who gave the tokens; they are shown to nobody else (RFC 8707 and RFC 9700 §4.4).
    pub issuer: String,
    /// Where they are renewed.
    pub token_endpoint: Url,
    /// What they are good for.
    pub resource: String,
    /// Who we are there.
    pub client: ClientCredentials,
    /// The access token.
    pub access_token: String,
    /// When it ends, in seconds since 1970; unknown if the server did not say.
    pub expires: Option<u64>,
    /// The refresh token.
    pub refresh_token: Option<String>,
    /// What was granted.
    pub scope: Option<String>,
}

/// Who a client is at one authorization server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// Its id.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<String>,
    /// How it shows it: `none`, `client_secret_basic` or `client_secret_post`.
    pub method: String,
    /// The port that its redirect names, if it was registered for this.
    pub port: Option<u16>,
    /// Whether it was registered here, and can be again.
    #[serde(default)]
    pub registered: bool,
}

/// Where logins are kept.
#[derive(Debug, Clone)]
pub struct Logins {
    folder: PathBuf,
}

impl Logins {
    /// The user's own folder for this, from the environment; `None` if there is no home.
    pub fn of_user(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let base = variable("XDG_CONFIG_HOME")
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&variable("HOME")?).join(".config")))?;
        Some(Self::within(&base.join("vestibule/logins")))
    }

    /// In this folder.
    pub fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where the login of a server is kept.
    pub fn path(&self, server: &Url) -> PathBuf {
        let name: String = Digest::of(server.as_str().as_bytes()).text();
        self.folder.join(format!("{}.json", &name[..22]))
    }

    /// The login at a server, if there is one that can be read.
    pub fn load(&self, server: &Url) -> Option<Login> {
        let bytes = fs::read(self.path(server)).ok()?;
        serde_json::from_slice(&bytes)
            .ok()
            .filter(|login: &Login| login.server == *server)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Login> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut logins: Vec<Login> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            // A crash in the middle of a rename leaves others.
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| fs::read(path).ok())
            .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
            .collect();
        logins.sort_by(|a, b| a.server.cmp(&b.server));
        logins
    }

    /// Keeps a login: whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, login: &Login) -> io::Result<()> {
        self.prepare()?;
        let path = self.path(&login.server);
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = private(&new)?;
        file.write_all(&serde_json::to_vec_pretty(login)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    }

    /// Forgets a login. Whether there was one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, server: &Url) -> io::Result<bool> {
        match fs::remove_file(self.path(server)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until nobody else renews the login of this server. Free again when dropped.
    ///
    /// # Errors
    /// What the file system says.
    pub fn lock(&self, server: &Url) -> io::Result<File> {
        self.prepare()?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path(server).with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn prepare(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// The short name of a server, as an operator would call it: the first part of its path, or
/// else its host.
pub fn short_name(server: &Url) -> &str {
    let first = server.path_segments().and_then(|mut parts| {
        parts.find(|part| !part.is_empty() && !matches!(*part, "mcp" | "sse"))
    });
    first.or_else(|| server.host_str()).unwrap_or("server")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn login(server: &str) -> Login {
        Login {
            server: Url::parse(server).expect("a URL"),
            issuer: "https://as.example".into(),
            token_endpoint: Url::parse("https://as.example/token").expect("a URL"),
            resource: server.into(),
            client: ClientCredentials {
                id: "c".into(),
                secret: None,
                method: "none".into(),
                port: Some(1),
                registered: true,
            },
            access_token: "secret".into(),
            expires: None,
            refresh_token: None,
            scope: None,
        }
    }

    #[test]
    fn a_login_is_kept_for_its_user_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let variable = |name: &str| {
            (name == "HOME").then(|| folder.path().to_str().expect("UTF-8").to_owned())
        };
        let logins = Logins::of_user(variable).expect("a home");
        let one = login("https://a.example/weather/mcp");
        logins.save(&one).expect("saved");
        logins
            .save(&login("https://a.example/other/mcp"))
            .expect("saved");
        assert!(logins.load(&one.server).is_some_and(|found| found == one));
        assert_eq!(logins.all().len(), 2);
        let path = logins.path(&one.server);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a folder")), 0o700);
        drop(logins.lock(&one.server).expect("locked"));
        assert!(logins.forget(&one.server).expect("forgotten"));
        assert!(!logins.forget(&one.server).expect("nothing there"));
        assert!(Logins::of_user(|_| None).is_none());
    }

    #[test]
    fn names_that_people_use() {
        for (server, name) in [
            ("https://a.example/weather/mcp", "weather"),
            ("https://a.example/mcp", "a.example"),
            ("https://a.example/", "a.example"),
            ("https://a.example/mcp/orders", "orders"),
        ] {
            assert_eq!(short_name(&Url::parse(server).expect("a URL")), name);
        }
    }
}
