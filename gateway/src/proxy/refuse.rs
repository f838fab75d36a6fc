//! Every way in which a request is turned away on the data path, and what it looks like.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use vestibule_core::{
    audit::Ended, bearer::BearerError, dpop::DpopError, era::EraError, mcp::BodyError,
    resource::Resource, time::Timestamp, uri::Issuer,
};

use super::relay::AnswerBody;
use crate::vault::VaultError;

/// Why a request goes no further.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, or two.
    #[error("one Host is needed")]
    Host,
    /// A `Host` that is not ours; with the one that is, for whoever typed another name of
    /// this computer.
    #[error("this host is not served here; use {authority}")]
    ForeignHost {
        /// Our public host and port.
        authority: String,
    },
    /// A target that is no path.
    #[error("the target must be a path")]
    Target,
    /// A target over [`TARGET_MAX`](super::route::TARGET_MAX).
    #[error("the address is too long")]
    TargetTooLong,
    /// A head over the limit.
    #[error("the head is too large")]
    HeadTooLarge,
    /// A head that says the length of its body twice.
    #[error("the length of the body is said twice")]
    LengthTwice,
    /// A page of another site.
    #[error("pages of that origin may not call this server")]
    Origin,
    /// A method that no MCP transport has.
    #[error("the method is not one of MCP's")]
    Method,
    /// The token.
    #[error("{0}")]
    Bearer(BearerError),
    /// The key is not known that a server's token names, among those that were loaded then; none
    /// were, if there is no time.
    #[error("the identity provider's keys cannot be had right now")]
    NoKeys(Option<Timestamp>),
    /// A body of another type than JSON.
    #[error("send the body as application/json, without encoding")]
    MediaType,
    /// A body over the limit.
    #[error("the body is too large")]
    TooLarge,
    /// A body that broke off.
    #[error("the body broke off")]
    BodyBroken,
    /// A body that took too long.
    #[error("the body took too long")]
    BodySlow,
    /// A body that is no message.
    #[error("{0}")]
    Body(BodyError),
    /// Headers and body that do not agree. The id goes back with the error.
    #[error("{error}")]
    Era {
        /// What.
        error: EraError,
        /// The id of the message, as it was written.
        id: Option<String>,
    },
    /// A session that is not the caller's.
    #[error("the session is not known")]
    Session,
    /// A method that the transport of 2024-11-05 does not have there.
    #[error("this server speaks the transport of 2024-11-05: open its stream with GET")]
    OldTransport,
    /// More open requests than one caller may have.
    #[error("too many requests are open at once")]
    TooMany,
    /// Resuming without a session.
    #[error("Last-Event-ID needs its session")]
    ResumeWithoutSession,
    /// The MCP server is not there.
    #[error("the MCP server cannot be reached")]
    ServerUnreachable,
    /// The MCP server did not begin to answer in time.
    #[error("the MCP server did not answer in time")]
    ServerSlow,
    /// The MCP server answered something that is not let through.
    #[error("the MCP server's answer is not one of MCP's")]
    ServerAnswer,
    /// The MCP server asked for credentials; what the client has is for this gateway.
    #[error("the MCP server asks this gateway for credentials")]
    ServerCredentials,
    /// There is nothing that the MCP server could be given for the caller.
    #[error("{0}")]
    Credential(VaultError),
    /// What waits for the audit is as much as may.
    #[error("the gateway cannot keep its audit right now")]
    NotAudited,
    /// A fault of our own.
    #[error("the gateway failed")]
    Internal,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Host
            | Self::Target
            | Self::LengthTwice
            | Self::BodyBroken
            | Self::ResumeWithoutSession => StatusCode::BAD_REQUEST,
            Self::ForeignHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Method | Self::OldTransport => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Bearer(error) => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED)
            }
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodySlow => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) | Self::Era { .. } => StatusCode::BAD_REQUEST,
            Self::Session => StatusCode::NOT_FOUND,
            Self::ServerUnreachable | Self::ServerAnswer | Self::ServerCredentials => {
                StatusCode::BAD_GATEWAY
            }
            Self::ServerSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::NotAudited | Self::NoKeys(_) | Self::Credential(VaultError::Silent) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Credential(
                VaultError::NoLogin | VaultError::Interaction(_) | VaultError::NotConnected,
            ) => StatusCode::FORBIDDEN,
            Self::Credential(_) => StatusCode::BAD_GATEWAY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How a call of a tool ended with it.
    pub fn ended(&self) -> Ended {
        match self {
            Self::Bearer(BearerError::InsufficientScope(_)) => Ended::NeedsScope,
            Self::Bearer(BearerError::Denied) => Ended::Denied,
            Self::Bearer(_) => Ended::Revoked,
            Self::ServerUnreachable
            | Self::ServerSlow
            | Self::ServerAnswer
            | Self::ServerCredentials
            | Self::Credential(_) => Ended::ServerFailed,
            _ => Ended::Refused,
        }
    }

    /// Its entry in the catalogue. None for what is no failure, such as a first request
    /// without a token, and for what only a program that is no client of MCP's would send.
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::ServerUnreachable => "V-SRV-001",
            Self::ServerSlow => "V-SRV-002",
            Self::ServerAnswer => "V-SRV-003",
            Self::NotAudited => "V-SRV-004",
            Self::NoKeys(_) => "V-SRV-024",
            Self::Credential(error) => match error {
                VaultError::NoLogin | VaultError::Ended => "V-SRV-018",
                VaultError::Silent => "V-SRV-019",
                VaultError::Refused => "V-SRV-020",
                VaultError::Interaction(_) => "V-SRV-021",
                VaultError::TooManyGroups => "V-SRV-022",
                VaultError::NotConnected => "V-SRV-023",
            },
            Self::TooMany => "V-SRV-005",
            Self::Origin => "V-SRV-006",
            Self::Session => "V-SRV-007",
            Self::ForeignHost { .. } => "V-WEB-002",
            Self::ServerCredentials => "V-SRV-008",
            Self::Era { .. } => "V-SRV-009",
            Self::Bearer(error) => match error {
                BearerError::Missing | BearerError::Proof(DpopError::Nonce) => return None,
                BearerError::Malformed => "V-SRV-010",
                BearerError::Unknown | BearerError::NotYet => "V-SRV-011",
                BearerError::Expired => "V-SRV-012",
                BearerError::WrongAudience => "V-SRV-013",
                BearerError::Revoked => "V-SRV-014",
                BearerError::Bound | BearerError::Proof(_) => "V-SRV-015",
                BearerError::InsufficientScope(_) => "V-SRV-016",
                BearerError::Denied => "V-SRV-017",
            },
            _ => return None,
        })
    }

    /// The answer at a server's path.
    pub fn response(&self, issuer: &Issuer, resource: &Resource) -> Response<AnswerBody> {
        let mut response = self.answer(Some(issuer));
        if let Self::Bearer(error) = self {
            for challenge in error.challenges(issuer, resource) {
                if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                    response
                        .headers_mut()
                        .append(header::WWW_AUTHENTICATE, challenge);
                }
            }
        }
        response
    }

    /// The answer where it is not known which server was meant.
    pub fn unplaced(&self, issuer: &Issuer) -> Response<AnswerBody> {
        self.answer(Some(issuer))
    }

    /// The answer anywhere else.
    pub fn plain(&self) -> Response<AnswerBody> {
        self.answer(None)
    }

    fn answer(&self, issuer: Option<&Issuer>) -> Response<AnswerBody> {
        // Named as in OAuth (RFC 6749 §5.2); beside the error where it is one of JSON-RPC.
        let page = self.code().zip(issuer);
        let page = page.map(|(code, issuer)| format!("{issuer}/errors/{code}"));
        let explained = |mut body: serde_json::Value| {
            if let Some(page) = &page {
                body["error_uri"] = page.as_str().into();
            }
            body.to_string()
        };
        let body = match self {
            Self::Body(error) => rpc_error(error.code(), &error.to_string(), None, None),
            Self::Era {
                error: EraError::HeaderMismatch,
                id,
            } => rpc_error(
                -32020,
                "HeaderMismatch: the headers do not agree with the body",
                id.as_deref(),
                page.as_deref(),
            ),
            Self::Era {
                error: EraError::Batch,
                ..
            } => rpc_error(-32600, &EraError::Batch.to_string(), None, page.as_deref()),
            Self::Bearer(error) => explained(serde_json::json!({
                "error": error.error().unwrap_or("unauthorized"),
                "error_description": error.description(),
            })),
            // No JSON-RPC error here: clients tell the age of a server by those (REV-11).
            other => explained(serde_json::json!({ "error_description": other.to_string() })),
        };
        let mut response = json_answer(self.status(), body);
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(
                    header::ALLOW,
                    HeaderValue::from_static("GET, POST, DELETE, OPTIONS"),
                );
            }
            Self::OldTransport => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            Self::TooMany
            | Self::NotAudited
            | Self::NoKeys(_)
            | Self::Credential(VaultError::Silent) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // Whatever else is on this connection is not worth the doubt.
            Self::Host
            | Self::Target
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::LengthTwice
            | Self::TooLarge
            | Self::BodyBroken
            | Self::BodySlow => {
                headers.insert(
                    HeaderName::from_static("connection"),
                    HeaderValue::from_static("close"),
                );
            }
            _ => {}
        }
        response
    }
}

/// An answer of our own.
pub fn json_answer(status: StatusCode, body: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn rpc_error(code: i32, message: &str, id: Option<&str>, page: Option<&str>) -> String {
    // The id is a JSON value that was read already; it goes back as it came.
    let id = id.unwrap_or("null");
    let mut error = serde_json::json!({ "code": code, "message": message });
    if let Some(page) = page {
        error["data"] = serde_json::json!({ "error_uri": page });
    }
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}
