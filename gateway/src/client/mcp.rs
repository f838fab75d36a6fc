//! Enough of MCP to list tools and call one, in both ages of the protocol: first the
//! stateless one (2026-07-28), and where that is not understood, `initialize`.

use std::time::Duration;

use http::Method;
use serde_json::{Map, Value, json};
use url::Url;
use vestibule_core::{
    challenge::Challenge,
    era::{self, MODERN},
    event_stream::{Event, Events},
};

use super::web::{Reply, Web};
use crate::fetch::FetchError;

/// The newest revision with sessions.
const WITH_SESSION: &str = "2025-11-25";

/// Requests of a server that are declined before it is left.
const DECLINES_MAX: u32 = 32;

/// Longest event that is read.
const EVENT_MAX: usize = 16 << 20;

/// How often a stream is taken up again before its answer is given up.
const RESUMED_MAX: u32 = 10;

/// Longest wait that a server may ask for before its stream is taken up again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum McpError {
    /// No answer.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// The server wants another token, or one at all.
    #[error("the server answered {status}")]
    Token {
        /// 401 or 403.
        status: u16,
        /// What it says about that.
        challenge: Option<Challenge>,
    },
    /// JSON-RPC error.
    #[error("the server says: {message} ({code})")]
    Rpc {
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// A status that means nothing here.
    #[error("the server answered {0}")]
    Status(u16),
    /// Not a JSON-RPC answer.
    #[error("the server's answer is not MCP")]
    NotMcp,
    /// The server wants to ask the person something, which this client cannot.
    #[error("the tool asks for more input, which this command cannot give")]
    InputNeeded,
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wire {
    Stateless,
    Session { version: String, id: Option<String> },
}

/// A server that was reached.
pub struct Connection<'w> {
    web: &'w Web,
    server: Url,
    token: Option<String>,
    wire: Wire,
    last_id: u64,
}

/// The revisions that `server/discover` lists.
///
/// # Errors
/// [`McpError`].
pub async fn discover(
    web: &Web,
    server: &Url,
    token: Option<&str>,
) -> Result<Vec<String>, McpError> {
    let mut connection = Connection::new(web, server, token, Wire::Stateless);
    let result = connection
        .request("server/discover", Map::new(), &[])
        .await?;
    let versions = result["supportedVersions"].as_array();
    let texts = versions.into_iter().flatten().filter_map(Value::as_str);
    Ok(texts.map(str::to_owned).collect())
}

/// The revision that `initialize` comes to.
///
/// # Errors
/// [`McpError`].
pub async fn initialize_only(
    web: &Web,
    server: &Url,
    token: Option<&str>,
) -> Result<String, McpError> {
    let connection = Connection::with_session(web, server, token).await?;
    match connection.wire {
        Wire::Session { version, .. } => Ok(version),
        Wire::Stateless => Err(McpError::NotMcp),
    }
}

impl<'w> Connection<'w> {
    fn new(web: &'w Web, server: &Url, token: Option<&str>, wire: Wire) -> Self {
        Self {
            web,
            server: server.clone(),
            token: token.map(str::to_owned),
            wire,
            last_id: 0,
        }
    }

    /// Reaches a server in the newest way that it understands.
    ///
    /// # Errors
    /// [`McpError`].
    pub async fn open(web: &'w Web, server: &Url, token: Option<&str>) -> Result<Self, McpError> {
        match discover(web, server, token).await {
            Ok(versions) if versions.iter().any(|version| version == MODERN) => {
                Ok(Self::new(web, server, token, Wire::Stateless))
            }
            Err(error @ (McpError::Fetch(_) | McpError::Token { .. })) => Err(error),
            // Whatever else it says, it may be a server of before.
            _ => Self::with_session(web, server, token).await,
        }
    }

    async fn with_session(
        web: &'w Web,
        server: &Url,
        token: Option<&str>,
    ) -> Result<Self, McpError> {
        let wire = Wire::Session {
            version: WITH_SESSION.to_owned(),
            id: None,
        };
        let mut connection = Self::new(web, server, token, wire);
        let Value::Object(params) = super::discover::initialize()["params"].take() else {
            return Err(McpError::NotMcp);
        };
        let (result, reply) = connection.exchange("initialize", params, &[]).await?;
        let version = result["protocolVersion"].as_str().unwrap_or(WITH_SESSION);
        connection.wire = Wire::Session {
            version: version.to_owned(),
            id: reply.header("mcp-session-id").map(str::to_owned),
        };
        connection.notify("notifications/initialized").await?;
        Ok(connection)
    }

    /// One request.
    ///
    /// # Errors
    /// [`McpError`].
    pub async fn request(
        &mut self,
        method: &str,
        params: Map<String, Value>,
        headers: &[(String, String)],
    ) -> Result<Value, McpError> {
        let (result, _) = self.exchange(method, params, headers).await?;
        if result["resultType"] == "input_required" {
            return Err(McpError::InputNeeded);
        }
        Ok(result)
    }

