//! How the address of an MCP server is given to the apps that people use: the words, files
//! and links of each, as its makers document them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::uri::with_query;

/// How one app takes an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The app.
    pub app: &'static str,
    /// The name of the message that says what to do.
    pub how: &'static str,
    /// A link that the app itself follows, if it has one.
    pub link: Option<String>,
    /// What to type or to put into a file, if anything.
    pub text: Option<String>,
}

/// All ways to connect the server `name` at `uri`.
pub fn ways(name: &str, uri: &str) -> Vec<Way> {
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).ok();
    let vs_code = json!({ "name": name, "type": "http", "url": uri });
    let cursor = json!({ "url": uri }).to_string();
    // The whole query is one JSON text, and no pairs.
    let vs_code_query: String =
        url::form_urlencoded::byte_serialize(vs_code.to_string().as_bytes()).collect();
    vec![
        Way {
            app: "Visual Studio Code",
            how: "way-vscode",
            // A blank is %20 in a link of its own scheme, and no plus.
            link: Some(format!(
                "vscode:mcp/install?{}",
                vs_code_query.replace('+', "%20")
            )),
            text: pretty(&json!({ "servers": { name: { "type": "http", "url": uri } } })),
        },
        Way {
            app: "Claude",
            how: "way-claude",
            link: None,
            text: Some(uri.to_owned()),
        },
        Way {
            app: "Claude Code",
            how: "way-claude-code",
            link: None,
            text: Some(format!("claude mcp add --transport http {name} {uri}")),
        },
        Way {
            app: "Cursor",
            how: "way-cursor",
            link: Some(with_query(
                "cursor://anysphere.cursor-deeplink/mcp/install",
                &[("name", name), ("config", &STANDARD.encode(cursor))],
            )),
            text: pretty(&json!({ "mcpServers": { name: { "url": uri } } })),
        },
        Way {
            app: "Codex",
            how: "way-codex",
            link: None,
            text: Some(format!(
                "codex mcp add {name} --url {uri}\ncodex mcp login {name}"
            )),
        },
        Way {
            app: "Gemini CLI",
            how: "way-gemini",
            link: None,
            text: Some(format!("gemini mcp add --transport http {name} {uri}")),
        },
        Way {
            app: "MCP Inspector",
            how: "way-inspector",
            link: None,
            text: Some(format!(
                "npx @modelcontextprotocol/inspector --transport http --server-url {uri}"
            )),
        },
        Way {
            app: "A terminal",
            how: "way-terminal",
            link: None,
            text: Some(format!("vestibule login {uri}\nvestibule call {uri}")),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_names_the_server_and_links_read_back() {
        let uri = "https://mcp.example.com/weather/mcp";
        let ways = ways("weather", uri);
        for way in &ways {
            let text = way.text.as_deref().unwrap_or_default();
            assert!(text.contains(uri), "{}", way.app);
        }
        let link = |app: &str| {
            let way = ways.iter().find(|way| way.app == app);
            way.and_then(|way| way.link.clone()).expect("a link")
        };
        let vs_code = link("Visual Studio Code");
        let query = vs_code
            .strip_prefix("vscode:mcp/install?")
            .expect("its address");
        let read = url::form_urlencoded::parse(query.as_bytes())
            .next()
            .expect("one");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&read.0).expect("JSON"),
            json!({ "name": "weather", "type": "http", "url": uri })
        );
        assert!(!query.contains([' ', '+', '"', '<']));
        let cursor = url::Url::parse(&link("Cursor")).expect("a URL");
        let config = cursor.query_pairs().find(|(name, _)| name == "config");
        let config = STANDARD
            .decode(config.expect("there").1.as_bytes())
            .expect("base64");
        assert_eq!(config, format!(r#"{{"url":"{uri}"}}"#).into_bytes());
    }
}
