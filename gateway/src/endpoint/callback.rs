//! `/oauth-callback`: the person is back from the identity provider.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};
use vestibule_core::{
    authorize::AuthorizeError,
    callback::{Answer, Says},
    client::Client,
    flow::Step,
    id::{GrantId, PersonId, TicketId},
    id_token::IdTokenError,
    jwt::JwtError,
    params::Params,
    pkce::CodeVerifier,
    resource::MAIN_PROVIDER,
    secret::Digest,
    sign_in,
    token::authorization_code,
    uri::host_for_people,
};

use super::{
    answer::{self, Refused},
    ask::{self, Asking, Known},
    consent::{LoginSecrets, not_stored, store_failed},
    login, session,
    visit::Visit,
};
use crate::{
    http::peer::client_address,
    office::{Office, Purpose},
    provider::{Provider, ProviderError},
    store::{Finished, FinishedLogin, Person, StoreError, TakenLogin, idp_place, login_place},
};

/// `GET /oauth-callback`: back from the main provider.
pub async fn callback(
    state: State<Arc<Office>>,
    peer: ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    of_provider(state, Path(MAIN_PROVIDER.to_owned()), peer, uri, headers).await
}

/// `GET /oauth-callback/{name}`: back from a further one.
pub async fn of_provider(
    State(office): State<Arc<Office>>,
    Path(name): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = office.providers.named(&name) else {
        return answer::nothing_here(&office);
    };
    let asker = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let answer = Params::parse(uri.query().unwrap_or_default())
        .ok()
        .and_then(|params| Answer::read(&params).ok());
    let Some(answer) = answer else {
        return incomplete(&office);
    };
    if answer.state.starts_with(sign_in::PREFIX) {
        return login::came_back(&office, provider, &headers, &answer).await;
    }
    let state = Digest::of(answer.state.as_bytes());
    // Only the browser that pressed Allow holds this; an address alone opens nothing.
    let Some(binding) = office.jar.login(&headers, &state) else {
        return another_browser(&office, state).await;
    };
    let login = match office
        .store
        .take_login(state, Digest::of(binding.as_bytes()))
        .await
    {
        Ok(Some(login)) => login,
        Ok(None) => return used(&office),
        Err(error) => return not_taken(&office, state, &error).await,
    };
    let from = Returning {
        asker,
        headers: &headers,
    };
    let mut response = answered(&office, provider, &answer, &login, &state, &from).await;
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.clear_login(&state));
    response
}

/// Who comes back.
struct Returning<'r> {
    asker: IpAddr,
    headers: &'r HeaderMap,
}

async fn answered(
    office: &Office,
    provider: &Provider,
    answer: &Answer,
    login: &TakenLogin,
    state: &Digest,
    from: &Returning<'_>,
) -> Response {
    office.flows.record(login.flow, Step::CameBack);
    if office.world.now() > login.expires {
        let step = Step::refused("V-IDP-004", "the sign-in took too long");
        office.flows.record(login.flow, step);
        return too_late(office, login);
    }
    let discovered = match provider.discovered().await {
        Ok(discovered) => discovered,
        Err(error) => {
            let why = AuthorizeError::ProviderUnreachable;
            return refused(office, login, "V-IDP-001", &error.to_string(), why);
        }
    };
    // The address that it came to is one provider's, and the login went to one (UP-22).
    if login.issuer != provider.issuer() || !provider.gave(answer, &discovered) {
        let step = Step::refused("V-IDP-003", "the answer names another identity provider");
        office.flows.record(login.flow, step);
        return mixed_up(office, login);
    }
    let code = match &answer.says {
        Says::Code(code) => code,
        Says::Error { error, said } => {
            let step = Step::ProviderRefused {
                error: error.clone(),
                said: said.clone(),
            };
            office.flows.record(login.flow, step);
            let why = match error.as_str() {
                "access_denied"
                | "login_required"
                | "interaction_required"
                | "consent_required"
                | "account_selection_required" => AuthorizeError::NotSignedIn,
                "temporarily_unavailable" => AuthorizeError::ProviderUnreachable,
                _ => AuthorizeError::ProviderFailed,
            };
            return tell_client(office, login, why);
        }
    };
    let keys = office.keys.load_full();
    let secrets: Option<LoginSecrets> = keys
        .open_at_rest(&login_place(state), login.sealed.clone())
        .and_then(|plain| serde_json::from_slice(&plain).ok());
    let Some((secrets, verifier)) = secrets
        .and_then(|secrets| Some((CodeVerifier::parse(&secrets.verifier).ok()?, secrets)))
        .map(|(verifier, secrets)| (secrets, verifier))
    else {
        tracing::error!(event = "store.damaged", what = "a login does not open");
        let why = "what was kept of this sign-in cannot be opened";
        return refused(office, login, "V-STO-002", why, AuthorizeError::Internal);
    };
    let tokens = match provider.redeem(&discovered, code, &verifier).await {
        Ok(tokens) => tokens,
        Err(error) => return failed(office, login, &error).await,
    };
    let identity = match provider
        .identify(&discovered, &tokens, &secrets.nonce, &login.ask.login)
        .await
    {
        Ok(identity) => identity,
        Err(error) => return failed(office, login, &error).await,
    };
    // Hiding a server is no control: whoever may not use it gets no code for it (T-GRD-11).
    let allowed = office
        .catalogue
        .by_uri(&login.ask.resource)
        .and_then(|resource| {
            let (subject, groups) = (identity.subject(), identity.groups());
            office.admitted(resource, identity.issuer(), subject, groups)
        })
        .is_some();
    if !allowed {
        let why = "a rule denies this person the server";
        return not_allowed(
            office,
            login,
            Refused::of(StatusCode::FORBIDDEN, "V-POL-001"),
            why,
        );
    }
    let idp = provider.to_keep(&tokens);
    finish(office, login, identity, idp, from).await
}

