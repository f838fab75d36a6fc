//! `/device_authorization` and `/device` (RFC 8628): a program without a browser gets a code,
//! and a person types it here.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;
use vestibule_core::{
    WireError,
    id::TicketId,
    params::Params,
    secret::{Digest, MacKey},
    token::device_code::{self, DeviceOutcome, INTERVAL, LIFE, PREFIX, UserCode},
};

use super::{
    answer::{self, Refused},
    ask::{self, Asking, Known},
    consent::{comes_from_our_page, store_failed},
    token::{self, Failure},
    visit::Visit,
};
use crate::{
    http::peer::client_address,
    office::{Office, Purpose},
    page,
    store::{Begun, DeviceDecision, FoundDevice, NewDevice, StoreError, device_place},
};

/// How often a code is drawn anew because it is another's at this moment.
const TRIES: usize = 8;

/// `POST /device_authorization` (RFC 8628 §3.1).
pub async fn begin(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match begun(&office, peer, &headers, body).await {
        Ok(response) => response,
        Err(failure) => failure.response(&office),
    }
}

async fn begun(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if !office.tokens.device {
        let why = "the device grant is not offered here";
        return Err(Failure::Wire(WireError::new(
            404,
            "unsupported_grant_type",
            why,
        )));
    }
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let client = token::authenticate(office, peer, headers, &params, Purpose::Login).await?;
    let address = client_address(peer.ip(), headers, &office.trusted_proxies);
    office
        .devices
        .take(address, office.world.now())
        .map_err(|_| Failure::TooMany)?;
    let request = device_code::request(&params, client.client(), &office.catalogue)?;
    let device_code = format!("{PREFIX}{}", office.random_text());
    let now = office.world.now();
    for _ in 0..TRIES {
        let Some(user_code) = UserCode::from_random(&office.world.random()) else {
            continue;
        };
        let begun = office
            .store
            .begin_device(NewDevice {
                device: Digest::of(device_code.as_bytes()),
                user_code: user_code.digest(),
                request: request.clone(),
                interval: INTERVAL,
                now,
                expires: now.plus(LIFE),
            })
            .await?;
        match begun {
            Begun::Taken => {}
            Begun::Full => return Err(Failure::TooMany),
            Begun::Now => {
                let page = format!("{}/device", office.issuer);
                let body = json!({
                    "device_code": device_code,
                    "user_code": user_code.to_string(),
                    "verification_uri": page,
                    "verification_uri_complete": format!("{page}?user_code={user_code}"),
                    "expires_in": LIFE.as_secs(),
                    "interval": INTERVAL,
                });
                return Ok(answer::json(StatusCode::OK, &body));
            }
        }
    }
    Err(StoreError::Busy.into())
}

/// `GET /device`: where a person types the code.
pub async fn page(State(office): State<Arc<Office>>, uri: Uri, headers: HeaderMap) -> Response {
    if !office.tokens.device {
        return not_offered(&office);
    }
    let (cookie, fresh) = form_cookie(&office, &headers);
    let typed = Params::parse(uri.query().unwrap_or_default())
        .ok()
        .and_then(|params| UserCode::parse(params.one("user_code").ok()??))
        .map(|code| code.to_string())
        .unwrap_or_default();
    let mut response = draw(&office, StatusCode::OK, &cookie, &typed, None);
    if fresh {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, office.jar.set_form(&cookie));
    }
    response
}

