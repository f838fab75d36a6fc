//! Client ID metadata documents: a client whose id is an address that describes it
//! (draft-ietf-oauth-client-id-metadata-document).
//!
//! Here is which addresses may be fetched at all, and which documents make a client. The
//! fetching is the edge's.

use serde_json::{Map, Value};
use url::Url;

use crate::{
    client::{Client, ClientKeys, Credential, Grants, KnownBy},
    uri::{self, RedirectUri, RedirectUriError},
};

/// Largest document, in bytes after decoding (CIMD §6.6).
pub const DOCUMENT_MAX: usize = 5 * 1024;

/// An address that may be looked up as a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentUrl {
    text: String,
    host: String,
}

/// Why a URL is no client id. None of these causes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentUrlError {
    /// Longer than 1024 bytes, or with characters outside RFC 3986.
    #[error("is not a URL of at most 1024 bytes")]
    NotAUrl,
    /// Not `https`.
    #[error("must be https")]
    NotHttps,
    /// No path, or only a slash.
    #[error("must have a path")]
    NoPath,
    /// `user@`, `#`, `?`, or dot segments, encoded ones too.
    #[error("must have no user information, fragment, query or dot segments")]
    Shape,
}

impl DocumentUrl {
    /// Whether `client_id` is meant as an address at all.
    pub fn looks_like_one(client_id: &str) -> bool {
        client_id.contains("://")
    }

    /// Reads a `client_id` as the address of a document (CIMD §3).
    ///
    /// # Errors
    /// [`DocumentUrlError`].
    pub fn parse(text: &str) -> Result<Self, DocumentUrlError> {
        use DocumentUrlError as E;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
        if text.len() > 1024 || !text.bytes().all(plain) {
            return Err(E::NotAUrl);
        }
        let rest = text.strip_prefix("https://").ok_or(E::NotHttps)?;
        if text.contains(['#', '?']) {
            return Err(E::Shape);
        }
        let (authority, path) = rest.split_once('/').ok_or(E::NoPath)?;
        if path.is_empty() {
            return Err(E::NoPath);
        }
        if authority.contains('@') {
            return Err(E::Shape);
        }
        let lower = path.to_ascii_lowercase().replace("%2e", ".");
        if lower
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        {
            return Err(E::Shape);
        }
        let url = Url::parse(text).map_err(|_| E::NotAUrl)?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(E::NotAUrl)?;
        Ok(Self {
            text: text.to_owned(),
            host: host.to_owned(),
        })
    }

    /// The text, which is the `client_id`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The host that publishes the document.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Why a fetched document makes no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No JSON object in UTF-8 within [`DOCUMENT_MAX`].
    #[error("is not a JSON object of at most 5 KiB")]
    NotAnObject,
    /// Its `client_id` is another text than its address.
    #[error("names another client_id than its own address")]
    AnotherId,
    /// No `client_name`.
    #[error("has no client_name")]
    NoName,
    /// It declares a secret, or a way to authenticate that needs one.
    #[error("declares a shared secret")]
    SharedSecret,
    /// Private key material in `jwks`.
    #[error("publishes a private key")]
    PrivateKey,
    /// A way to authenticate that is not offered here.
    #[error("asks for a token_endpoint_auth_method that is not offered")]
    AuthMethod,
    /// `private_key_jwt` without one readable `jwks` or `jwks_uri`.
    #[error("has no usable jwks or jwks_uri")]
    Keys,
    /// `redirect_uris` missing, empty or too many.
    #[error("has no usable list of redirect_uris")]
    RedirectUris,
    /// One of the redirect URIs.
    #[error("has a redirect URI that {0}")]
    RedirectUri(RedirectUriError),
}

