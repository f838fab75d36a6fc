//! The audit: who called which tool when and how that ended, and who changed what.
//!
//! Calls are many and alike, so they are kept by pages: each name once, each call as a row of
//! small numbers. What a call was about, its arguments and its answer, is not in it unless
//! the operator wants the arguments.

use serde::{Deserialize, Serialize};

use crate::{
    flow::{Entry, FlowCode},
    id::{ClientRef, PersonId},
    operator::{Block, Standing},
    text::on_one_line,
    time::Timestamp,
};

/// Longest tool name that is kept, in characters.
const NAME_MAX: usize = 128;

/// Longest arguments that are kept, in bytes of their JSON.
pub const ARGUMENTS_MAX: usize = 4096;

/// Calls of one page at most.
pub const CALLS_MAX: usize = 4096;

/// What is written at once, and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// Calls of tools.
    Calls(Calls),
    /// Steps of logins: consent, issuing, renewal, replay, refusal, the provider's failures.
    Steps {
        /// In order.
        steps: Vec<(FlowCode, Entry)>,
    },
    /// What somebody did to somebody's access.
    Act(Box<Act>),
}

impl Record {
    /// The word of its kind, by which it is sought.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Calls(_) => "calls",
            Self::Steps { .. } => "steps",
            Self::Act(_) => "act",
        }
    }

    /// The times of the first and last of it; `None` of nothing.
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let spread = |times: &mut dyn Iterator<Item = Timestamp>| {
            let first = times.next()?;
            Some(times.fold((first, first), |(from, until), at| {
                (from.min(at), until.max(at))
            }))
        };
        match self {
            Self::Calls(calls) => spread(&mut calls.rows.iter().map(|row| row.0)),
            Self::Steps { steps } => spread(&mut steps.iter().map(|(_, entry)| entry.at)),
            Self::Act(act) => Some((act.at, act.at)),
        }
    }
}

/// On whose behalf, by which client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The person or machine; none at a server that needs no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// What it is called.
    pub shown: String,
    /// The client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientRef>,
    /// What it is called.
    pub client_name: String,
    /// The record of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowCode>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The server answered with this HTTP status.
    Answered(u16),
    /// A rule denies the person the tool.
    Denied,
    /// The token lacks a scope.
    NeedsScope,
    /// The access was ended while the request was on its way.
    Revoked,
    /// The client went away before there was an answer.
    ClientLeft,
    /// The server could not be reached, was too slow, or answered what is not MCP.
    ServerFailed,
    /// The gateway refused the request after the tool was judged.
    Refused,
}

/// What a person who looks for something asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered without an error of HTTP.
    Ok,
    /// It was not let through.
    Denied,
    /// It was let through, and failed.
    Failed,
}

impl Ended {
    /// The number in a row: an HTTP status, or one below those.
    pub const fn number(self) -> u16 {
        match self {
            Self::Answered(status) => status,
            Self::Denied => 1,
            Self::NeedsScope => 2,
            Self::Revoked => 3,
            Self::ClientLeft => 4,
            Self::ServerFailed => 5,
            Self::Refused => 6,
        }
    }

    /// Reads [`Self::number`] back.
    pub const fn of(number: u16) -> Self {
        match number {
            1 => Self::Denied,
            2 => Self::NeedsScope,
            3 => Self::Revoked,
            4 => Self::ClientLeft,
            5 => Self::ServerFailed,
            6 => Self::Refused,
            status => Self::Answered(status),
        }
    }

    /// In which group it is looked for.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Answered(200..=299) => Outcome::Ok,
            Self::Denied | Self::NeedsScope | Self::Revoked => Outcome::Denied,
            Self::Answered(_) | Self::ClientLeft | Self::ServerFailed | Self::Refused => {
                Outcome::Failed
            }
        }
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Answered(200..=299) => "ok".to_owned(),
            Self::Answered(status) => format!("answered {status}"),
            Self::Denied => "denied by a rule".to_owned(),
            Self::NeedsScope => "needs another scope".to_owned(),
            Self::Revoked => "access had ended".to_owned(),
            Self::ClientLeft => "client went away".to_owned(),
            Self::ServerFailed => "server failed".to_owned(),
            Self::Refused => "refused".to_owned(),
        }
    }
}

impl Outcome {
    /// The word in filters and exports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Self::word`] back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Denied, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }
}

/// A call with all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// For whom, by what.
    pub subject: Subject,
    /// The MCP server's name.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// How it ended.
    pub ended: Ended,
    /// Milliseconds to the head of the answer.
    pub milliseconds: u32,
    /// Its arguments, if they are kept, as JSON.
    pub arguments: Option<String>,
}

/// Calls of tools, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    subjects: Vec<Subject>,
    names: Vec<String>,
    rows: Vec<Row>,
}

