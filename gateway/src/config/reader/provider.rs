//! The identity provider: who it is, and how we prove ourselves to it.

use std::time::Duration;

use url::Url;
use vestibule_core::{
    entra::token::is_tenant_id,
    provider_preset::{self, IssuerShape, ProviderPreset},
    recheck::Bounds,
    resource::MAIN_PROVIDER,
};

use super::{
    super::{
        Idp, IdpKind, PlainOAuth,
        entra::{ClientIdAt, Entra},
        table::{Table, Value},
    },
    DAY, HOUR, Reader,
};
use crate::provider_credential::{Certificate, ManagedIdentity, ProviderCredential, SharedSecret};

impl Reader<'_> {
    /// `[idps.NAME]`.
    pub(super) fn idps(
        &mut self,
        table: Option<Table>,
        main: Option<&Idp>,
        entra: &Entra,
    ) -> Vec<Idp> {
        let mut idps: Vec<Idp> = Vec::new();
        for (name, value) in table.map(Table::into_entries).unwrap_or_default() {
            let place = value.clone();
            let Some(table) = self.as_table(&name, value) else {
                continue;
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if name.text == MAIN_PROVIDER || !name.text.bytes().all(plain) {
                let what = format!("\"{}\" cannot be the name of a further provider", name.text);
                self.wrong(&place, "V-CFG-056", what)
                    .fix("choose another of letters, digits, - and _; main is that of [idp]");
                continue;
            }
            let Some(idp) = self.idp(&name.text, table, entra) else {
                continue;
            };
            let known = main.into_iter().chain(&idps);
            if known.into_iter().any(|other| other.issuer == idp.issuer) {
                let what = format!("the issuer {} is named twice", idp.issuer);
                self.wrong(&place, "V-CFG-037", what)
                    .fix("one table for each issuer, so that nobody guesses which is meant");
            }
            idps.push(idp);
        }
        idps
    }

    /// One of `[idp]` or `[idps.NAME]`.
    pub(super) fn idp(&mut self, name: &str, mut table: Table, entra: &Entra) -> Option<Idp> {
        let authority = entra.authority.as_str();
        let kind_value = table.take("kind");
        let (kind, preset) = self.idp_kind(kind_value.as_ref());
        let unsafe_http = self.flag(&mut table, "unsafe_http_issuer", false);
        let tenant = table.take("tenant");
        let several = self.tenants(&mut table, tenant.as_ref(), authority);
        let tenant = match &several {
            Some(_) => tenant.and_then(|value| self.filled(&value)),
            None => tenant.and_then(|value| self.tenant(&value)),
        };
        let issuer = match (table.take("issuer"), kind, tenant, preset.issuer) {
            (Some(value), ..) => self.issuer_of_idp(&value, unsafe_http).inspect(|issuer| {
                if !preset.issuer.fits(issuer) {
                    let what = format!("this is not what an issuer of {} looks like", preset.name);
                    self.wrong(&value, "V-CFG-051", what).fix(format!(
                        "write it as its discovery document has it, like {}",
                        preset.issuer.example()
                    ));
                }
            }),
            (None, IdpKind::Entra, Some(tenant), _) => Some(format!("{authority}/{tenant}/v2.0")),
            (None, _, _, IssuerShape::Only(only) | IssuerShape::Usual(only)) => {
                Some(only.to_owned())
            }
            (None, ..) => {
                self.report.missing(
                    &table.path_of("issuer"),
                    "the address of the identity provider is missing",
                );
                None
            }
        };
        let client_id = self
            .required(&mut table, "client_id")
            .and_then(|value| self.client_id(&value));
        let credential = self.provider_credential(&mut table);
        let scopes = match table.take("scopes") {
            Some(value) => self.texts(&value),
            // What it has in place of OpenID Connect's, only its documentation says.
            None if kind == IdpKind::OAuth && preset.kind == "oidc" => Vec::new(),
            None => preset
                .scopes_at(issuer.as_deref().unwrap_or_default())
                .iter()
                .map(|scope| (*scope).to_owned())
                .collect(),
        };
        let groups_claims = match table.take("groups_claim") {
            Some(value) => self.one_or_more(&value),
            None => preset
                .groups
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        };
        let from_graph = self.flag(&mut table, "groups_from_graph", false);
        let params = self.idp_params(&mut table, preset);
        let plain = match (kind, preset.kind, &issuer) {
            (IdpKind::OAuth, "github", Some(issuer)) => {
                let organizations = self.organizations(&mut table, kind_value.as_ref());
                Some(PlainOAuth::github(issuer, organizations))
            }
            (IdpKind::OAuth, "oidc", _) => Some(self.plain_oauth(&mut table, &groups_claims)?),
            _ => None,
        };
        let hosted_domain = match kind {
            IdpKind::Oidc => self.hosted_domain(&mut table, preset, kind_value.as_ref()),
            IdpKind::Entra | IdpKind::OAuth => None,
        };
        let title = table.take("title").and_then(|value| self.filled(&value));
        // The main one's hold for all.
        let (mut recheck, mut grace) = (Duration::ZERO, Duration::ZERO);
        if name == MAIN_PROVIDER {
            recheck = self.span(&mut table, "recheck", HOUR, 1, 30 * DAY);
            grace = self.span(&mut table, "grace", 4 * HOUR, 1, 30 * DAY);
        }
        self.leftovers(table);
        Some(Idp {
            name: name.to_owned(),
            title,
            needs_groups: false,
            // Its silence is borne for at least as long as its word is good.
            vouching: Bounds {
                recheck,
                grace: grace.max(recheck),
            },
            issuer: issuer?,
            client_id: client_id?,
            credential: credential?,
            scopes,
            kind,
            plain: plain.map(Box::new),
            params,
            groups_claims,
            hosted_domain,
            graph: (from_graph && kind == IdpKind::Entra).then(|| entra.graph.clone()),
            tenants: several,
        })
    }

    /// Whose habits it has.
    fn idp_kind(&mut self, value: Option<&Value>) -> (IdpKind, &'static ProviderPreset) {
        let usual = &provider_preset::PRESETS[0];
        let Some(value) = value else {
            return (IdpKind::Oidc, usual);
        };
        match self.text(value).as_deref() {
            Some("entra") => (IdpKind::Entra, usual),
            Some("oauth") => (IdpKind::OAuth, usual),
            Some("github") => {
                let preset = provider_preset::of_kind("github");
                (IdpKind::OAuth, preset.unwrap_or(usual))
            }
            Some(word) => {
                let known = provider_preset::of_kind(word);
                if known.is_none() {
                    let kinds = provider_preset::PRESETS
                        .map(|preset| preset.kind)
                        .join(", ");
                    let what = format!("idp.kind cannot be \"{word}\"");
                    self.wrong(value, "V-CFG-009", what)
                        .fix(format!("idp.kind is entra, oauth, or one of {kinds}"));
                }
                (IdpKind::Oidc, known.unwrap_or(usual))
            }
            None => (IdpKind::Oidc, usual),
        }
    }

    /// Tenants of Entra's that are let in beside each other: `tenant` names them all, and there
    /// is a list.
    fn tenants(
        &mut self,
        table: &mut Table,
        tenant: Option<&Value>,
        authority: &str,
    ) -> Option<(String, Vec<String>)> {
        let listed = table.take("tenants");
        let word = tenant.and_then(|value| match value {
            Value::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let all = matches!(word, Some("organizations" | "common" | "consumers"));
        match (all, listed) {
            (false, None) => None,
            (false, Some(value)) => {
                let what = "idp.tenants is for idp.tenant = \"organizations\"";
                self.wrong(&value, "V-CFG-053", what)
                    .fix("leave it out, or write idp.tenant = \"organizations\"");
                None
            }
            (true, None) => {
                let place = tenant?.clone();
                let what = "accounts of every tenant in the world would be let in";
                self.wrong(&place, "V-CFG-053", what)
                    .fix("list the tenants by their ids: idp.tenants = [\"…\"]");
                Some((String::new(), Vec::new()))
            }
            (true, Some(value)) => {
                let listed = self.one_or_more(&value);
                if listed.is_empty() || !listed.iter().all(|id| is_tenant_id(id)) {
                    self.wrong(&value, "V-CFG-053", "idp.tenants is a list of tenants' ids")
                        .fix("write each as Entra shows it, like 5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11");
                }
                Some((format!("{authority}/{{tenantid}}/v2.0"), listed))
            }
        }
    }

    /// A text, or a list of them.
    pub(super) fn one_or_more(&mut self, value: &Value) -> Vec<String> {
        match value {
            Value::List { .. } => self.texts(value),
            _ => self.filled(value).into_iter().collect(),
        }
    }

    fn idp_params(&mut self, table: &mut Table, preset: &ProviderPreset) -> Vec<(String, String)> {
        const OURS: [&str; 10] = [
            "response_type",
            "response_mode",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
            "max_age",
        ];
        let mut params: Vec<(String, String)> = preset
            .params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        match table.take("params") {
            None => {}
            Some(Value::Table { table, .. }) => {
                for (name, value) in table.into_entries() {
                    if OURS.contains(&name.text.as_str()) {
                        let what = format!("{} is the gateway's own", name.text);
                        self.wrong(&value, "V-CFG-009", what)
                            .fix("idp.params has what the provider wants to read besides");
                    } else if let Some(text) = self.text(&value) {
                        params.retain(|(known, _)| *known != name.text);
                        params.push((name.text, text));
                    }
                }
            }
            Some(other) => {
                self.wrong(&other, "V-CFG-008", "idp.params must be a table of texts");
            }
        }
        params
    }

    /// Where anybody in the world has an account, an organization must be named.
    fn hosted_domain(
        &mut self,
        table: &mut Table,
        preset: &ProviderPreset,
        kind: Option<&Value>,
    ) -> Option<String> {
        if let Some(value) = table.take("hosted_domain") {
            let domain = self.filled(&value)?;
            return (domain != "any").then_some(domain);
        }
        if let Some(kind) = kind.filter(|_| preset.is_for_everybody) {
            let what = format!(
                "everybody who has an account at {} would be let in",
                preset.name
            );
            self.wrong(kind, "V-CFG-052", what)
                .fix("name your organization: idp.hosted_domain = \"example.com\", or \"any\"");
        }
        None
    }

    /// A tenant by its id: Entra's documents and tokens name it so, and a domain is none of them.
    pub(super) fn tenant(&mut self, value: &Value) -> Option<String> {
        let text = self.filled(value)?;
        if is_tenant_id(&text) {
            return Some(text);
        }
        self.wrong(
            value,
            "V-CFG-049",
            format!("idp.tenant \"{text}\" is not a tenant's id"),
        )
        .fix("vestibule init --idp entra --tenant DOMAIN finds the id of a domain's tenant");
        None
    }

    /// Text, or `{ file = … }`, which `vestibule entra apply` writes.
    pub(super) fn client_id(&mut self, value: &Value) -> Option<String> {
        let ClientIdAt::File(path) = self.client_id_at(value.clone())? else {
            return self.filled(value);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Ok(_) => {
                let what = format!("the file {} is empty", path.display());
                self.wrong(value, "V-CFG-028", what);
                None
            }
            Err(error) => {
                let what = format!("the client id {} cannot be read: {error}", path.display());
                self.wrong(value, "V-CFG-048", what)
                    .fix("with Microsoft Entra, vestibule entra apply writes it; that of a server with --server NAME");
                None
            }
        }
    }

    fn issuer_of_idp(&mut self, value: &Value, unsafe_http: bool) -> Option<String> {
        self.address_of_idp(value, "issuer", unsafe_http)
    }

    pub(super) fn address_of_idp(
        &mut self,
        value: &Value,
        key: &str,
        unsafe_http: bool,
    ) -> Option<String> {
        let text = self.text(value)?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(url) = url else {
            self.wrong(
                value,
                "V-CFG-014",
                format!("idp.{key} is not a web address"),
            )
            .fix(format!(
                "copy the {key} from the provider's discovery document"
            ));
            return None;
        };
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() == "http" && !loopback && !unsafe_http {
            self.wrong(value, "V-CFG-015", format!("idp.{key} must be https"))
                .fix("use the provider's https address");
            return None;
        }
        Some(text)
    }

    /// Exactly one of `client_secret` and `credential`.
    fn provider_credential(&mut self, table: &mut Table) -> Option<ProviderCredential> {
        match (table.take("client_secret"), table.take("credential")) {
            (None, None) => {
                let path = table.path_of("client_secret");
                self.report.missing(&path, &format!("{path} is missing"));
                None
            }
            (Some(value), None) => {
                let file = match &value {
                    Value::Table { table, .. } => table.clone().take("file"),
                    _ => None,
                };
                let text = self.secret(value)?;
                let shared = match file.and_then(|file| self.text(&file)) {
                    Some(file) => SharedSecret::in_file(text, self.folder.join(file)),
                    None => SharedSecret::fixed(text),
                };
                Some(ProviderCredential::Secret(shared))
            }
            (None, Some(value)) => self.signed_credential(value),
            (Some(_), Some(value)) => {
                self.wrong(&value, "V-CFG-045", "idp has two credentials")
                    .fix("keep idp.client_secret or idp.credential");
                None
            }
        }
    }

    /// A certificate with its key, or a file that the platform writes assertions into.
    pub(super) fn signed_credential(&mut self, value: Value) -> Option<ProviderCredential> {
        let place = value.clone();
        let Value::Table { mut table, .. } = value else {
            self.not_a_credential(&place);
            return None;
        };
        let names = ["certificate", "key", "assertion", "managed_identity"];
        let parts = names.map(|name| table.take(name));
        self.leftovers(table);
        match parts {
            [None, None, None, Some(identity)] => {
                let client_id = match &identity {
                    Value::Flag { flag: true, .. } => None,
                    _ => Some(self.filled(&identity)?),
                };
                let identity = ManagedIdentity::of(client_id, self.env);
                Some(ProviderCredential::Managed(identity))
            }
            [Some(certificate), Some(key), None, None] => {
                let path = self.folder.join(self.filled(&certificate)?);
                let text = match std::fs::read(&path) {
                    Ok(text) => text,
                    Err(error) => {
                        let what =
                            format!("the certificate {} cannot be read: {error}", path.display());
                        self.wrong(&certificate, "V-CFG-046", what)
                            .fix("name the certificate that is registered at the provider");
                        return None;
                    }
                };
                let key = self.secret(key)?;
                match Certificate::read(&text, key.expose().as_bytes()) {
                    Ok(read) => Some(ProviderCredential::Certificate(read)),
                    Err(why) => {
                        self.wrong(&certificate, "V-CFG-046", why.to_string())
                            .fix("name the registered certificate and its own key, both in PEM");
                        None
                    }
                }
            }
            [None, None, Some(file), None] => {
                let file = self.folder.join(self.filled(&file)?);
                Some(ProviderCredential::Federated(file))
            }
            _ => {
                self.not_a_credential(&place);
                None
            }
        }
    }

    fn not_a_credential(&mut self, place: &Value) {
        let what = "idp.credential is neither a certificate with its key, an assertion nor a managed identity";
        self.wrong(place, "V-CFG-045", what).fix(
            "{ certificate = \"…\", key = { file = \"…\" } }, { assertion = \"…\" } or { managed_identity = true }",
        );
    }
}
