//! `servers.NAME.upstream_auth`.

use vestibule_core::secret::Secret;

use super::{
    super::{
        table::{Table, Value},
        upstream_auth::{ProviderToken, UpstreamAuth},
    },
    Reader,
};

const WORDS: &str = "upstream_auth is \"none\", \"headers\", \"assertion\", \"provider-token\", \
                     \"exchange\", or one of the tables { bearer = … }, { header = …, value = … }, \
                     { assertion = … }, { provider-token = … }, { exchange = … } and \
                     { on-behalf-of = { scope = … } }";

impl Reader<'_> {
    /// Reads it; `upstream` is the server's own address.
    pub(super) fn upstream_auth(
        &mut self,
        table: &mut Table,
        upstream: &str,
        public: bool,
    ) -> UpstreamAuth {
        let Some(value) = table.take("upstream_auth") else {
            return UpstreamAuth::Nothing;
        };
        let found = match &value {
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
