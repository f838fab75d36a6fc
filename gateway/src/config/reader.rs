//! From what was written to what was meant, key by key. Every mistake is noted and the
//! reading goes on, so that one report has them all.

mod client;
mod entra;
mod house;
mod issuer;
mod plain_oauth;
mod policy;
mod provider;
mod registration;
mod server;
mod upstream_auth;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use ipnet::IpNet;
use vestibule_core::{client::Client, resource::MAIN_PROVIDER, secret::Secret, uri::Issuer};

use super::{
    Config, Idp, Problem, Registration, Report, Server, Tls,
    table::{self, Table, Value},
    vouchers,
};

/// Reads one configuration; relative paths in it begin at `folder`.
pub(super) struct Reader<'r> {
    pub(super) folder: &'r Path,
    pub(super) env: &'r BTreeMap<String, String>,
    pub(super) report: &'r mut Report,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Reader<'_> {
    pub(super) fn config(&mut self, mut top: Table) -> Option<Config> {
        let public_url = self.public_url(&mut top);
        let listen = self.address(&mut top, "listen", "127.0.0.1:8080");
        let trusted_proxies = self.networks(&mut top, "trusted_proxies");
        let tls = self.tls(&mut top, public_url.as_ref(), listen, &trusted_proxies);
        let default_server_value = top.take("default_server");
        let landing = self.flag(&mut top, "landing", true);
        let instance = self.table(&mut top, "instance");
        let idp = self.table(&mut top, "idp");
        let idps = self.table(&mut top, "idps");
        let entra = self.table(&mut top, "entra");
        let servers = self.table(&mut top, "servers");
        let clients = self.table(&mut top, "clients");
        let registration = self.table(&mut top, "registration");
        let issuers = self.table(&mut top, "issuers");
        let tokens = self.table(&mut top, "tokens");
        let limits = self.table(&mut top, "limits");
        let store = self.table(&mut top, "store");
        let keys = self.table(&mut top, "keys");
        let admin = self.table(&mut top, "admin");
        let outbound = self.table(&mut top, "outbound");
        let audit = self.table(&mut top, "audit");
        self.leftovers(top);

        let registration = self.registration(registration);
        let idp = idp.or_else(|| {
            self.report
                .missing("idp", "the identity provider is missing: a table [idp]");
            None
        });
        let entra = self.entra(entra);
        let idp = idp.and_then(|idp| self.idp(MAIN_PROVIDER, idp, &entra));
        let idps = self.idps(idps, idp.as_ref(), &entra);
        let servers = public_url.as_ref().map(|issuer| {
            self.servers(
                issuer,
                servers,
                &idp.iter().chain(&idps).collect::<Vec<_>>(),
            )
        });
        let clients = self.clients(
            clients,
            &registration,
            servers.as_deref().unwrap_or_default(),
        );
        let issuers = self.issuers(
            issuers,
            &idp.iter().chain(&idps).collect::<Vec<_>>(),
            servers.as_deref().unwrap_or_default(),
        );
        let default_server = default_server_value.and_then(|value| {
            let name = self.text(&value)?;
            let known = servers
                .iter()
                .flatten()
                .any(|server| server.resource.name == name);
            if !known {
                self.wrong(
                    &value,
                    "V-CFG-011",
                    format!("there is no server \"{name}\""),
                )
                .fix("name one of the [servers.NAME] tables");
            }
            Some(name)
        });
        let judged = servers.as_deref().unwrap_or_default();
        let others = vouchers(idp.as_ref(), &idps, &issuers);
        let idp = idp.map(|idp| self.needs(idp, &others, judged));
        let idps = idps.into_iter();
        let idps = idps.map(|idp| self.needs(idp, &others, judged)).collect();
        let config = Config {
            tokens: self.tokens(tokens),
            limits: self.limits(limits),
            audit: self.audit(audit),
            store: self.store(store),
            keys_dir: self.keys(keys),
            admin: self.admin(admin),
            brand: self.instance(instance),
            extra_ca_file: self.outbound(outbound),
            public_url: public_url?,
            listen,
            tls: tls?,
            trusted_proxies,
            idp: idp?,
            idps,
            servers: servers?,
            default_server,
            landing,
            clients,
            issuers,
            registration,
            try_page: false,
        };
        Some(config)
    }

    /// The same with what the rules of `servers` need of it; `others` vouch for people, too.
    fn needs(&mut self, idp: Idp, others: &[String], servers: &[Server]) -> Idp {
        let by_rules = asks_for_groups(&idp, others, servers);
        if by_rules && idp.groups_claims.is_empty() {
            self.report.between(
                "V-CFG-054",
                "a rule names a group, and this identity provider tells no groups",
                &format!(
                    "name people instead, \"person:ID\", or the claim that tells them: {}.groups_claim",
                    idp.path()
                ),
            );
        }
        let are_told = servers.iter().any(|server| {
            server.resource.providers.contains(&idp.name) && server.upstream_auth.tells_groups()
        });
        Idp {
            needs_groups: !idp.groups_claims.is_empty() && (are_told || by_rules),
            ..idp
        }
    }

    fn public_url(&mut self, top: &mut Table) -> Option<Issuer> {
        let value = self.required(top, "public_url")?;
        let text = self.text(&value)?;
        Issuer::parse(&text)
            .map_err(|error| {
                self.wrong(&value, "V-CFG-010", format!("public_url {error}"))
                    .fix("write it as clients will, for example https://mcp.example.com");
            })
            .ok()
    }

    fn tls(
        &mut self,
        top: &mut Table,
        public_url: Option<&Issuer>,
        listen: SocketAddr,
        trusted: &[IpNet],
    ) -> Option<Tls> {
        match top.take("tls") {
            Some(value) => {
                match self.text(&value)?.as_str() {
                    "behind-proxy" => {
                        if trusted.is_empty() {
                            self.wrong(&value, "V-CFG-012", "tls = \"behind-proxy\" needs trusted_proxies")
                            .fix("list the networks of the proxy: trusted_proxies = [\"10.0.0.0/8\"]");
                        }
                        Some(Tls::BehindProxy)
                    }
                    "files" | "auto" => {
                        self.wrong(&value, "V-CFG-013", "this version does not end TLS itself")
                            .fix("put a proxy in front and write tls = \"behind-proxy\"");
                        None
                    }
                    other => {
                        self.wrong(&value, "V-CFG-009", format!("tls cannot be \"{other}\""))
                            .fix("tls is \"behind-proxy\"; leave it out on plain loopback");
                        None
                    }
                }
            }
            None => {
                let issuer = public_url?;
                if issuer.is_plain_http() && listen.ip().is_loopback() {
                    return Some(Tls::PlainLoopback);
                }
                self.report.missing(
                    "tls",
                    if issuer.is_plain_http() {
                        "listen must be a loopback address while public_url is plain http"
                    } else {
                        "public_url is https, but nothing says who ends TLS: tls is missing"
                    },
                );
                None
            }
        }
    }

    fn clients(
        &mut self,
        table: Option<Table>,
        registration: &Registration,
        servers: &[Server],
    ) -> Vec<Client> {
        let mut clients = Vec::new();
        for (name, value) in table.map(Table::into_entries).unwrap_or_default() {
            let Some(table) = self.as_table(&name, value) else {
                continue;
            };
            if let Some(client) = self.client(&name.text, table, registration, servers) {
                clients.push(client);
            }
        }
        clients
    }

    /// `{ file = … }` or `{ env = … }`; a literal is refused, since files are copied around.
    fn secret(&mut self, value: Value) -> Option<Secret> {
        let place = value.clone();
        let Value::Table { mut table, .. } = value else {
            self.wrong(
                &place,
                "V-CFG-025",
                "a secret is not written into the configuration",
            )
            .fix("refer to it: { file = \"/run/secrets/idp\" } or { env = \"NAME\" }");
            return None;
        };
        let file = table.take("file");
        let variable = table.take("env");
        self.leftovers(table);
        let text = match (file, variable) {
            (Some(value), None) => {
                let path = self.folder.join(self.filled(&value)?);
                match std::fs::read_to_string(&path) {
                    Ok(text) => text,
                    Err(error) => {
                        let what =
                            format!("the secret file {} cannot be read: {error}", path.display());
                        self.wrong(&value, "V-CFG-026", what)
                            .fix("create the file, readable by this program only");
                        return None;
                    }
                }
            }
            (None, Some(value)) => {
                let name = self.filled(&value)?;
                match self.env.get(&name) {
                    Some(text) => text.clone(),
                    None => {
                        let what = format!("the environment variable {name} is not set");
                        self.wrong(&value, "V-CFG-026", what)
                            .fix("set it, or use { file = \"…\" }");
                        return None;
                    }
                }
            }
            _ => {
                self.wrong(
                    &place,
                    "V-CFG-025",
                    "a secret is { file = … } or { env = … }, one of them",
                );
                return None;
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            self.wrong(&place, "V-CFG-027", "the secret is empty");
            return None;
        }
        Some(Secret::new(text.to_owned()))
    }

    fn required(&mut self, table: &mut Table, key: &str) -> Option<Value> {
        let value = table.take(key);
        if value.is_none() {
            let path = table.path_of(key);
            self.report.missing(&path, &format!("{path} is missing"));
        }
        value
    }

    fn table(&mut self, table: &mut Table, key: &str) -> Option<Table> {
        match table.take(key)? {
            Value::Table { table, .. } => Some(table),
            other => {
                self.wrong(&other, "V-CFG-008", format!("{key} must be a table"));
                None
            }
        }
    }

    fn as_table(&mut self, name: &table::Name, value: Value) -> Option<Table> {
        match value {
            Value::Table { table, .. } => Some(table),
            other => {
                self.wrong(
                    &other,
                    "V-CFG-008",
                    format!("{} must be a table", name.text),
                );
                None
            }
        }
    }

    fn text(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::Text { text, .. } => Some(text.clone()),
            other => {
                self.wrong(
                    other,
                    "V-CFG-008",
                    format!("expected text, found {}", other.kind()),
                );
                None
            }
        }
    }

    fn filled(&mut self, value: &Value) -> Option<String> {
        let text = self.text(value)?;
        if text.trim().is_empty() {
            self.wrong(value, "V-CFG-028", "this must not be empty");
            return None;
        }
        Some(text)
    }

    fn texts(&mut self, value: &Value) -> Vec<String> {
        match value {
            Value::List { items, .. } => items.iter().filter_map(|item| self.text(item)).collect(),
            // A list in the environment is written with commas.
            Value::Text {
                text,
                from_env: true,
                ..
            } => text
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|i| !i.is_empty())
                .collect(),
            other => {
                self.wrong(
                    other,
                    "V-CFG-008",
                    format!("expected a list, found {}", other.kind()),
                );
                Vec::new()
            }
        }
    }

    fn flag(&mut self, table: &mut Table, key: &str, default: bool) -> bool {
        let value = table.take(key);
        value
            .and_then(|value| self.truth(&value))
            .unwrap_or(default)
    }

    fn truth(&mut self, value: &Value) -> Option<bool> {
        match value {
            Value::Flag { flag, .. } => Some(*flag),
            // A variable has no other type.
            Value::Text {
                text,
                from_env: true,
                ..
            } if text == "true" || text == "false" => Some(text == "true"),
            other => {
                let what = format!("expected true or false, found {}", other.kind());
                self.wrong(other, "V-CFG-008", what);
                None
            }
        }
    }

    fn address(&mut self, table: &mut Table, key: &str, default: &str) -> SocketAddr {
        let parse = |text: &str| {
            // ":8080" means every address, as other servers have it.
            let full = if text.starts_with(':') {
                format!("0.0.0.0{text}")
            } else {
                text.to_owned()
            };
            full.parse::<SocketAddr>().ok()
        };
        let fallback = SocketAddr::from(([127, 0, 0, 1], 0));
        match table.take(key) {
            None => parse(default).unwrap_or(fallback),
            Some(value) => {
                let address = self.text(&value).and_then(|text| parse(&text));
                if address.is_none() {
                    self.wrong(
                        &value,
                        "V-CFG-029",
                        format!("{key} is not an address and port"),
                    )
                    .fix("write it as 127.0.0.1:8080 or 0.0.0.0:8080");
                }
                address.unwrap_or(fallback)
            }
        }
    }

    fn networks(&mut self, table: &mut Table, key: &str) -> Vec<IpNet> {
        let Some(value) = table.take(key) else {
            return Vec::new();
        };
        let mut networks = Vec::new();
        for text in self.texts(&value) {
            match text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            {
                Ok(network) => networks.push(network),
                Err(_) => {
                    self.wrong(&value, "V-CFG-030", format!("\"{text}\" is not a network"))
                        .fix("write networks as 10.0.0.0/8");
                }
            }
        }
        networks
    }

    /// A length of time such as `"10m"`, within bounds.
    fn span(
        &mut self,
        table: &mut Table,
        key: &str,
        default: u64,
        least: u64,
        most: u64,
    ) -> Duration {
        let Some(value) = table.take(key) else {
            return Duration::from_secs(default);
        };
        let seconds = self.text(&value).and_then(|text| seconds(&text));
        match seconds {
            Some(seconds) if (least..=most).contains(&seconds) => Duration::from_secs(seconds),
            Some(_) => {
                let what = format!("{key} must be between {least} s and {most} s");
                self.wrong(&value, "V-CFG-031", what);
                Duration::from_secs(default)
            }
            None => {
                self.wrong(
                    &value,
                    "V-CFG-031",
                    format!("{key} is not a length of time"),
                )
                .fix("write a number and s, m, h or d, such as \"10m\"");
                Duration::from_secs(default)
            }
        }
    }

    fn count(
        &mut self,
        table: &mut Table,
        key: &str,
        default: usize,
        least: usize,
        most: usize,
    ) -> usize {
        let Some(value) = table.take(key) else {
            return default;
        };
        let number = match &value {
            Value::Number { number, .. } => usize::try_from(*number).ok(),
            Value::Text {
                text,
                from_env: true,
                ..
            } => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                let what = format!("{key} must be a number between {least} and {most}");
                self.wrong(&value, "V-CFG-031", what);
                default
            }
        }
    }

    fn leftovers(&mut self, table: Table) {
        let known = table.known().to_vec();
        for (name, _) in table.into_entries() {
            self.report.unknown_key(&name, &known);
        }
    }

    fn wrong(
        &mut self,
        value: &Value,
        code: &'static str,
        what: impl Into<String>,
    ) -> &mut Problem {
        self.report.at(value.place(), code, what.into())
    }
}

fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return None,
    };
    text[..text.len() - 1]
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
}

/// Whether a rule of any server names a group or role of this identity provider, beside which
/// `others` vouch for people.
fn asks_for_groups(idp: &Idp, others: &[String], servers: &[Server]) -> bool {
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let name = (!idp.is_main()).then_some(idp.name.as_str());
    let rules = servers.iter().map(|server| &server.resource.policy);
    rules
        .into_iter()
        .any(|policy| policy.asks_for_groups(name, &others))
}
