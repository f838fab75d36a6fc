//! The rules about a server's tools, found by the beginnings of their patterns, so that a call
//! costs no more with many of them.

use std::collections::{BTreeSet, HashMap};

use super::Access;
use crate::text::folded;

/// A rule about tools whose names match a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRule {
    /// A tool's name, in which `*` stands for any characters.
    pub pattern: String,
    /// The scope that a call needs.
    pub scope: Option<String>,
    /// Who may call at all.
    pub access: Access,
}

/// All rules about tools of one server, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolRules {
    rules: Vec<ToolRule>,
    /// Their patterns as a lax reader takes them.
    read_as: Vec<String>,
    /// Which rules begin so, up to the first star or to the end.
    by_beginning: HashMap<String, Vec<usize>>,
    /// How long beginnings are, in bytes.
    lengths: BTreeSet<usize>,
    /// Whether any says who may call.
    name_people: bool,
}

impl ToolRules {
    /// These rules.
    pub fn of(rules: Vec<ToolRule>) -> Self {
        let read_as: Vec<String> = rules.iter().map(|rule| folded(&rule.pattern)).collect();
        let mut by_beginning: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, pattern) in read_as.iter().enumerate() {
            let beginning = pattern.split('*').next().unwrap_or_default();
            by_beginning
                .entry(beginning.to_owned())
                .or_default()
                .push(at);
        }
        Self {
            lengths: by_beginning.keys().map(String::len).collect(),
            name_people: rules.iter().any(|rule| rule.access != Access::default()),
            rules,
            read_as,
            by_beginning,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any of them says who may call, and not only what a call needs.
    pub fn name_people(&self) -> bool {
        self.name_people
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ToolRule> {
        self.rules.iter()
    }

    /// Those of which a lax reader takes the pattern for one of `tool`, which is folded.
    pub(super) fn read_as<'r>(&'r self, tool: &'r str) -> impl Iterator<Item = &'r ToolRule> {
        self.lengths
            .range(..=tool.len())
            .filter_map(|length| self.by_beginning.get(tool.get(..*length)?))
            .flatten()
            .filter(|at| matches(&self.read_as[**at], tool))
            .map(|at| &self.rules[*at])
    }
}

impl ToolRule {
    /// How closely the pattern says which tools it means: a whole name before any pattern,
    /// then by the characters that it names.
    pub(super) fn closeness(&self) -> (bool, usize) {
        let named = self.pattern.chars().filter(|c| *c != '*').count();
        (!self.pattern.contains('*'), named)
    }

    /// Whether it means the tool of exactly this name.
    pub(super) fn means(&self, tool: &str) -> bool {
        matches(&self.pattern, tool)
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else {
                return false;
            };
            rest = &rest[at + middle.len()..];
        }
    }
    match last {
        Some(last) => rest.len() >= last.len() && rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tkn_10_t_mcp_06_rules_are_found_by_their_beginnings_and_none_is_missed() {
        let patterns = [
            "*",
            "g*",
            "get_*",
            "get_weather",
            "GET_*",
            "*_weather",
            "g*r",
            "set",
            "",
            "gé*",
            "get weather",
        ];
        let rules = ToolRules::of(
            patterns
                .iter()
                .map(|pattern| ToolRule {
                    pattern: (*pattern).to_owned(),
                    scope: None,
                    access: Access::default(),
                })
                .collect(),
        );
        for tool in [
            "get_weather",
            "get_",
            "g",
            "set",
            "",
            "gé_1",
            "other",
            "getweather",
        ] {
            let mut found: Vec<&str> = rules
                .read_as(tool)
                .map(|rule| rule.pattern.as_str())
                .collect();
            let mut expected: Vec<&str> = patterns
                .into_iter()
                .filter(|pattern| matches(&folded(pattern), tool))
                .collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{tool:?}");
        }
    }

    #[test]
    fn tool_patterns() {
        for (pattern, text, hit) in [
            ("set_*", "set_alert", true),
            ("set_*", "set_", true),
            ("set_*", "get_set_", false),
            ("*_alert", "set_alert", true),
            ("*_alert", "set_alerts", false),
            ("s*_*t", "set_alert", true),
            ("s*_*t", "st", false),
            ("*", "", true),
            ("set", "set", true),
            ("set", "sets", false),
            ("a*a", "a", false),
            ("SET_*", "set_alert", false),
        ] {
            assert_eq!(matches(pattern, text), hit, "{pattern} {text}");
        }
    }
}
