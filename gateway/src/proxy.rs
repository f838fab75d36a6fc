//! What a request meets on its way to an MCP server, in order:
//!
//! 1. [`route`]: the `Host` is ours, the target is a path, and the path is a server's.
//! 2. `Origin`: a page of another site is turned away before anything else is looked at.
//! 3. A preflight is answered here; other methods than POST, GET and DELETE are not.
//! 4. [`guard`]: the token. Without a good one: where to log in, and nothing goes further.
//! 5. [`call`]: the body, read to its last byte within bounds; its age; the tool's scope.
//! 6. [`header`]: the session is unwrapped; [`credential`]: what the server gets, for which a
//!    [`person`] may have to do something first; the client's credentials are dropped, ours set.
//! 7. [`forward`]: a connection of this thread, the original bytes, the answer as it comes.
//! 8. [`header`] again: what of the answer is let through, and the session wrapped.
//! 9. [`edit`]: of a list of tools only those that the caller may call.
//! 10. [`relay`]: each chunk as it comes, until the answer, the grant or the client ends, and
//!     a comment where [`alive`] hears none.
//!
//! Each step yields what the next one needs, so none can be left out.

pub mod alive;
pub mod call;
pub mod credential;
pub mod edit;
pub mod forward;
pub mod gathered;
pub mod guard;
pub mod header;
pub mod person;
pub mod pool;
pub mod refuse;
pub mod relay;
pub mod route;
pub mod seen_tokens;

use std::{
    future::{Future, ready},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, request::Parts};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use tokio::{runtime, sync::watch};
use tower::ServiceExt as _;
use vestibule_core::{
    audit::Ended,
    bearer::{BearerError, Caller},
    era::Era,
    message_endpoint,
    time::Timestamp,
};

use self::{
    call::Permit,
    edit::Edit,
    guard::Looked,
    header::ForwardedFor,
    refuse::Refusal,
    relay::AnswerBody,
    route::{Mount, Route, Routes},
    seen_tokens::SeenTokens,
};
use crate::{
    config::{Limits, Transport},
    http::{Doubt, Handler, held::Place, peer::client_address},
    office::Office,
    revocation::Revocations,
    uses::Use,
    vault::{Headers, Vault},
};

