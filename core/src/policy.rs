//! Who may use what: a short typed list of rules for each MCP server (ADR 5).
//!
//! A rule names groups and people by their lasting ids at the provider. What of it concerns
//! a person travels in the access token, so the guard asks nobody. Holding a scope is
//! necessary and never sufficient.

mod tool_rules;

use std::{cmp::Ordering, fmt};

pub use self::tool_rules::{ToolRule, ToolRules, matches};
use crate::{
    scope::ScopeSet,
    text::{folded, is_deceptive},
};

/// Somebody whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Members of a group or holders of a role, by its id at the provider.
    Group(String),
    /// One person, by their lasting id at the provider; never by name or address.
    Person(String),
}

impl Who {
    /// Reads `group:ID` or `person:ID`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
            return None;
        }
        match kind {
            "group" => Some(Self::Group(id.to_owned())),
            "person" => Some(Self::Person(id.to_owned())),
            _ => None,
        }
    }

    /// Whether this is `name`, as rules write it.
    fn is_named(&self, name: &str) -> bool {
        let (kind, id) = match self {
            Self::Group(id) => ("group:", id),
            Self::Person(id) => ("person:", id),
        };
        name.strip_prefix(kind) == Some(id)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Person(id) => write!(f, "person:{id}"),
        }
    }
}

/// Somebody as whoever vouches for them knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Somebody<'s> {
    /// Their lasting id there.
    pub subject: &'s str,
    /// Their groups and roles there.
    pub groups: &'s [String],
    /// Who vouches, by the name in the configuration; `None` for the identity provider
    /// itself. An id means something only at who gave it, so a rule writes that of another
    /// as `NAME/ID`.
    pub vouched_by: Option<&'s str>,
    /// The names of all who vouch for somebody besides the main identity provider.
    pub others: &'s [String],
}

/// Whether an id of the main identity provider's reads as one of another's, which a rule would
/// take it for.
pub fn reads_as_anothers(id: &str, others: &[String]) -> bool {
    let name = id.split_once('/').map(|(name, _)| name);
    name.is_some_and(|name| others.iter().any(|other| other == name))
}

impl Somebody<'_> {
    /// Whether `written` in a rule is this `id`.
    fn is(&self, written: &str, id: &str) -> bool {
        match self.vouched_by {
            None => written == id && !reads_as_anothers(id, self.others),
            Some(name) => written
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| rest == id),
        }
    }
}

/// Who may. Without a list of those who may, everybody may whom nobody denies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// If there is a list, only those on it.
    pub allow: Option<Vec<Who>>,
    /// Never these, whatever else they are.
    pub deny: Vec<Who>,
}

impl Access {
    /// Whether somebody may whom the rules know by `names` (see [`Policy::names_of`]).
    pub fn admits(&self, names: &[String]) -> bool {
        let is = |who: &Who| names.iter().any(|name| who.is_named(name));
        !self.deny.iter().any(is) && self.allow.as_ref().is_none_or(|list| list.iter().any(is))
    }

    fn names(&self) -> impl Iterator<Item = &Who> {
        self.allow.iter().flatten().chain(&self.deny)
    }
}

/// All rules of one MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Who may use the server at all.
    pub access: Access,
    /// Rules about its tools.
    pub tools: ToolRules,
}

/// What the rules say of a tool for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A call needs these scopes; none is fine.
    Needs(ScopeSet),
    /// No scope would help.
    Denied,
}

