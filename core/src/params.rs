//! Form and query parameters, read once and strictly.
//!
//! Two parsers that read one request differently are an attack, so there is one: a broken
//! escape or invalid UTF-8 is refused, never repaired, and a repeated parameter is an
//! error (RFC 6749 §3.1), but for `resource`, which may repeat (RFC 8707 §2).

use std::borrow::Cow;

/// Parameters by name, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Why a query or form could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// A `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the parameters are not properly encoded")]
    Encoding,
    /// More than 64 parameters.
    #[error("too many parameters")]
    TooMany,
}

/// A parameter that came more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is repeated")]
pub struct Repeated;

const PARAMS_MAX: usize = 64;

impl<'a> Params<'a> {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn parse(text: &'a str) -> Result<Self, ParamsError> {
        let mut out = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if out.len() == PARAMS_MAX {
                return Err(ParamsError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.push((decode(name)?, decode(value)?));
        }
        Ok(Self(out))
    }

    /// The value of `name`; an empty one counts as absent (RFC 6749 §3.1).
    ///
    /// # Errors
    /// [`Repeated`] if it came more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self
            .0
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_ref());
        let first = values.next();
        if values.next().is_some() {
            return Err(Repeated);
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Every value of `name` that is not empty.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_ref())
            .filter(|v| !v.is_empty())
    }

    /// Whether `name` came at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// Decodes one `application/x-www-form-urlencoded` component: `+` is a space, `%XX` a byte.
///
/// # Errors
/// [`ParamsError::Encoding`].
pub fn decode(text: &str) -> Result<Cow<'_, str>, ParamsError> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16));
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
                    _ => return Err(ParamsError::Encoding),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| ParamsError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authz_1_t_aut_05_a_repeated_parameter_is_an_error() {
        let params = Params::parse("state=a&state=b&resource=x&resource=y&empty=").expect("fine");
        assert_eq!(params.one("state"), Err(Repeated));
        assert_eq!(params.one("empty"), Ok(None));
        assert_eq!(params.one("absent"), Ok(None));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn t_tok_08_broken_encodings_are_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=a", "a=%c3%28"] {
            assert_eq!(
                Params::parse(bad).err(),
                Some(ParamsError::Encoding),
                "{bad}"
            );
        }
        let many = "a=1&".repeat(PARAMS_MAX + 1);
        assert_eq!(Params::parse(&many).err(), Some(ParamsError::TooMany));
    }

    #[test]
    fn authz_9_values_come_through_unchanged() {
        let params = Params::parse("state=%C3%BC+%2B%26%3D").expect("fine");
        assert_eq!(params.one("state"), Ok(Some("ü +&=")));
    }
}
