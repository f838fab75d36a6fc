//! What people see. Templates escape by default; every page has the same strict headers and
//! works without script; the record of a login may have one of our own (ADR 21).

pub mod brand;
pub mod diagram;
pub mod language;
pub mod time;

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use vestibule_core::{connect::Way, flow::FlowCode, preset::Likeness};

use self::{
    diagram::Diagram,
    language::{Language, Message},
};
use crate::catalogue::Entry;

/// The one style sheet, at [`STYLE_PATH`].
pub const STYLE: &str = include_str!("page/vestibule.css");

/// Where it is served.
pub const STYLE_PATH: &str = "/assets/vestibule.css";

/// The one script, at [`SCRIPT_PATH`]: it keeps the record of a login up, and copies it.
pub const SCRIPT: &str = include_str!("page/flow.js");

/// Where it is served.
pub const SCRIPT_PATH: &str = "/assets/flow.js";

/// Where the operator's picture is served.
pub const LOGO_PATH: &str = "/assets/logo";

/// What a page may load and send, and what this one may besides.
macro_rules! policy {
    ($($besides:literal)?) => {
        concat!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
            $($besides)?
        )
    };
}

const POLICY: &str = policy!();

/// Of the page that the script is for.
const SCRIPT_POLICY: &str = policy!("; script-src 'self'; connect-src 'self'");

/// What every page needs.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The instance's name.
    pub instance: String,
    /// Whether the operator's picture stands before it.
    pub logo: bool,
    /// The record of this login, if there is one.
    pub flow: Option<FlowCode>,
    /// In which language it speaks.
    pub language: &'static Language,
}

impl Frame {
    /// A message with nothing put in.
    pub fn text(&self, id: &str) -> String {
        self.language.text(id)
    }

    /// A message with the number of these in it.
    pub fn count<T>(&self, id: &str, of: &[T]) -> String {
        self.language.count(id, of.len() as u64)
    }

    /// A message with this number in it.
    pub fn number(&self, id: &str, number: &u64) -> String {
        self.language.count(id, *number)
    }

    /// A message, to put something in.
    pub fn say<'m>(&self, id: &'m str) -> Message<'m> {
        Message::of(self.language, id)
    }
}

/// The consent page.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'p> {
    /// Common parts.
    pub frame: Frame,
    /// The app's name, cleaned.
    pub client: &'p str,
    /// How it is known.
    pub known_by: KnownByLine<'p>,
    /// Whether name and address go together.
    pub likeness: LikenessLine,
    /// Host of the redirect, as large as the name.
    pub redirect_host: &'p str,
    /// The redirect itself.
    pub redirect: &'p str,
    /// The server's title.
    pub server: &'p str,
    /// What it will be able to do: sentence, name, and whether it is new beside [`Self::before`].
    pub may: Vec<(&'p str, &'p str, bool)>,
    /// What it will not be able to do.
    pub may_not: Vec<(&'p str, &'p str)>,
    /// Whether it stays connected.
    pub stays: bool,
    /// Who may sign the person in: name and title of identity providers.
    pub providers: &'p [(&'p str, String)],
    /// Who is signed in here.
    pub person: Option<&'p str>,
    /// What that person allowed before.
    pub before: Before<'p>,
    /// Whether somebody else came back than the page had named.
    pub somebody_else: bool,
    /// Where the answer goes, if that needs a warning.
    pub this_computer: bool,
    /// The same for a scheme of an app's own.
    pub claimed_scheme: bool,
    /// The code that the person typed, if this is for a device.
    pub device: Option<&'p str>,
    /// The sealed handle.
    pub ticket: &'p str,
    /// Binds the form to the browser.
    pub token: &'p str,
}