/// Reads a fetched document (CIMD §4.1). `trusted` says whether the operator's trust list
/// names the host; `schemes` as in [`RedirectUri::parse`].
///
/// # Errors
/// [`DocumentError`]; a refused document must not be cached.
pub fn read(
    url: &DocumentUrl,
    body: &[u8],
    trusted: bool,
    schemes: &[String],
) -> Result<Client, DocumentError> {
    use DocumentError as E;
    if body.len() > DOCUMENT_MAX {
        return Err(E::NotAnObject);
    }
    let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(body) else {
        return Err(E::NotAnObject);
    };
    let text = |member: &str| document.get(member).and_then(Value::as_str);
    if text("client_id") != Some(url.text()) {
        return Err(E::AnotherId);
    }
    if document.contains_key("client_secret") || document.contains_key("client_secret_expires_at") {
        return Err(E::SharedSecret);
    }
    let credential = match document.get("token_endpoint_auth_method") {
        None => Credential::Public,
        Some(Value::String(method)) => match method.as_str() {
            "none" => Credential::Public,
            "private_key_jwt" => Credential::Key(keys(&document)?),
            "client_secret_basic" | "client_secret_post" | "client_secret_jwt" => {
                return Err(E::SharedSecret);
            }
            _ => return Err(E::AuthMethod),
        },
        Some(_) => return Err(E::AuthMethod),
    };
    if publishes_private_key(document.get("jwks")) {
        return Err(E::PrivateKey);
    }
    let name = text("client_name")
        .filter(|name| !name.trim().is_empty())
        .ok_or(E::NoName)?;
    let Some(Value::Array(list)) = document.get("redirect_uris") else {
        return Err(E::RedirectUris);
    };
    if list.is_empty() || list.len() > 20 {
        return Err(E::RedirectUris);
    }
    let mut redirect_uris = Vec::with_capacity(list.len());
    for value in list {
        let text = value.as_str().ok_or(E::RedirectUris)?;
        match RedirectUri::parse(text, schemes) {
            Ok(uri) => redirect_uris.push(uri),
            // As at a registration: a scheme that nobody listed is left out.
            Err(RedirectUriError::Scheme) if !uri::is_obeyed(text) => {}
            Err(error) => return Err(E::RedirectUri(error)),
        }
    }
    if redirect_uris.is_empty() {
        return Err(E::RedirectUri(RedirectUriError::Scheme));
    }
    let declines_refresh = document
        .get("grant_types")
        .and_then(Value::as_array)
        .is_some_and(|list| {
            !list
                .iter()
                .any(|value| value.as_str() == Some("refresh_token"))
        });
    Ok(Client {
        id: url.text().to_owned(),
        name: Some(name.to_owned()),
        redirect_uris,
        credential,
        grants: Grants::for_people(!declines_refresh),
        scopes: None,
        resources: None,
        exchanges_from: Vec::new(),
        dpop_bound: document
            .get("dpop_bound_access_tokens")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
        introspects: false,
        known_by: KnownBy::Document {
            host: url.host().to_owned(),
            trusted,
        },
    })
}

/// The keys that it signs with: in the document or at an `https` address, one of the two
/// (RFC 7591 §2).
fn keys(document: &Map<String, Value>) -> Result<ClientKeys, DocumentError> {
    match (document.get("jwks"), document.get("jwks_uri")) {
        (Some(jwks), None) if jwks.get("keys").is_some_and(Value::is_array) => {
            Ok(ClientKeys::Inline(jwks.clone()))
        }
        (None, Some(Value::String(uri))) if uri.starts_with("https://") => {
            Ok(ClientKeys::At(uri.clone()))
        }
        _ => Err(DocumentError::Keys),
    }
}

