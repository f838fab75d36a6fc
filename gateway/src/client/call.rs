//! Arguments as people type them, by what a tool's schema says of them; and its result as
//! people read it.

use serde_json::{Map, Value};
use vestibule_core::text::{on_lines, on_one_line};

/// A word that is no argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Without `=`.
    #[error("\"{0}\" is not NAME=VALUE")]
    Shape(String),
    /// A value that does not fit.
    #[error("{name} must be {kind}, not \"{value}\"")]
    Kind {
        /// Of the argument.
        name: String,
        /// What its schema says.
        kind: String,
        /// What was typed.
        value: String,
    },
    /// A name that the tool does not have.
    #[error("the tool has no argument \"{name}\"; it has {known}")]
    Unknown {
        /// What was typed.
        name: String,
        /// What there is.
        known: String,
    },
    /// An argument that was left out.
    #[error("the argument {0} is needed")]
    Missing(String),
}

/// Reads `NAME=VALUE` by the tool's schema; `NAME:=JSON` is taken as it is.
///
/// # Errors
/// [`ArgumentError`].
pub fn arguments(words: &[String], tool: &Value) -> Result<Map<String, Value>, ArgumentError> {
    let schema = &tool["inputSchema"];
    let properties = schema["properties"].as_object();
    let mut arguments = Map::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| ArgumentError::Shape(word.clone()))?;
        let (name, is_json) = match name.strip_suffix(':') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let property = properties.and_then(|properties| properties.get(name));
        if property.is_none() && schema["additionalProperties"] == false {
            return Err(ArgumentError::Unknown {
                name: name.to_owned(),
                known: names(properties),
            });
        }
        let kinds = kinds(property, is_json);
        let read = kinds.iter().find_map(|kind| read(value, kind));
        let read = read.ok_or_else(|| ArgumentError::Kind {
            name: name.to_owned(),
            kind: kinds.join(" or "),
            value: value.to_owned(),
        })?;
        arguments.insert(name.to_owned(), read);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if let Some(name) = name.as_str()
            && !arguments.contains_key(name)
        {
            return Err(ArgumentError::Missing(name.to_owned()));
        }
    }
    Ok(arguments)
}