/// What a person allowed the app before, with the day.
#[derive(Debug, Clone, Copy)]
pub enum Before<'p> {
    /// Nothing.
    Nothing,
    /// The same.
    All(&'p str),
    /// A part of it.
    Part(&'p str),
    /// Something, and the app has changed since.
    Changed(&'p str),
    /// Something, and the answer went to this host then.
    Elsewhere(&'p str, &'p str),
}

/// How the app is known, in one line.
#[derive(Debug, Clone, Copy)]
pub enum KnownByLine<'p> {
    /// An operator added it.
    Operator,
    /// A document of a host on the trust list.
    Verified(&'p str),
    /// A document of another host.
    Document(&'p str),
    /// It registered itself.
    Dynamic,
    /// It registered itself, and an operator vouches for it.
    Vouched,
}

/// Whether name and address of the app go together, in one line.
#[derive(Debug, Clone, Copy)]
pub enum LikenessLine {
    /// Nothing to tell.
    Nothing,
    /// They do; the known app's name.
    AtHome(&'static str),
    /// It calls itself like this app and lives elsewhere.
    NotAtHome(&'static str),
    /// Its name mixes alphabets.
    MixedAlphabets,
}

impl LikenessLine {
    /// Of what the core found.
    pub fn of(likeness: Likeness) -> Self {
        match likeness {
            Likeness::Plain => Self::Nothing,
            Likeness::AtHome(preset) => Self::AtHome(preset.title),
            Likeness::NotAtHome(preset) => Self::NotAtHome(preset.title),
            Likeness::MixedAlphabets => Self::MixedAlphabets,
        }
    }
}

/// Where a person types the code of a device (RFC 8628 §3.3).
#[derive(Template)]
#[template(path = "device.html")]
pub struct Device<'p> {
    /// Common parts.
    pub frame: Frame,
    /// The code, if it came with the address; the person compares it.
    pub user_code: &'p str,
    /// What was wrong with the last try.
    pub wrong: Option<&'p str>,
    /// Binds the form to the browser.
    pub token: &'p str,
}

/// The device has its answer.
#[derive(Template)]
#[template(path = "device_done.html")]
pub struct DeviceDone {
    /// Common parts.
    pub frame: Frame,
    /// Whether it was approved.
    pub approved: bool,
}

/// Our own page that sends the browser on.
#[derive(Template)]
#[template(path = "onward.html")]
pub struct Onward<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Where to.
    pub location: &'p str,
    /// Its host, for people.
    pub host: &'p str,
    /// Whether that is the identity provider.
    pub to_provider: bool,
}

/// A refusal.
#[derive(Template)]
#[template(path = "refusal.html")]
pub struct Refusal<'p> {
    /// Common parts.
    pub frame: Frame,
    /// The error's code.
    pub code: &'p str,
    /// What happened.
    pub title: &'p str,
    /// In a sentence or two.
    pub what: &'p str,
    /// What to do.
    pub fix: &'p str,
    /// Whether these are said in the page's language; else in English.
    pub own_language: bool,
    /// A way back to the app that is safe to offer: address and host.
    pub back: Option<(&'p str, &'p str)>,
}

/// The record of a login, as an ordered list.
#[derive(Template)]
#[template(path = "flow.html")]
pub struct Flow<'p> {
    /// Common parts.
    pub frame: Frame,
    /// The code.
    pub code: &'p str,
    /// How it stands.
    pub state: &'p str,
    /// Drawn.
    pub diagram: Option<Diagram>,
    /// Whether more may come.
    pub open: bool,
    /// The login's steps: seconds since the first, sentence, mark.
    pub steps: Vec<(u64, String, &'static str)>,
    /// Those after it that are folded away.
    pub between: Vec<(u64, String, &'static str)>,
    /// The newest after it.
    pub newest: Vec<(u64, String, &'static str)>,
    /// The command that does the same with our own client.
    pub again: Option<String>,
    /// Where an operator finds the calls of its tools.
    pub calls: Option<String>,
    /// What went wrong, if it did.
    pub failure: Option<Failure<'p>>,
}

/// What a failed step was, and what to do: every question that somebody in trouble has.
#[derive(Debug)]
pub struct Failure<'p> {
    /// Which step, from 1.
    pub number: usize,
    /// Where on the way that is, in words.
    pub stage: String,
    /// The same, for programs.
    pub stage_word: &'static str,
    /// The error's code.
    pub code: &'p str,
    /// Its name.
    pub title: &'p str,
    /// The step in plain words.
    pub happened: &'p str,
    /// The provider's own words.
    pub said: Option<&'p str>,
    /// The number in them, what it usually means, and what usually helps.
    pub hint: Option<(u32, String)>,
    /// Why it is refused.
    pub cause: &'p str,
    /// How to see that this is the case.
    pub check: &'p str,
    /// What to do.
    pub fix: &'p str,
    /// Who can.
    pub who: String,
    /// What it is not.
    pub ruled_out: Vec<String>,
}

/// One error of the catalogue.
#[derive(Template)]
#[template(path = "error_code.html")]
pub struct ErrorCode<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Its code.
    pub code: &'p str,
    /// What it is.
    pub entry: &'p Entry,
    /// Who can mend it.
    pub who: String,
}

/// All errors of the catalogue.
#[derive(Template)]
#[template(path = "error_codes.html")]
pub struct ErrorCodes<'p> {
    /// Common parts.
    pub frame: Frame,
    /// By code.
    pub entries: &'p BTreeMap<String, Entry>,
}

/// The servers of this gateway.
#[derive(Template)]
#[template(path = "landing.html")]
pub struct Landing<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Title, name and address.
    pub servers: Vec<(&'p str, &'p str, &'p str)>,
}

/// How a server is given to the apps that people use.
#[derive(Template)]
#[template(path = "connect.html")]
pub struct Connect<'p> {
    /// Common parts.
    pub frame: Frame,
    /// The server's title.
    pub server: &'p str,
    /// Its address.
    pub uri: &'p str,
    /// What may be asked for: sentence and name.
    pub may: Vec<(&'p str, &'p str)>,
    /// For each app.
    pub ways: Vec<Way>,
}

