//! The identity provider: who it is, and how we prove ourselves to it.

use url::Url;
use vestibule_core::{entra::token::is_tenant_id, recheck::Bounds};

use super::{
    super::{
        Idp, IdpKind,
        entra::ClientIdAt,
        table::{Table, Value},
    },
    DAY, HOUR, Reader,
};
use crate::provider_credential::{Certificate, ManagedIdentity, ProviderCredential, SharedSecret};

impl Reader<'_> {
    pub(super) fn idp(&mut self, mut table: Table, authority: &str) -> Option<Idp> {
        let kind = match table.take("kind") {
            Some(value) => match self.text(&value)?.as_str() {
                "oidc" => IdpKind::Oidc,
                "entra" => IdpKind::Entra,
                other => {
                    self.wrong(
                        &value,
                        "V-CFG-009",
                        format!("idp.kind cannot be \"{other}\""),
                    )
                    .fix("idp.kind is \"oidc\" or \"entra\"");
                    IdpKind::Oidc
                }
            },
            None => IdpKind::Oidc,
        };
        let unsafe_http = self.flag(&mut table, "unsafe_http_issuer", false);
        let tenant = table.take("tenant").and_then(|value| self.tenant(&value));
        let issuer = match (table.take("issuer"), kind, tenant) {
            (Some(value), ..) => self.issuer_of_idp(&value, unsafe_http),
            (None, IdpKind::Entra, Some(tenant)) => Some(format!("{authority}/{tenant}/v2.0")),
            (None, ..) => {
                self.report.missing(
                    "idp.issuer",
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
            None => ["openid", "profile", "email", "offline_access"]
                .map(str::to_owned)
                .to_vec(),
        };
        let recheck = self.span(&mut table, "recheck", HOUR, 1, 30 * DAY);
        let grace = self.span(&mut table, "grace", 4 * HOUR, 1, 30 * DAY);
        self.leftovers(table);
        Some(Idp {
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
        })
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
    fn client_id(&mut self, value: &Value) -> Option<String> {
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
                    .fix("with Microsoft Entra, vestibule entra apply writes it");
                None
            }
        }
    }

    fn issuer_of_idp(&mut self, value: &Value, unsafe_http: bool) -> Option<String> {
        let text = self.text(value)?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(url) = url else {
            self.wrong(value, "V-CFG-014", "idp.issuer is not a web address")
                .fix("copy the issuer from the provider's discovery document");
            return None;
        };
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() == "http" && !loopback && !unsafe_http {
            self.wrong(value, "V-CFG-015", "idp.issuer must be https")
                .fix("use the provider's https address");
            return None;
        }
        Some(text)
    }

    /// Exactly one of `client_secret` and `credential`.
    fn provider_credential(&mut self, table: &mut Table) -> Option<ProviderCredential> {
        match (table.take("client_secret"), table.take("credential")) {
            (None, None) => {
                self.report
                    .missing("idp.client_secret", "idp.client_secret is missing");
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