fn publishes_private_key(jwks: Option<&Value>) -> bool {
    const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
    jwks.and_then(|jwks| jwks.get("keys"))
        .and_then(Value::as_array)
        .is_some_and(|keys| {
            keys.iter()
                .any(|key| PRIVATE.iter().any(|member| key.get(member).is_some()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cimd_1_t_reg_09_which_addresses_are_clients() {
        use DocumentUrlError as E;
        for (text, expected) in [
            ("https://client.example/meta.json", Ok(())),
            ("https://client.example:8443/oauth/client", Ok(())),
            ("http://client.example/meta.json", Err(E::NotHttps)),
            ("HTTPS://client.example/meta.json", Err(E::NotHttps)),
            ("https://client.example", Err(E::NoPath)),
            ("https://client.example/", Err(E::NoPath)),
            ("https://client.example/a/../meta.json", Err(E::Shape)),
            ("https://client.example/%2e%2E/meta.json", Err(E::Shape)),
            ("https://client.example/./meta.json", Err(E::Shape)),
            ("https://u@client.example/meta.json", Err(E::Shape)),
            ("https://client.example/meta.json#x", Err(E::Shape)),
            ("https://client.example/meta.json?x=1", Err(E::Shape)),
            ("https://client.example/a b", Err(E::NotAUrl)),
            ("https://client.example/a\\b", Err(E::NotAUrl)),
            ("https://client.example/a\tb", Err(E::NotAUrl)),
        ] {
            assert_eq!(DocumentUrl::parse(text).map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn cimd_7_a_document_brings_its_keys_or_says_where_they_are() {
        let url = DocumentUrl::parse("https://client.example/m.json").expect("valid");
        let read_with = |more: &str| {
            let body = format!(
                r#"{{"client_id":"https://client.example/m.json","client_name":"C",
                "redirect_uris":["https://client.example/cb"],
                "token_endpoint_auth_method":"private_key_jwt"{more}}}"#
            );
            read(&url, body.as_bytes(), false, &[]).map(|client| client.credential)
        };
        let keys = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y"}]}"#;
        let set = serde_json::from_str(keys).expect("JSON");
        assert_eq!(
            read_with(&format!(r#","jwks":{keys}"#)),
            Ok(Credential::Key(ClientKeys::Inline(set)))
        );
        let uri = "https://client.example/keys";
        assert_eq!(
            read_with(&format!(r#","jwks_uri":"{uri}""#)),
            Ok(Credential::Key(ClientKeys::At(uri.to_owned())))
        );
        for more in [
            "",
            r#","jwks":{}"#,
            r#","jwks_uri":"http://client.example/keys""#,
            r#","jwks_uri":7"#,
            r#","jwks":{"keys":[]},"jwks_uri":"https://client.example/keys""#,
        ] {
            assert_eq!(read_with(more), Err(DocumentError::Keys), "{more}");
        }
    }

    #[test]
    fn cimd_5_cimd_6_t_reg_10_which_documents_make_a_client() {
        use DocumentError as E;
        let url = DocumentUrl::parse("https://client.example/m.json").expect("valid");
        let read_as = |body: &str| read(&url, body.as_bytes(), false, &[]).map(|_| ());
        let with = |more: &str| {
            format!(
                r#"{{"client_id":"https://client.example/m.json","client_name":"C",
                "redirect_uris":["https://client.example/cb"]{more}}}"#
            )
        };
        let table = [
            (with(""), Ok(())),
            (with(r#","token_endpoint_auth_method":"none""#), Ok(())),
            (with(r#","unknown":{"a":1}"#), Ok(())),
            (with("").replace("m.json", "M.json"), Err(E::AnotherId)),
            (with("").replace("m.json\"", "m.json/\""), Err(E::AnotherId)),
            (with("").replace("\"C\"", "\"\""), Err(E::NoName)),
            (with("").replace("client_name", "name"), Err(E::NoName)),
            (with(r#","client_secret":"x""#), Err(E::SharedSecret)),
            (
                with(r#","client_secret_expires_at":0"#),
                Err(E::SharedSecret),
            ),
            (
                with(r#","token_endpoint_auth_method":"client_secret_basic""#),
                Err(E::SharedSecret),
            ),
            (
                with(r#","token_endpoint_auth_method":"tls_client_auth""#),
                Err(E::AuthMethod),
            ),
            (
                with(r#","token_endpoint_auth_method":7"#),
                Err(E::AuthMethod),
            ),
            (
                with(r#","jwks":{"keys":[{"kty":"EC","d":"x"}]}"#),
                Err(E::PrivateKey),
            ),
            (
                with("").replace("redirect_uris", "redirects"),
                Err(E::RedirectUris),
            ),
            (
                with("").replace("\"https://client.example/cb\"", ""),
                Err(E::RedirectUris),
            ),
            (
                with("").replace("\"https://client.example/cb\"", "1"),
                Err(E::RedirectUris),
            ),
            (
                with("").replace("https://client.example/cb", "javascript:x"),
                Err(E::RedirectUri(RedirectUriError::Scheme)),
            ),
            ("[]".to_owned(), Err(E::NotAnObject)),
            ("<html>".to_owned(), Err(E::NotAnObject)),
            (" ".repeat(DOCUMENT_MAX + 1), Err(E::NotAnObject)),
        ];
        for (body, expected) in table {
            assert_eq!(read_as(&body), expected, "{body:.200}");
        }
        for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            let body = with(&format!(
                r#","jwks":{{"keys":[{{"kty":"EC"}},{{"kty":"RSA","{member}":"x"}}]}}"#
            ));
            assert_eq!(read_as(&body), Err(E::PrivateKey), "{member}");
        }
        assert_eq!(
            read(&url, b"{\"client_id\":\"\xff\"}", false, &[]).err(),
            Some(E::NotAnObject)
        );
    }
}
