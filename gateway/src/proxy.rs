//! What a request meets on its way to an MCP server, in order:
//!
//! 1. [`route`]: the `Host` is ours, the target is a path, and the path is a server's.
//! 2. `Origin`: a page of another site is turned away before anything else is looked at.
//! 3. A preflight is answered here; other methods than POST, GET and DELETE are not.
//! 4. [`guard`]: the token. Without a good one: where to log in, and nothing goes further.
//! 5. [`call`]: the body, read to its last byte within bounds; its age; the tool's scope.
//! 6. [`header`]: the session is unwrapped, the client's credentials are dropped, ours set.
//! 7. [`forward`]: a connection of this thread, the original bytes, the answer as it comes.
//! 8. [`header`] again: what of the answer is let through, and the session wrapped.
//! 9. [`edit`]: of a list of tools only those that the caller may call.
//! 10. [`relay`]: each chunk as it comes, until the answer, the grant or the client ends, and
//!     a comment where [`alive`] hears none.
//!
//! Each step yields what the next one needs, so none can be left out.

pub mod alive;
pub mod call;
pub mod edit;
pub mod forward;
pub mod gathered;
pub mod guard;
pub mod header;
pub mod pool;
pub mod refuse;
pub mod relay;
pub mod route;
pub mod seen_tokens;

use std::{future::Future, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, request::Parts};
use hyper::body::{Body as _, Incoming};
use tokio::{runtime, sync::watch};
use tower::ServiceExt as _;
use vestibule_core::{bearer::BearerError, era::Era, message_endpoint};

use self::{
    call::Permit,
    edit::Edit,
    header::ForwardedFor,
    refuse::Refusal,
    relay::AnswerBody,
    route::{Mount, Route, Routes},
    seen_tokens::SeenTokens,
};
use crate::{
    config::{Limits, Mode},
    http::{Doubt, Handler, peer::client_address},
    office::Office,
    revocation::Revocations,
};

/// Everything that a data thread needs; built on it.
pub struct Proxy {
    pub(crate) office: Arc<Office>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) limits: Limits,
    /// True once the process is asked to stop.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) seen_tokens: SeenTokens,
    forwarded_for: ForwardedFor,
    routes: Routes,
    pages: axum::Router,
    pages_runtime: runtime::Handle,
}