/// Time, subject, server, tool, end, milliseconds, arguments.
type Row = (Timestamp, u32, u32, u32, u16, u32, Option<String>);

impl Calls {
    /// The calls in order. A row that names nothing of its page is left out.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = Call> + '_ {
        self.rows.iter().filter_map(|row| {
            let (at, subject, server, tool, ended, milliseconds, arguments) = row;
            let name = |at: &u32| self.names.get(usize::try_from(*at).ok()?).cloned();
            let subject = usize::try_from(*subject).ok()?;
            Some(Call {
                at: *at,
                subject: self.subjects.get(subject)?.clone(),
                server: name(server)?,
                tool: name(tool)?,
                ended: Ended::of(*ended),
                milliseconds: *milliseconds,
                arguments: arguments.clone(),
            })
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A page in the making: each name is looked at once.
#[derive(Debug)]
pub struct Page<K> {
    calls: Calls,
    subjects: Vec<K>,
    names: Vec<Box<str>>,
}

/// What of a call is a number of its own.
#[derive(Debug, Clone)]
pub struct Figures {
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub ended: Ended,
    /// Milliseconds to the head of the answer.
    pub milliseconds: u32,
    /// Its arguments, if they are kept, as JSON.
    pub arguments: Option<String>,
}

impl<K: PartialEq> Page<K> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            calls: Calls::default(),
            subjects: Vec::new(),
            names: Vec::new(),
        }
    }

    /// The place of the subject with this key; `None` if it was not named yet. Calls come in
    /// runs of the same.
    pub fn subject(&self, key: &K) -> Option<u32> {
        let at = self.subjects.iter().rposition(|known| known == key)?;
        u32::try_from(at).ok()
    }

    /// Names the subject with this key.
    pub fn name(&mut self, key: K, subject: Subject) -> u32 {
        self.subjects.push(key);
        self.calls.subjects.push(subject);
        u32::try_from(self.subjects.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a call of a subject that was named.
    pub fn add(&mut self, subject: u32, server: &str, tool: &str, call: Figures) {
        let server = self.text(server);
        let tool = self.text(tool);
        self.calls.rows.push((
            call.at,
            subject,
            server,
            tool,
            call.ended.number(),
            call.milliseconds,
            call.arguments,
        ));
    }

    fn text(&mut self, name: &str) -> u32 {
        let known = self.names.iter().rposition(|known| **known == *name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.into());
            self.calls.names.push(on_one_line(name, NAME_MAX));
            self.names.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// The page.
    pub fn calls(self) -> Calls {
        self.calls
    }
}

impl<K: PartialEq> Default for Page<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum Actor {
    /// Somebody who is signed in.
    Person {
        /// Who.
        id: PersonId,
        /// What they are called.
        shown: String,
    },
    /// The identity provider.
    Provider,
    /// Whoever may reach the control socket or the store's file.
    Console {
        /// The user of the operating system.
        user: String,
    },
}

impl Actor {
    /// What they are called.
    pub fn shown(&self) -> &str {
        match self {
            Self::Person { shown, .. } => shown,
            Self::Provider => "the identity provider",
            Self::Console { user } => user,
        }
    }
}

/// What somebody did, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What.
    pub what: Deed,
}

/// A closed list of what can be done to access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// What a client may do for a person was ended; or everything, without a client.
    Stopped {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// The client, as it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// Codes and grants that ended.
        ended: usize,
    },
    /// A standing grant may be asked for again.
    AllowedAgain {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// The client, as it is called.
        client: String,
    },
    /// A client was blocked or let in again, vouched for or not, limited or not.
    ClientChanged {
        /// The client.
        client: ClientRef,
        /// What it is called.
        name: String,
        /// Before.
        before: Standing,
        /// After.
        after: Standing,
        /// Grants that ended with it.
        ended: usize,
    },
    /// All grants of a client were ended.
    ClientStopped {
        /// The client.
        client: ClientRef,
        /// What it is called.
        name: String,
        /// Codes and grants that ended.
        ended: usize,
    },
    /// A person was blocked, or let in again.
    PersonChanged {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// Before.
        before: Option<Block>,
        /// After.
        after: Option<Block>,
        /// Grants that ended with it.
        ended: usize,
    },
    /// The identity provider says that a person is signed out there, or does not vouch for them
    /// any more.
    SignedOut {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// Codes and grants that ended with it.
        ended: usize,
    },
    /// A person connected an account of theirs at the service behind a server.
    Connected {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// The server.
        server: String,
    },
    /// They took it back.
    Disconnected {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
        /// The server.
        server: String,
    },
    /// A link was made that makes one person an operator.
    LinkMade {
        /// When it runs out.
        expires: Timestamp,
    },
    /// Somebody became an operator by a link.
    OperatorMade {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
    },
    /// Somebody is an operator by a link no more.
    OperatorUnmade {
        /// The person.
        person: PersonId,
        /// What they are called.
        shown: String,
    },
    /// A key was made.
    KeyRotated {
        /// Of which purpose.
        purpose: String,
        /// Its name.
        key: String,
    },
}

impl Deed {
    /// The event's name.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Stopped { .. } => "access.stopped",
            Self::AllowedAgain { .. } => "access.allowed_again",
            Self::ClientChanged { .. } => "client.changed",
            Self::ClientStopped { .. } => "client.stopped",
            Self::PersonChanged { .. } => "person.changed",
            Self::SignedOut { .. } => "person.signed_out",
            Self::Connected { .. } => "account.connected",
            Self::Disconnected { .. } => "account.disconnected",
            Self::LinkMade { .. } => "admin.link_made",
            Self::OperatorMade { .. } => "admin.operator_made",
            Self::OperatorUnmade { .. } => "admin.operator_unmade",
            Self::KeyRotated { .. } => "key.rotated",
        }
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Stopped {
                shown,
                client: Some(client),
                ended,
                ..
            } => format!("ended what {client} may do for {shown} ({ended} live)"),
            Self::Stopped { shown, ended, .. } => {
                format!("ended everything that may act for {shown} ({ended} live)")
            }
            Self::AllowedAgain { shown, client, .. } => {
                format!("let {client} act for {shown} again")
            }
            Self::ClientChanged {
                name,
                before,
                after,
                ended,
                ..
            } => format!("{} {name}{}", changed(before, after), also(*ended)),
            Self::ClientStopped { name, ended, .. } => {
                format!("ended everything that {name} may do ({ended} live)")
            }
            Self::PersonChanged {
                shown,
                after: Some(block),
                ended,
                ..
            } => format!("blocked {shown}: {}{}", block.why, also(*ended)),
            Self::PersonChanged { shown, .. } => format!("let {shown} in again"),
            Self::SignedOut { shown, ended, .. } => {
                format!("no longer vouches for {shown}: signed out{}", also(*ended))
            }
            Self::Connected { shown, server, .. } => {
                format!("connected an account of {shown} for {server}")
            }
            Self::Disconnected { shown, server, .. } => {
                format!("disconnected the account of {shown} for {server}")
            }
            Self::LinkMade { .. } => "made a link for a new operator".to_owned(),
            Self::OperatorMade { shown, .. } => format!("made {shown} an operator, by a link"),
            Self::OperatorUnmade { shown, .. } => {
                format!("took the role by link from {shown}")
            }
            Self::KeyRotated { purpose, key } => format!("made {purpose} key {key}"),
        }
    }
}

