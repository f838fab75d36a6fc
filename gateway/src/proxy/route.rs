//! From a request to the MCP server that it means, by the configured public address only.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Uri, header, uri::PathAndQuery};
use url::Url;
use vestibule_core::{bearer::Caller, resource::Resource, session::Owner, uri::Issuer};

use super::{pool::Pool, refuse::Refusal};
use crate::{
    config::{DirectSettings, Transport, UpstreamAuth},
    vault::Headers,
};

/// Longest target of a request, in bytes: an authorization request with all that may be in
/// it, and no more.
pub const TARGET_MAX: usize = 8 * 1024;

/// A server's place on this gateway, as one data thread has it.
pub struct Mount {
    /// Its name, for the audit.
    pub label: Arc<str>,
    /// As clients see it.
    pub resource: Resource,
    /// Whether it needs no token.
    pub public: bool,
    /// Browser origins that may call it.
    pub origins: Vec<String>,
    /// What it gets in place of the client's token.
    pub upstream_auth: UpstreamAuth,
    /// The same where it is the same for everybody.
    pub fixed: Headers,
    /// Which transport it speaks.
    pub transport: Transport,
    /// Whose tokens it takes, if not ours.
    pub direct: Option<DirectSettings>,
    /// `Host` of the server itself.
    pub host: HeaderValue,
    /// The server's own address.
    pub base: Url,
    /// Path and query of the server itself.
    pub target: PathAndQuery,
    /// This thread's connections to it.
    pub pool: Rc<Pool>,
}

impl Mount {
    /// Turns away pages of other sites (PX-6). The origin to allow reading, if any was named.
    ///
    /// # Errors
    /// [`Refusal::Origin`].
    pub fn judge_origin(
        &self,
        headers: &HeaderMap,
        issuer: &Issuer,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return Ok(None);
        };
        let known = origin.as_bytes() == issuer.text().as_bytes()
            || self
                .origins
                .iter()
                .any(|listed| listed.as_bytes() == origin.as_bytes());
        if known && origins.next().is_none() {
            Ok(Some(origin.clone()))
        } else {
            Err(Refusal::Origin)
        }
    }

    /// Whether a call may need that its person does something first.
    pub fn asks_people(&self) -> bool {
        matches!(
            self.upstream_auth,
            UpstreamAuth::Connection(_) | UpstreamAuth::Token(_)
        )
    }

    /// Whose a session here is that `caller` opens.
    pub fn owner(&self, caller: Option<&Caller>) -> Owner<'_> {
        match caller {
            Some(caller) => Owner::of(caller.token(), &self.resource.uri),
            None => Owner {
                caller: None,
                resource: &self.resource.uri,
            },
        }
    }

    /// The server's own target for a request with this query. A query that the operator wrote
    /// stands alone: which of two equal names counts is every server's own choice.
    pub fn target_with(&self, query: Option<&str>) -> Option<Uri> {
        let target = match query {
            Some(query) if !query.is_empty() && self.target.query().is_none() => {
                PathAndQuery::try_from(format!("{}?{query}", self.target)).ok()?
            }
            _ => self.target.clone(),
        };
        Some(Uri::from(target))
    }
}

/// Where a request goes.
pub enum Route {
    /// To an MCP server.
    Server(Rc<Mount>),
    /// To our own pages and endpoints.
    Pages,
}

/// All mounts of one data thread.
pub struct Routes {
    authority: String,
    /// By path.
    mounts: HashMap<String, Rc<Mount>>,
}

impl Routes {
    /// Routes for requests to `authority`, which is the public host and port.
    pub fn new(authority: String, mounts: Vec<Mount>) -> Self {
        Self {
            authority,
            mounts: mounts
                .into_iter()
                .map(|mount| (mount.resource.path.clone(), Rc::new(mount)))
                .collect(),
        }
    }

    /// Finds the place of a request.
    ///
    /// # Errors
    /// [`Refusal`] for a missing, doubled or foreign host, and for a target that is no path.
    pub fn find<B>(&self, request: &Request<B>) -> Result<Route, Refusal> {
        // A path only: an address as target would make this a proxy to anywhere.
        if request.uri().authority().is_some() || !request.uri().path().starts_with('/') {
            return Err(Refusal::Target);
        }
        let target = request.uri().path_and_query();
        if target.is_some_and(|target| target.as_str().len() > TARGET_MAX) {
            return Err(Refusal::TargetTooLong);
        }
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().ok_or(Refusal::Host)?;
        if hosts.next().is_some() {
            return Err(Refusal::Host);
        }
        if !host
            .as_bytes()
            .eq_ignore_ascii_case(self.authority.as_bytes())
        {
            return Err(Refusal::ForeignHost {
                authority: self.authority.clone(),
            });
        }
        let path = request.uri().path();
        Ok(match self.mounts.get(path) {
            Some(mount) => Route::Server(Rc::clone(mount)),
            None => Route::Pages,
        })
    }
}
