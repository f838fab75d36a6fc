//! A login on a running gateway, as far as a fault lets it come, and what it shows then.

use serde_json::Value;
use vestibule_core::{pkce::CodeVerifier, uri::with_query};

use crate::support::{Browser, CLIENT, Gate, REDIRECT, idp::Idp, query_of, wire::Answer};

/// A gateway before a provider that a test tells what to do, and a person's browser.
pub(super) struct Scene {
    pub(super) gate: Gate,
    pub(super) idp: Idp,
    pub(super) browser: Browser,
}

/// How a fault showed itself.
#[derive(Debug)]
pub(super) struct Seen {
    /// The error on the page that the person sees, if there is one.
    pub(super) page: Option<String>,
    /// What the client was told.
    pub(super) client: Option<String>,
    /// The entry that the client's answer names.
    pub(super) named: Option<String>,
    /// The record's code, if it is known.
    pub(super) flow: Option<String>,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with("")
    }

    pub(super) fn with(more: &str) -> Self {
        Self::at(more, Idp::start())
    }

    /// With a provider that is as it is before the gateway first asks it.
    pub(super) fn at(more: &str, idp: Idp) -> Self {
        let env = [
            ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
            (
                "REGISTRATION",
                "what the operator gives to those who may register",
            ),
        ];
        let gate = Gate::start_in(more, &env);
        Self {
            gate,
            idp,
            browser: Browser::new("ada"),
        }
    }

    /// The request of an app, with some parameters changed; `None` takes one away.
    pub(super) fn ask(&self, changes: &[(&str, Option<&str>)]) -> (String, CodeVerifier) {
        let (path, verifier) = self.gate.authorize_path("a", "a:read offline_access");
        let url = url::Url::parse(&format!("{}{path}", self.gate.origin)).expect("a URL");
        let mut params: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        for (name, value) in changes {
            params.retain(|(known, _)| known != name);
            if let Some(value) = value {
                params.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let params: Vec<(&str, &str)> = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        (with_query("/authorize", &params), verifier)
    }

    pub(super) fn open(&self, path: &str) -> Answer {
        self.browser.open(&format!("{}{path}", self.gate.origin))
    }

    /// A request that is refused before anybody is asked.
    pub(super) fn refused(&self, changes: &[(&str, Option<&str>)]) -> Seen {
        let (path, _) = self.ask(changes);
        Seen::of(&self.open(&path))
    }

    /// The consent page: its flow, ticket and token.
    pub(super) fn consent(&self, changes: &[(&str, Option<&str>)]) -> (String, String, String) {
        let (path, _) = self.ask(changes);
        let page = self.open(&path);
        assert_eq!(page.status, 200, "{}", page.text());
        let flow = flow_in(&page.text()).expect("a flow");
        (flow, page.field("ticket"), page.field("token"))
    }

    pub(super) fn decide(
        &self,
        browser: &Browser,
        ticket: &str,
        token: &str,
        origin: &str,
    ) -> Answer {
        browser.submit(
            &format!("{}/consent/decision", self.gate.origin),
            &[("ticket", ticket), ("token", token), ("decision", "allow")],
            Some(origin),
        )
    }

    /// After Allow: the flow, and the address that the browser is sent on to.
    pub(super) fn allowed(&self) -> (String, String) {
        self.allowed_for(&[])
    }

    pub(super) fn allowed_for(&self, changes: &[(&str, Option<&str>)]) -> (String, String) {
        let (flow, ticket, token) = self.consent(changes);
        let decided = self.decide(&self.browser, &ticket, &token, &self.gate.origin);
        assert_eq!(decided.status, 303, "{}", decided.text());
        let onward = self.browser.open(&decided.one("location"));
        (flow, onward.refresh_target())
    }

    /// A login with a provider as it is now, to where it ends.
    pub(super) fn returns(&self) -> Seen {
        let (flow, url) = self.allowed();
        self.back(flow, &self.idp.sign_in(&url, "good"))
    }

    /// What the way back at this address comes to.
    pub(super) fn back(&self, flow: String, callback: &str) -> Seen {
        let seen = Seen::of(&self.browser.open(callback));
        Seen {
            flow: Some(seen.flow.clone().unwrap_or(flow)),
            ..seen
        }
    }

    /// A provider that sends the browser back with an error.
    pub(super) fn provider_refuses(&self, error: &str, said: &str) -> Seen {
        let (flow, url) = self.allowed();
        self.back(flow, &Idp::refuses(&url, error, said))
    }

    /// A token endpoint of the provider that answers so.
    pub(super) fn token_endpoint(&self, status: u16, body: &str) -> Seen {
        self.idp
            .with(|told| told.refusal = Some((status, body.to_owned())));
        self.returns()
    }

    pub(super) fn claims(&self, claims: Value) -> Seen {
        self.idp.with(|told| told.claims = claims);
        self.returns()
    }

    /// A login to its code: flow, code, verifier.
    pub(super) fn code(&self) -> (String, String, CodeVerifier) {
        self.code_for(&[])
    }

    fn code_for(&self, changes: &[(&str, Option<&str>)]) -> (String, String, CodeVerifier) {
        let (path, verifier) = self.ask(changes);
        let page = self.open(&path);
        let flow = flow_in(&page.text()).expect("a flow");
        let (ticket, token) = (page.field("ticket"), page.field("token"));
        let decided = self.decide(&self.browser, &ticket, &token, &self.gate.origin);
        let onward = self.browser.open(&decided.one("location"));
        let back = self.idp.sign_in(&onward.refresh_target(), "good");
        let location = self.browser.open(&back).one("location");
        let code = query_of(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
        (flow, code, verifier)
    }

    /// The app's request for tokens, with some parameters changed.
    pub(super) fn redeem(&self, code: &str, verifier: &str, changes: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", REDIRECT),
        ];
        for (name, value) in changes {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        self.gate.token(&form)
    }

    /// A login to its tokens: flow and refresh token.
    pub(super) fn tokens(&self) -> (String, String) {
        let (flow, code, verifier) = self.code();
        let answer = self.redeem(&code, verifier.expose(), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let refresh = answer.json()["refresh_token"].as_str().map(str::to_owned);
        (flow, refresh.expect("a refresh token"))
    }

    /// A login at a server to its access token.
    pub(super) fn access(&self, server: &str) -> (String, String) {
        let resource = self.gate.resource(server);
        let (flow, code, verifier) = match server {
            "a" => self.code(),
            _ => self.code_for(&[("resource", Some(&resource)), ("scope", None)]),
        };
        let named = [("resource", resource.as_str())];
        let answer = self.redeem(&code, verifier.expose(), &named);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let access = answer.json()["access_token"].as_str().map(str::to_owned);
        (flow, access.expect("an access token"))
    }

    /// What the record of a login says: its JSON, and its page.
    pub(super) fn record(&self, flow: &str) -> (Value, String) {
        let read = |form: &str| self.open(&format!("/flows/{flow}{form}"));
        let steps = read("/json");
        assert_eq!(steps.status, 200, "{flow}: {}", steps.text());
        (steps.json(), read("").text())
    }

    /// Whether the store has all that was recorded until the browser was sent on.
    pub(super) fn is_kept(&self, flow: &str) -> bool {
        let database = rusqlite::Connection::open(self.gate.folder.join("vestibule.db"));
        let steps: u32 = database
            .expect("opens")
            .query_row(
                "SELECT count(*) FROM flows WHERE code = ?1",
                [flow],
                |row| row.get(0),
            )
            .expect("a count");
        steps >= 4
    }

    /// Takes the tables away that a login writes to.
    pub(super) fn without_table(&self, table: &str, then: impl FnOnce() -> Seen) -> Seen {
        let database = rusqlite::Connection::open(self.gate.folder.join("vestibule.db"));
        let database = database.expect("opens");
        let away = format!("ALTER TABLE {table} RENAME TO taken_away");
        database.execute_batch(&away).expect("renamed");
        let seen = then();
        let back = format!("ALTER TABLE taken_away RENAME TO {table}");
        database.execute_batch(&back).expect("renamed");
        seen
    }
}

impl Seen {
    /// Of a page, or of a redirect to the client.
    pub(super) fn of(answer: &Answer) -> Self {
        let text = answer.text();
        let location = answer.has("location").then(|| answer.one("location"));
        let location = location.unwrap_or_default();
        Self {
            page: code_in(&text),
            client: query_of(&location, "error"),
            named: None,
            flow: flow_in(&text).or_else(|| flow_in(&location)),
        }
    }

    /// Of the token endpoint.
    pub(super) fn of_token(flow: String, answer: &Answer) -> Self {
        Self {
            page: None,
            client: answer.json()["error"].as_str().map(str::to_owned),
            named: None,
            flow: Some(flow),
        }
    }

    /// Of a call of a server.
    pub(super) fn of_call(flow: Option<String>, answer: &Answer) -> Self {
        Self {
            page: None,
            client: Some(answer.status.to_string()),
            named: code_in(&answer.text()),
            flow,
        }
    }
}

pub(super) fn between(text: &str, before: &str, what: impl Fn(char) -> bool) -> Option<String> {
    let at = text.find(before)? + before.len();
    let found: String = text[at..].chars().take_while(|c| what(*c)).collect();
    (!found.is_empty()).then_some(found)
}

pub(super) fn flow_in(text: &str) -> Option<String> {
    let plain = text.replace("%2F", "/");
    between(&plain, "/flows/", |c| c.is_ascii_alphanumeric() || c == '-')
}

pub(super) fn code_in(text: &str) -> Option<String> {
    between(text, "/errors/", |c| c.is_ascii_alphanumeric() || c == '-')
}