/// What changed about a client, in words.
fn changed(before: &Standing, after: &Standing) -> String {
    match (&before.blocked, &after.blocked) {
        (None, Some(block)) => return format!("blocked ({})", block.why),
        (Some(_), None) => return "let in again".to_owned(),
        _ => {}
    }
    match (before.trusted, after.trusted) {
        (None, Some(_)) => return "vouched for".to_owned(),
        (Some(_), None) => return "no longer vouches for".to_owned(),
        _ => {}
    }
    match &after.limit {
        Some(limit) if limit.is_empty() => "took all scopes from".to_owned(),
        Some(limit) => format!("limited to {limit}:"),
        None => "took the limit of scopes from".to_owned(),
    }
}

/// What ended besides, in words.
fn also(ended: usize) -> String {
    match ended {
        0 => String::new(),
        ended => format!(" ({ended} live ended)"),
    }
}

/// What is looked for among calls. Texts are looked for within names, without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of the person's name, or their id.
    pub person: Option<String>,
    /// A part of the client's name, or its reference.
    pub client: Option<String>,
    /// The server's name.
    pub server: Option<String>,
    /// A part of the tool's name.
    pub tool: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The record of the login.
    pub flow: Option<FlowCode>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a call is looked for.
    pub fn finds(&self, call: &Call) -> bool {
        let subject = &call.subject;
        let id = |id: Option<String>| id.unwrap_or_default();
        part(
            &self.person,
            &subject.shown,
            &id(subject.person.map(|id| id.text())),
        ) && part(
            &self.client,
            &subject.client_name,
            &id(subject.client.map(|id| id.text())),
        ) && self.server.as_ref().is_none_or(|name| *name == call.server)
            && part(&self.tool, &call.tool, "")
            && self
                .outcome
                .is_none_or(|outcome| outcome == call.ended.outcome())
            && self.flow.is_none_or(|flow| Some(flow) == subject.flow)
            && self.from.is_none_or(|from| call.at >= from)
            && self.until.is_none_or(|until| call.at <= until)
    }
}