/// What may act for a person.
#[derive(Template)]
#[template(path = "apps.html")]
pub struct Apps<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who.
    pub person: &'p str,
    /// What was just done.
    pub told: Option<&'p Told>,
    /// Each app.
    pub apps: Vec<AppRow>,
    /// The last calls of tools, the newest first.
    pub calls: Vec<CallRow>,
    /// Whether there may be others.
    pub more_calls: bool,
    /// Whether there are services at which people have accounts.
    pub connects: bool,
    /// Binds the forms to the session.
    pub token: &'p str,
}

/// What was just done.
#[derive(Debug, Clone)]
pub enum Told {
    /// These were stopped.
    Stopped(String),
    /// This one may go on.
    AllowedAgain(String),
}

/// A person's accounts at services behind servers.
#[derive(Template)]
#[template(path = "connections.html")]
pub struct Connections<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who.
    pub person: &'p str,
    /// Each server that has a service.
    pub rows: Vec<ConnectionRow>,
    /// Each server that waits for the person to confirm.
    pub confirms: Vec<ConfirmRow>,
    /// Binds the forms to the session.
    pub token: &'p str,
}

/// A server that may not act for the person until they confirm it at their provider.
#[derive(Debug)]
pub struct ConfirmRow {
    /// The server's name.
    pub server: String,
    /// Its title.
    pub title: String,
    /// What people call the provider.
    pub provider: String,
}

/// A service, and the person's account there.
#[derive(Debug)]
pub struct ConnectionRow {
    /// The server's name.
    pub server: String,
    /// Its title.
    pub title: String,
    /// The service's host.
    pub host: String,
    /// Since which day there is one that works.
    pub since: Option<String>,
    /// Whether there was one that the service takes no more.
    pub broken: bool,
    /// Whether the server is still one that uses accounts.
    pub serves: bool,
}

/// One app of a person.
#[derive(Debug)]
pub struct AppRow {
    /// Its short reference.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Whether it was stopped, and can be allowed again.
    pub stopped: bool,
    /// When it was last used, as people say it.
    pub used: Option<String>,
    /// How many tools it called in the last week.
    pub calls: Option<u64>,
    /// What it may do where.
    pub servers: Vec<ServerRow>,
}

/// A call of a tool.
#[derive(Debug)]
pub struct CallRow {
    /// When, as people say it.
    pub ago: String,
    /// The app.
    pub app: String,
    /// The tool.
    pub tool: String,
    /// The server's title.
    pub server: String,
    /// How it ended, in a word.
    pub ended: String,
}

