//! `[entra]`, and the reading of `vestibule entra`, which is before there is a client id.

use url::Url;
use vestibule_core::uri::Issuer;

use super::{
    super::{
        entra::{ClientIdAt, Entra, EntraSetup, ProofAt},
        table::{Table, Value},
    },
    DAY, Reader,
};
use crate::provider_credential::ProviderCredential;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const GRAPH: &str = "https://graph.microsoft.com";

impl Reader<'_> {
    pub(super) fn entra(&mut self, table: Option<Table>) -> Entra {
        let mut table = table.unwrap_or_default();
        let mut place = |reader: &mut Self, key: &str, default: &str| {
            let written = table.take(key);
            written
                .and_then(|value| reader.service(&value, key))
                .unwrap_or_else(|| default.to_owned())
        };
        let authority = place(self, "authority", AUTHORITY);
        let graph = place(self, "graph", GRAPH);
        let app_name = table.take("app_name").and_then(|value| self.filled(&value));
        let state = table.take("state").and_then(|value| self.filled(&value));
        let federated = table
            .take("federated")
            .and_then(|value| self.federated(value));
        let entra = Entra {
            authority,
            graph,
            app_name: app_name.unwrap_or_else(|| "Vestibule".to_owned()),
            state: self.folder.join(state.as_deref().unwrap_or("entra")),
            allow_public_client: self.flag(&mut table, "allow_public_client", false),
            secret_life: self.span(&mut table, "secret_life", 180 * DAY, DAY, 730 * DAY),
            federated,
        };
        self.leftovers(table);
        entra
    }

    /// An origin of Microsoft's, of whichever cloud.
    fn service(&mut self, value: &Value, key: &str) -> Option<String> {
        let text = self.text(value)?;
        let url = Url::parse(&text).ok();
        let plain = url.filter(|url| {
            let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            (url.scheme() == "https" || (url.scheme() == "http" && loopback))
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if plain.is_none() {
            let what = format!("entra.{key} is not the https address of a service");
            self.wrong(value, "V-CFG-047", what)
                .fix("leave it out, or name your cloud's, like https://login.microsoftonline.us");
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn federated(&mut self, value: Value) -> Option<(String, String)> {
        let place = value.clone();
        let Value::Table { mut table, .. } = value else {
            self.wrong(&place, "V-CFG-008", "entra.federated must be a table");
            return None;
        };
        let issuer = self.required(&mut table, "issuer");
        let subject = self.required(&mut table, "subject");
        self.leftovers(table);
        Some((self.filled(&issuer?)?, self.filled(&subject?)?))
    }

    /// Reads what `vestibule entra` needs. The rest is not judged here; `check` does that.
    pub(in crate::config) fn entra_setup(&mut self, mut top: Table) -> Option<EntraSetup> {
        let groups = names_a_group(&top) || tells_operators_by_group(&top);
        let public_url = self.public_url(&mut top);
        let instance = self.table(&mut top, "instance").and_then(|mut table| {
            let name = table.take("name")?;
            self.filled(&name)
        });
        let entra = self.table(&mut top, "entra");
        let entra = self.entra(entra);
        let outbound = self.table(&mut top, "outbound");
        let extra_ca_file = self.outbound(outbound);
        let mut idp = self.table(&mut top, "idp").or_else(|| {
            self.report
                .missing("idp", "the identity provider is missing: a table [idp]");
            None
        })?;
        let kind = idp.take("kind").and_then(|value| self.text(&value));
        if kind.as_deref() != Some("entra") {
            self.report
                .missing("idp.kind", "idp.kind must be \"entra\" for vestibule entra");
        }
        let tenant = self
            .required(&mut idp, "tenant")
            .and_then(|value| self.tenant(&value));
        let client_id = self
            .required(&mut idp, "client_id")
            .and_then(|value| self.client_id_at(value));
        let members = self.flag(&mut idp, "groups_from_graph", false);
        let proof = self.proof_at(&mut idp);
        let public_url = public_url?;
        Some(EntraSetup {
            instance: instance.unwrap_or_else(|| host(&public_url)),
            public_url,
            tenant: tenant?,
            client_id: client_id?,
            proof: proof?,
            groups,
            members,
            entra,
            extra_ca_file,
        })
    }

    pub(super) fn client_id_at(&mut self, value: Value) -> Option<ClientIdAt> {
        let place = value.clone();
        match value {
            Value::Table { mut table, .. } => {
                let file = self.required(&mut table, "file")?;
                self.leftovers(table);
                let file = self.filled(&file)?;
                Some(ClientIdAt::File(self.folder.join(file)))
            }
            _ => self.filled(&place).map(ClientIdAt::Here),
        }
    }

    fn proof_at(&mut self, idp: &mut Table) -> Option<ProofAt> {
        let secret = match (idp.take("client_secret"), idp.take("credential")) {
            (None, Some(value)) => {
                return match self.signed_credential(value)? {
                    ProviderCredential::Certificate(read) => Some(ProofAt::Certificate(read)),
                    ProviderCredential::Federated(file) => Some(ProofAt::File(file)),
                    ProviderCredential::Managed(identity) => Some(ProofAt::Managed(identity)),
                    ProviderCredential::Secret(_) => None,
                };
            }
            (Some(_), Some(value)) => {
                self.wrong(&value, "V-CFG-045", "idp has two credentials")
                    .fix("keep idp.client_secret or idp.credential");
                return None;
            }
            (None, None) => {
                self.report
                    .missing("idp.client_secret", "idp.client_secret is missing");
                return None;
            }
            (Some(value), None) => value,
        };
        let file = match &secret {
            Value::Table { table, .. } => table.clone().take("file"),
            _ => None,
        };
        let Some(file) = file else {
            let what = "vestibule entra writes the secret into a file";
            self.wrong(&secret, "V-CFG-025", what)
                .fix("write client_secret = { file = \"entra/client_secret\" }");
            return None;
        };
        let file = self.filled(&file)?;
        Some(ProofAt::SecretFile(self.folder.join(file)))
    }
}

fn host(public_url: &Issuer) -> String {
    let authority = public_url.authority();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host.to_owned(),
        _ => authority.to_owned(),
    }
}

/// Whether any rule names a group or a role.
pub(super) fn names_a_group(table: &Table) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            // A list in the environment is one text.
            Value::Text { text, .. } => text.contains("group:"),
            Value::List { items, .. } => items.iter().any(within),
            Value::Table { table, .. } => names_a_group(table),
            _ => false,
        }
    }
    let entries = table.clone().into_entries();
    entries.iter().any(|(_, value)| within(value))
}

/// Whether a group makes somebody an operator.
fn tells_operators_by_group(top: &Table) -> bool {
    let Some(Value::Table { mut table, .. }) = top.clone().take("admin") else {
        return false;
    };
    let named = |value: Option<Value>| match value {
        Some(Value::List { items, .. }) => !items.is_empty(),
        value => value.is_some(),
    };
    named(table.take("groups")) || named(table.take("viewers"))
}
