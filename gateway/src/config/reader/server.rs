//! `[servers.NAME]`.

use url::Url;
use vestibule_core::{
    entra::token::is_tenant_id,
    resource::{self, Direct, Dpop, MAIN_PROVIDER, Resource},
    scope::{self, ScopeSet},
    uri::Issuer,
};

use super::{
    super::{
        DirectSettings, Idp, IdpKind, ProviderToken, Server, Transport, UpstreamAuth,
        table::{Name, Table, Value},
    },
    Reader,
};

/// Our own public paths, of which no server's path may be a part.
const OWN_PATHS: [&str; 23] = [
    "/.well-known",
    "/authorize",
    "/connect",
    "/connections",
    "/consent",
    "/errors",
    "/oauth-callback",
    "/token",
    "/register",
    "/revoke",
    "/introspect",
    "/jwks.json",
    "/device",
    "/device_authorization",
    "/par",
    "/backchannel-logout",
    "/login",
    "/logout",
    "/operator",
    "/flows",
    "/apps",
    "/try",
    "/assets",
];

/// Whether `short` is `long` or a whole-segment beginning of it.
fn is_prefix(short: &str, long: &str) -> bool {
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Reader<'_> {
    pub(super) fn servers(
        &mut self,
        issuer: &Issuer,
        table: Option<Table>,
        idps: &[&Idp],
    ) -> Vec<Server> {
        let mut servers: Vec<(Server, Value)> = Vec::new();
        for (name, value) in table.map(Table::into_entries).unwrap_or_default() {
            let place = value.clone();
            let Some(table) = self.as_table(&name, value) else {
                continue;
            };
            self.server_name(&name, &place);
            let Some(server) = self.server(issuer, &name.text, table, idps) else {
                continue;
            };
            let path = &server.resource.path;
            let clash = servers.iter().any(|(other, _)| {
                let other = &other.resource.path;
                is_prefix(other, path) || is_prefix(path, other)
            });
            // A token for one of them would open the other.
            let one_audience = servers.iter().any(|(other, _)| {
                let pair = other.direct.as_ref().zip(server.direct.as_ref());
                pair.is_some_and(|(other, this)| {
                    let shared = |audience| this.audience.contains(audience);
                    other.provider == this.provider && other.audience.iter().any(shared)
                })
            });
            if one_audience {
                self.wrong(
                    &place,
                    "V-CFG-057",
                    "two servers have one audience, so a token for one opens both",
                )
                .fix("register each at the provider by itself, and name what that calls it");
            }
            if clash {
                self.wrong(
                    &place,
                    "V-CFG-016",
                    format!("the path {path} overlaps with another server's"),
                )
                .fix("give each server a path of its own that is no beginning of another");
            }
            servers.push((server, place));
        }
        if servers.is_empty() && self.report.is_empty() {
            self.report.missing(
                "servers",
                "there is no MCP server: add a table [servers.NAME]",
            );
        }
        servers.into_iter().map(|(server, _)| server).collect()
    }

    fn server(
        &mut self,
        issuer: &Issuer,
        name: &str,
        mut table: Table,
        idps: &[&Idp],
    ) -> Option<Server> {
        let path = match table.take("path") {
            Some(value) => self.path(&value),
            None => Some(format!("/{name}/mcp")),
        };
        let upstream = self
            .required(&mut table, "upstream")
            .and_then(|value| self.upstream(&value));
        let title = table
            .take("title")
            .and_then(|value| self.filled(&value))
            .unwrap_or_else(|| name.to_owned());
        let mut resource = Resource::new(issuer, name, path.as_deref().unwrap_or("/"), &title);
        if let Some(scopes) = self.table(&mut table, "scopes") {
            for (scope, value) in scopes.into_entries() {
                if !scope::is_token(&scope.text) {
                    self.wrong(
                        &value,
                        "V-CFG-017",
                        format!("\"{}\" cannot be a scope", scope.text),
                    )
                    .fix("a scope has no spaces, quotes or backslashes");
                }
                if let Some(description) = self.text(&value) {
                    resource.scopes.insert(scope.text, description);
                }
            }
        }
        resource.default_scopes = match table.take("default_scopes") {
            Some(value) => {
                let scopes = ScopeSet::of(self.texts(&value));
                if let Some(unknown) = scopes
                    .iter()
                    .find(|name| !resource.scopes.contains_key(*name))
                {
                    self.wrong(
                        &value,
                        "V-CFG-018",
                        format!("scope \"{unknown}\" is not declared"),
                    )
                    .fix("declare it in scopes of the same server");
                }
                scopes
            }
            None => resource.all_scopes(),
        };
        resource.policy = self.policy(&mut table, &resource);
        resource.dpop = self.dpop(&mut table);
        if let Some(value) = table.take("idp") {
            resource.providers = self.providers(&value, idps);
        }
        let transport = self.transport(&mut table);
        let mode_value = table.peek("mode").cloned();
        let mut direct = self.mode(&mut table, &mut resource, idps);
        let public_value = table.take("public");
        let public = public_value
            .as_ref()
            .is_some_and(|value| self.truth(value).unwrap_or_default());
        if let Some(value) = public_value.as_ref().filter(|_| public && direct.is_some()) {
            let what = "a public server needs no tokens, whoever issues them";
            self.wrong(value, "V-CFG-042", what)
                .fix("leave out public, or mode");
        }
        if let Some(value) = public_value.filter(|_| public && !resource.policy.is_empty()) {
            self.wrong(&value, "V-CFG-042", "rules mean nothing on a public server")
                .fix("leave out public, or allow, deny and tools");
        }
        let origins = table
            .take("origins")
            .map(|value| self.texts(&value))
            .unwrap_or_default();
        let here = upstream.as_ref().map(Url::as_str).unwrap_or_default();
        let upstream_auth = self.upstream_auth(&mut table, here, public, direct.is_some());
        if let (Some(direct), Some(value), UpstreamAuth::Token(wanted)) =
            (&mut direct, &mode_value, &upstream_auth)
        {
            direct.is_exchanged = true;
            let mut own = idps.iter().filter(|idp| idp.name == direct.provider);
            let is_ours = own.any(|idp| direct.audience.contains(&idp.client_id));
            // It exchanges a token for the application alone that the token is for.
            if matches!(wanted, ProviderToken::OnBehalfOf { .. }) && !is_ours {
                let what =
                    "on behalf of somebody is asked by the application that the token is for";
                self.wrong(value, "V-CFG-057", what).fix(
                    "let the server be the application of idp.client_id, and name that in audience",
                );
            }
        }
        self.leftovers(table);
        path?;
        Some(Server {
            resource,
            upstream: upstream?,
            public,
            origins,
            upstream_auth,
            transport,
            direct,
        })
    }

    /// It becomes a part of paths and folders.
    pub(super) fn server_name(&mut self, name: &Name, place: &Value) {
        if !resource::is_name(&name.text) {
            let what = format!("\"{}\" cannot be the name of a server", name.text);
            self.wrong(place, "V-CFG-059", what)
                .fix("choose another of letters, digits, '-', '_' and '.' that begins with none of these signs");
        }
    }

    /// `servers.NAME.idp`: a name, or a list of them.
    fn providers(&mut self, value: &Value, idps: &[&Idp]) -> Vec<String> {
        let mut names = self.one_or_more(value);
        let unknown = names
            .iter()
            .find(|name| *name != MAIN_PROVIDER && idps.iter().all(|idp| idp.name != **name));
        if let Some(unknown) = unknown {
            let what = format!("there is no identity provider \"{unknown}\"");
            self.wrong(value, "V-CFG-055", what)
                .fix("name \"main\", which is that of [idp], or one of the [idps.NAME] tables");
        } else if names.is_empty() {
            self.wrong(value, "V-CFG-055", "nobody could sign in for this server")
                .fix("name an identity provider, or leave idp out");
        }
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        names
    }

    fn dpop(&mut self, table: &mut Table) -> Dpop {
        let Some(value) = table.take("dpop") else {
            return Dpop::Off;
        };
        match self.text(&value).as_deref() {
            Some("off") | None => Dpop::Off,
            Some("allowed") => Dpop::Allowed,
            Some("required") => Dpop::Required,
            Some(other) => {
                self.wrong(&value, "V-CFG-009", format!("dpop cannot be \"{other}\""))
                    .fix("it is \"off\", \"allowed\" or \"required\"");
                Dpop::Off
            }
        }
    }

    fn transport(&mut self, table: &mut Table) -> Transport {
        let Some(value) = table.take("transport") else {
            return Transport::Streamable;
        };
        match self.text(&value).as_deref() {
            Some("streamable") | None => Transport::Streamable,
            Some("sse") => Transport::LegacySse,
            Some(other) => {
                self.wrong(
                    &value,
                    "V-CFG-009",
                    format!("transport cannot be \"{other}\""),
                )
                .fix("it is \"streamable\", or \"sse\" for a server of 2024-11-05");
                Transport::Streamable
            }
        }
    }

    /// `servers.NAME.mode`: whether this gateway issues the server's tokens, or the identity
    /// provider does.
    fn mode(
        &mut self,
        table: &mut Table,
        resource: &mut Resource,
        idps: &[&Idp],
    ) -> Option<DirectSettings> {
        let value = table.take("mode")?;
        match self.text(&value).as_deref() {
            Some("broker") | None => return None,
            Some("direct") => {}
            Some(other) => {
                let what = format!("mode cannot be \"{other}\"");
                self.wrong(&value, "V-CFG-009", what).fix(
                    "it is \"broker\" or \"direct\"; a server of 2024-11-05 has transport = \"sse\"",
                );
                return None;
            }
        }
        let audience = table.take("audience");
        let preauthorized = table.peek("preauthorized").cloned();
        self.preauthorized(table);
        let prefix = table.take("scope_prefix");
        let prefix = prefix.and_then(|value| self.text(&value));
        let [name] = resource.providers.as_slice() else {
            let what = "in direct mode one identity provider issues the tokens";
            self.wrong(&value, "V-CFG-057", what)
                .fix("name one with servers.NAME.idp");
            return None;
        };
        let idp = *idps.iter().find(|idp| idp.name == *name)?;
        if idp.kind == IdpKind::OAuth || idp.hosted_domain.is_some() || idp.tenants.is_some() {
            let what = "this identity provider has no tokens that can be judged here, or those of several organizations";
            self.wrong(&value, "V-CFG-057", what)
                .fix("leave mode out: then this gateway issues them");
            return None;
        }
        if let Some(value) = preauthorized.filter(|_| idp.kind != IdpKind::Entra) {
            let what = "preauthorized is a setting of Microsoft Entra";
            self.wrong(&value, "V-CFG-057", what).fix("leave it out");
        }
        let audience = match audience {
            Some(value @ Value::Table { .. }) => vec![self.client_id(&value)?],
            Some(value) => self.one_or_more(&value),
            None => vec![resource.uri.clone()],
        };
        // Its tokens of version 2 name an application by its id and by nothing else.
        if idp.kind == IdpKind::Entra && !audience.iter().any(|one| is_tenant_id(one)) {
            let what = "Microsoft Entra names a server by the id of its application";
            self.wrong(&value, "V-CFG-057", what)
                .fix("add it: servers.NAME.audience = \"…\", the application (client) id, or { file = \"entra/NAME/client_id\" } for vestibule entra apply --server NAME");
        }
        let scope_prefix = prefix.unwrap_or_else(|| match idp.kind {
            IdpKind::Entra => format!("{}/", resource.uri),
            IdpKind::Oidc | IdpKind::OAuth => String::new(),
        });
        resource.direct = Some(Direct {
            authorization_server: idp.issuer.clone(),
            scope_prefix,
        });
        Some(DirectSettings {
            provider: name.clone(),
            audience,
            is_exchanged: false,
        })
    }

    pub(super) fn path(&mut self, value: &Value) -> Option<String> {
        let text = self.text(value)?;
        let segments_ok = text.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|segment| {
                !segment.is_empty()
                    && segment != "."
                    && segment != ".."
                    && segment
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            })
        });
        if !segments_ok {
            self.wrong(
                value,
                "V-CFG-019",
                format!("\"{text}\" cannot be the path of a server"),
            )
            .fix("a path begins with a slash and has plain segments, such as /weather/mcp");
            return None;
        }
        if let Some(own) = OWN_PATHS
            .iter()
            .find(|own| is_prefix(own, &text) || is_prefix(&text, own))
        {
            self.wrong(
                value,
                "V-CFG-020",
                format!("the path {text} is in the way of our own {own}"),
            )
            .fix("choose another path, such as /weather/mcp");
            return None;
        }
        Some(text)
    }

    fn upstream(&mut self, value: &Value) -> Option<Url> {
        let text = self.text(value)?;
        let url = plain_address(&text);
        if url.is_none() {
            self.wrong(
                value,
                "V-CFG-021",
                "upstream is not an http or https address",
            )
            .fix("write the MCP server's own address, such as http://127.0.0.1:8123/mcp");
        }
        url
    }
}

/// An http or https address with nothing in it but where something is.
pub(super) fn plain_address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}
