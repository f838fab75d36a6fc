//! URIs whose text counts: redirect URIs, resources, the issuer.
//!
//! Specifications compare these as strings, so the text is kept as received. Parsing only
//! decides whether the text may be used at all.

use std::fmt;

use url::{Host, Url};

/// Longest redirect URI that a client may register, in bytes.
pub const REDIRECT_URI_MAX: usize = 2048;

/// A redirect URI that a client may register (OAuth 2.1 §2.3, RFC 8252 §7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri {
    text: String,
    kind: RedirectKind,
}

/// Where a redirect leads, as far as trust in it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedirectKind {
    /// `https`: the host proves something.
    Https,
    /// `http` to this very computer: any program on it may be listening.
    Loopback,
    /// A scheme of an application's own (RFC 8252 §7.1): any program may have claimed it.
    PrivateScheme,
}

/// Why a text cannot be a redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Longer than [`REDIRECT_URI_MAX`].
    #[error("longer than 2048 bytes")]
    TooLong,
    /// Spaces, control characters, backslashes or anything else outside RFC 3986.
    #[error("contains a character that no URI has")]
    NotAUri,
    /// Not `scheme:…` with something behind it.
    #[error("not absolute")]
    Relative,
    /// Has a `#` (RFC 6749 §3.1.2).
    #[error("has a fragment")]
    Fragment,
    /// Has `user@` before the host.
    #[error("has user information")]
    UserInfo,
    /// Has a `*`.
    #[error("has a wildcard")]
    Wildcard,
    /// `http` to another host than this computer.
    #[error("http is allowed to localhost, 127.0.0.1 and [::1] only")]
    PlainHttp,
    /// A scheme that is neither `https` nor on the operator's list.
    #[error("its scheme is not allowed here")]
    Scheme,
}

