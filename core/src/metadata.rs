//! The documents that clients find their way by (RFC 8414, RFC 9728).

use serde_json::{Value, json};

use crate::{resource::Resource, uri::Issuer};

/// What is switched on, as far as the documents tell it.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// `/register` answers.
    pub registration: bool,
    /// Client ids may be addresses of documents.
    pub documents: bool,
    /// Refresh tokens are issued.
    pub refresh: bool,
}

/// Authorization server metadata (RFC 8414 §2, RFC 9207 §3), also served where OpenID
/// Connect clients look; the members that only those demand are in it for them.
///
/// `scopes` are those of all servers that a client may ask for by itself.
pub fn authorization_server<'s>(
    issuer: &Issuer,
    offered: Offered,
    scopes: impl Iterator<Item = &'s str>,
) -> Value {
    let endpoint = |path: &str| format!("{issuer}{path}");
    let mut scopes: Vec<&str> = scopes.collect();
    scopes.sort_unstable();
    scopes.dedup();
    let mut grants = vec!["authorization_code"];
    if offered.refresh {
        grants.push("refresh_token");
        scopes.push("offline_access");
    }
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let mut document = json!({
        "issuer": issuer.text(),
        "authorization_endpoint": endpoint("/authorize"),
        "token_endpoint": endpoint("/token"),
        "revocation_endpoint": endpoint("/revoke"),
        "jwks_uri": endpoint("/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": offered.documents,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    if offered.registration {
        document["registration_endpoint"] = endpoint("/register").into();
    }
    document
}

/// Protected resource metadata (RFC 9728 §2) of one MCP server.
pub fn protected_resource(issuer: &Issuer, resource: &Resource) -> Value {
    let mut document = json!({
        "resource": resource.uri,
        "authorization_servers": [issuer.text()],
        "bearer_methods_supported": ["header"],
        "resource_name": resource.title,
    });
    if !resource.default_scopes.is_empty() {
        document["scopes_supported"] = resource.default_scopes.iter().collect::<Vec<_>>().into();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::tests::catalogue;

    fn issuer() -> Issuer {
        Issuer::parse("https://gw.example").expect("an origin")
    }

    #[test]
    fn disc_1_disc_4_disc_5_disc_6_disc_7_disc_8_the_document_says_what_is_so() {
        let on = Offered {
            registration: true,
            documents: true,
            refresh: true,
        };
        let document = authorization_server(&issuer(), on, ["read"].into_iter());
        assert_eq!(document["issuer"], "https://gw.example");
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(document["response_types_supported"], json!(["code"]));
        assert_eq!(
            document["scopes_supported"],
            json!(["read", "offline_access"])
        );
        assert_eq!(
            document["authorization_response_iss_parameter_supported"],
            true
        );
        let off = Offered {
            registration: false,
            documents: false,
            refresh: false,
        };
        let document = authorization_server(&issuer(), off, ["read"].into_iter());
        assert!(document.get("registration_endpoint").is_none(), "T-REG-08");
        assert_eq!(
            document["grant_types_supported"],
            json!(["authorization_code"])
        );
        assert_eq!(document["client_id_metadata_document_supported"], false);
    }

    #[test]
    fn disc_9_disc_10_disc_11_disc_12_each_server_has_its_own() {
        let catalogue = catalogue(&["a", "b"]);
        for resource in catalogue.iter() {
            let document = protected_resource(&issuer(), resource);
            assert_eq!(document["resource"], resource.uri);
            assert_eq!(
                document["authorization_servers"],
                json!(["https://gw.example"])
            );
            assert_eq!(document["scopes_supported"], json!(["read"]));
            assert!(!document.to_string().contains("offline_access"));
        }
    }
}