/// What an app may do at one server.
#[derive(Debug)]
pub struct ServerRow {
    /// The server's title.
    pub title: String,
    /// Sentence and name.
    pub may: Vec<(String, String)>,
    /// Since which day.
    pub since: String,
}

/// A page that only a person who signed in can see.
#[derive(Template)]
#[template(path = "sign_in_first.html")]
pub struct SignInFirst<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who may sign them in: name and title of identity providers.
    pub providers: &'p [(String, String)],
    /// Where it goes on to, as `/login` takes it.
    pub to: &'p str,
}

/// What an operator is told.
#[derive(Template)]
#[template(path = "operator.html")]
pub struct Operator<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who.
    pub person: &'p str,
    /// Whether they may do more than look.
    pub acts: bool,
    /// Where the console is.
    pub console: &'p str,
}

/// Asks an operator whether they want to go on to the console.
#[derive(Template)]
#[template(path = "to_console.html")]
pub struct ToConsole<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who.
    pub person: &'p str,
    /// Where it is.
    pub console: &'p str,
    /// Where the form goes.
    pub path: &'p str,
    /// Binds the form to the session.
    pub token: &'p str,
}

/// Logins.
#[derive(Template)]
#[template(path = "flows.html")]
pub struct Flows<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Each.
    pub flows: &'p [FlowLine],
    /// Why logins failed since yesterday: code, title, how many, when.
    pub causes: &'p [CauseLine],
    /// What is looked for.
    pub filter: FlowForm<'p>,
    /// Address of the next page.
    pub older: Option<&'p str>,
}

/// What a list of logins is filtered by, as it was asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlowForm<'p> {
    /// Only failed ones.
    pub failed: bool,
    /// The error's code.
    pub code: &'p str,
    /// Part of the app's name.
    pub client: &'p str,
    /// Part of the person's name.
    pub person: &'p str,
}

/// A login in a list.
#[derive(Debug)]
pub struct FlowLine {
    /// Its code.
    pub flow: String,
    /// When.
    pub at: String,
    /// The app.
    pub client: String,
    /// The server.
    pub server: String,
    /// The person.
    pub person: String,
    /// `open`, `ok` or `failed`.
    pub outcome: String,
    /// The error's code and title.
    pub error: Option<(String, String)>,
}

/// Logins that failed for one reason.
#[derive(Debug)]
pub struct CauseLine {
    /// The error's code.
    pub code: String,
    /// Its title.
    pub title: String,
    /// How many.
    pub flows: u64,
    /// From when to when.
    pub when: String,
}

/// A person signed in; the page goes on by itself.
#[derive(Template)]
#[template(path = "signed_in.html")]
pub struct SignedIn<'p> {
    /// Common parts.
    pub frame: Frame,
    /// One of our own paths.
    pub path: &'p str,
}

/// Asks before signing out, or says that nobody is signed in.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub struct SignOut<'p> {
    /// Common parts.
    pub frame: Frame,
    /// Who is signed in.
    pub person: Option<&'p str>,
    /// Binds the form to the session.
    pub token: &'p str,
}

/// Renders a page with the headers of every page.
pub fn answer(status: StatusCode, page: &impl Template) -> Response {
    let (status, body) = match page.render() {
        Ok(body) => (status, body),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The page could not be drawn.".to_owned(),
        ),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    harden(&mut response);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// Renders a page that has the one script.
pub fn answer_with_script(page: &impl Template) -> Response {
    let mut response = answer(StatusCode::OK, page);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(SCRIPT_POLICY),
    );
    response
}

/// Renders a page with a form. Under `no-referrer` browsers send `Origin: null` with a form
/// (Fetch, "serializing a request origin"), and the decision is checked by its `Origin`;
/// `same-origin` tells other origins as little.
pub fn answer_with_form(status: StatusCode, page: &impl Template) -> Response {
    let mut response = answer(status, page);
    response.headers_mut().insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// The headers that every answer to a browser carries (CONS-5, T-CON-07).
pub fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // No Cross-Origin-Opener-Policy: it takes a popup from the client that opened it.
}