impl RedirectUri {
    /// Reads `text` as a redirect URI. `schemes` are the private-use schemes that the
    /// operator allows, in lower case.
    ///
    /// # Errors
    /// [`RedirectUriError`], the first rule broken.
    pub fn parse(text: &str, schemes: &[String]) -> Result<Self, RedirectUriError> {
        use RedirectUriError as E;
        if text.len() > REDIRECT_URI_MAX {
            return Err(E::TooLong);
        }
        // On the raw text: URL parsers trim and drop characters before they look.
        if !text.bytes().all(is_uri_byte) {
            return Err(E::NotAUri);
        }
        if text.contains('#') {
            return Err(E::Fragment);
        }
        if text.contains('*') {
            return Err(E::Wildcard);
        }
        let (scheme, rest) = text.split_once(':').ok_or(E::Relative)?;
        if !is_scheme(scheme) {
            return Err(E::Relative);
        }
        let kind = match scheme {
            "https" | "http" => {
                let rest = rest.strip_prefix("//").ok_or(E::Relative)?;
                let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
                if authority.contains('@') {
                    return Err(E::UserInfo);
                }
                if authority.is_empty() {
                    return Err(E::Relative);
                }
                let url = Url::parse(text).map_err(|_| E::NotAUri)?;
                if url.host_str().is_none_or(str::is_empty) {
                    return Err(E::Relative);
                }
                if scheme == "https" && !is_this_computer(&url) {
                    RedirectKind::Https
                } else if scheme == "https" {
                    // A name that every computer gives to itself proves nothing either.
                    RedirectKind::Loopback
                } else if loopback_parts(text).is_some() {
                    RedirectKind::Loopback
                } else {
                    return Err(E::PlainHttp);
                }
            }
            other if schemes.iter().any(|allowed| allowed == other) => {
                if rest.trim_start_matches('/').is_empty() {
                    return Err(E::Relative);
                }
                if rest.strip_prefix("//").is_some_and(|rest| {
                    rest[..rest.find(['/', '?']).unwrap_or(rest.len())].contains('@')
                }) {
                    return Err(E::UserInfo);
                }
                RedirectKind::PrivateScheme
            }
            _ => return Err(E::Scheme),
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// The text as registered.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// Whether a request may use `presented` in place of this registered URI: the same
    /// text, or, for a loopback address, the same text but for the port (RFC 8252 §7.3).
    pub fn admits(&self, presented: &str) -> bool {
        if self.text == presented {
            return true;
        }
        match (loopback_parts(&self.text), loopback_parts(presented)) {
            (Some(registered), Some(asked)) => registered == asked,
            _ => false,
        }
    }

    /// Whether it says everything that a browser needs: of a loopback address in plain HTTP
    /// the port, which its program chooses anew at each start.
    pub fn is_complete(&self) -> bool {
        loopback_parts(&self.text)
            .is_none_or(|_| Url::parse(&self.text).is_ok_and(|url| url.port().is_some()))
    }

    /// The text without the port of a loopback address: what distinguishes one client's
    /// registrations from another's when the port changes at each start.
    pub fn without_loopback_port(&self) -> String {
        without_loopback_port(&self.text)
    }
}

/// See [`RedirectUri::without_loopback_port`].
pub(crate) fn without_loopback_port(text: &str) -> String {
    match loopback_parts(text) {
        Some((host, rest)) => format!("http://{host}{rest}"),
        None => text.to_owned(),
    }
}

/// Whether a browser acts on such an address by itself instead of handing it to a program:
/// no application's scheme, and nothing that a client sends by mistake.
pub fn is_obeyed(text: &str) -> bool {
    const OBEYED: [&str; 12] = [
        "javascript",
        "data",
        "file",
        "vbscript",
        "blob",
        "about",
        "view-source",
        "filesystem",
        "ws",
        "wss",
        "ftp",
        "intent",
    ];
    let scheme = text
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    OBEYED.contains(&scheme.as_str())
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where this gateway answers itself, and no client that came by itself receives answers:
/// its pages would take what is meant for a client.
#[derive(Debug, Clone, Default)]
pub struct OwnAuthority(Option<(String, Option<u16>)>);

impl OwnAuthority {
    /// Of the issuer's address.
    pub fn of(issuer: &str) -> Self {
        Self(authority(issuer))
    }

    /// Whether a browser that is sent to `address` comes here, in any spelling.
    pub fn covers(&self, address: &str) -> bool {
        self.0.is_some() && authority(address) == self.0
    }
}

fn authority(address: &str) -> Option<(String, Option<u16>)> {
    let url = Url::parse(address).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // The dot of a whole name, which browsers drop when they connect.
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    Some((host.to_owned(), url.port_or_known_default()))
}

/// Wider than `discovery::is_loopback`: that one trusts such an address with plain HTTP,
/// this one only warns of it.
fn is_this_computer(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let v4 = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unspecified()
                || v4.is_some_and(|v4| v4.is_loopback() || v4.is_unspecified())
        }
        None => false,
    }
}

/// Host text and what follows the port, if `text` is plain HTTP to this computer.
/// `localhost`, `127.0.0.1` and `[::1]` are three hosts; one never stands for another.
fn loopback_parts(text: &str) -> Option<(&str, &str)> {
    let after = text.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .find(|h| after.starts_with(h))?;
    let rest = &after[host.len()..];
    let rest = match rest.strip_prefix(':') {
        Some(port) => {
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            let number: u32 = port[..digits].parse().ok()?;
            if number == 0 || number > 65_535 {
                return None;
            }
            &port[digits..]
        }
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

/// Appends parameters to `base`, keeping a query that is there (RFC 6749 §3.1.2).
pub fn with_query(base: &str, params: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(base.len() + 256);
    out.push_str(base);
    let mut separator = if base.contains('?') {
        if base.ends_with(['?', '&']) { "" } else { "&" }
    } else {
        "?"
    };
    for (name, value) in params {
        out.push_str(separator);
        out.extend(url::form_urlencoded::byte_serialize(name.as_bytes()));
        out.push('=');
        out.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
        separator = "&";
    }
    out
}

/// The host of an absolute URI for people to read: lower case, punycode where not plain,
/// with its port. Of a scheme of an application's own only that: whoever claimed it chose
/// what looks like a host in it.
pub fn host_for_people(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => format!("{}:", url.scheme()),
        Ok(url) => match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        },
        Err(_) => String::new(),
    }
}

/// Makes the two spellings of a resource comparable (RFC 8707 §2, AUTHZ-11): scheme and
/// host in lower case, no default port, no single slash at the end.
///
/// `None` for what cannot be a resource: a fragment, user information, no host, dot
/// segments, or characters outside RFC 3986.
pub fn canonical_resource(text: &str) -> Option<String> {
    if text.len() > 2048 || text.contains('#') || !text.bytes().all(is_uri_byte) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    if lower
        .split(['/', '?'])
        .any(|segment| segment == "." || segment == "..")
    {
        return None;
    }
    let authority = authority.to_ascii_lowercase();
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default).unwrap_or(&authority);
    let path = path.strip_suffix('/').unwrap_or(path);
    Some(format!("{scheme}://{authority}{path}"))
}