impl Policy {
    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.access == Access::default()
    }

    /// Whether these rules name a group or role of whom `vouched_by` names (see
    /// [`Somebody::vouched_by`]); `others` are the names in the configuration of all who vouch
    /// for somebody besides the main identity provider.
    pub fn asks_for_groups(&self, vouched_by: Option<&str>, others: &[&str]) -> bool {
        self.names().any(|who| match who {
            Who::Group(id) => {
                let other = id.split_once('/').map(|(name, _)| name);
                other.filter(|name| others.contains(name)) == vouched_by
            }
            Who::Person(_) => false,
        })
    }

    /// Everybody whom a rule names.
    fn names(&self) -> impl Iterator<Item = &Who> {
        let tools = self.tools.iter().flat_map(|rule| rule.access.names());
        self.access.names().chain(tools)
    }

    /// Whether a list of tools may hide some.
    pub fn hides_tools(&self) -> bool {
        self.tools.name_people()
    }

    /// The names under which these rules know somebody: of all groups only those that a rule
    /// names. They go into the access token.
    pub fn names_of(&self, somebody: &Somebody<'_>) -> Vec<String> {
        let Somebody {
            subject, groups, ..
        } = somebody;
        let mut names: Vec<String> = self
            .names()
            .filter(|who| match who {
                Who::Group(id) => groups.iter().any(|group| somebody.is(id, group)),
                Who::Person(id) => somebody.is(id, subject),
            })
            .map(Who::to_string)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Judges a tool. Of the rules about people the closest decides (see
    /// [`ToolRule::closeness`]), and of several equally close ones each must admit; scopes are
    /// needed for every rule that matches. A name that is a rule's but for case, blanks or
    /// what is not seen is denied: the server may read it as the rule's own.
    pub fn judge_tool(&self, tool: &str, names: &[String]) -> Verdict {
        if self.tools.is_empty() {
            return Verdict::Needs(ScopeSet::empty());
        }
        let read_as = folded(tool);
        let disguised = tool.trim() != tool || tool.chars().any(is_deceptive);
        let mut scopes = Vec::new();
        let mut closest = (false, 0);
        let mut admitted = true;
        for rule in self.tools.read_as(&read_as) {
            if disguised || !rule.means(tool) {
                return Verdict::Denied;
            }
            scopes.extend(rule.scope.clone());
            if rule.access == Access::default() {
                continue;
            }
            let admits = rule.access.admits(names);
            match rule.closeness().cmp(&closest) {
                Ordering::Greater => (closest, admitted) = (rule.closeness(), admits),
                Ordering::Equal => admitted &= admits,
                Ordering::Less => {}
            }
        }
        if admitted {
            Verdict::Needs(ScopeSet::of(scopes))
        } else {
            Verdict::Denied
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, scope: Option<&str>, allow: Option<&[&str]>, deny: &[&str]) -> ToolRule {
        let who = |list: &[&str]| {
            list.iter()
                .map(|text| Who::parse(text).expect("a name"))
                .collect()
        };
        ToolRule {
            pattern: pattern.into(),
            scope: scope.map(str::to_owned),
            access: Access {
                allow: allow.map(who),
                deny: who(deny),
            },
        }
    }

    fn policy() -> Policy {
        Policy {
            access: Access::default(),
            tools: ToolRules::of(vec![
                rule("*", None, Some(&[]), &[]),
                rule("get_*", None, Some(&["group:staff"]), &["person:eve"]),
                rule("set_*", Some("write"), Some(&["group:admins"]), &[]),
            ]),
        }
    }

    #[test]
    fn up_19_only_the_provider_s_own_groups_are_asked_of_it() {
        let with = |name: &str| Policy {
            access: Access {
                allow: None,
                deny: vec![Who::parse(name).expect("a name")],
            },
            tools: ToolRules::default(),
        };
        for (name, asks) in [
            ("group:staff", true),
            ("group:partner/staff", false),
            ("group:other/staff", true),
            ("person:group:x", false),
        ] {
            let policy = with(name);
            assert_eq!(policy.asks_for_groups(None, &["partner"]), asks, "{name}");
            assert_eq!(
                policy.asks_for_groups(Some("partner"), &["partner"]),
                name == "group:partner/staff",
                "{name}"
            );
        }
        assert!(policy().asks_for_groups(None, &[]), "a rule about a tool");
    }

    #[test]
    fn tkn_10_rs_9_rs_11_t_mcp_06_the_longest_pattern_decides_and_case_opens_nothing() {
        let needs = |scopes: &[&str]| Verdict::Needs(ScopeSet::of(scopes.iter().copied()));
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let staff = names(&["group:staff"]);
        let admin = names(&["group:admins", "group:staff"]);
        let eve = names(&["group:staff", "person:eve"]);
        let table = [
            ("get_weather", &staff, needs(&[])),
            ("get_weather", &admin, needs(&[])),
            ("get_weather", &eve, Verdict::Denied),
            ("set_alert", &staff, Verdict::Denied),
            ("set_alert", &admin, needs(&["write"])),
            ("other", &admin, Verdict::Denied),
            ("SET_alert", &admin, Verdict::Denied),
            ("set_alert ", &admin, Verdict::Denied),
            (" get_weather", &staff, Verdict::Denied),
            ("Get_weather", &staff, Verdict::Denied),
            ("\u{17f}et_alert", &admin, Verdict::Denied),
            ("\u{feff}set_alert", &admin, Verdict::Denied),
            ("set_\u{0}alert", &admin, Verdict::Denied),
            ("\u{1c}set_alert", &admin, Verdict::Denied),
        ];
        for (tool, names, expected) in table {
            assert_eq!(
                policy().judge_tool(tool, names),
                expected,
                "{tool} {names:?}"
            );
        }
        assert_eq!(Policy::default().judge_tool("any", &[]), needs(&[]));
    }

    #[test]
    fn tkn_10_t_mcp_06_no_wildcard_overrides_a_closer_refusal() {
        let group = |name: &str| vec![Who::Group(name.to_owned())];
        let rule = |pattern: &str, allow: Option<Vec<Who>>, deny: Vec<Who>| ToolRule {
            pattern: pattern.to_owned(),
            scope: None,
            access: Access { allow, deny },
        };
        let judge = |tools: Vec<ToolRule>, tool: &str| {
            let policy = Policy {
                tools: ToolRules::of(tools),
                ..Policy::default()
            };
            policy.judge_tool(tool, &["group:g".to_owned()]) != Verdict::Denied
        };
        let (g, none) = (group("g"), Vec::new());
        // Equally close: each must admit.
        let tie = || {
            vec![
                rule("*_all", Some(g.clone()), none.clone()),
                rule("get_*", None, g.clone()),
            ]
        };
        assert!(!judge(tie(), "get_all"));
        assert!(judge(tie(), "put_all"));
        // The name itself is closer than any pattern, and stars are no characters.
        let exact = vec![
            rule("rm", None, g.clone()),
            rule("r*m", Some(g.clone()), none.clone()),
        ];
        assert!(!judge(exact, "rm"));
        let stars = vec![
            rule("a*b*c*****", Some(g.clone()), none),
            rule("axb*cx", None, g),
        ];
        assert!(!judge(stars, "axbcx"));
    }

    #[test]
    fn only_names_that_a_rule_has_travel() {
        let groups = ["staff", "admins", "others"].map(str::to_owned);
        let of = |subject, groups, vouched_by| {
            policy().names_of(&Somebody {
                subject,
                groups,
                vouched_by,
                others: &[],
            })
        };
        assert_eq!(
            of("eve", &groups, None),
            ["group:admins", "group:staff", "person:eve"]
        );
        assert_eq!(of("group:staff", &[], None), [""; 0]);
        assert!(of("ada", &["others".into()], None).is_empty());
    }

    #[test]
    fn ema_8_up_15_tkn_10_an_id_means_something_at_who_gave_it_only() {
        let groups = ["staff", "admins"].map(str::to_owned);
        let others = ["partner".to_owned()];
        let eve = |vouched_by| Somebody {
            subject: "eve",
            groups: &groups,
            vouched_by,
            others: &others,
        };
        assert_eq!(policy().names_of(&eve(Some("partner"))), [""; 0]);
        let mut theirs = Policy::default();
        theirs.access.deny = ["group:partner/admins", "person:partner/eve", "group:admins"]
            .into_iter()
            .filter_map(Who::parse)
            .collect();
        assert_eq!(
            theirs.names_of(&eve(Some("partner"))),
            ["group:partner/admins", "person:partner/eve"]
        );
        assert_eq!(theirs.names_of(&eve(Some("part"))), [""; 0]);
        assert_eq!(theirs.names_of(&eve(None)), ["group:admins"]);
        // What the main provider calls like another's is not theirs.
        let posing = ["partner/admins", "other/admins"].map(str::to_owned);
        let posing = Somebody {
            subject: "partner/eve",
            groups: &posing,
            ..eve(None)
        };
        assert_eq!(theirs.names_of(&posing), [""; 0]);
    }

    #[test]
    fn t_adm_02_a_name_is_no_id() {
        for bad in ["staff", "group:", "role:x", ":x", "group:a\nb", ""] {
            assert_eq!(Who::parse(bad), None, "{bad:?}");
        }
        assert_eq!(
            Who::parse("group:https://id/g:1").map(|who| who.to_string()),
            Some("group:https://id/g:1".into())
        );
        let admins = Access {
            allow: Some(vec![Who::Group("admins".into())]),
            deny: vec![],
        };
        assert!(!admins.admits(&["person:admins".into()]));
        assert!(admins.admits(&["group:admins".into()]));
    }
}
