//! Parameters of a query or a form.

use std::collections::HashMap;

/// RFC 6749 §3.1: each parameter at most once, and an empty one counts as absent.
pub(super) struct Parameters(HashMap<String, String>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct RepeatedParameter;

impl Parameters {
    pub(super) fn parse(text: &str) -> Result<Self, RepeatedParameter> {
        let mut all = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if all.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(RepeatedParameter);
            }
        }
        Ok(Self(all))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
