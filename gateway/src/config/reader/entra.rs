//! `[entra]`, and the reading of `vestibule entra`, which is before there is a client id.

use std::{
    collections::BTreeMap,
    path::{Component, PathBuf},
};

use url::Url;
use vestibule_core::{
    entra::{api::WantedApi, token::is_tenant_id, wanted::Accounts},
    resource::MAIN_PROVIDER,
    uri::Issuer,
};

use super::{
    super::{
        entra::{ClientIdAt, DirectApp, Entra, EntraSetup, ProofAt},
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
        let tenant = table.take("tenant").and_then(|value| self.tenant(&value));
        let app_name = table.take("app_name").and_then(|value| self.filled(&value));
        let state = table.take("state").and_then(|value| self.filled(&value));
        let federated = table
            .take("federated")
            .and_then(|value| self.federated(value));
        let entra = Entra {
            authority,
            graph,
            tenant,
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
        let servers = self.table(&mut top, "servers");
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
        let (tenant, accounts) = self.home(&mut idp, entra.tenant.as_ref())?;
        let tenants = idp.take("tenants").map(|value| self.one_or_more(&value));
        let client_id = self
            .required(&mut idp, "client_id")
            .and_then(|value| self.client_id_at(value));
        let members = self.flag(&mut idp, "groups_from_graph", false);
        let proof = self.proof_at(&mut idp);
        let public_url = public_url?;
        let (servers, api) = self.direct_apps(&public_url, client_id.as_ref()?, servers);
        Some(EntraSetup {
            instance: instance.unwrap_or_else(|| host(&public_url)),
            server: None,
            redirect: Some(format!("{public_url}/oauth-callback")),
            tenant,
            accounts,
            tenants: tenants.unwrap_or_default(),
            client_id: client_id?,
            proof: Some(proof?),
            api,
            groups,
            members,
            entra,
            extra_ca_file,
            servers,
        })
    }

    /// The tenant in which the application is registered, and whose accounts sign in to it.
    fn home(&mut self, idp: &mut Table, named: Option<&String>) -> Option<(String, Accounts)> {
        let value = self.required(idp, "tenant")?;
        let accounts = match &value {
            Value::Text { text, .. } if text == "organizations" => Accounts::Organizations,
            Value::Text { text, .. } if text == "common" => Accounts::Everybody,
            Value::Text { text, .. } if text == "consumers" => Accounts::Personal,
            _ => return self.tenant(&value).map(|id| (id, Accounts::OneTenant)),
        };
        if named.is_none() {
            let what = "several tenants sign in, and it is not said in which the app is registered";
            self.wrong(&value, "V-CFG-058", what)
                .fix("add its id: entra.tenant = \"…\"");
        }
        Some((named?.clone(), accounts))
    }

    /// Servers whose tokens Entra issues. The one of which tokens are exchanged on behalf of
    /// people is this gateway's own application.
    fn direct_apps(
        &mut self,
        public_url: &Issuer,
        gateway: &ClientIdAt,
        servers: Option<Table>,
    ) -> (BTreeMap<String, DirectApp>, Option<WantedApi>) {
        let mut apps = BTreeMap::new();
        let mut own = None;
        for (name, value) in servers.map(Table::into_entries).unwrap_or_default() {
            let place = value.clone();
            let Value::Table { mut table, .. } = value else {
                continue;
            };
            self.server_name(&name, &place);
            let is_text = |value: Option<&Value>, wanted: &str| matches!(value, Some(Value::Text { text, .. }) if text == wanted);
            let idp = table.take("idp").map(|value| self.one_or_more(&value));
            let is_ours = idp.is_none_or(|names| names.iter().all(|name| name == MAIN_PROVIDER));
            if !is_ours || !is_text(table.take("mode").as_ref(), "direct") {
                continue;
            }
            let auth = table.take("upstream_auth");
            let exchanges = matches!(&auth, Some(Value::Table { table, .. })
                if table.peek("on-behalf-of").is_some());
            let audience = table.take("audience");
            let Some(api) = self.api(public_url, &name.text, table) else {
                continue;
            };
            if exchanges {
                own = Some(api);
                continue;
            }
            // Of several Entra writes the id alone.
            let is_id =
                |value: &Value| matches!(value, Value::Text { text, .. } if is_tenant_id(text));
            let client_id = match audience {
                Some(Value::List { items, .. }) => items.into_iter().find(is_id),
                audience => audience,
            };
            let Some(client_id) = client_id else {
                let what = "Microsoft Entra names a server by the id of its application";
                self.wrong(&place, "V-CFG-057", what).fix(format!(
                    "add where it is to be: servers.{0}.audience = {{ file = \"entra/{0}/client_id\" }}",
                    name.text
                ));
                continue;
            };
            let at = client_id.clone();
            let Some(client_id) = self.client_id_at(client_id) else {
                continue;
            };
            let of_others = apps.values().map(|app: &DirectApp| &app.client_id);
            if of_others
                .chain([gateway])
                .any(|other| is_one_file(other, &client_id))
            {
                let what = "this is the client id of another app, which apply would write over";
                self.wrong(&at, "V-CFG-057", what).fix(format!(
                    "give it one of its own: servers.{0}.audience = {{ file = \"entra/{0}/client_id\" }}",
                    name.text
                ));
            }
            apps.insert(name.text, DirectApp { client_id, api });
        }
        (apps, own)
    }

    fn api(&mut self, public_url: &Issuer, name: &str, mut table: Table) -> Option<WantedApi> {
        let path = match table.take("path") {
            Some(value) => self.path(&value)?,
            None => format!("/{name}/mcp"),
        };
        let prefix = table.take("scope_prefix");
        let prefix = prefix.and_then(|value| self.text(&value));
        let scopes = self.table(&mut table, "scopes").map(Table::into_entries);
        let mut api = WantedApi {
            uri: match prefix {
                Some(prefix) => prefix.trim_end_matches('/').to_owned(),
                None => format!("{public_url}{path}"),
            },
            clients: self.preauthorized(&mut table),
            ..WantedApi::default()
        };
        for (scope, value) in scopes.unwrap_or_default() {
            let said = self.text(&value)?;
            api.scopes.insert(scope.text, said);
        }
        Some(api)
    }

    /// `servers.NAME.preauthorized`: clients about which Entra asks nobody.
    pub(super) fn preauthorized(&mut self, table: &mut Table) -> Vec<String> {
        let Some(value) = table.take("preauthorized") else {
            return Vec::new();
        };
        let clients = self.one_or_more(&value);
        if !clients.iter().all(|id| is_tenant_id(id)) {
            self.wrong(&value, "V-CFG-057", "preauthorized is a list of client ids")
                .fix("write each as Entra shows it, like aebc6443-996d-45c2-90f0-388ff96faa56");
        }
        clients
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

/// Whether both are written into the same file.
fn is_one_file(one: &ClientIdAt, other: &ClientIdAt) -> bool {
    match (one, other) {
        (ClientIdAt::File(one), ClientIdAt::File(other)) => {
            let parts = |path: &PathBuf| -> PathBuf {
                let parts = path.components();
                parts.filter(|part| *part != Component::CurDir).collect()
            };
            parts(one) == parts(other)
        }
        _ => false,
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
