//! Where errors become answers.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use vestibule_core::{WireError, flow::FlowCode};

use crate::{
    catalogue,
    http::cors,
    office::Office,
    page::{
        self,
        language::{self, Argument},
    },
    store::StoreError,
};

/// JSON with the headers of every OAuth answer (RFC 6749 §5.1).
pub fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    cors::open(headers);
    response
}

/// An OAuth error (RFC 6749 §5.2).
pub fn error(error: WireError) -> Response {
    json(status_of(&error), &body_of(&error))
}

fn status_of(error: &WireError) -> StatusCode {
    StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST)
}

fn body_of(error: &WireError) -> Value {
    json!({ "error": error.error, "error_description": error.description })
}

/// An OAuth error that names its entry of the catalogue (`error_uri`, RFC 6749 §5.2).
pub fn error_of(office: &Office, error: WireError, code: &str) -> Response {
    let mut body = body_of(&error);
    body["error_uri"] = format!("{}/errors/{code}", office.issuer).into();
    json(status_of(&error), &body)
}

/// A client that did not prove itself; challenges for Basic if it tried that.
pub fn not_authenticated(refused: vestibule_core::client_auth::ClientAuthError) -> Response {
    let mut response = error(refused.wire());
    if refused.challenges_basic() {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"vestibule\""),
        );
    }
    response
}

/// The store does not know: never an answer about a token, always one to try again.
pub fn store_failed(error_of_store: &StoreError) -> Response {
    tracing::error!(event = "store.failed", error = %error_of_store);
    let mut response = error(WireError::new(
        503,
        "temporarily_unavailable",
        "the gateway cannot answer right now; try again",
    ));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// Too much from one address.
pub fn too_many(seconds: u64) -> Response {
    let mut response = error(WireError::new(
        429,
        "temporarily_unavailable",
        "too many requests from this address; try again later",
    ));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The page for an address that is none: the same whether there is something or nobody is to
/// know. It names the list of servers where there is one.
pub fn nothing_here(office: &Office) -> Response {
    let nothing = Refused::of(StatusCode::NOT_FOUND, "V-WEB-001");
    let nothing = match office.landing {
        true => nothing,
        false => nothing.saying("no-server"),
    };
    nothing.page(office, None)
}

/// A page that says no.
pub struct Refused<'p> {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    values: Vec<(&'p str, Argument<'p>)>,
    back: Option<(&'p str, &'p str)>,
}

impl<'p> Refused<'p> {
    /// With the status and the code of the catalogue, whose message says what and what to do.
    pub fn of(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code,
            message: code,
            values: Vec::new(),
            back: None,
        }
    }

    /// With another message than the code's.
    #[must_use]
    pub fn saying(mut self, message: &'static str) -> Self {
        self.message = message;
        self
    }

    /// With a text that the message puts in.
    #[must_use]
    pub fn with(mut self, name: &'p str, text: &'p str) -> Self {
        self.values.push((name, Argument::Text(text)));
        self
    }

    /// With a way back that is safe to offer: address and host.
    #[must_use]
    pub fn back(mut self, location: &'p str, host: &'p str) -> Self {
        self.back = Some((location, host));
        self
    }

    /// The code of the catalogue.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What happened, in English, for the record of a login.
    pub fn title(&self) -> String {
        language::english().with(self.message, &self.values)
    }

    /// Draws it.
    pub fn page(&self, office: &Office, flow: Option<FlowCode>) -> Response {
        let language = language::now();
        page::answer(
            self.status,
            &page::Refusal {
                frame: office.frame(flow),
                code: self.code,
                title: &language.with(self.message, &self.values),
                what: &language.attribute(self.message, "what", &self.values),
                fix: &language.attribute(self.message, "fix", &self.values),
                own_language: true,
                back: self.back,
            },
        )
    }
}

/// A page that says no with the words of the catalogue, where the moment adds nothing.
pub fn from_catalogue(office: &Office, status: StatusCode, code: &str) -> Response {
    let Some((code, entry)) = catalogue::find(code) else {
        let mut bare = Response::default();
        *bare.status_mut() = status;
        page::harden(&mut bare);
        return bare;
    };
    // What people meet often is said in their language.
    if language::english().has(code) {
        return Refused::of(status, code).page(office, None);
    }
    page::answer(
        status,
        &page::Refusal {
            frame: office.frame(None),
            code,
            title: &entry.title,
            what: &entry.cause,
            fix: &entry.fix,
            own_language: false,
            back: None,
        },
    )
}

/// Sends a browser on. 303, so that a form is never posted again elsewhere (RFC 9700 §4.12).
pub fn redirect(location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    page::harden(&mut response);
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

/// Why a form could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// Not `application/x-www-form-urlencoded`, or not only.
    MediaType,
    /// Over the limit.
    TooLarge,
    /// Broken off, or no UTF-8.
    Unreadable,
}

impl FormError {
    /// As an OAuth error.
    pub fn wire(self) -> WireError {
        match self {
            Self::MediaType => WireError::new(
                415,
                "invalid_request",
                "send the body as application/x-www-form-urlencoded",
            ),
            Self::TooLarge => WireError::new(413, "invalid_request", "the body is too large"),
            Self::Unreadable => WireError::new(400, "invalid_request", "the body cannot be read"),
        }
    }
}

/// The body of a form, within `most` bytes.
///
/// # Errors
/// [`FormError`].
pub async fn form(headers: &HeaderMap, body: Body, most: usize) -> Result<String, FormError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = types
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if types.next().is_some()
        || kind.contains(',')
        || !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return Err(FormError::MediaType);
    }
    let bytes = bounded(body, most).await?;
    String::from_utf8(bytes).map_err(|_| FormError::Unreadable)
}

/// A body within `most` bytes.
///
/// # Errors
/// [`FormError`].
pub async fn bounded(body: Body, most: usize) -> Result<Vec<u8>, FormError> {
    let limited = http_body_util::Limited::new(body, most);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(FormError::TooLarge),
        Err(_) => Err(FormError::Unreadable),
    }
}
