//! `[registration]`: who becomes a client, and how.

use vestibule_core::{preset::KNOWN, secret::Digest};

use super::{
    super::{
        Admission, LookAlikes, Registration,
        table::{Table, Value},
    },
    Reader,
};

impl Reader<'_> {
    pub(super) fn registration(&mut self, table: Option<Table>) -> Registration {
        let mut table = table.unwrap_or_default();
        let hosts = table
            .take("allowed_hosts")
            .map(|value| self.texts(&value))
            .unwrap_or_default();
        let dynamic_value = table.take("dynamic");
        let with_token = dynamic_value
            .as_ref()
            .filter(|value| matches!(value, Value::Text { text, .. } if text == "token"));
        let initial_access_token = self.initial_access_token(&mut table, with_token);
        let dynamic = match (&dynamic_value, with_token) {
            (_, Some(_)) => Admission::Open,
            (value, None) => self.admission(value.as_ref(), "dynamic", &hosts),
        };
        let documents = table.take("documents");
        let documents = self.admission(documents.as_ref(), "documents", &hosts);
        let look_alikes = self.look_alikes(&mut table);
        let trusted_hosts = table
            .take("trusted_hosts")
            .map(|v| self.texts(&v))
            .unwrap_or_default();
        let private_schemes = match table.take("private_schemes") {
            Some(value) => self.texts(&value),
            None => KNOWN
                .iter()
                .flat_map(|preset| preset.schemes)
                .map(|scheme| (*scheme).to_owned())
                .collect(),
        };
        let unsafe_document_addresses = self.networks(&mut table, "unsafe_document_addresses");
        self.leftovers(table);
        Registration {
            dynamic,
            initial_access_token,
            look_alikes,
            documents,
            trusted_hosts,
            private_schemes,
            unsafe_document_addresses,
        }
    }

    fn admission(&mut self, value: Option<&Value>, key: &str, hosts: &[String]) -> Admission {
        let Some(value) = value else {
            return Admission::Open;
        };
        match self.text(value).as_deref() {
            Some("open") => Admission::Open,
            Some("allowlist") => Admission::Allowlist(hosts.to_vec()),
            Some("off") => Admission::Off,
            Some(other) => {
                let what = format!("registration.{key} cannot be \"{other}\"");
                let fix = match key {
                    "dynamic" => "it is \"open\", \"allowlist\", \"token\" or \"off\"",
                    _ => "it is \"open\", \"allowlist\" or \"off\"",
                };
                self.wrong(value, "V-CFG-009", what).fix(fix);
                Admission::Off
            }
            None => Admission::Off,
        }
    }

    /// `registration.token`, which belongs to `dynamic = "token"` and to nothing else.
    fn initial_access_token(
        &mut self,
        table: &mut Table,
        wanted_by: Option<&Value>,
    ) -> Option<Digest> {
        match (table.take("token"), wanted_by) {
            (Some(value), Some(_)) => Some(self.client_secret(value)?.digest()),
            (Some(value), None) => {
                self.wrong(&value, "V-CFG-043", "registration.token opens nothing")
                    .fix("write registration.dynamic = \"token\", or leave the token out");
                None
            }
            (None, Some(value)) => {
                self.wrong(
                    value,
                    "V-CFG-043",
                    "registration.dynamic = \"token\" without registration.token",
                )
                .fix("token = { file = \"/run/secrets/registration\" }");
                None
            }
            (None, None) => None,
        }
    }

    fn look_alikes(&mut self, table: &mut Table) -> LookAlikes {
        let Some(value) = table.take("look_alikes") else {
            return LookAlikes::Warn;
        };
        match self.text(&value).as_deref() {
            Some("warn") => LookAlikes::Warn,
            Some("refuse") => LookAlikes::Refuse,
            _ => {
                self.wrong(&value, "V-CFG-009", "look_alikes is something else")
                    .fix("it is \"warn\" or \"refuse\"");
                LookAlikes::Refuse
            }
        }
    }
}
