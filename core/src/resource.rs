//! The MCP servers behind this gateway, each a protected resource of its own (RFC 9728).

use std::collections::BTreeMap;

use crate::{
    policy::Policy,
    scope::{self, ScopeSet},
    uri::{Issuer, canonical_resource},
};

/// The name of the identity provider that every company has. People of others are let in to a
/// server only where it names those.
pub const MAIN_PROVIDER: &str = "main";

/// Whether a server can be called this: its name becomes a part of paths and folders.
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    name.bytes().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// One MCP server as clients see it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name in the configuration.
    pub name: String,
    /// The exact path under the public origin, such as `/weather/mcp`.
    pub path: String,
    /// The public URL: its identifier and the audience of its tokens.
    pub uri: String,
    /// What people read.
    pub title: String,
    /// Each scope with what it lets an app do, in plain words.
    pub scopes: BTreeMap<String, String>,
    /// What a client gets that asks for nothing in particular.
    pub default_scopes: ScopeSet,
    /// Who may use it, and which of its tools.
    pub policy: Policy,
    /// Whether its tokens may or must be bound to a key.
    pub dpop: Dpop,
    /// The identity providers that sign people in for it, by name.
    pub providers: Vec<String>,
    /// Where its tokens come from, if this gateway issues none for it.
    pub direct: Option<Direct>,
}

/// The authorization server of a server that is only guarded here (RFC 9728 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// Its issuer: the identity provider's.
    pub authorization_server: String,
    /// What it writes before the names of the server's scopes; nothing for most.
    pub scope_prefix: String,
}

/// Whether tokens of a server are bound to their client's key (RFC 9449).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dpop {
    /// Never.
    #[default]
    Off,
    /// If the client shows one.
    Allowed,
    /// Always.
    Required,
}

impl Resource {
    /// A resource without scopes and rules, published at `path` of `issuer`.
    pub fn new(issuer: &Issuer, name: &str, path: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            uri: format!("{issuer}{path}"),
            title: title.to_owned(),
            scopes: BTreeMap::new(),
            default_scopes: ScopeSet::empty(),
            policy: Policy::default(),
            dpop: Dpop::Off,
            providers: vec![MAIN_PROVIDER.to_owned()],
            direct: None,
        }
    }

    /// What people are told of a scope.
    pub fn sentence(&self, scope: &str) -> Option<&str> {
        self.scopes
            .iter()
            .find(|(name, _)| name.as_str() == scope)
            .map(|(_, sentence)| sentence.as_str())
    }

    /// Scopes as a client must ask for them.
    pub fn asked_as(&self, scopes: &ScopeSet) -> Vec<String> {
        let prefix = self
            .direct
            .as_ref()
            .map(|direct| direct.scope_prefix.as_str());
        let prefix = prefix.unwrap_or_default();
        scopes
            .iter()
            .map(|scope| format!("{prefix}{scope}"))
            .collect()
    }

    /// Everything a token for this resource may say.
    pub fn all_scopes(&self) -> ScopeSet {
        ScopeSet::of(self.scopes.keys().cloned())
    }

    /// What a request for `asked` may be granted (AUTHZ-12): what is known of it, or the
    /// default if it names nothing or only OpenID Connect's own scopes.
    ///
    /// `None` if it names scopes, and this resource knows none of them.
    pub fn grantable(
        &self,
        asked: Option<&ScopeSet>,
        limit: Option<&ScopeSet>,
    ) -> Option<ScopeSet> {
        let limited = |scopes: ScopeSet| match limit {
            Some(limit) => scopes.narrowed_to(limit),
            None => scopes,
        };
        let default = || limited(self.default_scopes.clone());
        let Some(asked) = asked else {
            return Some(default());
        };
        if self.scopes.is_empty() || asked.is_oidc_only() {
            return Some(default());
        }
        let granted = limited(asked.narrowed_to(&self.all_scopes()));
        (!granted.is_empty()).then_some(granted)
    }
}

/// All resources of this gateway.
#[derive(Debug, Clone)]
pub struct Catalogue {
    resources: Vec<Resource>,
    default: Option<usize>,
}

