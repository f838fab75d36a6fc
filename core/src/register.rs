//! Dynamic client registration that costs nothing (RFC 7591).
//!
//! The `client_id` carries the client's own metadata and a MAC over it. Nothing is stored,
//! so a flood of registrations fills nothing, and a restored store strands nobody. The same
//! public client gets the same id each time; a confidential one carries a nonce besides, so
//! that nobody can register his way to another's secret.

use crate::{
    WireError,
    client::{Client, ClientSecret, Credential, Grants, KnownBy, SecretMethod},
    keyring::{DerivedKey, KeyId},
    secret::{MacKey, Secret},
    time::Timestamp,
    uri::{self, OwnAuthority, RedirectKind, RedirectUri, RedirectUriError},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What every dynamically registered `client_id` begins with.
pub const PREFIX: &str = "vdc_";

/// Longest `client_id` that we make; real clients keep ids in small places.
pub const CLIENT_ID_MAX: usize = 1024;

const NAME_MAX: usize = 128;
const REDIRECTS_MAX: usize = 10;
const MAC_LEN: usize = 16;

/// What the operator allows of clients that register themselves.
#[derive(Debug, Clone, Default)]
pub struct RegistrationPolicy {
    /// Private-use redirect schemes, in lower case.
    pub private_schemes: Vec<String>,
    /// If set, every web host of a redirect must be one of these.
    pub redirect_hosts: Option<Vec<String>>,
    /// Where no client receives answers.
    pub own: OwnAuthority,
}

/// The keys behind self-describing ids: current first.
#[derive(Debug, Clone)]
pub struct RegistrationKeys(Vec<(KeyId, MacKey, MacKey)>);

impl RegistrationKeys {
    /// From the derived `id` and `secret` keys of each registration key, current first.
    pub fn new(id: Vec<DerivedKey>, secret: &[DerivedKey]) -> Self {
        Self(
            id.into_iter()
                .filter_map(|(key, id)| {
                    let (_, secret) = secret.iter().find(|(other, _)| *other == key)?;
                    Some((key, MacKey::new(&id), MacKey::new(secret)))
                })
                .collect(),
        )
    }
}

/// Why a registration was refused (RFC 7591 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// `redirect_uris` is missing, empty, too long or no list of strings.
    #[error("redirect_uris must be a list of one to ten URIs")]
    RedirectUris,
    /// One of the redirect URIs.
    #[error("a redirect URI {0}")]
    RedirectUri(RedirectUriError),
    /// A redirect host outside the operator's list.
    #[error("a redirect host is not on this gateway's list")]
    RedirectHost,
    /// `client_name` is no text of at most 128 characters.
    #[error("client_name must be text of at most 128 characters")]
    Name,
    /// A member that should be a web address is something else.
    #[error("client_uri, logo_uri, tos_uri, policy_uri and jwks_uri must be https addresses")]
    WebAddress,
    /// `token_endpoint_auth_method` that is not offered.
    #[error("token_endpoint_auth_method must be none, client_secret_basic or client_secret_post")]
    AuthMethod,
    /// `grant_types` without the one grant there is to register for.
    #[error("grant_types must contain authorization_code")]
    GrantTypes,
    /// `application_type` that is neither of the two.
    #[error("application_type must be web or native")]
    ApplicationType,
    /// `response_types` without `code`.
    #[error("response_types must contain code")]
    ResponseTypes,
    /// All of it together makes an id over [`CLIENT_ID_MAX`].
    #[error("name and redirect URIs together are too long")]
    TooLong,
    /// A software statement, which nobody here could verify.
    #[error("software_statement is not accepted")]
    SoftwareStatement,
}

