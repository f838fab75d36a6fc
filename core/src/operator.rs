//! What operators see and decide: clients, people, logins.

use serde::{Deserialize, Serialize};

use crate::{
    flow::FlowCode,
    id::{ClientRef, PersonId},
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
};

/// What somebody may do at the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
}

/// Who has which role: by the lasting ids of groups, and by people; a name never counts
/// (T-ADM-02).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Groups whose members are operators.
    pub groups: Vec<String>,
    /// Groups whose members may look.
    pub viewers: Vec<String>,
    /// People who are operators, by their lasting key at the identity provider.
    pub people: Vec<String>,
}

impl Roles {
    /// The role of somebody whom the identity provider calls `subject`, with these groups;
    /// `made` is whether a link made them an operator.
    pub fn of(&self, subject: &str, groups: &[String], made: bool) -> Option<Role> {
        let is_in = |of: &[String]| groups.iter().any(|group| of.contains(group));
        if made || self.people.iter().any(|one| one == subject) || is_in(&self.groups) {
            Some(Role::Operator)
        } else {
            is_in(&self.viewers).then_some(Role::Viewer)
        }
    }

    /// Whether anybody is an operator without a link.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.people.is_empty()
    }
}

/// Why somebody or something is not let in, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub why: String,
}

/// What operators decided about a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// It is not let in.
    pub blocked: Option<Block>,
    /// Somebody looked at it and vouches for it.
    pub trusted: Option<Timestamp>,
    /// As it described itself then; of another description nobody vouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_described: Option<Digest>,
    /// What it may ask for at most.
    pub limit: Option<ScopeSet>,
}

/// A client that somebody allowed something, or that an operator decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// Its short reference.
    pub reference: ClientRef,
    /// Its `client_id`.
    pub client_id: String,
    /// Its name at the last login.
    pub name: Option<String>,
    /// Since when it is known.
    pub since: Timestamp,
    /// People for whom it may act.
    pub people: u64,
    /// Grants that live.
    pub grants: u64,
    /// When tokens were last issued to it.
    pub used: Option<Timestamp>,
    /// Where its answers went, by what people allowed; ten at most.
    pub redirects: Vec<String>,
    /// What was decided.
    pub standing: Standing,
}

/// How a client came to be known, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An operator added it.
    Operator,
    /// By an address.
    Document,
    /// It registered itself.
    Dynamic,
}

impl Kind {
    /// Of a `client_id`.
    pub fn of(client_id: &str) -> Self {
        if client_id.starts_with(crate::register::PREFIX) {
            Self::Dynamic
        } else if client_id.starts_with("https://") {
            Self::Document
        } else {
            Self::Operator
        }
    }

    /// The word in lists.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Document => "document",
            Self::Dynamic => "dynamic",
        }
    }
}

/// A person or machine that signed in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRow {
    /// Who they are here.
    pub id: PersonId,
    /// What they are called.
    pub shown: String,
    /// Who vouches for them.
    pub issuer: String,
    /// When they last signed in.
    pub seen: Timestamp,
    /// Apps that may act for them.
    pub apps: u64,
    /// Grants that live.
    pub grants: u64,
    /// They are not let in.
    pub blocked: Option<Block>,
    /// Whether a link made them an operator.
    pub operator: bool,
}

/// A login in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRow {
    /// Which.
    pub flow: FlowCode,
    /// When it began.
    pub begun: Timestamp,
    /// When the last of it happened.
    pub last: Timestamp,
    /// The app's name.
    pub client: Option<String>,
    /// The MCP server's title.
    pub server: Option<String>,
    /// Who signed in.
    pub person: Option<String>,
    /// How it stands: `open`, `ok` or `failed`.
    pub outcome: String,
    /// The error of the catalogue.
    pub error: Option<String>,
}

/// Logins that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The error of the catalogue.
    pub error: String,
    /// How many.
    pub flows: u64,
    /// The first and the last.
    pub first: Timestamp,
    /// See `first`.
    pub last: Timestamp,
}

/// Which logins a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Only those that failed.
    pub failed: bool,
    /// Only with this error.
    pub error: Option<String>,
    /// A part of the app's name.
    pub client: Option<String>,
    /// A part of the person's name.
    pub person: Option<String>,
    /// Only older than this, for the next page.
    pub before: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_adm_02_a_role_comes_by_lasting_ids_and_never_by_a_name() {
        let roles = Roles {
            groups: vec!["b3f1-admins".into()],
            viewers: vec!["b3f1-helpdesk".into()],
            people: vec!["ada-key".into()],
        };
        let groups = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let of = |subject: &str, names: &[&str]| roles.of(subject, &groups(names), false);
        assert_eq!(of("ada-key", &[]), Some(Role::Operator));
        assert_eq!(of("x", &["other", "b3f1-admins"]), Some(Role::Operator));
        assert_eq!(of("x", &["b3f1-helpdesk"]), Some(Role::Viewer));
        assert_eq!(
            of("x", &["b3f1-helpdesk", "b3f1-admins"]),
            Some(Role::Operator)
        );
        for nobody in [&["B3F1-ADMINS"][..], &["admins"], &["b3f1-admins "], &[]] {
            assert_eq!(of("ada", nobody), None, "{nobody:?}");
        }
        assert_eq!(roles.of("x", &[], true), Some(Role::Operator), "by a link");
        assert_eq!(Roles::default().of("", &[], false), None);
    }

    #[test]
    fn a_client_tells_by_its_id_how_it_came() {
        assert_eq!(Kind::of("vdc_abc"), Kind::Dynamic);
        assert_eq!(Kind::of("https://app.example/client.json"), Kind::Document);
        assert_eq!(Kind::of("desktop"), Kind::Operator);
    }
}