/// The issuer identifier (RFC 8414 §2): an origin, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

/// Why a text cannot be the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not a URL at all.
    #[error("is not a URL")]
    NotAUrl,
    /// Anything behind the host and port. A slash counts: strict clients compare the text.
    #[error("must end after the host or port: no slash, path, query or fragment")]
    NotAnOrigin,
    /// Plain HTTP to another computer (MCP, Communication Security).
    #[error("must be https, unless it is a loopback address")]
    PlainHttp,
}

impl Issuer {
    /// Reads the configured public address.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        if !text.bytes().all(is_uri_byte) {
            return Err(IssuerError::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(IssuerError::NotAUrl);
        }
        if url.origin().ascii_serialization() != text {
            return Err(IssuerError::NotAnOrigin);
        }
        if url.scheme() == "http" && loopback_parts(text).is_none() {
            return Err(IssuerError::PlainHttp);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, the same everywhere.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether clients reach us without TLS, on this computer.
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Host and port as a `Host` header carries them.
    pub fn authority(&self) -> &str {
        self.0
            .split_once("://")
            .map_or("", |(_, authority)| authority)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes() -> Vec<String> {
        vec!["cursor".to_owned()]
    }

    #[test]
    fn t_reg_01_t_reg_02_dcr_4_which_redirect_uris_may_be_registered() {
        use RedirectUriError as E;
        let table: &[(&str, Result<RedirectKind, E>)] = &[
            ("https://client.example/cb", Ok(RedirectKind::Https)),
            ("https://client.example", Ok(RedirectKind::Https)),
            ("https://localhost/cb", Ok(RedirectKind::Loopback)),
            ("https://127.0.0.1:8443/cb", Ok(RedirectKind::Loopback)),
            ("https://[::1]/cb", Ok(RedirectKind::Loopback)),
            ("https://localhost./cb", Ok(RedirectKind::Loopback)),
            ("https://[::ffff:127.0.0.1]/cb", Ok(RedirectKind::Loopback)),
            ("https://0.0.0.0/cb", Ok(RedirectKind::Loopback)),
            ("https://localhost.evil.example/cb", Ok(RedirectKind::Https)),
            (
                "https://client.example/cb?tenant=1",
                Ok(RedirectKind::Https),
            ),
            ("http://127.0.0.1/cb", Ok(RedirectKind::Loopback)),
            ("http://127.0.0.1:33418/cb", Ok(RedirectKind::Loopback)),
            ("http://[::1]:8/cb", Ok(RedirectKind::Loopback)),
            ("http://localhost/callback", Ok(RedirectKind::Loopback)),
            (
                "cursor://anysphere.cursor-retrieval/oauth/cb",
                Ok(RedirectKind::PrivateScheme),
            ),
            ("javascript:alert(1)", Err(E::Scheme)),
            ("JaVaScRiPt:alert(1)", Err(E::Relative)),
            ("\tjavascript:alert(1)", Err(E::NotAUri)),
            ("java\nscript:alert(1)", Err(E::NotAUri)),
            ("java\0script:alert(1)", Err(E::NotAUri)),
            ("data:text/html,x", Err(E::Scheme)),
            ("vbscript:x", Err(E::Scheme)),
            ("file:///etc/passwd", Err(E::Scheme)),
            ("blob:https://a.example/1", Err(E::Scheme)),
            ("mailto:a@b.example", Err(E::Scheme)),
            ("/cb", Err(E::Relative)),
            ("client.example/cb", Err(E::Relative)),
            ("https:client.example", Err(E::Relative)),
            ("https:///cb", Err(E::Relative)),
            ("https://client.example/cb#x", Err(E::Fragment)),
            ("https://client.example@evil.example/cb", Err(E::UserInfo)),
            ("https://*.client.example/cb", Err(E::Wildcard)),
            ("http://client.example/cb", Err(E::PlainHttp)),
            ("http://127.0.0.1.evil.example/cb", Err(E::PlainHttp)),
            ("http://localhost.evil.example/cb", Err(E::PlainHttp)),
            ("http://127.0.0.2/cb", Err(E::PlainHttp)),
            ("http://127.0.0.1:99999/cb", Err(E::NotAUri)),
            ("https://client.example\\@evil.example/", Err(E::NotAUri)),
            ("https://client.example/c b", Err(E::NotAUri)),
            ("other://x/cb", Err(E::Scheme)),
            ("cursor:", Err(E::Relative)),
            ("", Err(E::Relative)),
        ];
        for (text, expected) in table {
            let got = RedirectUri::parse(text, &schemes()).map(|uri| uri.kind());
            assert_eq!(&got, expected, "{text}");
        }
        let long = format!("https://client.example/{}", "a".repeat(REDIRECT_URI_MAX));
        assert_eq!(RedirectUri::parse(&long, &[]), Err(E::TooLong));
    }

    #[test]
    fn authz_3_authz_4_t_aut_03_t_aut_04_a_redirect_matches_by_text_but_for_a_loopback_port() {
        // registered, presented, admitted, why
        let table = [
            (
                "https://app.test/cb",
                "https://app.test/cb",
                true,
                "RFC 9700 §2.1",
            ),
            (
                "https://app.test/cb",
                "https://app.test/cb/",
                false,
                "RFC 9700 §2.1",
            ),
            (
                "https://app.test/cb",
                "https://app.test/cb/x",
                false,
                "no prefixes",
            ),
            (
                "https://app.test/cb",
                "https://APP.test/cb",
                false,
                "text is compared, not URLs",
            ),
            (
                "https://app.test/cb",
                "https://app.test/CB",
                false,
                "letter case counts",
            ),
            (
                "https://app.test/cb",
                "https://app.test/cb?x=1",
                false,
                "RFC 9700 §2.1",
            ),
            (
                "https://app.test/cb",
                "https://app.test/%63b",
                false,
                "no decoding",
            ),
            (
                "https://app.test/cb",
                "https://app.test/cb/../cb",
                false,
                "no normalization",
            ),
            (
                "https://app.test/cb",
                "https://app.test.evil.example/cb",
                false,
                "another host",
            ),
            (
                "https://app.test/cb",
                "https://app.test@evil.example/cb",
                false,
                "another host",
            ),
            (
                "https://app.test/cb",
                "https://app.test:8443/cb",
                false,
                "not a loopback address",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:49152/cb",
                true,
                "RFC 8252 §7.3",
            ),
            (
                "http://127.0.0.1:8/cb",
                "http://127.0.0.1:49152/cb",
                true,
                "RFC 8252 §7.3",
            ),
            (
                "http://127.0.0.1:8/cb",
                "http://127.0.0.1/cb",
                true,
                "RFC 8252 §7.3",
            ),
            (
                "http://localhost/callback",
                "http://localhost:57470/callback",
                true,
                "field need",
            ),
            (
                "http://[::1]/cb",
                "http://[::1]:49152/cb",
                true,
                "RFC 8252 §7.3",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:49152/other",
                false,
                "only the port varies",
            ),
            (
                "http://127.0.0.1/cb",
                "https://127.0.0.1:49152/cb",
                false,
                "only the port varies",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.2:80/cb",
                false,
                "only the port varies",
            ),
            (
                "http://127.0.0.1/cb",
                "http://localhost:49152/cb",
                false,
                "two different hosts",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1.evil.example/cb",
                false,
                "another host",
            ),
            (
                "http://localhost/cb",
                "http://localhost:80@evil.example/cb",
                false,
                "another host",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:0/cb",
                false,
                "no port",
            ),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:8x/cb",
                false,
                "no port",
            ),
        ];
        for (registered, presented, admitted, why) in table {
            let registered = RedirectUri::parse(registered, &[]).expect("the table holds URIs");
            assert_eq!(
                registered.admits(presented),
                admitted,
                "{presented} at {registered}: {why}"
            );
        }
    }

    #[test]
    fn authz_11_spellings_of_one_resource() {
        let canonical = "https://gw.example/files/mcp";
        for same in [
            "https://gw.example/files/mcp",
            "HTTPS://GW.example/files/mcp/",
            "https://gw.example:443/files/mcp",
        ] {
            assert_eq!(
                canonical_resource(same).as_deref(),
                Some(canonical),
                "{same}"
            );
        }
        for other in [
            "https://gw.example/files/mcp//",
            "https://gw.example/Files/mcp",
            "https://gw.example:8443/files/mcp",
            "http://gw.example/files/mcp",
        ] {
            assert_ne!(
                canonical_resource(other).as_deref(),
                Some(canonical),
                "{other}"
            );
        }
        for refused in [
            "https://gw.example/files/mcp#x",
            "https://gw.example/a/../files/mcp",
            "https://gw.example/a/%2E%2e/files/mcp",
            "https://u@gw.example/files/mcp",
            "gw.example/files/mcp",
            "https:///files/mcp",
            "urn:mcp:files",
        ] {
            assert_eq!(canonical_resource(refused), None, "{refused}");
        }
    }

    #[test]
    fn disc_4_tls_1_the_issuer_is_an_origin_written_as_it_will_be_compared() {
        use IssuerError as E;
        for (text, expected) in [
            ("https://gw.example", Ok(())),
            ("https://gw.example:8443", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("http://localhost:8080", Ok(())),
            ("https://gw.example/", Err(E::NotAnOrigin)),
            ("https://gw.example/t1", Err(E::NotAnOrigin)),
            ("https://gw.example?x", Err(E::NotAnOrigin)),
            ("https://GW.example", Err(E::NotAnOrigin)),
            ("https://gw.example:443", Err(E::NotAnOrigin)),
            ("http://gw.example", Err(E::PlainHttp)),
            ("ftp://gw.example", Err(E::NotAUrl)),
            ("gw.example", Err(E::NotAUrl)),
        ] {
            assert_eq!(Issuer::parse(text).map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn authz_13_a_query_of_the_redirect_uri_is_kept() {
        let params = [("code", "a+b"), ("state", "ü&=")];
        assert_eq!(
            with_query("https://c.example/cb?a=b", &params),
            "https://c.example/cb?a=b&code=a%2Bb&state=%C3%BC%26%3D"
        );
        assert_eq!(
            with_query("https://c.example/cb", &[("x", "1")]),
            "https://c.example/cb?x=1"
        );
        assert_eq!(
            with_query("https://c.example/cb?", &[("x", "1")]),
            "https://c.example/cb?x=1"
        );
    }

    #[test]
    fn t_con_09_hosts_are_shown_so_that_look_alikes_show() {
        assert_eq!(
            host_for_people("https://аpple.example/cb"),
            "xn--pple-43d.example"
        );
        assert_eq!(
            host_for_people("http://127.0.0.1:33418/cb"),
            "127.0.0.1:33418"
        );
        assert_eq!(host_for_people("cursor:cb"), "cursor:");
        assert_eq!(
            host_for_people("vscode://claude.ai/cb"),
            "vscode:",
            "who claimed a scheme chose the rest"
        );
    }
}
