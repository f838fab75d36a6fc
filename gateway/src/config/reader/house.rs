//! What the gateway itself keeps to: lives, bounds, and where its things are.

use std::path::PathBuf;

use vestibule_core::{color::Color, operator::Roles, uri::Issuer};

use super::{
    super::{
        Admin, Auditing, Brand, Limits, Logo, TokenFormat, Tokens,
        table::{Table, Value},
    },
    DAY, HOUR, MINUTE, Reader,
};

impl Reader<'_> {
    fn refresh(&mut self, table: &mut Table) -> bool {
        let Some(value) = table.take("refresh") else {
            return true;
        };
        match self.text(&value).as_deref() {
            Some("off") => false,
            Some("on") | None => true,
            Some(other) => {
                self.wrong(
                    &value,
                    "V-CFG-009",
                    format!("refresh cannot be \"{other}\""),
                )
                .fix("it is \"on\" or \"off\"");
                true
            }
        }
    }

    pub(super) fn tokens(&mut self, table: Option<Table>) -> Tokens {
        let mut table = table.unwrap_or_default();
        let format = match table.take("format") {
            Some(value) => match self.text(&value).as_deref() {
                Some("sealed") | None => TokenFormat::Sealed,
                Some("jwt") => TokenFormat::Jwt,
                Some(other) => {
                    let what = format!("tokens.format cannot be \"{other}\"");
                    self.wrong(&value, "V-CFG-009", what)
                        .fix("it is \"sealed\" or \"jwt\"");
                    TokenFormat::Sealed
                }
            },
            None => TokenFormat::Sealed,
        };
        let device = self.flag(&mut table, "device", false);
        let tokens = Tokens {
            format,
            device,
            access_ttl: self.span(&mut table, "access_ttl", 10 * MINUTE, 1, HOUR),
            refresh_ttl: self.span(&mut table, "refresh_ttl", 30 * DAY, MINUTE, 365 * DAY),
            refresh_idle: self.span(&mut table, "refresh_idle", 14 * DAY, MINUTE, 365 * DAY),
            refresh_window: self.span(&mut table, "refresh_window", MINUTE, 0, 5 * MINUTE),
            refresh: self.refresh(&mut table),
            session_ttl: self.span(&mut table, "session_ttl", 8 * HOUR, MINUTE, 7 * DAY),
        };
        self.leftovers(table);
        tokens
    }

    pub(super) fn audit(&mut self, table: Option<Table>) -> Auditing {
        let mut table = table.unwrap_or_default();
        let audit = Auditing {
            tool_calls: self.flag(&mut table, "tool_calls", true),
            arguments: self.flag(&mut table, "arguments", false),
            retention: self.span(&mut table, "retention", 90 * DAY, DAY, 3650 * DAY),
        };
        self.leftovers(table);
        audit
    }

    pub(super) fn limits(&mut self, table: Option<Table>) -> Limits {
        let mut table = table.unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let limits = Limits {
            mcp_body: self.count(&mut table, "mcp_body", 4 << 20, 1 << 10, 64 << 20),
            oauth_body: self.count(&mut table, "oauth_body", 64 << 10, 1 << 10, 1 << 20),
            headers: self.count(&mut table, "headers", 32 << 10, 8 << 10, 256 << 10),
            header_time: self.span(&mut table, "header_time", 10, 1, MINUTE),
            idle_time: self.span(&mut table, "idle_time", 2 * MINUTE, 1, HOUR),
            upstream_time: self.span(&mut table, "upstream_time", 5 * MINUTE, 1, HOUR),
            provider_time: self.span(&mut table, "provider_time", 15, 1, MINUTE),
            stream_total: self.span(&mut table, "stream_total", 12 * HOUR, MINUTE, 7 * DAY),
            stream_idle: self.span(&mut table, "stream_idle", HOUR, 1, 7 * DAY),
            keep_alive: self.span(&mut table, "keep_alive", 15, 1, HOUR),
            read_time: self.span(&mut table, "read_time", MINUTE, 1, HOUR),
            streams: self.count(&mut table, "streams", 256, 1, 65_536),
            connections: self.count(&mut table, "connections", 1_024, 1, 1_000_000),
            registrations: u32::try_from(self.count(
                &mut table,
                "registrations",
                120,
                0,
                1_000_000,
            ))
            .unwrap_or(u32::MAX),
            threads: self.count(&mut table, "threads", cores, 1, 256),
        };
        self.leftovers(table);
        limits
    }

    pub(super) fn store(&mut self, table: Option<Table>) -> PathBuf {
        let mut table = table.unwrap_or_default();
        let path = match table.take("url") {
            Some(value) => match self.text(&value) {
                Some(text) => match text.strip_prefix("sqlite:") {
                    Some(path) if !path.is_empty() => PathBuf::from(path),
                    _ => {
                        self.wrong(
                            &value,
                            "V-CFG-024",
                            "store.url must begin with sqlite: in this version",
                        )
                        .fix("store.url = \"sqlite:vestibule.db\"");
                        PathBuf::new()
                    }
                },
                None => PathBuf::new(),
            },
            None => PathBuf::from("vestibule.db"),
        };
        self.leftovers(table);
        self.folder.join(path)
    }

    pub(super) fn keys(&mut self, table: Option<Table>) -> PathBuf {
        let mut table = table.unwrap_or_default();
        let dir = table.take("dir").and_then(|value| self.filled(&value));
        self.leftovers(table);
        self.folder.join(dir.unwrap_or_else(|| "keys".to_owned()))
    }

    pub(super) fn admin(&mut self, table: Option<Table>) -> Admin {
        let mut table = table.unwrap_or_default();
        let listen = self.address(&mut table, "listen", "127.0.0.1:9090");
        let url = table.take("url").and_then(|value| {
            let text = self.text(&value)?;
            Issuer::parse(&text)
                .map_err(|error| {
                    self.wrong(&value, "V-CFG-010", format!("admin.url {error}"))
                        .fix("write it as operators' browsers will, without a path");
                })
                .ok()
        });
        let mut list = |key| match table.take(key) {
            Some(value) => self.texts(&value),
            None => Vec::new(),
        };
        let roles = Roles {
            groups: list("groups"),
            viewers: list("viewers"),
            people: list("people"),
        };
        self.leftovers(table);
        Admin { listen, url, roles }
    }

    pub(super) fn instance(&mut self, table: Option<Table>) -> Brand {
        let mut table = table.unwrap_or_default();
        let name = table.take("name").and_then(|value| self.filled(&value));
        let brand = Brand {
            name: name.unwrap_or_else(|| "Vestibule".to_owned()),
            color: table.take("color").and_then(|value| self.color(&value)),
            logo: table.take("logo").and_then(|value| self.logo(&value)),
        };
        self.leftovers(table);
        brand
    }

    fn color(&mut self, value: &Value) -> Option<Color> {
        let text = self.filled(value)?;
        let color = Color::parse(&text);
        if color.is_none() {
            let what = format!("instance.color cannot be \"{text}\"");
            self.wrong(value, "V-CFG-009", what)
                .fix("write # and six digits, like \"#1f5f5b\"");
        }
        color
    }

    fn logo(&mut self, value: &Value) -> Option<Logo> {
        let path = self.folder.join(self.filled(value)?);
        let wrong = match std::fs::metadata(&path) {
            Ok(file) if file.len() > Logo::MAX => "is larger than 32 KiB".to_owned(),
            Ok(_) => match std::fs::read(&path).map(Logo::of) {
                Ok(Some(logo)) => return Some(logo),
                Ok(None) => "is no SVG, PNG or WebP".to_owned(),
                Err(error) => format!("cannot be read: {error}"),
            },
            Err(error) => format!("cannot be read: {error}"),
        };
        let what = format!("the picture {} {wrong}", path.display());
        self.wrong(value, "V-CFG-044", what)
            .fix("name a small SVG, PNG or WebP, or leave instance.logo out");
        None
    }

    pub(super) fn outbound(&mut self, table: Option<Table>) -> Option<PathBuf> {
        let mut table = table.unwrap_or_default();
        let file = table
            .take("extra_ca_file")
            .and_then(|value| self.filled(&value));
        self.leftovers(table);
        file.map(|file| self.folder.join(file))
    }
}