/// A `resource` parameter that names none of ours (RFC 8707 §2: `invalid_target`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// It is not the address of a server here.
    #[error("the resource is not one of this gateway's")]
    Unknown,
    /// Several were named; a token has one audience.
    #[error("more than one resource was named")]
    Several,
    /// None was named, and there is no default.
    #[error("no resource was named, and this gateway has several")]
    Missing,
}

impl Catalogue {
    /// These resources; `default` names the one for requests without `resource`. A single
    /// resource is its own default.
    pub fn new(resources: Vec<Resource>, default: Option<&str>) -> Self {
        let default = match default {
            Some(name) => resources.iter().position(|resource| resource.name == name),
            None => (resources.len() == 1).then_some(0),
        };
        Self { resources, default }
    }

    /// What a person is asked about when a client asks for `asked` at `resource`. Clients
    /// that cannot choose name every scope that our metadata lists, so names of other
    /// servers get the default like none at all.
    ///
    /// `None` if no name is known to any server here, or the client may have none of them.
    pub fn askable(
        &self,
        resource: &Resource,
        asked: Option<&ScopeSet>,
        limit: Option<&ScopeSet>,
    ) -> Option<ScopeSet> {
        let granted = resource.grantable(asked, limit);
        if granted.is_some() {
            return granted;
        }
        let known = |name: &str| {
            let mut servers = self.resources.iter();
            scope::is_oidc(name) || servers.any(|server| server.scopes.contains_key(name))
        };
        asked
            .filter(|asked| asked.iter().any(known))
            .filter(|asked| asked.narrowed_to(&resource.all_scopes()).is_empty())
            .and_then(|_| resource.grantable(None, limit))
            .filter(|default| !default.is_empty())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// The resource with this canonical identifier.
    pub fn by_uri(&self, uri: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.uri == uri)
    }

    /// The only one, if there is just one.
    pub fn only(&self) -> Option<&Resource> {
        match self.resources.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The one resource that `named` (every value of the parameter) means.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn named<'p>(
        &self,
        mut named: impl Iterator<Item = &'p str>,
    ) -> Result<&Resource, ResourceError> {
        let Some(first) = named.next() else {
            return self
                .default
                .map(|at| &self.resources[at])
                .filter(|resource| resource.direct.is_none())
                .ok_or(ResourceError::Missing);
        };
        let first = canonical_resource(first).ok_or(ResourceError::Unknown)?;
        for other in named {
            if canonical_resource(other).as_deref() != Some(&first) {
                return Err(ResourceError::Several);
            }
        }
        let found = self
            .resources
            .iter()
            .find(|resource| canonical_resource(&resource.uri).as_deref() == Some(&first));
        // Some clients name the bare origin; where one server lives there is no doubt.
        found
            .or_else(|| self.only().filter(|only| is_origin_of(&first, only)))
            // For the others somebody else issues tokens.
            .filter(|resource| resource.direct.is_none())
            .ok_or(ResourceError::Unknown)
    }
}

