//! `servers.NAME.upstream_auth`.

use std::sync::Arc;

use vestibule_core::secret::Secret;

use super::{
    super::{
        table::{Table, Value},
        upstream_auth::{ProviderToken, ServiceAt, ServiceSettings, UpstreamAuth},
    },
    Reader,
    server::plain_address,
};

const WORDS: &str = "upstream_auth is \"none\", \"headers\", \"assertion\", \"provider-token\", \
                     \"exchange\", \"connection\", or one of the tables { bearer = … }, { header = …, value = … }, \
                     { assertion = … }, { provider-token = … }, { exchange = … } and \
                     { on-behalf-of = { scope = … } }";

impl Reader<'_> {
    /// Reads it; `upstream` is the server's own address, and `direct` whether its tokens are the
    /// identity provider's.
    pub(super) fn upstream_auth(
        &mut self,
        table: &mut Table,
        upstream: &str,
        public: bool,
        direct: bool,
    ) -> UpstreamAuth {
        let Some(value) = table.take("upstream_auth") else {
            return UpstreamAuth::Nothing;
        };
        let connection = table.take("connection");
        let found = match &value {
            Value::Text { text, .. } if text == "connection" => {
                Some(self.connection(&value, connection))
            }
            Value::Text { text, .. } => self.by_word(text, upstream),
            Value::Table { table, .. } => self.by_table(table.clone(), upstream),
            _ => {
                self.wrong(&value, "V-CFG-008", "upstream_auth is text or a table");
                return UpstreamAuth::Nothing;
            }
        };
        if public
            && found
                .as_ref()
                .is_some_and(UpstreamAuth::is_about_the_caller)
        {
            let what =
                "what this server gets is about who calls, and on a public server nobody does";
            self.wrong(&value, "V-CFG-042", what)
                .fix("leave out public, or this upstream_auth");
        }
        // The one is the client's own token, and the other is kept for people who signed in here.
        if direct
            && let Some(
                UpstreamAuth::Token(ProviderToken::OfTheLogin { .. }) | UpstreamAuth::Connection(_),
            ) = &found
        {
            let what = "in direct mode nobody signs in here, and the client's own token stays here";
            self.wrong(&value, "V-CFG-057", what)
                .fix("let it be exchanged (\"exchange\", on-behalf-of), or leave mode out");
        }
        found.unwrap_or_else(|| {
            self.wrong(
                &value,
                "V-CFG-009",
                "upstream_auth is none of those there are",
            )
            .fix(WORDS);
            UpstreamAuth::Nothing
        })
    }

    fn connection(&mut self, place: &Value, written: Option<Value>) -> UpstreamAuth {
        let Some(Value::Table { mut table, .. }) = written else {
            let what = "upstream_auth = \"connection\" needs a table connection beside it";
            self.wrong(place, "V-CFG-050", what)
                .fix("write [servers.NAME.connection] with issuer, client_id and client_secret");
            return UpstreamAuth::Nothing;
        };
        let mut address = |reader: &mut Self, key: &str| {
            let value = table.take(key)?;
            reader.service_address(&value)
        };
        let (issuer, authorization, token) = (
            address(self, "issuer"),
            address(self, "authorization_endpoint"),
            address(self, "token_endpoint"),
        );
        let at = match (issuer, authorization, token) {
            (Some(issuer), None, None) => Some(ServiceAt::Issuer(issuer)),
            (None, Some(authorization), Some(token)) => Some(ServiceAt::Endpoints {
                authorization,
                token,
            }),
            _ => {
                let what =
                    "a connection needs issuer, or authorization_endpoint and token_endpoint";
                self.wrong(place, "V-CFG-050", what).fix(
                    "name the issuer if the service has metadata (RFC 8414), else both endpoints",
                );
                None
            }
        };
        let client_id = self.required(&mut table, "client_id");
        let client_id = client_id.and_then(|value| self.filled(&value));
        let client_secret = table
            .take("client_secret")
            .and_then(|value| self.secret(value));
        let scopes = table.take("scopes").map(|value| self.texts(&value));
        let post_only = self.flag(&mut table, "client_secret_post", false);
        let params = match table.take("params") {
            Some(Value::Table { table, .. }) => table
                .into_entries()
                .into_iter()
                .filter_map(|(name, value)| Some((name.text, self.text(&value)?)))
                .collect(),
            Some(other) => {
                self.wrong(&other, "V-CFG-008", "params must be a table of texts");
                Vec::new()
            }
            None => Vec::new(),
        };
        self.leftovers(table);
        let Some((at, client_id)) = at.zip(client_id) else {
            return UpstreamAuth::Nothing;
        };
        UpstreamAuth::Connection(Arc::new(ServiceSettings {
            at,
            client_id,
            client_secret,
            post_only,
            scopes: scopes.unwrap_or_default(),
            params,
        }))
    }

    /// An https address, or one of this computer's.
    fn service_address(&mut self, value: &Value) -> Option<String> {
        let text = self.filled(value)?;
        let url = plain_address(&text).filter(|url| {
            let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            url.scheme() == "https" || loopback
        });
        if url.is_none() {
            self.wrong(
                value,
                "V-CFG-050",
                "this is not the https address of a service",
            )
            .fix("write it as the service's documentation has it, with https");
        }
        url.map(|_| text)
    }

    fn by_word(&mut self, word: &str, upstream: &str) -> Option<UpstreamAuth> {
        match word {
            "none" => Some(UpstreamAuth::Nothing),
            "headers" => Some(UpstreamAuth::Headers),
            "assertion" | "provider-token" | "exchange" => {
                self.about_the_caller(word, Table::default(), upstream)
            }
            _ => None,
        }
    }

    fn by_table(&mut self, mut table: Table, upstream: &str) -> Option<UpstreamAuth> {
        let found = if let Some(bearer) = table.take("bearer") {
            self.secret(bearer).map(|secret| UpstreamAuth::Fixed {
                name: "authorization".to_owned(),
                value: Secret::new(format!("Bearer {}", secret.expose())),
            })
        } else if let Some(name) = table.take("header") {
            let name = self.filled(&name);
            let value = table.take("value").and_then(|value| self.secret(value));
            name.zip(value).map(|(name, value)| UpstreamAuth::Fixed {
                name: name.to_ascii_lowercase(),
                value,
            })
        } else {
            ["assertion", "provider-token", "exchange", "on-behalf-of"]
                .into_iter()
                .find_map(|word| Some((word, table.take(word)?)))
                .and_then(|(word, value)| match value {
                    Value::Table { table, .. } => self.about_the_caller(word, table, upstream),
                    other => {
                        self.wrong(&other, "V-CFG-008", format!("{word} must be a table"));
                        None
                    }
                })
        };
        self.leftovers(table);
        found
    }

    fn about_the_caller(
        &mut self,
        word: &str,
        mut table: Table,
        upstream: &str,
    ) -> Option<UpstreamAuth> {
        let mut taken = |reader: &mut Self, key| {
            let value: Option<Value> = table.take(key);
            value.and_then(|value| reader.filled(&value))
        };
        let found = match word {
            "assertion" => Some(UpstreamAuth::Assertion {
                audience: taken(self, "audience").unwrap_or_else(|| upstream.to_owned()),
                header: taken(self, "header")
                    .unwrap_or_else(|| "authorization".to_owned())
                    .to_ascii_lowercase(),
            }),
            "provider-token" => Some(UpstreamAuth::Token(ProviderToken::OfTheLogin {
                scope: taken(self, "scope"),
            })),
            "exchange" => {
                let audience = taken(self, "audience");
                let resource = taken(self, "resource");
                // A token for nobody in particular would be good at every server.
                let here = audience.is_none() && resource.is_none();
                Some(UpstreamAuth::Token(ProviderToken::Exchanged {
                    resource: resource.or_else(|| here.then(|| upstream.to_owned())),
                    audience,
                    scope: taken(self, "scope"),
                }))
            }
            "on-behalf-of" => taken(self, "scope")
                .map(|scope| UpstreamAuth::Token(ProviderToken::OnBehalfOf { scope })),
            _ => None,
        };
        self.leftovers(table);
        found
    }
}