async fn finish(
    office: &Office,
    login: &TakenLogin,
    identity: vestibule_core::identity::VerifiedIdentity,
    idp: Option<Vec<u8>>,
    from: &Returning<'_>,
) -> Response {
    let found = office.client(&login.ask.client_id, Purpose::Login, from.asker);
    let Ok(client) = found.await else {
        let why = "the app is not known any more";
        return refused(office, login, "V-CLI-001", why, AuthorizeError::Internal);
    };
    let keys = office.keys.load_full();
    let now = office.world.now();
    let grant = GrantId::new(office.world.random());
    let code = format!("{}{}", authorization_code::PREFIX, office.random_text());
    let (cookie, session) = session::begin(office, login.session);
    let person = Person {
        // Known once the store has it.
        id: PersonId::new(office.world.random()),
        shown: identity.for_people().to_owned(),
        issuer: identity.issuer().to_owned(),
        subject: identity.subject().to_owned(),
        groups: identity.groups().to_vec(),
    };
    let finished = office
        .store
        .finish_login(FinishedLogin {
            new_person: person.id,
            ask: login.ask.clone(),
            named: login.named,
            left_out: login.left_out,
            client_name: client.name_for_people(),
            described: client.described(),
            shown: login.described,
            session,
            code: Digest::of(code.as_bytes()),
            grant,
            idp: idp.map(|plain| keys.seal_at_rest(&idp_place(grant), &plain, &office.world)),
            flow: login.flow,
            now,
            expires: now.plus(authorization_code::LIFE),
            identity,
        })
        .await;
    let mut response = match finished {
        Ok(Finished::Now(id)) => {
            tracing::info!(event = "login.succeeded", flow = %login.flow, user_ref = %id);
            let person = person.shown;
            office.flows.record(login.flow, Step::SignedIn { person });
            office.flows.record(login.flow, Step::CodeSent);
            answer::redirect(&login.ask.success_location(&office.issuer, &code))
        }
        Ok(Finished::NotAllowed(id)) => {
            let step = Step::SignedIn {
                person: person.shown.clone(),
            };
            office.flows.record(login.flow, step);
            let person = Person { id, ..person };
            ask_again(office, login, &client, person, from.headers).await
        }
        Ok(Finished::NotAdmitted) => {
            let why = "an operator blocked the app, or limited what it may ask for";
            let page = Refused::of(StatusCode::FORBIDDEN, "V-CLI-005").saying("not-admitted-now");
            return not_allowed(office, login, page, why);
        }
        Ok(Finished::Blocked) => {
            let why = "an operator does not let this person in";
            return not_allowed(
                office,
                login,
                Refused::of(StatusCode::FORBIDDEN, "V-POL-002"),
                why,
            );
        }
        Err(error) => return not_stored(office, login.flow, &error),
    };
    response
        .headers_mut()
        .append(header::SET_COOKIE, office.jar.set_session(&cookie));
    response
}

/// Somebody came back who has not allowed this: they are asked, whatever was remembered of
/// another (T-CON-04).
async fn ask_again(
    office: &Office,
    login: &TakenLogin,
    client: &Client,
    person: Person,
    headers: &HeaderMap,
) -> Response {
    let visit = Visit::to(office, headers, login.flow);
    let somebody_else = login.named.is_some_and(|named| named != person.id);
    let known = Known {
        somebody_else,
        ..Known::as_person(office, person, client, &login.ask).await
    };
    let asking = Asking {
        client,
        ask: &login.ask,
        ticket: TicketId::new(office.world.random()),
        device: None,
    };
    let mut response = ask::ask(office, &visit, &known, &asking).await;
    visit.keep(office, &mut response);
    response
}