impl RegisterError {
    /// What the client is told.
    pub fn wire(&self) -> WireError {
        use RegisterError as E;
        match self {
            E::RedirectUris => WireError::new(
                400,
                "invalid_redirect_uri",
                "redirect_uris must be a list of one to ten URIs",
            ),
            E::RedirectUri(why) => WireError::new(400, "invalid_redirect_uri", redirect_text(*why)),
            E::RedirectHost => WireError::new(
                400,
                "invalid_redirect_uri",
                "this gateway does not accept that redirect host",
            ),
            E::NotAnObject => WireError::new(
                400,
                "invalid_client_metadata",
                "the body must be a JSON object",
            ),
            E::Name => WireError::new(
                400,
                "invalid_client_metadata",
                "client_name must be text of at most 128 characters",
            ),
            E::WebAddress => WireError::new(
                400,
                "invalid_client_metadata",
                "client_uri, logo_uri, tos_uri, policy_uri and jwks_uri must be https addresses",
            ),
            E::AuthMethod => WireError::new(
                400,
                "invalid_client_metadata",
                "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post",
            ),
            E::GrantTypes => WireError::new(
                400,
                "invalid_client_metadata",
                "grant_types must contain authorization_code",
            ),
            E::ApplicationType => WireError::new(
                400,
                "invalid_client_metadata",
                "application_type must be web or native",
            ),
            E::ResponseTypes => WireError::new(
                400,
                "invalid_client_metadata",
                "response_types must contain code",
            ),
            E::TooLong => WireError::new(
                400,
                "invalid_client_metadata",
                "client_name and redirect_uris together are too long",
            ),
            E::SoftwareStatement => WireError::new(
                400,
                "unapproved_software_statement",
                "software statements are not accepted here",
            ),
        }
    }
}

fn redirect_text(why: RedirectUriError) -> &'static str {
    use RedirectUriError as E;
    match why {
        E::TooLong => "a redirect URI is longer than 2048 bytes",
        E::NotAUri => "a redirect URI contains a character that no URI has",
        E::Relative => "a redirect URI is not absolute",
        E::Fragment => "a redirect URI has a fragment",
        E::UserInfo => "a redirect URI has user information",
        E::Wildcard => "a redirect URI has a wildcard",
        E::PlainHttp => "http is allowed to localhost, 127.0.0.1 and [::1] only",
        E::Scheme => "the scheme of a redirect URI is not allowed here",
    }
}

/// The answer to a registration (RFC 7591 §3.2.1).
#[derive(Debug, Clone)]
pub struct Registered {
    /// The client, as any later use of its id will read it.
    pub client: Client,
    /// Its secret, if it is confidential; shown this once and never stored.
    pub secret: Option<Secret>,
    /// The JSON body.
    pub answer: Value,
}

/// The metadata inside an id: only what we use, in one order, with short names.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Canonical {
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "r")]
    redirect_uris: Vec<String>,
    /// 0 public, 1 basic, 2 post.
    #[serde(rename = "m", default, skip_serializing_if = "is_zero")]
    method: u8,
    /// 1 if it declined refresh tokens.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    no_refresh: u8,
    /// 1 if it takes only tokens bound to its key (RFC 9449 §5.2).
    #[serde(rename = "p", default, skip_serializing_if = "is_zero")]
    dpop_bound: u8,
    /// Tells confidential twins apart.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde asks for
fn is_zero(n: &u8) -> bool {
    *n == 0
}

