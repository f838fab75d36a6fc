//! TOML with the place of every key and value, and the environment laid over it.

use std::{cell::RefCell, collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use super::report::Report;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Bytes of the file.
    File(Range<usize>),
    /// A variable.
    Env(String),
}

/// A key with its place.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) path: String,
    pub(super) place: Place,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text {
        text: String,
        place: Place,
        from_env: bool,
    },
    Number {
        number: i64,
        place: Place,
    },
    Flag {
        flag: bool,
        place: Place,
    },
    List {
        items: Vec<Value>,
        place: Place,
    },
    Table {
        table: Table,
        place: Place,
    },
    Other {
        kind: &'static str,
        place: Place,
    },
}

impl Value {
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Text { place, .. }
            | Self::Number { place, .. }
            | Self::Flag { place, .. }
            | Self::List { place, .. }
            | Self::Table { place, .. }
            | Self::Other { place, .. } => place,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Number { .. } => "a number",
            Self::Flag { .. } => "true or false",
            Self::List { .. } => "a list",
            Self::Table { .. } => "a table",
            Self::Other { kind, .. } => kind,
        }
    }
}

/// A table whose keys are taken out one by one; what is left was not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    path: String,
    entries: Vec<(Name, Value)>,
    asked: RefCell<Vec<String>>,
}

impl Table {
    pub(super) fn parse(
        text: &str,
        env: &BTreeMap<String, String>,
        report: &mut Report,
    ) -> Option<Self> {
        match DeTable::parse(text) {
            Ok(table) => {
                let mut table = Self::from_toml("", table.get_ref());
                table.overlay(env);
                Some(table)
            }
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                report.at(&Place::File(span), "V-CFG-001", error.message().to_owned());
                None
            }
        }
    }

    fn from_toml(path: &str, toml: &DeTable<'_>) -> Self {
        let mut table = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        for (key, value) in toml {
            let name = Name {
                text: key.get_ref().to_string(),
                path: table.path_of(key.get_ref()),
                place: Place::File(key.span()),
            };
            let value = from_toml(&name.path, value.get_ref(), value.span());
            table.entries.push((name, value));
        }
        table
    }

    /// `VESTIBULE_IDP__CLIENT_ID` is `idp.client_id`; the environment wins over the file.
    fn overlay(&mut self, env: &BTreeMap<String, String>) {
        for (variable, text) in env {
            let Some(path) = variable.strip_prefix("VESTIBULE_") else {
                continue;
            };
            let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            if OTHER_VARIABLES.contains(&path) || keys.iter().any(String::is_empty) {
                continue;
            }
            self.set(&keys, variable, text);
        }
    }

    fn set(&mut self, keys: &[String], variable: &str, text: &str) {
        let Some((first, rest)) = keys.split_first() else {
            return;
        };
        let place = Place::Env(variable.to_owned());
        let at = self
            .entries
            .iter()
            .position(|(name, _)| name.text.eq_ignore_ascii_case(first));
        if rest.is_empty() {
            let value = Value::Text {
                text: text.to_owned(),
                place: place.clone(),
                from_env: true,
            };
            match at {
                Some(at) => self.entries[at].1 = value,
                None => {
                    let name = Name {
                        text: first.clone(),
                        path: self.path_of(first),
                        place,
                    };
                    self.entries.push((name, value));
                }
            }
            return;
        }
        let at = at.unwrap_or_else(|| {
            let path = self.path_of(first);
            let table = Self {
                path: path.clone(),
                ..Self::default()
            };
            let name = Name {
                text: first.clone(),
                path,
                place: place.clone(),
            };
            self.entries.push((name, Value::Table { table, place }));
            self.entries.len() - 1
        });
        if let Value::Table { table, .. } = &mut self.entries[at].1 {
            table.set(rest, variable, text);
        }
    }

    /// Takes the value of `key`.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.borrow_mut().push(key.to_owned());
        let at = self.entries.iter().position(|(name, _)| name.text == key)?;
        Some(self.entries.remove(at).1)
    }

    /// The value of `key`, which stays.
    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        let mut entries = self.entries.iter();
        entries
            .find(|(name, _)| name.text == key)
            .map(|(_, value)| value)
    }

    /// What is still in it.
    pub(super) fn into_entries(self) -> Vec<(Name, Value)> {
        self.entries
    }

    /// The keys that somebody asked for.
    pub(super) fn known(&self) -> std::cell::Ref<'_, Vec<String>> {
        self.asked.borrow()
    }

    /// The whole path of `key` in this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// Variables of ours that are not settings.
const OTHER_VARIABLES: [&str; 3] = ["CONFIG", "LOG", "BIN"];

fn from_toml(path: &str, value: &DeValue<'_>, span: Range<usize>) -> Value {
    let place = Place::File(span);
    match value {
        DeValue::String(text) => Value::Text {
            text: text.to_string(),
            place,
            from_env: false,
        },
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Number { number, place },
            Err(_) => Value::Other {
                kind: "a number that is too large",
                place,
            },
        },
        DeValue::Boolean(flag) => Value::Flag { flag: *flag, place },
        DeValue::Array(items) => Value::List {
            items: items
                .iter()
                .map(|item| from_toml(path, item.get_ref(), item.span()))
                .collect(),
            place,
        },
        DeValue::Table(table) => Value::Table {
            table: Table::from_toml(path, table),
            place,
        },
        DeValue::Float(_) => Value::Other {
            kind: "a fraction",
            place,
        },
        DeValue::Datetime(_) => Value::Other {
            kind: "a date",
            place,
        },
    }
}
