//! The documents that clients find their way by (RFC 8414, RFC 9728).

use serde_json::{Value, json};

use crate::{
    client::{GrantType, Grants},
    dpop,
    jwt::Algorithm,
    resource::{Dpop, Resource},
    token::jwt_bearer::ID_JAG_PROFILE,
    uri::Issuer,
};

/// What is switched on, as far as the documents tell it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offered {
    /// `/register` answers.
    pub registration: bool,
    /// Client ids may be addresses of documents.
    pub documents: bool,
    /// Grants of the token endpoint that somebody may use.
    pub grants: Grants,
    /// Some issuer vouches for people (ID-JAG §7.2).
    pub id_jag: bool,
    /// Some server takes tokens that are bound to a key.
    pub dpop: bool,
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
    let grants: Vec<&str> = GrantType::ALL
        .into_iter()
        .filter(|grant| offered.grants.contains(*grant))
        .map(GrantType::name)
        .collect();
    if offered.grants.contains(GrantType::RefreshToken) {
        scopes.push("offline_access");
    }
    let methods = [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    let algorithms: Vec<&str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    let mut document = json!({
        "issuer": issuer.text(),
        "authorization_endpoint": endpoint("/authorize"),
        "token_endpoint": endpoint("/token"),
        "revocation_endpoint": endpoint("/revoke"),
        "introspection_endpoint": endpoint("/introspect"),
        "pushed_authorization_request_endpoint": endpoint("/par"),
        "jwks_uri": endpoint("/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": &methods[1..],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
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
    if offered.grants.contains(GrantType::DeviceCode) {
        document["device_authorization_endpoint"] = endpoint("/device_authorization").into();
    }
    if offered.id_jag {
        document["authorization_grant_profiles_supported"] = json!([ID_JAG_PROFILE]);
    }
    if offered.dpop {
        document["dpop_signing_alg_values_supported"] = dpop::algorithms().collect();
    }
    document
}

/// Protected resource metadata (RFC 9728 §2) of one MCP server.
pub fn protected_resource(issuer: &Issuer, resource: &Resource) -> Value {
    let mut document = json!({
        "resource": resource.uri,
        "authorization_servers": [match &resource.direct {
            Some(direct) => &direct.authorization_server,
            None => issuer.text(),
        }],
        "bearer_methods_supported": ["header"],
        "resource_name": resource.title,
    });
    if resource.dpop != Dpop::Off {
        document["dpop_signing_alg_values_supported"] = dpop::algorithms().collect();
        document["dpop_bound_access_tokens_required"] = (resource.dpop == Dpop::Required).into();
    }
    if !resource.default_scopes.is_empty() {
        document["scopes_supported"] = resource.asked_as(&resource.default_scopes).into();
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
    fn disc_1_disc_4_disc_5_disc_6_disc_7_disc_8_ema_1_dpop_1_rev_6_the_document_says_what_is_so() {
        let on = Offered {
            registration: true,
            documents: true,
            grants: Grants::of(GrantType::ALL),
            id_jag: true,
            dpop: true,
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
        assert_eq!(
            document["grant_types_supported"].as_array().map(Vec::len),
            Some(6)
        );
        assert_eq!(
            document["authorization_grant_profiles_supported"],
            json!([ID_JAG_PROFILE])
        );
        for name in ["dpop", "token_endpoint_auth"] {
            let member = format!("{name}_signing_alg_values_supported");
            let listed = document[&member].to_string();
            assert!(listed.contains("ES256"), "{member}: {listed}");
            assert!(
                !listed.contains("none") && !listed.contains("HS"),
                "{listed}"
            );
        }
        let off = Offered {
            grants: Grants::of([GrantType::AuthorizationCode]),
            ..Offered::default()
        };
        let document = authorization_server(&issuer(), off, ["read"].into_iter());
        assert_eq!(document["scopes_supported"], json!(["read"]));
        assert!(document.get("registration_endpoint").is_none(), "T-REG-08");
        assert_eq!(
            document["grant_types_supported"],
            json!(["authorization_code"])
        );
        assert_eq!(document["client_id_metadata_document_supported"], false);
        for member in [
            "device_authorization_endpoint",
            "authorization_grant_profiles_supported",
            "dpop_signing_alg_values_supported",
        ] {
            assert!(document.get(member).is_none(), "{member}");
        }
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