/// Registers a client: judges `body` and writes it into an id.
///
/// `nonce` is 16 random bytes, used only for a confidential client.
///
/// # Errors
/// [`RegisterError`]; nothing is kept of a refused registration.
pub fn register(
    body: &[u8],
    policy: &RegistrationPolicy,
    keys: &RegistrationKeys,
    nonce: [u8; 16],
    now: Timestamp,
) -> Result<Registered, RegisterError> {
    let Ok(Value::Object(sent)) = serde_json::from_slice::<Value>(body) else {
        return Err(RegisterError::NotAnObject);
    };
    if sent
        .get("software_statement")
        .is_some_and(|value| !value.is_null())
    {
        return Err(RegisterError::SoftwareStatement);
    }
    let redirect_uris = redirect_uris(&sent, policy)?;
    let name = name(&sent)?;
    web_addresses(&sent)?;
    let no_refresh = !grants_refresh(&sent)?;
    application_type(&sent)?;
    response_types(&sent)?;
    let method = auth_method(&sent, &redirect_uris)?;

    let canonical = Canonical {
        name,
        redirect_uris: redirect_uris
            .iter()
            .map(RedirectUri::without_loopback_port)
            .collect(),
        method,
        no_refresh: u8::from(no_refresh),
        dpop_bound: u8::from(sent.get("dpop_bound_access_tokens") == Some(&Value::Bool(true))),
        nonce: (method != 0).then(|| URL_SAFE_NO_PAD.encode(nonce)),
    };
    let id = write_id(&canonical, keys)?;
    let client =
        read_canonical(&id, canonical, policy, keys).map_err(|_| RegisterError::TooLong)?;
    let secret = match &client.credential {
        Credential::Secret { .. } => secrets_of(&id, keys).into_iter().next(),
        Credential::Public | Credential::Key(_) | Credential::Workload { .. } => None,
    };
    let answer = answer(&sent, &client, secret.as_ref(), no_refresh, now);
    Ok(Registered {
        client,
        secret,
        answer,
    })
}

fn redirect_uris(
    sent: &Map<String, Value>,
    policy: &RegistrationPolicy,
) -> Result<Vec<RedirectUri>, RegisterError> {
    let Some(Value::Array(list)) = sent.get("redirect_uris") else {
        return Err(RegisterError::RedirectUris);
    };
    if list.is_empty() || list.len() > REDIRECTS_MAX {
        return Err(RegisterError::RedirectUris);
    }
    let mut uris = Vec::with_capacity(list.len());
    let mut unknown_scheme = false;
    for value in list {
        let text = value.as_str().ok_or(RegisterError::RedirectUris)?;
        match RedirectUri::parse(text, &policy.private_schemes) {
            // Of a loopback address the port comes later, and is judged then.
            Ok(uri) if uri.is_complete() && policy.own.covers(text) => {
                return Err(RegisterError::RedirectHost);
            }
            Ok(uri) if host_allowed(&uri, policy) => uris.push(uri),
            Ok(_) => return Err(RegisterError::RedirectHost),
            // An application's own scheme that nobody listed is left out, and the answer says
            // what is registered; one that a browser obeys sinks the whole.
            Err(RedirectUriError::Scheme) if !uri::is_obeyed(text) => unknown_scheme = true,
            Err(error) => return Err(RegisterError::RedirectUri(error)),
        }
    }
    if uris.is_empty() && unknown_scheme {
        return Err(RegisterError::RedirectUri(RedirectUriError::Scheme));
    }
    Ok(uris)
}

fn host_allowed(uri: &RedirectUri, policy: &RegistrationPolicy) -> bool {
    let Some(hosts) = &policy.redirect_hosts else {
        return true;
    };
    if uri.kind() != RedirectKind::Https {
        return true;
    }
    url::Url::parse(uri.text())
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .is_some_and(|host| hosts.contains(&host))
}

fn name(sent: &Map<String, Value>) -> Result<Option<String>, RegisterError> {
    match sent.get("client_name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if name.chars().count() <= NAME_MAX => Ok(Some(name.clone())),
        Some(_) => Err(RegisterError::Name),
    }
}

fn web_addresses(sent: &Map<String, Value>) -> Result<(), RegisterError> {
    const MEMBERS: [&str; 5] = [
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "jwks_uri",
    ];
    for (member, value) in sent {
        // Language variants carry a tag behind a `#` (RFC 7591 §2.2).
        let base = member.split('#').next().unwrap_or(member);
        if !MEMBERS.contains(&base) || value.is_null() || value.as_str() == Some("") {
            continue;
        }
        let text = value.as_str().ok_or(RegisterError::WebAddress)?;
        let url = url::Url::parse(text).map_err(|_| RegisterError::WebAddress)?;
        let loopback = url.scheme() == "http"
            && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if text.len() > 2048 || !(url.scheme() == "https" || loopback) {
            return Err(RegisterError::WebAddress);
        }
    }
    Ok(())
}

