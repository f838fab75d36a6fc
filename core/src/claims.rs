//! Claims of a signed token, read strictly: of another type is an error, not absent.

use serde_json::{Map, Value};

use crate::time::Timestamp;

/// A claim of another type than its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongType;

type Claims = Map<String, Value>;

/// A claim that is text.
pub(crate) fn text<'c>(claims: &'c Claims, name: &str) -> Result<Option<&'c str>, WrongType> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(WrongType),
    }
}

/// A claim that is a time (RFC 7519 §2, NumericDate).
pub(crate) fn seconds(claims: &Claims, name: &str) -> Result<Option<Timestamp>, WrongType> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let whole = number.as_u64().or_else(|| {
                let float = number.as_f64()?;
                (0.0..1e15).contains(&float).then_some(float as u64)
            });
            whole
                .map(|n| Some(Timestamp::from_unix(n)))
                .ok_or(WrongType)
        }
        Some(_) => Err(WrongType),
    }
}

/// A claim that is a list of texts; absent is empty.
pub(crate) fn list(claims: &Claims, name: &str) -> Result<Vec<String>, WrongType> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or(WrongType))
            .collect(),
        Some(_) => Err(WrongType),
    }
}

/// The one audience of a token: text, or a list with a single text.
pub(crate) fn only_audience(claims: &Claims) -> Result<Option<&str>, WrongType> {
    match claims.get("aud") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(one)) => Ok(Some(one)),
        Some(Value::Array(list)) => match list.as_slice() {
            [Value::String(one)] => Ok(Some(one)),
            _ => Err(WrongType),
        },
        Some(_) => Err(WrongType),
    }
}
