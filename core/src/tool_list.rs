//! The answer to `tools/list`, less what its reader may not call (T-MCP-06).
//!
//! Everything else of the answer stays as the server wrote it, to the byte.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An answer that cannot be read, so that nobody knows what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list of tools cannot be read")]
pub struct Unreadable;

/// The message without the tools that `hidden` names; `None` if it stays as it is.
///
/// # Errors
/// [`Unreadable`] for what is no JSON: it might list anything.
pub fn filter(message: &[u8], hidden: &dyn Fn(&str) -> bool) -> Result<Option<String>, Unreadable> {
    let text = std::str::from_utf8(message).map_err(|_| Unreadable)?;
    let value: &RawValue = serde_json::from_str(text.trim()).map_err(|_| Unreadable)?;
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = read(value)?;
        let mut changed = false;
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(edited(message_of(item, hidden)?, item, &mut changed));
        }
        return Ok(changed.then(|| format!("[{}]", out.join(","))));
    }
    message_of(value, hidden)
}

fn message_of(
    value: &RawValue,
    hidden: &dyn Fn(&str) -> bool,
) -> Result<Option<String>, Unreadable> {
    members(value, "result", &|result| {
        members(result, "tools", &|tools| tools_of(tools, hidden))
    })
}

fn tools_of(tools: &RawValue, hidden: &dyn Fn(&str) -> bool) -> Result<Option<String>, Unreadable> {
    if !tools.get().starts_with('[') {
        return Ok(None);
    }
    let all: Vec<&RawValue> = read(tools)?;
    let mut shown = Vec::with_capacity(all.len());
    for tool in &all {
        if may_see(tool, hidden)? {
            shown.push(tool.get());
        }
    }
    Ok((shown.len() < all.len()).then(|| format!("[{}]", shown.join(","))))
}

/// Every name that a tool gives itself is looked at: readers differ in which one counts.
fn may_see(tool: &RawValue, hidden: &dyn Fn(&str) -> bool) -> Result<bool, Unreadable> {
    if !tool.get().starts_with('{') {
        return Ok(false);
    }
    let Members(members) = read(tool)?;
    let mut named = false;
    for (key, value) in members {
        if key == "name" {
            let Ok(name) = serde_json::from_str::<String>(value.get()) else {
                return Ok(false);
            };
            if hidden(&name) {
                return Ok(false);
            }
            named = true;
        }
    }
    Ok(named)
}

/// What becomes of one member's value; `None` if it stays.
type Edit<'e> = dyn Fn(&RawValue) -> Result<Option<String>, Unreadable> + 'e;

/// The object with each member of this name edited; `None` if nothing changed.
fn members(value: &RawValue, name: &str, edit: &Edit<'_>) -> Result<Option<String>, Unreadable> {
    if !value.get().starts_with('{') {
        return Ok(None);
    }
    let Members(members) = read(value)?;
    let mut changed = false;
    let mut out = Vec::with_capacity(members.len());
    for (key, value) in members {
        let new = if key == name { edit(value)? } else { None };
        let value = edited(new, value, &mut changed);
        let key = serde_json::to_string(&key).map_err(|_| Unreadable)?;
        out.push(format!("{key}:{value}"));
    }
    Ok(changed.then(|| format!("{{{}}}", out.join(","))))
}

fn edited(new: Option<String>, old: &RawValue, changed: &mut bool) -> String {
    *changed |= new.is_some();
    new.unwrap_or_else(|| old.get().to_owned())
}

fn read<'a, T: serde::Deserialize<'a>>(value: &'a RawValue) -> Result<T, Unreadable> {
    serde_json::from_str(value.get()).map_err(|_| Unreadable)
}

/// An object's members in their order, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_mcp_06_what_may_not_be_called_is_not_listed() {
        let hidden = |name: &str| name.starts_with("delete_");
        let of = |text: &str| filter(text.as_bytes(), &hidden);
        let changed = [
            (
                r#"{"jsonrpc":"2.0","id":1.0,"result":{"tools":[{"name":"read","x":1e400},{"name":"delete_all"}],"nextCursor":"a"}}"#,
                r#"{"jsonrpc":"2.0","id":1.0,"result":{"tools":[{"name":"read","x":1e400}],"nextCursor":"a"}}"#,
            ),
            (
                r#" [{"id":1,"result":{}},{"id":2,"result":{"tools":[{"name":"delete_all"}]}}]"#,
                r#"[{"id":1,"result":{}},{"id":2,"result":{"tools":[]}}]"#,
            ),
            // Spelled with escapes, twice, as no tool at all, and in the second of two results.
            (
                r#"{"result":{"tools":[{"n\u0061me":"d\u0065lete_all"}]}}"#,
                r#"{"result":{"tools":[]}}"#,
            ),
            (
                r#"{"result":{"tools":[{"name":"read","name":"delete_all"},{"name":7},"delete_all",{}]}}"#,
                r#"{"result":{"tools":[]}}"#,
            ),
            (
                r#"{"result":{},"result":{"tools":[],"tools":[{"name":"delete_x"}]}}"#,
                r#"{"result":{},"result":{"tools":[],"tools":[]}}"#,
            ),
        ];
        for (message, expected) in changed {
            assert_eq!(of(message).expect(message).as_deref(), Some(expected));
        }
        for stays in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
            r#"{"method":"delete_all"}"#,
            r#"{"result":{"tools":"delete_all"}}"#,
            r#"{"result":[]}"#,
        ] {
            assert_eq!(of(stays), Ok(None), "{stays}");
        }
        for wrong in [
            "",
            "{",
            r#"{"result":{"tools":[{"name":"delete_all"}]}} x"#,
            "\u{0}",
        ] {
            assert_eq!(of(wrong), Err(Unreadable), "{wrong}");
        }
        assert_eq!(filter(b"\"\xff\"", &hidden), Err(Unreadable));
    }
}