fn part(wanted: &Option<String>, name: &str, id: &str) -> bool {
    wanted
        .as_ref()
        .is_none_or(|wanted| wanted == id || name.to_lowercase().contains(&wanted.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(shown: &str) -> Subject {
        Subject {
            person: Some(PersonId::new([1; 16])),
            shown: shown.to_owned(),
            client: Some(ClientRef::of("vcl_test")),
            client_name: "Test client".to_owned(),
            flow: FlowCode::parse("K7Q2-9MTX"),
        }
    }

    fn call(shown: &str, tool: &str, ended: Ended) -> Call {
        Call {
            at: Timestamp::from_unix(100),
            subject: subject(shown),
            server: "weather".to_owned(),
            tool: tool.to_owned(),
            ended,
            milliseconds: 7,
            arguments: None,
        }
    }

    fn page(calls: &[Call]) -> Calls {
        let mut page = Page::default();
        for call in calls {
            let key = call.subject.shown.clone();
            let subject = page.subject(&key);
            let subject = subject.unwrap_or_else(|| page.name(key, call.subject.clone()));
            let figures = Figures {
                at: call.at,
                ended: call.ended,
                milliseconds: call.milliseconds,
                arguments: call.arguments.clone(),
            };
            page.add(subject, &call.server, &call.tool, figures);
        }
        page.calls()
    }

    #[test]
    fn ops_3_a_page_keeps_each_name_once_and_every_call_whole() {
        let calls = vec![
            call("ada", "get_weather", Ended::Answered(200)),
            call("bob", "get_weather", Ended::NeedsScope),
            call("ada", "weather", Ended::ClientLeft),
        ];
        let record = Record::Calls(page(&calls));
        let text = serde_json::to_string(&record).expect("serializes");
        assert_eq!(text.matches("get_weather").count(), 1);
        assert_eq!(text.matches("Test client").count(), 2, "of two people");
        let Ok(Record::Calls(back)) = serde_json::from_str(&text) else {
            panic!("{text}");
        };
        assert_eq!(back.calls().collect::<Vec<_>>(), calls);
    }

    #[test]
    fn ops_3_a_tools_name_cannot_obey_or_flood() {
        let long = format!("evil\u{1b}[2J\u{202e}{}", "x".repeat(1000));
        let page = page(&[call("ada", &long, Ended::Denied)]);
        let kept = page.calls().next().expect("one").tool;
        assert!(
            kept.chars().count() <= NAME_MAX && !kept.contains('\u{1b}'),
            "{kept:?}"
        );
    }

    #[test]
    fn a_page_that_was_damaged_tells_what_it_can() {
        let text = r#"{"subjects":[],"names":["a"],"rows":[[1,0,0,9,200,1,null]]}"#;
        let page: Calls = serde_json::from_str(text).expect("readable");
        assert_eq!(page.calls().count(), 0);
    }

    #[test]
    fn every_end_has_a_number_of_its_own() {
        for ended in [
            Ended::Answered(200),
            Ended::Answered(503),
            Ended::Denied,
            Ended::NeedsScope,
            Ended::Revoked,
            Ended::ClientLeft,
            Ended::ServerFailed,
            Ended::Refused,
        ] {
            assert_eq!(Ended::of(ended.number()), ended);
            assert!(Outcome::parse(ended.outcome().word()).is_some());
        }
    }

    #[test]
    fn a_filter_finds_what_is_asked_for_and_nothing_else() {
        let denied = call("Ada Lovelace", "cancel_order", Ended::Denied);
        let all = Filter::default();
        assert!(all.finds(&denied));
        let with = |change: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.finds(&denied)
        };
        assert!(with(&|f| f.person = Some("lovelace".into())));
        assert!(with(&|f| f.person = Some(PersonId::new([1; 16]).text())));
        assert!(!with(&|f| f.person = Some("bob".into())));
        assert!(with(&|f| f.client = Some("test".into())));
        assert!(with(&|f| f.client = Some(ClientRef::of("vcl_test").text())));
        assert!(!with(&|f| f.client = Some("other".into())));
        assert!(with(&|f| f.tool = Some("ORDER".into())));
        assert!(
            !with(&|f| f.server = Some("weath".into())),
            "servers by their whole name"
        );
        assert!(with(&|f| f.outcome = Some(Outcome::Denied)));
        assert!(!with(&|f| f.outcome = Some(Outcome::Ok)));
        assert!(!with(&|f| f.from = Some(Timestamp::from_unix(101))));
        assert!(with(&|f| f.until = Some(Timestamp::from_unix(100))));
        assert!(with(&|f| f.flow = FlowCode::parse("K7Q2-9MTX")));
        assert!(!with(&|f| f.flow = FlowCode::parse("00000000")));
    }
}