impl Proxy {
    /// A proxy to `mounts`; whatever is not a server's path goes to `pages`, which run on
    /// `pages_runtime`.
    pub fn new(
        office: Arc<Office>,
        revocations: Arc<Revocations>,
        limits: Limits,
        mounts: Vec<Mount>,
        pages: axum::Router,
        pages_runtime: runtime::Handle,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let pools = mounts.iter().map(|mount| Rc::clone(&mount.pool)).collect();
        tokio::task::spawn_local(pool::look_after(pools));
        let routes = Routes::new(office.issuer.authority().to_owned(), mounts);
        Self {
            office,
            revocations,
            limits,
            stopped,
            seen_tokens: SeenTokens::default(),
            forwarded_for: ForwardedFor::default(),
            routes,
            pages,
            pages_runtime,
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        match self.routes.find(&request) {
            Ok(Route::Server(mount)) => {
                let mut origin = None;
                let answer = self.serve(&mount, request, peer, &mut origin).await;
                let mut response = answer.unwrap_or_else(|refusal| {
                    let mut response = refusal.response(&self.office.issuer, &mount.resource);
                    self.add_nonce(&refusal, response.headers_mut());
                    response
                });
                if let Some(origin) = &origin {
                    crate::http::cors::for_origin(response.headers_mut(), origin);
                }
                response
            }
            // Boxed, so that the future of a call has no room for it.
            Ok(Route::Pages) => Box::pin(self.page(request, peer)).await,
            Err(refusal) => refusal.plain(),
        }
    }

    /// A refused proof gets the nonce for the next one (RFC 9449 §9).
    fn add_nonce(&self, refusal: &Refusal, headers: &mut HeaderMap) {
        if let Refusal::Bearer(BearerError::Proof(_)) = refusal {
            let keys = self.office.keys.load();
            let nonce = keys.resource_nonces.now(self.office.world.now());
            if let Ok(nonce) = HeaderValue::from_str(&nonce) {
                headers.insert("dpop-nonce", nonce);
            }
        }
    }

    async fn serve(
        &self,
        mount: &Rc<Mount>,
        request: Request<Incoming>,
        peer: SocketAddr,
        origin: &mut Option<HeaderValue>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        *origin = mount.judge_origin(request.headers(), &self.office.issuer)?;
        if request.method() == Method::OPTIONS {
            return Ok(preflight(request.headers()));
        }
        if ![Method::POST, Method::GET, Method::DELETE].contains(request.method()) {
            return Err(Refusal::Method);
        }
        let caller = guard::judge(self, mount, &request)?;
        let (parts, body) = request.into_parts();
        let client = client_address(peer.ip(), &parts.headers, &self.office.trusted_proxies);
        let held = &self.office.held;
        let place = match &caller {
            Some(caller) => held.take(&caller.token().subject),
            None => held.take(&client),
        };
        let place = place.ok_or(Refusal::TooMany)?;
        let permit = if parts.method == Method::POST {
            let permit = call::judge(&parts, body, mount, caller, &self.limits).await?;
            // The body may have taken its time.
            if let Some(caller) = permit.caller() {
                guard::judge_again(self, caller)?;
            }
            permit
        } else {
            Permit::without_body(&parts, caller)
        };
        let session = header::session_of(&parts.headers, &permit, mount, &self.office)?;
        let target = self.target(mount, &parts, &permit)?;
        let method = parts.method;
        let is_get = method == Method::GET;
        let client = self.forwarded_for.value(client);
        let headers = header::for_server(parts.headers, &permit, mount, session.as_deref(), client);
        let (answer, lease) =
            forward::send(self, mount, method, target, headers, permit.body()).await?;
        let legacy_session = permit.era() == Era::Legacy;
        let (answer, body) = answer.into_parts();
        let succeeded = answer.status.is_success();
        let mut response = header::for_client(
            answer,
            body.is_end_stream(),
            &permit,
            mount,
            legacy_session,
            &self.office,
        )?;
        let is_stream = header::is_event_stream(response.headers());
        let edit = Edit::of(&self.office, mount, &permit, is_get);
        let readable = is_stream || header::is_json(response.headers());
        // A list of tools in any other form would show what is hidden.
        let edit = match edit {
            Some(edit) if readable => Some(edit),
            // In the transport of 2024-11-05 the list comes on the stream, and words here.
            Some(edit)
                if edit.lists()
                    && mount.mode == Mode::Streamable
                    && succeeded
                    && !body.is_end_stream() =>
            {
                return Err(Refusal::ServerAnswer);
            }
            _ => None,
        };
        let answer = relay::Answer {
            body,
            lease,
            place,
            is_stream,
        };
        *response.body_mut() =
            relay::start(self, answer, permit.caller(), edit, &mount.resource.name).await?;
        Ok(response)
    }

    /// Where at the server a request goes.
    fn target(&self, mount: &Mount, parts: &Parts, permit: &Permit) -> Result<Uri, Refusal> {
        let query = parts.uri.query();
        if mount.mode == Mode::Streamable || parts.method == Method::GET {
            return mount.target_with(query).ok_or(Refusal::Target);
        }
        // A client that tries the newer transport first goes on from this answer.
        if parts.method != Method::POST || query.is_none() {
            return Err(Refusal::OldTransport);
        }
        let owner = mount.owner(permit.caller());
        let target = message_endpoint::open(query, &owner, &self.office.keys.load().browser)
            .ok_or(Refusal::Session)?;
        target.parse().map_err(|_| Refusal::Target)
    }

    /// Pages and OAuth endpoints run beside the data threads, and to their end even if the
    /// client goes away meanwhile.
    async fn page(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        let mut request = request.map(axum::body::Body::new);
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(peer));
        let answer = self
            .pages_runtime
            .spawn(self.pages.clone().oneshot(request));
        match answer.await {
            Ok(Ok(response)) => response.map(AnswerBody::page),
            Ok(Err(never)) => match never {},
            Err(panicked) => {
                tracing::error!(event = "page.panicked", %panicked);
                Refusal::Internal.plain()
            }
        }
    }
}

fn preflight(asked: &HeaderMap) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = crate::http::cors::preflight(response.headers_mut(), asked);
    response
}

impl Handler for Proxy {
    type Body = AnswerBody;

    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        doubt: Doubt,
    ) -> Pin<Box<dyn Future<Output = Response<AnswerBody>>>> {
        Box::pin(async move {
            let over_tls = !self.office.issuer.is_plain_http();
            match doubt {
                Doubt::No => {}
                Doubt::LengthTwice => return Refusal::LengthTwice.plain(),
                Doubt::TooLarge => return Refusal::HeadTooLarge.plain(),
            }
            // A body of unknown length ends its connection (RFC 9112 §6.1): whatever follows
            // it is never taken for a request.
            let chunked = request
                .headers()
                .contains_key(http::header::TRANSFER_ENCODING);
            let mut response = self.answer(request, peer).await;
            if over_tls {
                // Nobody is sent from plain HTTP to here: what was sent there was seen
                // (TLS-2). A browser that was here once does not try.
                response.headers_mut().insert(
                    http::header::STRICT_TRANSPORT_SECURITY,
                    HeaderValue::from_static("max-age=31536000"),
                );
            }
            if chunked {
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        })
    }
}
