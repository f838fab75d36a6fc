//! Which browser pages may call what (Fetch standard).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, DPoP-Nonce, Retry-After",
);
const ALLOWED: [&str; 12] = [
    "authorization",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-session-id",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "dpop",
    "traceparent",
    "tracestate",
    "baggage",
];

/// Lets every page read an answer that carries no cookies: metadata, tokens, registration.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Lets the page at `origin` read an answer of an MCP server.
pub fn for_origin(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// The answer to a preflight, without the origin; `asked` are the headers of the request.
pub fn preflight(headers: &mut HeaderMap, asked: &HeaderMap) -> StatusCode {
    let mut names: Vec<String> = ALLOWED.iter().map(|name| (*name).to_owned()).collect();
    // A bare `*` would not cover `Authorization`, so parameters are named one by one.
    let requested = asked
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|v| v.to_str().ok());
    for name in requested
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .take(64)
    {
        let name = name.to_ascii_lowercase();
        if name.starts_with("mcp-param-") && HeaderName::try_from(name.as_str()).is_ok() {
            names.push(name);
        }
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cors_4_a_preflight_names_what_it_allows() {
        let mut asked = HeaderMap::new();
        asked.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("authorization, Mcp-Param-Region, x-evil"),
        );
        let mut answer = HeaderMap::new();
        assert_eq!(preflight(&mut answer, &asked), StatusCode::NO_CONTENT);
        let allowed = answer[header::ACCESS_CONTROL_ALLOW_HEADERS]
            .to_str()
            .expect("ascii");
        assert!(allowed.contains("authorization") && allowed.contains("mcp-param-region"));
        assert!(!allowed.contains("x-evil"));
        assert!(
            answer
                .get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
                .is_none()
        );
    }
}
