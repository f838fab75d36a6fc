//! From an MCP server's address to who gives tokens for it: the 401, the resource's
//! metadata, the authorization server's. Every answer on the way is kept as it was, so that
//! `probe` can judge it and `login` can say what is wrong.

use http::Method;
use serde_json::{Value, json};
use url::Url;
use vestibule_core::discovery::{
    ResourceMetadata, ServerMetadata, may_follow, metadata_locations, resource_metadata_locations,
};

use super::web::{Reply, Web};
use crate::fetch::FetchError;

/// One document that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub url: String,
    /// What came, or why nothing did.
    pub reply: Result<Reply, FetchError>,
}

impl Asked {
    /// The document, if the answer is one.
    pub fn document<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        let reply = self.reply.as_ref().ok()?;
        (reply.status == 200)
            .then(|| serde_json::from_slice(&reply.body).ok())
            .flatten()
    }
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The MCP server.
    pub server: Url,
    /// Its answer to a first message without a token.
    pub first: Reply,
    /// Where the resource's metadata was looked for, in order.
    pub resource: Vec<Asked>,
    /// Where the authorization server's was looked for, in order.
    pub metadata: Vec<Asked>,
    /// The issuer whose metadata it should be.
    pub issuer: Option<String>,
}

impl Found {
    /// The resource's metadata: the first document that was found.
    pub fn resource_metadata(&self) -> Option<ResourceMetadata> {
        self.resource.iter().find_map(Asked::document)
    }

    /// The authorization server's metadata: the first document that was found.
    pub fn server_metadata(&self) -> Option<ServerMetadata> {
        self.metadata.iter().find_map(Asked::document)
    }
}

/// The first message of a client that knows nothing yet.
pub fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "vestibule", "version": env!("CARGO_PKG_VERSION") },
        },
    })
}

/// What every message to an MCP server needs.
pub const MCP: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// Finds out.
///
/// # Errors
/// [`FetchError`] if the MCP server itself does not answer. Documents that are not there are
/// found as such.
pub async fn discover(web: &Web, server: &Url) -> Result<Found, FetchError> {
    let body = initialize().to_string();
    let first = web.send(Method::POST, server, &MCP, body).await?;
    let mut found = Found {
        server: server.clone(),
        first,
        resource: Vec::new(),
        metadata: Vec::new(),
        issuer: None,
    };
    let named = found
        .first
        .challenge("bearer")
        .and_then(|challenge| challenge.param("resource_metadata").map(str::to_owned));
    if let Some(named) = &named {
        match may_follow(named, server) {
            Ok(url) => ask(web, &url, &mut found.resource).await,
            Err(_) => found.resource.push(Asked {
                url: named.clone(),
                reply: Err(FetchError::Address),
            }),
        }
    }
    for url in resource_metadata_locations(server) {
        if found.resource_metadata().is_some() {
            break;
        }
        if named.as_deref() != Some(url.as_str()) {
            ask(web, &url, &mut found.resource).await;
        }
    }
    let resource = found.resource_metadata();
    let issuer = match &resource {
        Some(resource) => resource.authorization_servers.first().cloned(),
        // Before 2025-06-18 the server's own origin was the issuer.
        None => Some(server.origin().ascii_serialization()),
    };
    if let Some(issuer) = &issuer {
        match may_follow(issuer, server) {
            Ok(url) => {
                for url in metadata_locations(&url) {
                    if found.server_metadata().is_some() {
                        break;
                    }
                    ask(web, &url, &mut found.metadata).await;
                }
            }
            Err(_) => found.metadata.push(Asked {
                url: issuer.clone(),
                reply: Err(FetchError::Address),
            }),
        }
    }
    found.issuer = issuer;
    Ok(found)
}

async fn ask(web: &Web, url: &Url, list: &mut Vec<Asked>) {
    list.push(Asked {
        url: url.to_string(),
        reply: web.document(url).await,
    });
}
