//! `/login` and `/logout`: a person signs in to our own pages, with no app that asks.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use vestibule_core::{
    assertion::Once,
    authorize::LoginWishes,
    callback::{Answer, Says},
    flow::Step,
    id::PersonId,
    params::Params,
    pkce::CodeVerifier,
    secret::Digest,
    sign_in::{self, Destination, SignIn},
    ticket::TicketError,
};

use super::{
    answer, callback,
    consent::{comes_from_our_page, store_failed},
    session::{self, Session},
};
use crate::{office::Office, page, provider::Provider, store::SignedIn};

/// `GET /login?to=…&provider=…`: to the provider and back. Nothing is stored. Where there are
/// several, the person chooses first.
pub async fn begin(State(office): State<Arc<Office>>, uri: Uri, headers: HeaderMap) -> Response {
    let params = Params::parse(uri.query().unwrap_or_default()).unwrap_or_default();
    let one = |name| params.one(name).ok().flatten();
    let link = one("link").map(|link| Digest::of(link.as_bytes()));
    let to = match link {
        Some(_) => Destination::Operator,
        None => one("to")
            .and_then(Destination::parse)
            .unwrap_or(Destination::Apps),
    };
    let Some(provider) = session::signs_in(&office, to, one("provider")) else {
        return session::sign_in_first(&office, to);
    };
    match begin_at(&office, provider, to, link, &headers).await {
        Ok(begun) => {
            let mut response = answer::redirect(&begun.location);
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, begun.cookie);
            response
        }
        Err(response) => response,
    }
}

/// A sign-in that begins.
pub(super) struct Begun {
    /// Where the provider is.
    pub(super) location: String,
    /// What binds it to this browser.
    pub(super) cookie: HeaderValue,
}

/// Begins one at `provider`.
pub(super) async fn begin_at(
    office: &Office,
    provider: &Provider,
    to: Destination,
    link: Option<Digest>,
    headers: &HeaderMap,
) -> Result<Begun, Response> {
    let discovered = provider.discovered().await.map_err(|error| {
        tracing::warn!(event = "person.not_signed_in", %error);
        answer::from_catalogue(office, StatusCode::SERVICE_UNAVAILABLE, "V-IDP-001")
    })?;
    let verifier = CodeVerifier::from_random(&office.world.random());
    let binding = office.random_text();
    let sign_in = SignIn {
        nonce: office.random_text(),
        verifier: verifier.expose().to_owned(),
        begun: office.world.now(),
        to,
        link,
        provider: provider.name().to_owned(),
        before: office
            .jar
            .session(headers)
            .map(|cookie| Digest::of(cookie.as_bytes())),
    };
    let state = sign_in.seal(&office.keys.load().browser, &binding, office.world.random());
    let location = provider.authorization_url(
        &discovered,
        &state,
        &sign_in.nonce,
        &verifier.challenge(),
        &LoginWishes::default(),
    );
    let state = Digest::of(state.as_bytes());
    Ok(Begun {
        location,
        cookie: office.jar.set_login(&state, &binding),
    })
}

/// The provider's answer to a sign-in that [`begin`] began.
pub(super) async fn came_back(
    office: &Office,
    provider: &Provider,
    headers: &HeaderMap,
    answer: &Answer,
) -> Response {
    let state = Digest::of(answer.state.as_bytes());
    let binding = office.jar.login(headers, &state);
    let keys = office.keys.load_full();
    let now = office.world.now();
    let opened = match &binding {
        Some(binding) => SignIn::open(&answer.state, &keys.browser, binding, now),
        None => Err(TicketError::NotOurs),
    };
    let mut response = match opened {
        Ok(sign_in) => match sign_in_of(office, provider, answer, &sign_in, &state).await {
            Ok(response) | Err(response) => response,
        },
        Err(TicketError::Expired) => answer::from_catalogue(office, StatusCode::GONE, "V-IDP-004"),
        Err(TicketError::NotOurs) => {
            tracing::warn!(event = "callback.another_browser");
            answer::from_catalogue(office, StatusCode::FORBIDDEN, "V-IDP-002")
        }
    };
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.clear_login(&state));
    response
}

