//! What a server asks of a person through their client: to open an address (URL mode
//! elicitation, MCP 2025-11-25 and 2026-07-28, client/elicitation). Asked only of clients that
//! say they can.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::era::Era;

/// JSON-RPC's code for it up to 2025-11-25 (URL Elicitation Required Error).
pub const REQUIRED: i32 = -32042;

/// The revision that has that code.
pub const WITH_ERROR: &str = "2025-11-25";

/// Our name for the question, among those that a server behind us may ask.
const QUESTION: &str = "vestibule.account";

/// What a client said of itself, and of a question of ours before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Whether it can show somebody an address.
    pub can: bool,
    /// What the person did about the question, if this is the answer to it.
    pub answer: Option<Answer>,
    /// What a server behind us gave it to bring back, for a question of its own
    /// (`requestState`).
    pub state: Option<String>,
}

/// What a person did about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// They went to the address.
    Accepted,
    /// They did not want to, or took no notice.
    Declined,
}

/// What a person is to open.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The address.
    pub url: &'q str,
    /// Why, for them.
    pub message: &'q str,
}

#[derive(Deserialize)]
struct Initialize {
    method: String,
    params: InitializeParams,
}

#[derive(Deserialize)]
struct InitializeParams {
    #[serde(default)]
    capabilities: Capabilities,
}

/// Whether this is an `initialize` of a client that can (lifecycle of 2025-11-25).
pub fn declared_at_initialize(body: &[u8]) -> bool {
    serde_json::from_slice::<Initialize>(body)
        .is_ok_and(|read| read.method == "initialize" && read.params.capabilities.shows_addresses())
}

/// What a request of 2026-07-28 says, which repeats what its client can.
pub fn said(body: &[u8]) -> Said {
    let Ok(Request { params }) = serde_json::from_slice(body) else {
        return Said::default();
    };
    Said {
        can: params.meta.capabilities.shows_addresses(),
        state: params.state,
        answer: params
            .responses
            .ours
            .map(|ours| match ours.action.as_str() {
                "accept" => Answer::Accepted,
                _ => Answer::Declined,
            }),
    }
}

/// Of a body that may be large nothing else is kept.
#[derive(Deserialize)]
struct Request {
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "_meta", default)]
    meta: Meta,
    #[serde(rename = "inputResponses", default)]
    responses: Responses,
    #[serde(rename = "requestState")]
    state: Option<String>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default)]
    capabilities: Capabilities,
}

#[derive(Deserialize, Default)]
struct Responses {
    #[serde(rename = "vestibule.account")]
    ours: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    action: String,
}

#[derive(Deserialize, Default)]
struct Capabilities {
    elicitation: Option<Modes>,
}

#[derive(Deserialize)]
struct Modes {
    url: Option<BTreeMap<String, IgnoredAny>>,
}

impl Capabilities {
    /// An empty declaration means forms alone.
    fn shows_addresses(&self) -> bool {
        self.elicitation
            .as_ref()
            .is_some_and(|modes| modes.url.is_some())
    }
}

impl Question<'_> {
    /// The answer to a request in 2026-07-28 (`InputRequiredResult`): to the message `id`, a
    /// JSON value. What a server gave the client to bring back is given to it again.
    pub fn input_required(&self, id: &str, state: Option<&str>) -> String {
        let params = json!({ "mode": "url", "url": self.url, "message": self.message });
        let mut result = json!({
            "resultType": "input_required",
            "inputRequests": { QUESTION: { "method": "elicitation/create", "params": params } },
        });
        if let Some(state) = state {
            result["requestState"] = state.into();
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
    }

    /// The error in 2025-11-25, with an id of the question's own.
    pub fn error(&self, id: &str, elicitation: &str) -> String {
        let data = json!({ "elicitations": [{
            "mode": "url",
            "elicitationId": elicitation,
            "url": self.url,
            "message": self.message,
        }] });
        let error = json!({ "code": REQUIRED, "message": self.message, "data": data });
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
    }

    /// The result of a tool, for clients that cannot show an address: text in which it is.
    pub fn result(&self, id: &str, era: Era) -> String {
        let text = json!([{ "type": "text", "text": self.message }]);
        let mut result = json!({ "content": text, "isError": true });
        if era == Era::Modern {
            result["resultType"] = "complete".into();
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn mod_8_only_a_client_that_says_so_is_sent_to_an_address() {
        let of = |capabilities: Value| {
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities });
            let body =
                json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
            declared_at_initialize(body.to_string().as_bytes())
        };
        assert!(of(json!({ "elicitation": { "url": {} } })));
        assert!(of(
            json!({ "elicitation": { "form": {}, "url": { "x": 1 } } })
        ));
        for other in [
            json!({}),
            json!({ "elicitation": {} }),
            json!({ "elicitation": { "form": {} } }),
            json!({ "elicitation": { "url": true } }),
            json!({ "elicitation": ["url"] }),
            json!([]),
        ] {
            assert!(!of(other.clone()), "{other}");
        }
        // Another method's words mean nothing.
        let other =
            br#"{"method":"tools/call","params":{"capabilities":{"elicitation":{"url":{}}}}}"#;
        assert!(!declared_at_initialize(other));
        assert!(!declared_at_initialize(b"nonsense"));
    }

    #[test]
    fn mod_8_each_request_says_what_its_client_can_and_what_the_person_did() {
        let of = |params: Value| said(json!({ "params": params }).to_string().as_bytes());
        let meta = |elicitation: Value| {
            let of_client = json!({ "elicitation": elicitation });
            json!({ "_meta": { "io.modelcontextprotocol/clientCapabilities": of_client } })
        };
        assert_eq!(of(json!({})), Said::default());
        assert!(of(meta(json!({ "url": {} }))).can);
        assert!(!of(meta(json!({}))).can);
        for (action, answer) in [
            ("accept", Answer::Accepted),
            ("decline", Answer::Declined),
            ("cancel", Answer::Declined),
            ("else", Answer::Declined),
        ] {
            let said = of(json!({ "inputResponses": { QUESTION: { "action": action } } }));
            assert_eq!(said.answer, Some(answer), "{action}");
        }
        let others = of(json!({ "inputResponses": { "theirs": { "action": "accept" } } }));
        assert_eq!(others.answer, None);
    }

    #[test]
    fn mod_8_the_question_is_asked_as_each_revision_has_it() {
        let question = Question {
            url: "https://gw.example/connections",
            message: "Open it",
        };
        let read = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        let modern = read(question.input_required("\"a\"", None));
        assert_eq!(modern["id"], "a");
        assert_eq!(modern["result"]["resultType"], "input_required");
        let asked = &modern["result"]["inputRequests"][QUESTION];
        assert_eq!(asked["method"], "elicitation/create");
        assert_eq!(asked["params"]["mode"], "url");
        assert_eq!(asked["params"]["url"], question.url);
        assert_eq!(modern["result"].get("requestState"), None);
        // A server's own question was under way.
        let theirs = said(br#"{"params":{"requestState":"theirs \u0041"}}"#).state;
        let modern = read(question.input_required("1", theirs.as_deref()));
        assert_eq!(modern["result"]["requestState"], "theirs A");
        let legacy = read(question.error("1", "e"));
        assert_eq!(legacy["error"]["code"], -32042);
        let asked = &legacy["error"]["data"]["elicitations"][0];
        assert_eq!(asked["mode"], "url");
        assert_eq!(asked["elicitationId"], "e");
        let text = read(question.result("1", Era::Legacy));
        assert_eq!(text["result"]["isError"], true);
        assert_eq!(text["result"].get("resultType"), None);
    }
}