    /// All tools, page by page.
    ///
    /// # Errors
    /// [`McpError`].
    pub async fn tools(&mut self) -> Result<Vec<Value>, McpError> {
        let mut tools = Vec::new();
        let mut cursor = None;
        // A server that goes in circles is left after as many pages as anybody has.
        for _ in 0..100 {
            let mut params = Map::new();
            if let Some(cursor) = cursor.take() {
                params.insert("cursor".into(), cursor);
            }
            let mut result = self.request("tools/list", params, &[]).await?;
            if let Some(page) = result["tools"].as_array_mut() {
                tools.append(page);
            }
            match result["nextCursor"].take() {
                Value::Null => break,
                next => cursor = Some(next),
            }
        }
        Ok(tools)
    }

    /// Calls a tool, of which `tool` is the description.
    ///
    /// # Errors
    /// [`McpError`].
    pub async fn call(
        &mut self,
        tool: &Value,
        arguments: Map<String, Value>,
    ) -> Result<Value, McpError> {
        let headers = match self.wire {
            Wire::Stateless => mirrored(tool, &arguments),
            Wire::Session { .. } => Vec::new(),
        };
        let mut params = Map::new();
        params.insert("name".into(), tool["name"].clone());
        params.insert("arguments".into(), Value::Object(arguments));
        self.request("tools/call", params, &headers).await
    }

    /// Ends a session; a server without sessions has nothing to end.
    pub async fn close(self) {
        let Wire::Session { id: Some(_), .. } = &self.wire else {
            return;
        };
        let headers = self.headers("", None);
        // It ends by itself as well, so nobody waits for the answer's meaning.
        let _ = self
            .web
            .send(
                Method::DELETE,
                &self.server,
                &borrowed(&headers),
                Vec::new(),
            )
            .await;
    }

    async fn notify(&mut self, method: &str) -> Result<(), McpError> {
        let body = json!({ "jsonrpc": "2.0", "method": method }).to_string();
        let headers = self.headers(method, None);
        let reply = self
            .web
            .send(Method::POST, &self.server, &borrowed(&headers), body)
            .await?;
        match reply.status {
            200..=299 => Ok(()),
            status => Err(of_status(status, &reply)),
        }
    }