async fn sign_in_of(
    office: &Office,
    provider: &Provider,
    answer: &Answer,
    sign_in: &SignIn,
    state: &Digest,
) -> Result<Response, Response> {
    let refused = |step: &Step| {
        let code = step.code().unwrap_or("V-IDP-008");
        tracing::warn!(event = "person.not_signed_in", code);
        answer::from_catalogue(office, StatusCode::FORBIDDEN, code)
    };
    let failed = |error| refused(&callback::step_of(&error));
    // Copies of one answer cause one request to the provider (T-IDP-02).
    let once = Once {
        digest: *state,
        until: sign_in.begun.plus(sign_in::LIFE),
    };
    if !office.sign_ins.first_use(once, office.world.now()) {
        let status = StatusCode::BAD_REQUEST;
        return Err(answer::from_catalogue(office, status, "V-IDP-006"));
    }
    let discovered = provider.discovered().await.map_err(failed)?;
    let theirs = sign_in.provider == provider.name();
    if !theirs || !provider.gave(answer, &discovered) {
        let status = StatusCode::BAD_REQUEST;
        return Err(answer::from_catalogue(office, status, "V-IDP-003"));
    }
    let code = match &answer.says {
        Says::Code(code) => code,
        Says::Error { error, said } => {
            return Err(refused(&Step::ProviderRefused {
                error: error.clone(),
                said: said.clone(),
            }));
        }
    };
    let not_ours = || answer::from_catalogue(office, StatusCode::FORBIDDEN, "V-IDP-002");
    let verifier = CodeVerifier::parse(&sign_in.verifier).map_err(|_| not_ours())?;
    let tokens = provider.redeem(&discovered, code, &verifier);
    let tokens = tokens.await.map_err(failed)?;
    let wishes = LoginWishes::default();
    let identity = provider.identify(&discovered, &tokens, &sign_in.nonce, &wishes);
    let identity = identity.await.map_err(failed)?;
    let (cookie, session) = session::begin(office, sign_in.before);
    let now = office.world.now();
    let not_stored = |error| store_failed(office, &error);
    let signed_in = office.store.sign_in(SignedIn {
        identity,
        new_person: PersonId::new(office.world.random()),
        session,
        now,
    });
    let Some(person) = signed_in.await.map_err(not_stored)? else {
        tracing::warn!(event = "person.not_signed_in", code = "V-POL-002");
        return Err(answer::from_catalogue(
            office,
            StatusCode::FORBIDDEN,
            "V-POL-002",
        ));
    };
    if let Some(link) = sign_in.link {
        let used = office.store.use_link(link, person, now);
        if !used.await.map_err(not_stored)? {
            tracing::warn!(event = "admin.link_refused", user_ref = %person);
            return Err(answer::from_catalogue(
                office,
                StatusCode::GONE,
                "V-ADM-002",
            ));
        }
        tracing::warn!(event = "admin.operator_made", user_ref = %person);
    }
    tracing::info!(event = "person.signed_in", user_ref = %person);
    let mut response = answer::redirect(&format!("{}/login/{}", office.issuer, sign_in.to));
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.set_session(&cookie));
    Ok(response)
}

/// `GET /login/{to}`: our own page goes on, since a browser that comes from the provider's
/// does not send the session's cookie yet.
pub async fn done(State(office): State<Arc<Office>>, Path(to): Path<String>) -> Response {
    let to = Destination::parse(&to).unwrap_or(Destination::Apps);
    page::answer(
        StatusCode::OK,
        &page::SignedIn {
            frame: office.frame(None),
            path: &to.path(),
        },
    )
}

/// `GET /logout`: what signing out does, and a button.
pub async fn ask_to_leave(State(office): State<Arc<Office>>, headers: HeaderMap) -> Response {
    match Session::of(&office, &headers).await {
        Ok(Some(session)) => page::answer_with_form(
            StatusCode::OK,
            &page::SignOut {
                frame: office.frame(None),
                person: Some(&session.person.shown),
                token: &session.form_token(&office),
            },
        ),
        Ok(None) => signed_out(&office),
        Err(error) => store_failed(&office, &error),
    }
}

/// `POST /logout`.
pub async fn leave(State(office): State<Arc<Office>>, headers: HeaderMap, body: Body) -> Response {
    let session = match Session::of(&office, &headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return signed_out(&office),
        Err(error) => return store_failed(&office, &error),
    };
    if from_their_page(&office, &session, &headers, body)
        .await
        .is_none()
    {
        return answer::from_catalogue(&office, StatusCode::FORBIDDEN, "V-APP-001");
    }
    let digest = Digest::of(session.cookie.as_bytes());
    if let Err(error) = office.store.end_session(digest).await {
        return store_failed(&office, &error);
    }
    let mut response = signed_out(&office);
    let jar = office.jar;
    for cookie in jar.clear_forms().chain([jar.clear_session()]) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The form's text, if it came from a page of this session.
pub(super) async fn from_their_page(
    office: &Office,
    session: &Session,
    headers: &HeaderMap,
    body: Body,
) -> Option<String> {
    if !comes_from_our_page(office, headers) {
        return None;
    }
    let text = answer::form(headers, body, office.body_max).await.ok()?;
    let params = Params::parse(&text).ok()?;
    let token = params.one("token").ok()??;
    let theirs = session.form_token_matches(office, token);
    theirs.then_some(text)
}

fn signed_out(office: &Office) -> Response {
    page::answer(
        StatusCode::OK,
        &page::SignOut {
            frame: office.frame(None),
            person: None,
            token: "",
        },
    )
}