/// `POST /device`: the code was typed; the person is asked like for any other app.
pub async fn typed(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !office.tokens.device {
        return not_offered(&office);
    }
    if !comes_from_our_page(&office, &headers) {
        return another_page(&office);
    }
    let Ok(text) = answer::form(&headers, body, office.body_max).await else {
        return another_page(&office);
    };
    let Ok(params) = Params::parse(&text) else {
        return another_page(&office);
    };
    let keys = office.keys.load_full();
    let token = params.one("token").ok().flatten().unwrap_or_default();
    let cookies = office.jar.forms(&headers);
    let matching = cookies
        .into_iter()
        .find(|cookie| form_token_matches(&keys.form, cookie, token));
    let Some(cookie) = matching else {
        return another_page(&office);
    };
    // Eight letters are few: whoever guesses must be slow (RFC 8628 §5.1).
    let address = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let now = office.world.now();
    // Taken before the try, so that many at once are counted like many in a row.
    if office.failures.take_for(address, "device", now).is_err() {
        let wrong = "device-too-many";
        return draw(
            &office,
            StatusCode::TOO_MANY_REQUESTS,
            &cookie,
            "",
            Some(wrong),
        );
    }
    let typed = params.one("user_code").ok().flatten().unwrap_or_default();
    let found = match UserCode::parse(typed) {
        Some(code) => match office.store.device_by_user_code(code.digest()).await {
            Ok(found) => found.map(|found| (code, found)),
            Err(error) => return store_failed(&office, &error),
        },
        None => None,
    };
    let waits = |found: &FoundDevice| {
        found.state.outcome == DeviceOutcome::Pending && now < found.state.expires
    };
    let Some((code, found)) = found.filter(|(_, found)| waits(found)) else {
        let wrong = "device-none";
        return draw(&office, StatusCode::NOT_FOUND, &cookie, "", Some(wrong));
    };
    office.failures.give_back(address, "device");
    let Ok(client) = office
        .client(&found.request.client_id, Purpose::Login, address)
        .await
    else {
        let wrong = "device-not-admitted";
        return draw(&office, StatusCode::NOT_FOUND, &cookie, "", Some(wrong));
    };
    let ask = device_code::ask(&found.request, &found.device, &keys.device, &office.issuer);
    let visit = Visit::begin(&office, &headers);
    // One decision for each device, on however many pages.
    let mut id = [0; 16];
    id.copy_from_slice(&found.device.bytes()[..16]);
    let code = code.to_string();
    let asking = Asking {
        client: &client,
        ask: &ask,
        ticket: TicketId::new(id),
        device: Some(&code),
    };
    ask::ask(&office, &visit, &Known::nobody(), &asking).await
}

/// `GET /device/done`: our own redirect URI, to which the answer for a device comes back.
pub async fn done(State(office): State<Arc<Office>>, uri: Uri) -> Response {
    let params = Params::parse(uri.query().unwrap_or_default()).unwrap_or_default();
    let one = |name| params.one(name).ok().flatten();
    let Some(device) = one("state").and_then(Digest::parse) else {
        return another_page(&office);
    };
    let keys = office.keys.load_full();
    let decision = match one("code") {
        Some(code) => DeviceDecision::Approved(keys.seal_at_rest(
            &device_place(&device),
            code.as_bytes(),
            &office.world,
        )),
        None => DeviceDecision::Denied,
    };
    let approved = matches!(decision, DeviceDecision::Approved(_));
    match office.store.decide_device(device, decision).await {
        Ok(true) => page::answer(
            StatusCode::OK,
            &page::DeviceDone {
                frame: office.frame(None),
                approved,
            },
        ),
        Ok(false) => another_page(&office),
        Err(error) => store_failed(&office, &error),
    }
}

fn form_cookie(office: &Office, headers: &HeaderMap) -> (String, bool) {
    match office.jar.forms(headers).into_iter().next() {
        Some(cookie) => (cookie, false),
        None => (office.random_text(), true),
    }
}

fn draw(
    office: &Office,
    status: StatusCode,
    cookie: &str,
    user_code: &str,
    wrong: Option<&str>,
) -> Response {
    let token = form_token(&office.keys.load().form, cookie);
    page::answer_with_form(
        status,
        &page::Device {
            frame: office.frame(None),
            user_code,
            wrong,
            token: &token,
        },
    )
}

fn form_token(key: &MacKey, cookie: &str) -> String {
    key.tag_text(&[b"device form", cookie.as_bytes()])
}

fn form_token_matches(key: &MacKey, cookie: &str, token: &str) -> bool {
    key.matches_text(&[b"device form", cookie.as_bytes()], token)
}

fn another_page(office: &Office) -> Response {
    Refused::of(StatusCode::FORBIDDEN, "V-DEV-001").page(office, None)
}

fn not_offered(office: &Office) -> Response {
    Refused::of(StatusCode::NOT_FOUND, "V-DEV-002").page(office, None)
}
