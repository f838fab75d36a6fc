//! `[clients.ID]`: clients that an operator adds.

use vestibule_core::{
    client::{
        Client, ClientKeys, ClientSecret, Credential, GrantType, Grants, KnownBy, SecretMethod,
    },
    preset::{self, Preset},
    scope::ScopeSet,
    secret::Secret,
    time::Timestamp,
    uri::RedirectUri,
};

use super::{
    super::{
        Registration, Server,
        table::{Table, Value},
    },
    Reader,
};

/// Shortest secret that is taken: 128 bits in base64.
const SECRET_LEAST: usize = 22;

/// Short names for the grants, beside those of the RFCs.
const GRANTS: [(&str, GrantType); 6] = [
    ("authorization_code", GrantType::AuthorizationCode),
    ("refresh_token", GrantType::RefreshToken),
    ("client_credentials", GrantType::ClientCredentials),
    ("device_code", GrantType::DeviceCode),
    ("token_exchange", GrantType::TokenExchange),
    ("jwt_bearer", GrantType::JwtBearer),
];

impl Reader<'_> {
    pub(super) fn client(
        &mut self,
        id: &str,
        mut table: Table,
        registration: &Registration,
        servers: &[Server],
    ) -> Option<Client> {
        let preset = self.preset(&mut table);
        let name = table.take("name").and_then(|value| self.filled(&value));
        let grants = self.grants(&mut table);
        let browser = grants.contains(GrantType::AuthorizationCode);
        let mut redirect_uris = preset
            .map(|preset| preset.redirect_uris)
            .unwrap_or_default()
            .iter()
            .filter_map(|text| RedirectUri::parse(text, &registration.private_schemes).ok())
            .collect::<Vec<_>>();
        let uris = if browser && redirect_uris.is_empty() {
            self.required(&mut table, "redirect_uris")
        } else {
            table.take("redirect_uris")
        };
        if let Some(value) = &uris {
            for text in self.texts(value) {
                match RedirectUri::parse(&text, &registration.private_schemes) {
                    Ok(uri) => redirect_uris.push(uri),
                    Err(error) => {
                        self.wrong(
                            value,
                            "V-CFG-022",
                            format!("the redirect URI \"{text}\" cannot be used: {error}"),
                        );
                    }
                }
            }
        }
        let credential = self.credential(&mut table, preset);
        let scopes = table
            .take("scopes")
            .map(|value| ScopeSet::of(self.texts(&value)));
        let resources = table
            .take("servers")
            .map(|value| self.resources(&value, servers));
        let from = table.take("exchange_from");
        let exchanges_from = match &from {
            Some(value) => self.resources(value, servers),
            None => Vec::new(),
        };
        if grants.contains(GrantType::TokenExchange) && exchanges_from.is_empty() {
            let what = format!("clients.{id} may exchange tokens, but not of which servers");
            self.report
                .missing("clients", &what)
                .fix("exchange_from = [\"NAME\"], and servers for those that it goes on to");
        }
        let dpop_bound = self.flag(&mut table, "dpop_bound", false);
        let introspects = self.flag(&mut table, "introspect", false);
        if introspects && resources.is_none() {
            let what = format!("clients.{id} may introspect, but not whose tokens");
            self.report
                .missing("clients", &what)
                .fix("servers = [\"NAME\"]: a service asks about tokens for itself");
        }
        self.leftovers(table);
        if browser && redirect_uris.is_empty() {
            return None;
        }
        let title = preset.map_or(id, |preset| preset.title);
        Some(Client {
            id: id.to_owned(),
            name: name.or_else(|| Some(title.to_owned())),
            redirect_uris,
            credential: credential?,
            grants,
            scopes,
            resources,
            exchanges_from,
            dpop_bound,
            introspects,
            known_by: KnownBy::Operator,
        })
    }

    /// `preset`: redirect URIs, name and manner of a client that many people use.
    fn preset(&mut self, table: &mut Table) -> Option<&'static Preset> {
        let value = table.take("preset")?;
        let id = self.text(&value)?;
        let preset = preset::by_id(&id);
        if preset.is_none() {
            let ids: Vec<&str> = preset::KNOWN.iter().map(|preset| preset.id).collect();
            self.wrong(&value, "V-CFG-041", format!("there is no preset \"{id}\""))
                .fix(format!("the presets are {}", ids.join(", ")));
        }
        preset
    }

    fn grants(&mut self, table: &mut Table) -> Grants {
        let Some(value) = table.take("grants") else {
            return Grants::for_people(true);
        };
        let mut grants = Vec::new();
        for name in self.texts(&value) {
            let known = GRANTS
                .into_iter()
                .find(|(short, _)| *short == name)
                .map(|(_, grant)| grant)
                .or_else(|| GrantType::parse(&name));
            match known {
                Some(grant) => grants.push(grant),
                None => {
                    let names: Vec<&str> = GRANTS.iter().map(|(short, _)| *short).collect();
                    let what = format!("there is no grant \"{name}\"");
                    self.wrong(&value, "V-CFG-033", what)
                        .fix(format!("the grants are {}", names.join(", ")));
                }
            }
        }
        Grants::of(grants)
    }

    /// The public URLs of the servers that a list names.
    pub(super) fn resources(&mut self, value: &Value, servers: &[Server]) -> Vec<String> {
        let mut resources = Vec::new();
        for name in self.texts(value) {
            match servers.iter().find(|server| server.resource.name == name) {
                Some(server) => resources.push(server.resource.uri.clone()),
                None => {
                    self.wrong(value, "V-CFG-011", format!("there is no server \"{name}\""))
                        .fix("name one of the [servers.NAME] tables");
                }
            }
        }
        resources
    }

    fn credential(
        &mut self,
        table: &mut Table,
        preset: Option<&'static Preset>,
    ) -> Option<Credential> {
        let method = table
            .take("auth_method")
            .and_then(|value| self.text(&value).map(|text| (text, value)));
        let secret = table
            .take("secret")
            .and_then(|value| self.client_secret(value));
        let previous = table
            .take("previous_secret")
            .and_then(|value| self.client_secret(value));
        let until = table
            .take("previous_secret_until")
            .and_then(|value| self.day(&value));
        let keys = self.client_keys(table);
        let workload = self.workload(table);
        let secrets = |secret: &Secret| {
            let mut secrets = vec![ClientSecret {
                digest: secret.digest(),
                until: None,
            }];
            secrets.extend(previous.as_ref().map(|previous| ClientSecret {
                digest: previous.digest(),
                until,
            }));
            secrets
        };
        let name = match (&method, preset.map(|preset| preset.secret_method)) {
            (Some((text, _)), _) => Some(text.as_str()),
            (None, Some(SecretMethod::Post)) if secret.is_some() => Some("client_secret_post"),
            (None, _) => None,
        };
        match (name, &secret, keys, workload) {
            (None | Some("none"), None, None, None) => Some(Credential::Public),
            (Some("client_secret_post"), Some(secret), None, None) => Some(Credential::Secret {
                method: SecretMethod::Post,
                secrets: secrets(secret),
            }),
            (None | Some("client_secret_basic"), Some(secret), None, None) => {
                Some(Credential::Secret {
                    method: SecretMethod::Basic,
                    secrets: secrets(secret),
                })
            }
            (None | Some("private_key_jwt"), None, Some(keys), None) => Some(Credential::Key(keys)),
            (None | Some("private_key_jwt"), None, None, Some(workload)) => Some(workload),
            _ => {
                let (what, place) = match &method {
                    Some((name, value)) => (
                        format!("auth_method \"{name}\" does not go with what else is set"),
                        Some(value),
                    ),
                    None => ("more than one way to authenticate is set".to_owned(), None),
                };
                let fix = "none without secret; client_secret_basic or client_secret_post with \
                           secret; private_key_jwt with jwks, jwks_uri or workload";
                match place {
                    Some(value) => self.wrong(value, "V-CFG-023", what).fix(fix),
                    None => self.report.missing("clients", &what).fix(fix),
                };
                None
            }
        }
    }

    /// A secret that strangers may guess at, so a long one.
    pub(super) fn client_secret(&mut self, value: Value) -> Option<Secret> {
        let place = value.clone();
        let secret = self.secret(value)?;
        if secret.expose().len() < SECRET_LEAST {
            self.wrong(
                &place,
                "V-CFG-034",
                "a client's secret is too short to be safe",
            )
            .fix("make one of 32 random bytes: openssl rand -base64 32");
        }
        Some(secret)
    }

    fn client_keys(&mut self, table: &mut Table) -> Option<ClientKeys> {
        let file = table.take("jwks");
        let address = table.take("jwks_uri");
        match (file, address) {
            (Some(value), _) => {
                let text = self.secret(value.clone())?;
                let set: serde_json::Value =
                    serde_json::from_str(text.expose()).unwrap_or_default();
                if !set.get("keys").is_some_and(serde_json::Value::is_array) {
                    self.wrong(&value, "V-CFG-035", "jwks is not a JWK set")
                        .fix("the file holds {\"keys\": […]} with public keys");
                    return None;
                }
                Some(ClientKeys::Inline(set))
            }
            (None, Some(value)) => {
                let text = self.web_address(&value)?;
                Some(ClientKeys::At(text))
            }
            (None, None) => None,
        }
    }

    /// An `https` address, or `http` on this computer.
    pub(super) fn web_address(&mut self, value: &Value) -> Option<String> {
        let text = self.text(value)?;
        let fits = url::Url::parse(&text).is_ok_and(|url| {
            let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            url.scheme() == "https" || (url.scheme() == "http" && loopback)
        });
        if fits {
            Some(text)
        } else {
            self.wrong(
                value,
                "V-CFG-036",
                format!("\"{text}\" is not an https address"),
            );
            None
        }
    }

    /// `workload = { issuer = "…", subject = "…" }`.
    fn workload(&mut self, table: &mut Table) -> Option<Credential> {
        let mut table = self.table(table, "workload")?;
        let issuer = self
            .required(&mut table, "issuer")
            .and_then(|value| self.filled(&value));
        let subject = self
            .required(&mut table, "subject")
            .and_then(|value| self.filled(&value));
        self.leftovers(table);
        Some(Credential::Workload {
            issuer: issuer?,
            subject: subject?,
        })
    }

    /// A day such as `2026-12-31`, at whose beginning (UTC) something ends.
    fn day(&mut self, value: &Value) -> Option<Timestamp> {
        let text = self.text(value)?;
        let day = parse_day(&text);
        if day.is_none() {
            self.wrong(value, "V-CFG-029", format!("\"{text}\" is not a day"))
                .fix("write it as year, month and day: \"2026-12-31\"");
        }
        day
    }
}

/// Midnight UTC of a day of the Gregorian calendar.
fn parse_day(text: &str) -> Option<Timestamp> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let february = 28 + u64::from(leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *months.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if !(1970..=9999).contains(&year) || day == 0 || day > length {
        return None;
    }
    let before: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let in_year: u64 = months.iter().take(usize::try_from(month).ok()? - 1).sum();
    Some(Timestamp::from_unix((before + in_year + day - 1) * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01", Some(0)),
            ("2026-11-23", Some(1_795_392_000)),
            ("2024-02-29", Some(1_709_164_800)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-11-31", None),
            ("2026-11", None),
            ("soon", None),
        ] {
            assert_eq!(parse_day(text).map(Timestamp::unix), seconds, "{text}");
        }
    }
}