/// Absent means code and refresh, since clients that say nothing want to stay connected;
/// only an explicit list without `refresh_token` declines it.
fn grants_refresh(sent: &Map<String, Value>) -> Result<bool, RegisterError> {
    match sent.get("grant_types") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Array(list)) => {
            let has = |name: &str| list.iter().any(|value| value.as_str() == Some(name));
            if has("authorization_code") {
                Ok(has("refresh_token"))
            } else {
                Err(RegisterError::GrantTypes)
            }
        }
        Some(_) => Err(RegisterError::GrantTypes),
    }
}

/// Any of the two there are. Which one is not believed: real clients with an address on this
/// computer call themselves `web`, and the redirect URIs say what they are.
fn application_type(sent: &Map<String, Value>) -> Result<(), RegisterError> {
    match sent.get("application_type") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(kind)) if kind == "web" || kind == "native" => Ok(()),
        Some(_) => Err(RegisterError::ApplicationType),
    }
}

fn response_types(sent: &Map<String, Value>) -> Result<(), RegisterError> {
    match sent.get("response_types") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(list)) if list.iter().any(|value| value.as_str() == Some("code")) => {
            Ok(())
        }
        Some(_) => Err(RegisterError::ResponseTypes),
    }
}

fn auth_method(sent: &Map<String, Value>, redirects: &[RedirectUri]) -> Result<u8, RegisterError> {
    match sent
        .get("token_endpoint_auth_method")
        .filter(|value| !value.is_null())
    {
        Some(Value::String(method)) => match method.as_str() {
            "none" => Ok(0),
            "client_secret_basic" => Ok(1),
            "client_secret_post" => Ok(2),
            _ => Err(RegisterError::AuthMethod),
        },
        Some(_) => Err(RegisterError::AuthMethod),
        // RFC 7591 §2 says basic, but a program on a person's computer can keep no secret.
        None if redirects
            .iter()
            .all(|uri| uri.kind() != RedirectKind::Https) =>
        {
            Ok(0)
        }
        None => Ok(1),
    }
}

fn write_id(canonical: &Canonical, keys: &RegistrationKeys) -> Result<String, RegisterError> {
    let json = serde_json::to_vec(canonical).map_err(|_| RegisterError::TooLong)?;
    let (key, mac, _) = keys.0.first().ok_or(RegisterError::TooLong)?;
    let mut bytes = Vec::with_capacity(KeyId::LEN + json.len() + MAC_LEN);
    bytes.extend_from_slice(&key.bytes());
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(&mac.tag(&[&json])[..MAC_LEN]);
    let id = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    if id.len() > CLIENT_ID_MAX {
        Err(RegisterError::TooLong)
    } else {
        Ok(id)
    }
}

/// Why a `vdc_` id names no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DynamicIdError {
    /// Not made here, or damaged on the way.
    #[error("the id was not made by this gateway")]
    NotOurs,
    /// Made here, but its redirect URIs are no longer within today's rules.
    #[error("the id was made here, but today's rules no longer allow what it registered")]
    NoLongerAllowed,
}