    async fn exchange(
        &mut self,
        method: &str,
        mut params: Map<String, Value>,
        more: &[(String, String)],
    ) -> Result<(Value, Reply), McpError> {
        self.last_id += 1;
        let id = self.last_id;
        let name = params
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if self.wire == Wire::Stateless {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo":
                    { "name": "vestibule", "version": env!("CARGO_PKG_VERSION") },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".into(), meta);
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut headers = self.headers(method, name.as_deref());
        headers.extend_from_slice(more);
        let (reply, message) = self.answer(&headers, &body.to_string(), id).await?;
        let Some(mut message) = message else {
            return Err(of_status(reply.status, &reply));
        };
        if let Some(error) = message.get("error") {
            return Err(McpError::Rpc {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or("no words").to_owned(),
            });
        }
        Ok((message["result"].take(), reply))
    }

    /// The answer to `id`, and the message in it if there is one.
    async fn answer(
        &self,
        headers: &[(String, String)],
        body: &str,
        id: u64,
    ) -> Result<(Reply, Option<Value>), McpError> {
        let mut stream = self
            .web
            .open(Method::POST, &self.server, &borrowed(headers), body)
            .await?;
        if stream.head.kind() != "text/event-stream" {
            let reply = stream.whole().await?;
            if matches!(reply.status, 401 | 403) {
                return Err(of_status(reply.status, &reply));
            }
            let message = reply
                .json()
                .filter(|message| message["id"] == id || reply.status != 200);
            return Ok((reply, message.filter(|message| message["jsonrpc"] == "2.0")));
        }
        let head = stream.head.clone();
        let mut resume = Resume::default();
        loop {
            if let Some(message) = self.read(&mut stream, id, &mut resume).await? {
                return Ok((head, Some(message)));
            }
            // A server may send its clients away and have them come back (2025-11-25).
            let Some(last) = resume.again() else {
                return Err(McpError::NotMcp);
            };
            tokio::time::sleep(resume.wait()).await;
            let mut headers = self.headers("", None);
            headers.retain(|(name, _)| name != "content-type");
            headers.push(("last-event-id".into(), last));
            stream = self
                .web
                .open(Method::GET, &self.server, &borrowed(&headers), "")
                .await?;
            if stream.head.status != 200 {
                return Err(of_status(stream.head.status, &stream.head));
            }
        }
    }

    async fn read(
        &self,
        stream: &mut super::web::Stream,
        id: u64,
        resume: &mut Resume,
    ) -> Result<Option<Value>, McpError> {
        let mut events = Events::new(EVENT_MAX);
        let mut declined = 0;
        while let Some(chunk) = stream.chunk().await? {
            events.push(&chunk);
            while let Some(bytes) = events.next_whole().map_err(|_| McpError::NotMcp)? {
                let event = Event::read(bytes);
                resume.hear(&event);
                let data = event.data.unwrap_or_default();
                let Ok(message) = serde_json::from_str::<Value>(&data) else {
                    continue;
                };
                let is_answer = message.get("method").is_none();
                if is_answer && message["id"] == id {
                    return Ok(Some(message));
                }
                if !is_answer && message.get("id").is_some() {
                    declined += 1;
                    if declined > DECLINES_MAX {
                        return Err(McpError::NotMcp);
                    }
                    self.decline(&message["id"]).await?;
                }
            }
        }
        Ok(None)
    }

    /// Says that nothing can be asked of this client.
    async fn decline(&self, id: &Value) -> Result<(), McpError> {
        let error = json!({ "code": -32601, "message": "this client answers no requests" });
        let body = json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string();
        let headers = self.headers("", None);
        self.web
            .send(Method::POST, &self.server, &borrowed(&headers), body)
            .await?;
        Ok(())
    }

    fn headers(&self, method: &str, name: Option<&str>) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = super::discover::MCP
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if let Some(token) = &self.token {
            add("authorization", &format!("Bearer {token}"));
        }
        match &self.wire {
            Wire::Stateless => {
                add("mcp-protocol-version", MODERN);
                add("mcp-method", &era::encode(method));
                if let Some(name) = name {
                    add("mcp-name", &era::encode(name));
                }
            }
            Wire::Session { version, id } => {
                if method != "initialize" {
                    add("mcp-protocol-version", version);
                }
                if let Some(id) = id {
                    add("mcp-session-id", id);
                }
            }
        }
        headers
    }
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn of_status(status: u16, reply: &Reply) -> McpError {
    match status {
        401 | 403 => McpError::Token {
            status,
            challenge: reply.challenge("bearer"),
        },
        200..=299 => McpError::NotMcp,
        status => McpError::Status(status),
    }
}

/// Where a stream that broke off is taken up again.
#[derive(Default)]
struct Resume {
    last_event: Option<String>,
    retry: Option<Duration>,
    times: u32,
}

impl Resume {
    fn hear(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            self.last_event = Some(id.clone());
        }
        if let Some(retry) = event.retry {
            self.retry = Some(Duration::from_millis(retry).min(RETRY_MAX));
        }
    }

    fn again(&mut self) -> Option<String> {
        self.times += 1;
        self.last_event
            .clone()
            .filter(|_| self.times <= RESUMED_MAX)
    }

    fn wait(&self) -> Duration {
        self.retry.unwrap_or(Duration::from_secs(1))
    }
}

/// `Mcp-Param-*` for the arguments whose schema says `x-mcp-header` (2026-07-28, *Custom
/// Headers*). Numbers and booleans are written as in JSON; what has no value has no header.
fn mirrored(tool: &Value, arguments: &Map<String, Value>) -> Vec<(String, String)> {
    let properties = tool["inputSchema"]["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| {
            let header = schema["x-mcp-header"].as_str()?;
            let header = format!("mcp-param-{header}").to_ascii_lowercase();
            // A name that cannot be a header's is nobody's to send.
            http::HeaderName::from_bytes(header.as_bytes()).ok()?;
            let value = match arguments.get(name)? {
                Value::String(text) => text.clone(),
                value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
                _ => return None,
            };
            Some((header, era::encode(&value).into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_mcp_13_arguments_that_a_schema_marks_go_into_headers_of_their_own() {
        let tool = json!({ "name": "t", "inputSchema": { "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
            "city": { "type": "string", "x-mcp-header": "City" },
            "none": { "x-mcp-header": "None" },
            "own": { "type": "string", "x-mcp-header": "Authorization" },
            "bad": { "x-mcp-header": "Bad Name\r\n" },
            "plain": { "type": "string" },
        } } });
        let arguments = json!({
            "region": "eu", "count": 3, "city": "Tromsø", "bad": "x", "plain": "y",
            "own": "Bearer x",
        });
        let Value::Object(arguments) = arguments else {
            panic!("an object")
        };
        let mut headers = mirrored(&tool, &arguments);
        headers.sort();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            headers,
            [
                header("mcp-param-authorization", "Bearer x"),
                header("mcp-param-city", "=?base64?VHJvbXPDuA==?="),
                header("mcp-param-count", "3"),
                header("mcp-param-region", "eu"),
            ]
        );
    }
}