/// The provider failed: the record keeps its words, the client hears a fixed sentence.
async fn failed(office: &Office, login: &TakenLogin, error: &ProviderError) -> Response {
    let why = match error {
        ProviderError::Unreachable(_) => AuthorizeError::ProviderUnreachable,
        ProviderError::TokenRefused { .. }
        | ProviderError::Discovery(_)
        | ProviderError::Issuer(_)
        | ProviderError::Credential(_)
        | ProviderError::NoIdToken
        | ProviderError::NoAccessToken
        | ProviderError::Signature(_)
        | ProviderError::Claims(_) => AuthorizeError::ProviderFailed,
    };
    tracing::warn!(event = "login.failed", flow = %login.flow, %error);
    // Somebody chose another account than the company's, and can choose again.
    if let ProviderError::Claims(IdTokenError::Organization) = error {
        let page = Refused::of(StatusCode::FORBIDDEN, "V-IDP-023");
        return not_allowed(office, login, page, &error.to_string());
    }
    office.flows.record(login.flow, step_of(error));
    tell_client(office, login, why)
}

/// The step of a record that such a failure is.
pub fn step_of(error: &ProviderError) -> Step {
    let code = match error {
        ProviderError::Unreachable(_) => {
            return Step::ProviderTokenFailed {
                status: 0,
                error: String::new(),
                said: String::new(),
            };
        }
        ProviderError::TokenRefused {
            status,
            error,
            said,
            ..
        } => {
            return Step::ProviderTokenFailed {
                status: *status,
                error: error.clone(),
                said: said.clone(),
            };
        }
        ProviderError::Credential(_) => "V-IDP-021",
        ProviderError::NoIdToken | ProviderError::NoAccessToken => "V-IDP-018",
        ProviderError::Signature(JwtError::NoSuchKey) => "V-IDP-016",
        ProviderError::Signature(_) => "V-IDP-011",
        ProviderError::Claims(claims) => claims.code(),
        ProviderError::Discovery(_) | ProviderError::Issuer(_) => "V-IDP-001",
    };
    Step::refused(code, error.to_string())
}

/// A step that we refuse: the record gets its code, the client a fixed sentence.
fn refused(
    office: &Office,
    login: &TakenLogin,
    code: &str,
    why: &str,
    answer: AuthorizeError,
) -> Response {
    let step = Step::refused(code, why);
    office.flows.record(login.flow, step);
    tell_client(office, login, answer)
}

fn tell_client(office: &Office, login: &TakenLogin, why: AuthorizeError) -> Response {
    let error_uri = office.flow_url(login.flow);
    answer::redirect(
        &login
            .ask
            .refused(why)
            .location(&office.issuer, Some(&error_uri)),
    )
}

/// A rule stops it. The person reads that here, and whom to ask: an app says at most that it
/// did not work. It hears of it when they go back to it.
fn not_allowed(office: &Office, login: &TakenLogin, page: Refused<'static>, why: &str) -> Response {
    let step = Step::refused(page.code(), why);
    office.flows.record(login.flow, step);
    let refused = login.ask.refused(AuthorizeError::NotAllowed);
    let location = refused.location(&office.issuer, Some(&office.flow_url(login.flow)));
    let host = host_for_people(refused.to.text());
    let server = office.catalogue.by_uri(&login.ask.resource);
    page.with("server", server.map_or("", |server| server.title.as_str()))
        .back(&location, &host)
        .page(office, Some(login.flow))
}

fn incomplete(office: &Office) -> Response {
    Refused::of(StatusCode::BAD_REQUEST, "V-IDP-005").page(office, None)
}

/// The login is still there for the browser that began it; its record hears of this.
async fn another_browser(office: &Office, state: Digest) -> Response {
    tracing::warn!(event = "callback.another_browser");
    if let Ok(Some(flow)) = office.store.login_flow(state).await {
        let step = Step::refused(
            "V-IDP-002",
            "the way back came in another browser, or without its cookie",
        );
        office.flows.record_once(flow, step).await;
    }
    Refused::of(StatusCode::FORBIDDEN, "V-IDP-002").page(office, None)
}

/// The store did not give the login out. Whose it is can still be read if its disk is full.
async fn not_taken(office: &Office, state: Digest, error: &StoreError) -> Response {
    if let Ok(Some(flow)) = office.store.login_flow(state).await {
        let refused = Step::refused("V-STO-001", "the store did not answer");
        // Once: whose browser this is has not been seen.
        office.flows.record_once(flow, Step::CameBack).await;
        office.flows.record_once(flow, refused).await;
    }
    store_failed(office, error)
}

fn used(office: &Office) -> Response {
    Refused::of(StatusCode::BAD_REQUEST, "V-IDP-006").page(office, None)
}

fn too_late(office: &Office, login: &TakenLogin) -> Response {
    Refused::of(StatusCode::GONE, "V-IDP-004").page(office, Some(login.flow))
}

fn mixed_up(office: &Office, login: &TakenLogin) -> Response {
    Refused::of(StatusCode::BAD_REQUEST, "V-IDP-003").page(office, Some(login.flow))
}