fn is_origin_of(named: &str, resource: &Resource) -> bool {
    let origin = resource.uri.strip_suffix(resource.path.as_str());
    origin
        .and_then(canonical_resource)
        .is_some_and(|origin| origin == named)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::policy::{Access, ToolRule, ToolRules};

    #[test]
    fn a_name_is_a_part_of_a_path_and_leads_nowhere_else() {
        for (name, good) in [
            ("weather", true),
            ("eu.weather-2_x", true),
            ("", false),
            (".", false),
            ("..", false),
            ("-x", false),
            ("a/b", false),
            ("/etc", false),
            ("wetter für alle", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    pub(crate) fn catalogue(names: &[&str]) -> Catalogue {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let resources = names
            .iter()
            .map(|name| {
                let mut resource = Resource::new(&issuer, name, &format!("/{name}/mcp"), name);
                resource.scopes.insert("read".into(), "Read".into());
                resource.scopes.insert("write".into(), "Write".into());
                resource.default_scopes = ScopeSet::of(["read"]);
                resource.policy.tools = ToolRules::of(vec![ToolRule {
                    pattern: "set_*".into(),
                    scope: Some("write".into()),
                    access: Access::default(),
                }]);
                resource
            })
            .collect();
        Catalogue::new(resources, None)
    }

    #[test]
    fn authz_10_rev_4_t_aut_10_which_resource_is_meant() {
        let two = catalogue(&["a", "b"]);
        let one = catalogue(&["a"]);
        let named = |catalogue: &Catalogue, named: &[&str]| {
            catalogue
                .named(named.iter().copied())
                .map(|resource| resource.name.clone())
        };
        assert_eq!(named(&two, &["https://gw.example/b/mcp"]), Ok("b".into()));
        assert_eq!(named(&two, &["https://GW.example/b/mcp/"]), Ok("b".into()));
        assert_eq!(
            named(
                &two,
                &["https://gw.example/b/mcp", "https://gw.example/b/mcp/"]
            ),
            Ok("b".into()),
            "the same one twice"
        );
        assert_eq!(
            named(
                &two,
                &["https://gw.example/a/mcp", "https://gw.example/b/mcp"]
            ),
            Err(ResourceError::Several)
        );
        assert_eq!(
            named(&two, &["https://gw.example"]),
            Err(ResourceError::Unknown)
        );
        assert_eq!(
            named(&two, &["https://evil.example/a/mcp"]),
            Err(ResourceError::Unknown)
        );
        assert_eq!(
            named(&two, &["https://gw.example/a/mcp#x"]),
            Err(ResourceError::Unknown)
        );
        assert_eq!(
            named(&two, &["https://gw.example/a"]),
            Err(ResourceError::Unknown)
        );
        assert_eq!(named(&two, &[]), Err(ResourceError::Missing));
        assert_eq!(named(&one, &[]), Ok("a".into()));
        assert_eq!(
            named(&one, &["https://gw.example/"]),
            Ok("a".into()),
            "a bare origin with one server"
        );
        assert_eq!(
            named(&one, &["https://evil.example/"]),
            Err(ResourceError::Unknown)
        );
    }

    #[test]
    fn authz_12_scopes_narrow_to_what_the_resource_knows() {
        let one = catalogue(&["a"]);
        let resource = one.only().expect("one");
        let grant =
            |asked: &str| resource.grantable(Some(&ScopeSet::parse(asked).expect("scopes")), None);
        assert_eq!(resource.grantable(None, None), Some(ScopeSet::of(["read"])));
        assert_eq!(grant("read write"), Some(ScopeSet::of(["read", "write"])));
        assert_eq!(grant("read other"), Some(ScopeSet::of(["read"])));
        assert_eq!(grant("openid offline_access"), Some(ScopeSet::of(["read"])));
        assert_eq!(grant("other"), None);
        assert_eq!(
            resource.grantable(None, Some(&ScopeSet::of(["write"]))),
            Some(ScopeSet::empty()),
            "a client's own limit is never exceeded"
        );
    }

    #[test]
    fn authz_12_names_of_other_servers_get_the_default_and_unknown_ones_an_error() {
        let two = catalogue(&["a", "b"]);
        let mut two = two;
        two.resources[1].scopes = BTreeMap::from([("b:only".to_owned(), "B".to_owned())]);
        let a = two.resources[0].clone();
        let asked = |text: &str, limit: Option<&ScopeSet>| {
            two.askable(&a, Some(&ScopeSet::parse(text).expect("scopes")), limit)
        };
        let read = Some(ScopeSet::of(["read"]));
        assert_eq!(asked("b:only offline_access", None), read);
        assert_eq!(asked("b:only", None), read);
        assert_eq!(asked("openid foo", None), read);
        assert_eq!(
            asked("write b:only foo", None),
            Some(ScopeSet::of(["write"]))
        );
        assert_eq!(asked("foo bar", None), None);
        // A client that may not have what it names is not given something else.
        let limit = ScopeSet::of(["read"]);
        assert_eq!(asked("write", Some(&limit)), None);
        let limit = ScopeSet::of(["write"]);
        assert_eq!(asked("b:only", Some(&limit)), None);
    }
}