fn names(properties: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> = properties
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn kinds(property: Option<&Value>, is_json: bool) -> Vec<String> {
    if is_json {
        return vec!["JSON".to_owned()];
    }
    let of = |schema: &Value| -> Vec<String> {
        match &schema["type"] {
            Value::String(kind) => vec![kind.clone()],
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(|kind| kind.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    };
    let Some(property) = property else {
        return vec!["string".to_owned()];
    };
    let mut kinds = of(property);
    for choice in ["anyOf", "oneOf"] {
        for schema in property[choice].as_array().into_iter().flatten() {
            kinds.extend(of(schema));
        }
    }
    if kinds.is_empty() {
        kinds.push("string".to_owned());
    }
    // Everything is a string as well, so that comes last.
    kinds.sort_by_key(|kind| kind == "string");
    kinds
}

fn read(value: &str, kind: &str) -> Option<Value> {
    if kind == "string" {
        return Some(Value::String(value.to_owned()));
    }
    let json: Value = serde_json::from_str(value).ok()?;
    let fits = match kind {
        "integer" => json.is_i64() || json.is_u64(),
        "number" => json.is_number(),
        "boolean" => json.is_boolean(),
        "array" => json.is_array(),
        "object" => json.is_object(),
        "null" => json.is_null(),
        _ => true,
    };
    fits.then_some(json)
}

/// What a tool said, for people: its words, and of everything else what kind it is.
pub fn words(result: &Value) -> String {
    let mut out = String::new();
    for item in result["content"].as_array().into_iter().flatten() {
        let kind = item["type"].as_str().unwrap_or("something");
        let line = match (kind, item["text"].as_str()) {
            ("text", Some(text)) => text.to_owned(),
            ("resource_link", _) => item["uri"].as_str().unwrap_or("a link").to_owned(),
            ("resource", _) => {
                let resource = &item["resource"];
                let text = resource["text"].as_str();
                text.or(resource["uri"].as_str())
                    .unwrap_or("a resource")
                    .to_owned()
            }
            (kind, _) => {
                let of = item["mimeType"].as_str().unwrap_or("unknown type");
                format!("[{kind}: {of}; --json shows it]")
            }
        };
        out.push_str(&line);
        if !line.ends_with('\n') {
            out.push('\n');
        }
    }
    if out.is_empty() && !result["structuredContent"].is_null() {
        out = format!("{:#}\n", result["structuredContent"]);
    }
    on_lines(&out)
}

/// The tools of a server, a line each.
pub fn list(tools: &[Value]) -> String {
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    let width = tools.iter().map(|tool| name(tool).len()).max().unwrap_or(0);
    let width = width.min(40);
    let mut out = String::new();
    for tool in tools {
        let schema = &tool["inputSchema"];
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let arguments: Vec<String> = schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(|name| {
                if required.contains(&name.as_str()) {
                    name.clone()
                } else {
                    format!("[{name}]")
                }
            })
            .collect();
        let said = tool["description"].as_str().unwrap_or_default();
        let said: String = said.lines().next().unwrap_or_default().to_owned();
        let line = format!("{:width$}  {:24}  {said}", name(tool), arguments.join(" "));
        out.push_str(on_one_line(&line, 2000).trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_words(words: &[&str], tool: &Value) -> Result<Value, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        arguments(&words, tool)
            .map(Value::Object)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_become_what_the_schema_says() {
        let tool = json!({ "inputSchema": {
            "properties": {
                "city": { "type": "string" },
                "days": { "type": "integer" },
                "exact": { "type": "boolean" },
                "tags": { "type": "array" },
                "either": { "anyOf": [{ "type": "string" }, { "type": "number" }] },
                "maybe": { "type": ["null", "integer"] },
                "any": {},
            },
            "required": ["city"],
            "additionalProperties": false,
        } });
        assert_eq!(
            read_words(
                &[
                    "city=São Paulo=1",
                    "days=3",
                    "exact=true",
                    "tags=[1]",
                    "either=4",
                    "maybe=5",
                    "any=6",
                ],
                &tool
            ),
            Ok(json!({
                "city": "São Paulo=1", "days": 3, "exact": true, "tags": [1], "either": 4,
                "maybe": 5, "any": "6",
            }))
        );
        assert_eq!(
            read_words(&["city=5", "either=x", "any:={\"a\":1}"], &tool),
            Ok(json!({ "city": "5", "either": "x", "any": { "a": 1 } }))
        );
        for (words, said) in [
            (&["city"][..], "\"city\" is not NAME=VALUE"),
            (&["city=x", "days=x"], "days must be integer, not \"x\""),
            (&["city=x", "days=1.5"], "days must be integer, not \"1.5\""),
            (&["city=x", "any:=x"], "any must be JSON, not \"x\""),
            (&["days=1"], "the argument city is needed"),
        ] {
            assert_eq!(read_words(words, &tool), Err(said.to_owned()));
        }
        assert!(read_words(&["town=x"], &tool).is_err_and(|said| said.contains("it has")));
        assert_eq!(read_words(&["x=1"], &json!({})), Ok(json!({ "x": "1" })));
    }

    #[test]
    fn what_a_tool_says_does_not_steer_a_terminal() {
        let result = json!({ "content": [
            { "type": "text", "text": "sunny\u{1b}[2J\u{9b}\u{202e}\n" },
            { "type": "image", "mimeType": "image/png", "data": "…" },
            { "type": "resource_link", "uri": "file:///x" },
        ] });
        assert_eq!(
            words(&result),
            "sunny[2J\n[image: image/png; --json shows it]\nfile:///x\n"
        );
        assert_eq!(
            words(&json!({ "structuredContent": { "a": 1 } })),
            "{\n  \"a\": 1\n}\n"
        );
        let tools = [
            json!({ "name": "get", "description": "Gets\nit", "inputSchema":
            { "properties": { "a": {}, "b": {} }, "required": ["a"] } }),
        ];
        assert_eq!(list(&tools), "get  a [b]                     Gets\n");
    }
}
