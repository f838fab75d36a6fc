//! Who is at the console: a session of its own, begun with a pass from our own pages, and a
//! role that is looked up at each request (T-ADM-01, T-ADM-02).

use std::sync::Arc;

use axum::{body::Body, extract::FromRequestParts, response::Response};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use vestibule_core::{
    audit::Actor, operator::Role, params::Params, secret::Digest, sign_in::Destination,
};

use super::Admin;
use crate::{
    endpoint::{answer, store_failed},
    office::Office,
    store::Person,
};

/// Somebody with a role.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// Who.
    pub(super) person: Person,
    /// What they may do.
    pub(super) role: Role,
    cookie: String,
}

/// Under which a session at the console rests: no session of our own pages is one.
pub(super) fn digest_of(cookie: &str) -> Digest {
    Digest::of(format!("console\n{cookie}").as_bytes())
}

impl Who {
    /// Whoever sent these headers, if they have a session here and a role.
    pub(super) async fn of(admin: &Admin, headers: &HeaderMap) -> Result<Self, NotHere> {
        let office = &admin.office;
        let cookie = admin.jar.console(headers).ok_or(NotHere::Nobody)?;
        let failed = |error| NotHere::Page(Box::new(store_failed(office, &error)));
        let now = office.world.now();
        let person = office
            .store
            .session(digest_of(&cookie), now.minus(office.vouching.recheck), now)
            .await;
        let person = person.map_err(failed)?.ok_or(NotHere::Nobody)?;
        let role = office.role(&person).await.map_err(failed)?;
        let role = role.ok_or_else(|| {
            tracing::warn!(event = "admin.refused", user_ref = %person.id);
            NotHere::page(office, StatusCode::FORBIDDEN, "V-ADM-001")
        })?;
        Ok(Self {
            person,
            role,
            cookie,
        })
    }

    /// Who does something, for the audit.
    pub(super) fn actor(&self) -> Actor {
        Actor::Person {
            id: self.person.id,
            shown: self.person.shown.clone(),
        }
    }

    /// What forms of this session carry.
    pub(super) fn form_token(&self, office: &Office) -> String {
        let keys = office.keys.load();
        keys.form
            .tag_text(&[b"console form", self.cookie.as_bytes()])
    }

    /// The digest of this session.
    pub(super) fn session(&self) -> Digest {
        digest_of(&self.cookie)
    }
}

/// Why somebody is not let in.
pub(super) enum NotHere {
    /// Nobody is signed in.
    Nobody,
    /// This says it.
    Page(Box<Response>),
}

impl NotHere {
    fn page(office: &Office, status: StatusCode, code: &str) -> Self {
        Self::Page(Box::new(answer::from_catalogue(office, status, code)))
    }
}

/// Whether a request names us in `Host`: a page of another name that leads here gets nothing.
pub(super) fn is_for_us(admin: &Admin, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let ours = hosts
        .next()
        .is_some_and(|host| host.as_bytes() == admin.url.authority().as_bytes());
    ours && hosts.next().is_none()
}

/// Whether a request comes from our own page.
pub(super) fn comes_from_here(admin: &Admin, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let ours = origins
        .next()
        .is_some_and(|origin| origin.as_bytes() == admin.url.text().as_bytes());
    let site = headers
        .get("sec-fetch-site")
        .is_none_or(|site| site.as_bytes() == b"same-origin");
    ours && origins.next().is_none() && site
}

/// Pages begin with this: nobody who is not let in gets further, and who is not signed in is
/// sent to do so.
impl FromRequestParts<Arc<Admin>> for Who {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        admin: &Arc<Admin>,
    ) -> Result<Self, Self::Rejection> {
        let office = &admin.office;
        if !is_for_us(admin, &parts.headers) {
            let status = StatusCode::MISDIRECTED_REQUEST;
            return Err(answer::from_catalogue(office, status, "V-ADM-003"));
        }
        match Self::of(admin, &parts.headers).await {
            Ok(who) => Ok(who),
            Err(NotHere::Page(response)) => Err(*response),
            Err(NotHere::Nobody) if parts.method == Method::GET => Err(sign_in(admin)),
            Err(NotHere::Nobody) => Err(answer::from_catalogue(
                office,
                StatusCode::FORBIDDEN,
                "V-ADM-004",
            )),
        }
    }
}

/// To our own pages and back, for this browser only.
fn sign_in(admin: &Admin) -> Response {
    let cookie = admin.office.random_text();
    let to = Destination::Console(Digest::of(cookie.as_bytes()));
    let location = format!("{}/login?to={to}", admin.office.issuer);
    let mut response = answer::redirect(&location);
    response
        .headers_mut()
        .append(header::SET_COOKIE, admin.jar.set_entering(&cookie));
    response
}

/// The form of an operator's own page here; who may only look is refused.
///
/// # Errors
/// The page that says why.
pub(super) async fn form(
    admin: &Admin,
    who: &Who,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Response> {
    let text = from_their_page(admin, who, headers, body).await?;
    if who.role == Role::Operator {
        Ok(text)
    } else {
        let status = StatusCode::FORBIDDEN;
        Err(answer::from_catalogue(&admin.office, status, "V-ADM-006"))
    }
}

/// The form of somebody's own page here (T-ADM-03); anything else is refused.
///
/// # Errors
/// The page that says why.
pub(super) async fn from_their_page(
    admin: &Admin,
    who: &Who,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Response> {
    let office = &admin.office;
    let refused = || answer::from_catalogue(office, StatusCode::FORBIDDEN, "V-ADM-004");
    if !comes_from_here(admin, headers) {
        return Err(refused());
    }
    let text = answer::form(headers, body, office.body_max).await;
    let text = text.map_err(|_| refused())?;
    let theirs = Params::parse(&text).is_ok_and(|params| {
        let token = params.one("token").ok().flatten().unwrap_or_default();
        let keys = office.keys.load();
        let parts: [&[u8]; 2] = [b"console form", who.cookie.as_bytes()];
        keys.form.matches_text(&parts, token)
    });
    if theirs { Ok(text) } else { Err(refused()) }
}
