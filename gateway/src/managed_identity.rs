//! Tokens that the platform gives to a program that runs on it.

use reqwest::Client;
use serde::Deserialize;
use vestibule_core::{flow::cleaned, secret::Secret, uri::with_query};

use crate::{
    fetch,
    provider_credential::{AssertionError, IdentityPlace, ManagedIdentity},
};

#[derive(Deserialize)]
struct Answer {
    access_token: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

/// A token for `resource`. The platform keeps it and renews it, so it is asked each time.
///
/// # Errors
/// [`AssertionError::Platform`].
pub async fn token(
    http: &Client,
    identity: &ManagedIdentity,
    resource: &str,
) -> Result<Secret, AssertionError> {
    let failed = |what: String| AssertionError::Platform(what);
    let mut params = vec![("resource", resource)];
    if let Some(client_id) = &identity.client_id {
        params.push(("client_id", client_id));
    }
    let request = match &identity.place {
        IdentityPlace::Metadata { origin } => {
            params.push(("api-version", "2018-02-01"));
            let url = format!("{origin}/metadata/identity/oauth2/token");
            // It keeps out whoever can make this program follow an address.
            http.get(with_query(&url, &params))
                .header("Metadata", "true")
        }
        IdentityPlace::Endpoint { url, header } => {
            params.push(("api-version", "2019-08-01"));
            http.get(with_query(url, &params))
                .header("X-IDENTITY-HEADER", header.expose())
        }
    };
    let (status, body) = fetch::whole(request)
        .await
        .map_err(|error| failed(format!("its identity service: {error}")))?;
    if status != 200 {
        let said: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let (error, words) = (
            cleaned(&said.error, 64),
            cleaned(&said.error_description, 300),
        );
        return Err(failed(
            format!("it answered {status} {error} {words}")
                .trim_end()
                .to_owned(),
        ));
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| failed("its answer holds no token".to_owned()))?;
    Ok(Secret::new(answer.access_token))
}