/// Everything that a data thread needs; built on it.
pub struct Proxy {
    pub(crate) office: Arc<Office>,
    pub(crate) vault: Arc<Vault>,
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

/// A request whose head was judged.
struct Call {
    parts: Parts,
    body: Incoming,
    caller: Option<Caller>,
    place: Place,
    client: IpAddr,
}

/// What a request comes to without waiting.
enum Begun {
    /// A call of a server, and the page's origin that may read its answer.
    Call(Rc<Mount>, Option<HeaderValue>, Call),
    /// Something of our own.
    Page(Request<Incoming>),
    /// A call whose token is under a key that must be looked for, unless somebody has since.
    Later(Rc<Mount>, Request<Incoming>, Option<Timestamp>),
    /// An answer.
    Over(Response<AnswerBody>),
}

impl Proxy {
    /// A proxy to `mounts`; whatever is not a server's path goes to `pages`, which run on
    /// `pages_runtime`.
    pub fn new(
        vault: Arc<Vault>,
        revocations: Arc<Revocations>,
        limits: Limits,
        mounts: Vec<Mount>,
        pages: axum::Router,
        pages_runtime: runtime::Handle,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let office = Arc::clone(vault.office());
        let pools = mounts.iter().map(|mount| Rc::clone(&mount.pool)).collect();
        tokio::task::spawn_local(pool::look_after(pools));
        let routes = Routes::new(office.issuer.authority().to_owned(), mounts);
        Self {
            office,
            vault,
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

    /// All that needs no waiting: whose request it is, and whether it may begin.
    fn begin(&self, request: Request<Incoming>, peer: SocketAddr, looked: Looked) -> Begun {
        let mount = match self.routes.find(&request) {
            Ok(Route::Server(mount)) => mount,
            Ok(Route::Pages) => return Begun::Page(request),
            Err(refusal) => return Begun::Over(refusal.unplaced(&self.office.issuer)),
        };
        let origin = match mount.judge_origin(request.headers(), &self.office.issuer) {
            Ok(origin) => origin,
            Err(refusal) => return Begun::Over(self.refused(&refusal, &mount, None)),
        };
        if request.method() == Method::OPTIONS {
            let mut response = preflight(request.headers());
            if let Some(origin) = &origin {
                crate::http::cors::for_origin(response.headers_mut(), origin);
            }
            return Begun::Over(response);
        }
        let refused = |refusal| Begun::Over(self.refused(&refusal, &mount, origin.as_ref()));
        if ![Method::POST, Method::GET, Method::DELETE].contains(request.method()) {
            return refused(Refusal::Method);
        }
        let caller = match guard::judge(self, &mount, &request, looked) {
            Ok(caller) => caller,
            Err(Refusal::NoKeys(seen)) if looked == Looked::No => {
                return Begun::Later(mount, request, seen);
            }
            Err(refusal) => {
                guard::note_refused(self, &mount, &request, peer, &refusal);
                return refused(refusal);
            }
        };
        match self.admit(request, peer, caller) {
            Ok(call) => Begun::Call(mount, origin, call),
            Err(refusal) => refused(refusal),
        }
    }

    /// Whether one more request of whoever calls may be open.
    fn admit(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        caller: Option<Caller>,
    ) -> Result<Call, Refusal> {
        let (parts, body) = request.into_parts();
        let client = client_address(peer.ip(), &parts.headers, &self.office.trusted_proxies);
        let held = &self.office.held;
        let place = match &caller {
            Some(caller) => held.take(&caller.token().subject),
            None => held.take(&client),
        };
        Ok(Call {
            parts,
            body,
            caller,
            place: place.ok_or(Refusal::TooMany)?,
            client,
        })
    }

    /// What a refusal looks like on this server's path.
    fn refused(
        &self,
        refusal: &Refusal,
        mount: &Mount,
        origin: Option<&HeaderValue>,
    ) -> Response<AnswerBody> {
        let mut response = refusal.response(&self.office.issuer, &mount.resource);
        self.add_nonce(refusal, response.headers_mut());
        if let Some(origin) = origin {
            crate::http::cors::for_origin(response.headers_mut(), origin);
        }
        response
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

    #[expect(
        clippy::manual_async_fn,
        reason = "one has room for its arguments twice, and each call in flight is one of these"
    )]
    fn serve(
        self: Rc<Self>,
        mount: Rc<Mount>,
        call: Call,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Refusal>> {
        async move {
            let mut permit = if call.parts.method == Method::POST {
                let mut permit =
                    call::judge(&call.parts, call.body, &mount, call.caller, &self).await?;
                // The body may have taken its time.
                if let Some(caller) = permit.caller() {
                    let still = guard::judge_again(&self, caller);
                    still.inspect_err(|refusal| permit.ended(refusal.ended()))?;
                }
                permit
            } else {
                Permit::without_body(&call.parts, call.caller)
            };
            let is_get = call.parts.method == Method::GET;
            let credential = match credential::at_hand(&self, &mount, &permit) {
                Some(at_hand) => at_hand,
                // Rare, and too large to be carried along in every call.
                None => Box::pin(credential::fetched(&self, &mount, &permit)).await,
            };
            let mut lacking = None;
            let headers = &call.parts.headers;
            let session = header::session_of(headers, &permit, &mount, &self.office);
            let session = session.inspect_err(|refusal| permit.ended(refusal.ended()))?;
            let credential = match credential {
                Ok(credential) => credential,
                Err(refusal) if credential::goes_without(&refusal, &permit) => {
                    lacking = Some(refusal);
                    Arc::clone(&mount.fixed)
                }
                // Somebody is asked to open an address, and may be waited for.
                Err(refusal) => {
                    let shows_addresses = header::shows_addresses(headers, session.as_ref());
                    let asking = person::ask(&self, &mount, &permit, shows_addresses, refusal);
                    match Box::pin(asking).await {
                        Ok(credential) => credential,
                        Err(unready) => {
                            let person::Unready { refusal, answer } = *unready;
                            permit.ended(refusal.ended());
                            return answer.ok_or(refusal);
                        }
                    }
                }
            };
            let id = session.as_ref().map(|session| session.id.as_str());
            let id = id.filter(|id| !id.is_empty());
            let request = self.request(&mount, &permit, call.parts, id, call.client, &credential);
            let request = request.inspect_err(|refusal| permit.ended(refusal.ended()))?;
            let sent = forward::send(&self.limits, &mount, request).await;
            let (answer, lease) = sent.inspect_err(|refusal| permit.ended(refusal.ended()))?;
            permit.ended(Ended::Answered(answer.status().as_u16()));
            if answer.status() == StatusCode::UNAUTHORIZED {
                if let Some(refusal) = lacking {
                    return Err(refusal);
                }
                credential::not_taken(&self, &mount, &permit, &credential);
            }
            let (answer, body) = answer.into_parts();
            let succeeded = answer.status.is_success();
            if succeeded
                && permit.lists_tools()
                && let Some(caller) = permit.caller()
            {
                self.office
                    .uses
                    .note_token(caller.token(), Use::ToolsListed, String::new);
            }
            let mut response = header::for_client(
                answer,
                body.is_end_stream(),
                &permit,
                &mount,
                match permit.era() {
                    Era::Legacy if mount.transport == Transport::Streamable => {
                        header::SessionIn::Sent(session.as_ref())
                    }
                    Era::Legacy | Era::Modern => header::SessionIn::None,
                },
                &self.office,
            )?;
            let is_stream = header::is_event_stream(response.headers());
            let edit = Edit::of(&self.office, &mount, &permit, is_get);
            let readable = is_stream || header::is_json(response.headers());
            // A list of tools in any other form would show what is hidden.
            let edit = match edit {
                Some(edit) if readable => Some(edit),
                // In the transport of 2024-11-05 the list comes on the stream, and words here.
                Some(edit)
                    if edit.lists()
                        && mount.transport == Transport::Streamable
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
                place: call.place,
                is_stream,
            };
            *response.body_mut() =
                relay::start(&self, answer, permit.caller(), edit, &mount.resource.name).await?;
            Ok(response)
        }
    }

    /// What the server gets for a permitted request.
    fn request(
        &self,
        mount: &Mount,
        permit: &Permit,
        parts: Parts,
        session: Option<&str>,
        client: IpAddr,
        credential: &Headers,
    ) -> Result<Request<Full<Bytes>>, Refusal> {
        let mut request = Request::new(Full::new(permit.body()));
        *request.uri_mut() = self.target(mount, &parts, permit)?;
        *request.method_mut() = parts.method;
        let client = self.forwarded_for.value(client);
        *request.headers_mut() =
            header::for_server(parts.headers, permit, mount, session, client, credential);
        Ok(request)
    }

    /// What every answer says, whoever gave it.
    fn finish(&self, headers: &mut HeaderMap, chunked: bool) {
        if !self.office.issuer.is_plain_http() {
            // Nobody is sent from plain HTTP to here: what was sent there was seen (TLS-2).
            // A browser that was here once does not try.
            headers.insert(
                http::header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
        if chunked {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Where at the server a request goes.
    fn target(&self, mount: &Mount, parts: &Parts, permit: &Permit) -> Result<Uri, Refusal> {
        let query = parts.uri.query();
        if mount.transport == Transport::Streamable || parts.method == Method::GET {
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
        // A body of unknown length ends its connection (RFC 9112 §6.1): whatever follows
        // it is never taken for a request.
        let chunked = request
            .headers()
            .contains_key(http::header::TRANSFER_ENCODING);
        let begun = match doubt {
            Doubt::No => self.begin(request, peer, Looked::No),
            Doubt::LengthTwice => Begun::Over(Refusal::LengthTwice.plain()),
            Doubt::TooLarge => Begun::Over(Refusal::HeadTooLarge.plain()),
        };
        self.go_on(begun, peer, chunked)
    }
}

impl Proxy {
    fn go_on(
        self: Rc<Self>,
        begun: Begun,
        peer: SocketAddr,
        chunked: bool,
    ) -> Pin<Box<dyn Future<Output = Response<AnswerBody>>>> {
        match begun {
            Begun::Later(mount, request, seen) => Box::pin(async move {
                let looked = guard::look_for_key(&self, &mount, seen).await;
                let begun = self.begin(request, peer, looked);
                self.go_on(begun, peer, chunked).await
            }),
            Begun::Call(mount, origin, call) => Box::pin(async move {
                let caller = call.caller.clone();
                let mut response = match Rc::clone(&self).serve(Rc::clone(&mount), call).await {
                    Ok(mut response) => {
                        if let Some(origin) = &origin {
                            crate::http::cors::for_origin(response.headers_mut(), origin);
                        }
                        response
                    }
                    Err(refusal) => {
                        if let Some((caller, code)) = caller.zip(refusal.code()) {
                            let noted = &self.office.uses;
                            let why = || refusal.to_string();
                            noted.note_token(caller.token(), Use::Refused(code), why);
                        }
                        self.refused(&refusal, &mount, origin.as_ref())
                    }
                };
                self.finish(response.headers_mut(), chunked);
                response
            }),
            Begun::Page(request) => Box::pin(async move {
                let mut response = self.page(request, peer).await;
                self.finish(response.headers_mut(), chunked);
                response
            }),
            Begun::Over(mut response) => {
                self.finish(response.headers_mut(), chunked);
                Box::pin(ready(response))
            }
        }
    }
}