/// Reads a client back from its id. The metadata is judged by today's rules.
///
/// # Errors
/// [`DynamicIdError`].
pub fn read_id(
    id: &str,
    policy: &RegistrationPolicy,
    keys: &RegistrationKeys,
) -> Result<Client, DynamicIdError> {
    use DynamicIdError::NotOurs;
    if id.len() > CLIENT_ID_MAX {
        return Err(NotOurs);
    }
    let encoded = id.strip_prefix(PREFIX).ok_or(NotOurs)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| NotOurs)?;
    if bytes.len() < KeyId::LEN + MAC_LEN {
        return Err(NotOurs);
    }
    let (key, rest) = bytes.split_at(KeyId::LEN);
    let (json, tag) = rest.split_at(rest.len() - MAC_LEN);
    let (_, mac, _) = keys
        .0
        .iter()
        .find(|(id, ..)| id.bytes() == key)
        .ok_or(NotOurs)?;
    if !mac.matches(&[json], tag) {
        return Err(NotOurs);
    }
    let canonical: Canonical = serde_json::from_slice(json).map_err(|_| NotOurs)?;
    read_canonical(id, canonical, policy, keys)
}

fn read_canonical(
    id: &str,
    canonical: Canonical,
    policy: &RegistrationPolicy,
    keys: &RegistrationKeys,
) -> Result<Client, DynamicIdError> {
    let redirect_uris = canonical
        .redirect_uris
        .iter()
        .map(|text| {
            RedirectUri::parse(text, &policy.private_schemes)
                .ok()
                .filter(|uri| host_allowed(uri, policy))
                .ok_or(DynamicIdError::NoLongerAllowed)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let secrets = || {
        secrets_of(id, keys)
            .iter()
            .map(|secret| ClientSecret {
                digest: secret.digest(),
                until: None,
            })
            .collect()
    };
    let credential = match canonical.method {
        0 => Credential::Public,
        1 => Credential::Secret {
            method: SecretMethod::Basic,
            secrets: secrets(),
        },
        2 => Credential::Secret {
            method: SecretMethod::Post,
            secrets: secrets(),
        },
        _ => return Err(DynamicIdError::NotOurs),
    };
    Ok(Client {
        id: id.to_owned(),
        name: canonical.name,
        redirect_uris,
        credential,
        grants: Grants::for_people(canonical.no_refresh == 0),
        scopes: None,
        resources: None,
        exchanges_from: Vec::new(),
        dpop_bound: canonical.dpop_bound == 1,
        introspects: false,
        known_by: KnownBy::Dynamic,
    })
}

/// The secret of a confidential dynamic client under the key that made its id.
fn secrets_of(id: &str, keys: &RegistrationKeys) -> Vec<Secret> {
    let key = id
        .strip_prefix(PREFIX)
        .and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok())
        .and_then(|bytes| bytes.get(..KeyId::LEN).map(<[u8]>::to_vec));
    keys.0
        .iter()
        .filter(|(known, ..)| Some(known.bytes().as_slice()) == key.as_deref())
        .map(|(_, _, secret)| {
            Secret::new(format!(
                "vcs_{}",
                URL_SAFE_NO_PAD.encode(secret.tag(&[id.as_bytes()]))
            ))
        })
        .collect()
}

fn answer(
    sent: &Map<String, Value>,
    client: &Client,
    secret: Option<&Secret>,
    no_refresh: bool,
    now: Timestamp,
) -> Value {
    // What only the server may say, and what was not registered, is not echoed.
    const NOT_ECHOED: [&str; 7] = [
        "client_id",
        "client_secret",
        "client_id_issued_at",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
        "scope",
    ];
    let mut out = sent.clone();
    out.retain(|member, _| !NOT_ECHOED.contains(&member.as_str()));
    let mut set = |member: &str, value: Value| out.insert(member.to_owned(), value);
    let kept = |value: &Value| {
        let uri = value.as_str();
        uri.is_some_and(|uri| client.redirect_uris.iter().any(|known| known.admits(uri)))
    };
    let sent_uris = sent.get("redirect_uris").and_then(Value::as_array);
    let uris: Vec<Value> = sent_uris
        .into_iter()
        .flatten()
        .filter(|uri| kept(uri))
        .cloned()
        .collect();
    set("redirect_uris", uris.into());
    set("client_id", client.id.clone().into());
    set("client_id_issued_at", now.unix().into());
    set(
        "token_endpoint_auth_method",
        client.credential.method_name().into(),
    );
    let grants = if no_refresh {
        vec!["authorization_code"]
    } else {
        vec!["authorization_code", "refresh_token"]
    };
    set("grant_types", grants.into());
    set("response_types", vec!["code"].into());
    if let Some(secret) = secret {
        set("client_secret", secret.expose().into());
        set("client_secret_expires_at", 0.into());
    }
    Value::Object(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::client::GrantType;

    pub(crate) fn keys() -> RegistrationKeys {
        let id = KeyId::new([1; 4]);
        RegistrationKeys::new(
            vec![(id, Zeroizing::new([1; 32]))],
            &[(id, Zeroizing::new([2; 32]))],
        )
    }

    fn registered(body: &str) -> Result<Registered, RegisterError> {
        register(
            body.as_bytes(),
            &RegistrationPolicy::default(),
            &keys(),
            [7; 16],
            Timestamp::from_unix(1000),
        )
    }

    const NATIVE: &str = r#"{"client_name":"Test","redirect_uris":["http://127.0.0.1:4711/cb"],
        "token_endpoint_auth_method":"none","scope":"","software_id":"x"}"#;

    #[test]
    fn dcr_2_dcr_3_a_public_client_registers_and_reads_back_from_its_id() {
        let got = registered(NATIVE).expect("registered");
        assert!(got.client.id.starts_with(PREFIX) && got.client.id.len() < CLIENT_ID_MAX);
        assert_eq!(got.answer["token_endpoint_auth_method"], "none");
        assert_eq!(got.answer["client_id_issued_at"], 1000);
        assert_eq!(got.answer["software_id"], "x", "what was sent is echoed");
        assert_eq!(got.answer["redirect_uris"][0], "http://127.0.0.1:4711/cb");
        assert!(got.answer.get("client_secret").is_none());
        assert!(got.answer.get("client_secret_expires_at").is_none());
        let read = read_id(&got.client.id, &RegistrationPolicy::default(), &keys()).expect("ours");
        assert_eq!(read.name.as_deref(), Some("Test"));
        assert!(read.match_redirect(Some("http://127.0.0.1:9/cb")).is_some());
        assert_eq!(read.known_by, KnownBy::Dynamic);
    }

    #[test]
    fn twins_share_an_id_whatever_their_port_and_confidential_ones_do_not() {
        let other = NATIVE.replace("4711", "4712");
        let id = |body: &str| registered(body).expect("registered").client.id;
        assert_eq!(id(NATIVE), id(&other));
        let secret = NATIVE.replace("none", "client_secret_post");
        let again = register(
            secret.as_bytes(),
            &RegistrationPolicy::default(),
            &keys(),
            [8; 16],
            Timestamp::from_unix(0),
        );
        assert_ne!(id(&secret), again.expect("registered").client.id);
    }

    #[test]
    fn a_confidential_client_gets_a_secret_that_its_id_vouches_for() {
        let got = registered(r#"{"redirect_uris":["https://c.example/cb"]}"#).expect("registered");
        assert_eq!(
            got.answer["token_endpoint_auth_method"],
            "client_secret_basic"
        );
        assert_eq!(got.answer["client_secret_expires_at"], 0);
        let secret = got.secret.expect("confidential");
        assert!(secret.expose().starts_with("vcs_"));
        let read = read_id(&got.client.id, &RegistrationPolicy::default(), &keys()).expect("ours");
        let Credential::Secret { secrets, .. } = read.credential else {
            panic!("public")
        };
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].digest, secret.digest());
    }

    #[test]
    fn dcr_5_application_type_and_unknown_members_stop_nobody() {
        let with = |more: &str| {
            registered(&format!(
                r#"{{"redirect_uris":["http://127.0.0.1:4711/callback"]{more}}}"#
            ))
        };
        for more in [
            "",
            r#","application_type":"native""#,
            r#","application_type":"web""#,
            r#","application_type":null,"software_id":"x","unknown":{"a":[1]}"#,
        ] {
            assert!(with(more).is_ok(), "{more}");
        }
        for more in [r#","application_type":"tv""#, r#","application_type":1"#] {
            assert!(with(more).is_err(), "{more}");
        }
    }

    #[test]
    fn t_reg_07_an_id_of_ones_own_making_names_nobody() {
        let id = registered(NATIVE).expect("registered").client.id;
        let policy = RegistrationPolicy::default();
        for at in PREFIX.len()..id.len() {
            let mut bytes = id.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ascii");
            assert!(
                read_id(&forged, &policy, &keys()).is_err(),
                "changed at {at}"
            );
        }
        assert!(read_id("vdc_", &policy, &keys()).is_err());
        assert!(read_id(&format!("{id}A"), &policy, &keys()).is_err());
        let sent = registered(
            r#"{"redirect_uris":["http://127.0.0.1/cb"],"client_id":"https://client.example/m.json",
                "client_secret":"mine","registration_access_token":"mine"}"#,
        )
        .expect("registered");
        assert!(!sent.client.id.starts_with("https://"), "CIMD-11");
        assert!(sent.answer.get("client_secret").is_none());
        assert!(sent.answer.get("registration_access_token").is_none());
    }

    #[test]
    fn cimd_11_a_generated_id_never_looks_like_a_document() {
        assert!(
            !registered(NATIVE)
                .expect("registered")
                .client
                .id
                .starts_with("https://")
        );
    }

    #[test]
    fn t_reg_02_t_reg_03_t_reg_04_t_reg_06_what_registration_refuses() {
        let long = "x".repeat(129);
        let many = ["\"http://127.0.0.1/cb\""; 11].join(",");
        let wide = (0..10).map(|n| format!("\"https://c.example/{}{n}\"", "y".repeat(90)));
        let table = [
            ("[]".to_owned(), "invalid_client_metadata"),
            ("{".to_owned(), "invalid_client_metadata"),
            ("{}".to_owned(), "invalid_redirect_uri"),
            (r#"{"redirect_uris":null}"#.to_owned(), "invalid_redirect_uri"),
            (r#"{"redirect_uris":{}}"#.to_owned(), "invalid_redirect_uri"),
            (r#"{"redirect_uris":[]}"#.to_owned(), "invalid_redirect_uri"),
            (r#"{"redirect_uris":[1]}"#.to_owned(), "invalid_redirect_uri"),
            (format!(r#"{{"redirect_uris":[{many}]}}"#), "invalid_redirect_uri"),
            (r#"{"redirect_uris":["javascript:alert(1)"]}"#.to_owned(), "invalid_redirect_uri"),
            (
                format!(r#"{{"redirect_uris":["http://localhost/cb"],"client_name":"{long}"}}"#),
                "invalid_client_metadata",
            ),
            (
                format!(r#"{{"redirect_uris":[{}]}}"#, wide.collect::<Vec<_>>().join(",")),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"client_uri":"javascript:x"}"#.to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"client_uri#fr":"data:x"}"#.to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"jwks_uri":"file:///etc/passwd"}"#.to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"grant_types":["implicit"]}"#.to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"response_types":["token"]}"#.to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"token_endpoint_auth_method":"tls_client_auth"}"#
                    .to_owned(),
                "invalid_client_metadata",
            ),
            (
                r#"{"redirect_uris":["http://localhost/cb"],"software_statement":"e.y.J"}"#.to_owned(),
                "unapproved_software_statement",
            ),
        ];
        for (body, error) in table {
            let refused = registered(&body).err().map(|e| e.wire().error);
            assert_eq!(refused, Some(error), "{body:.120}");
        }
        let nested = "[".repeat(100_000);
        assert!(registered(&nested).is_err(), "depth is bounded");
    }

    #[test]
    fn dcr_6_t_reg_06_only_an_explicit_list_declines_refresh() {
        let with = |grants: &str| {
            let got = registered(&format!(
                r#"{{"redirect_uris":["http://localhost/cb"]{grants}}}"#
            ))
            .expect("registered");
            (
                got.client.grants.contains(GrantType::RefreshToken),
                got.answer["grant_types"].clone(),
            )
        };
        let both = serde_json::json!(["authorization_code", "refresh_token"]);
        assert_eq!(with(""), (true, both.clone()));
        assert_eq!(
            with(r#","grant_types":["authorization_code","refresh_token","password"]"#),
            (true, both),
            "what is not offered is dropped, and the answer says so"
        );
        assert_eq!(
            with(r#","grant_types":["authorization_code"]"#),
            (false, serde_json::json!(["authorization_code"]))
        );
    }

    #[test]
    fn t_reg_01_our_own_address_is_nobody_s_redirect() {
        let register_at = |ours: &str, uri: &str| {
            let policy = RegistrationPolicy {
                own: OwnAuthority::of(ours),
                ..RegistrationPolicy::default()
            };
            let body = serde_json::json!({ "redirect_uris": [uri] }).to_string();
            let now = Timestamp::from_unix(0);
            let id = register(body.as_bytes(), &policy, &keys(), [0; 16], now)?
                .client
                .id;
            assert!(read_id(&id, &policy, &keys()).is_ok(), "{uri}");
            Ok(())
        };
        let refused = Err(RegisterError::RedirectHost);
        for own in ["https://gw.example/cb", "https://gw.example.:443/cb"] {
            assert_eq!(register_at("https://gw.example", own), refused, "{own}");
        }
        // A gateway on this computer, and a program beside it.
        for ours in [
            "http://localhost",
            "https://localhost",
            "http://127.0.0.1:8080",
        ] {
            for uri in ["http://localhost:4711/cb", "http://127.0.0.1:4711/cb"] {
                assert_eq!(register_at(ours, uri), Ok(()), "{ours} {uri}");
            }
        }
    }

    #[test]
    fn today_s_rules_apply_to_yesterday_s_ids() {
        let policy = RegistrationPolicy {
            own: OwnAuthority::default(),
            private_schemes: vec!["cursor".to_owned()],
            redirect_hosts: None,
        };
        let body = br#"{"redirect_uris":["cursor://x/cb"]}"#;
        let id = register(body, &policy, &keys(), [0; 16], Timestamp::from_unix(0))
            .expect("registered")
            .client
            .id;
        assert!(read_id(&id, &policy, &keys()).is_ok());
        assert_eq!(
            read_id(&id, &RegistrationPolicy::default(), &keys()).err(),
            Some(DynamicIdError::NoLongerAllowed)
        );
    }

    #[test]
    fn dcr_4_t_reg_01_a_scheme_that_nobody_listed_is_left_out_and_one_that_is_obeyed_refuses() {
        let got = |uris: &str| {
            registered(&format!(r#"{{"redirect_uris":[{uris}]}}"#))
                .map(|registered| registered.answer["redirect_uris"].to_string())
        };
        let here = r#""http://127.0.0.1:4711/cb""#;
        assert_eq!(
            got(&format!("{here},\"zed://mcp/cb\"")),
            Ok(format!("[{here}]"))
        );
        let scheme = RegisterError::RedirectUri(RedirectUriError::Scheme);
        assert_eq!(got("\"zed://mcp/cb\""), Err(scheme));
        for obeyed in [
            "javascript:alert(1)",
            "data:text/html,x",
            "FILE:///etc/passwd",
            "blob:x",
        ] {
            let all = format!("{here},\"{obeyed}\"");
            assert!(got(&all).is_err(), "{obeyed}");
        }
    }
}
