//! A browser as the person before it uses it.

use std::{collections::BTreeMap, sync::Mutex};

use super::{
    Gate, query_of,
    wire::{Answer, Wire},
};

/// A browser without script: follows forms and pages as a person would, keeps cookies.
pub struct Browser {
    person: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(person: &str) -> Self {
        Self {
            person: person.to_owned(),
            cookies: Mutex::default(),
        }
    }

    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().expect("no panic before");
        cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().expect("no panic before").clone()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies
            .lock()
            .expect("no panic before")
            .insert(name.to_owned(), value.to_owned());
    }

    pub fn keep(&self, answer: &Answer) {
        let mut cookies = self.cookies.lock().expect("no panic before");
        for cookie in answer.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            if cookie.contains("Max-Age=0") || value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Opens an address of any of the programs on this computer.
    pub fn open(&self, url: &str) -> Answer {
        let (host, path) = split(url);
        let cookies = self.cookie_header();
        let answer = Wire::to(&host).get(&host, &path, &[("cookie", &cookies)]);
        self.keep(&answer);
        answer
    }

    pub fn submit(&self, url: &str, form: &[(&str, &str)], origin: Option<&str>) -> Answer {
        let (host, path) = split(url);
        let cookies = self.cookie_header();
        let mut headers = vec![("cookie", cookies.as_str())];
        if let Some(origin) = origin {
            headers.push(("origin", origin));
            headers.push(("sec-fetch-site", "same-origin"));
        }
        let answer = Wire::to(&host).post_form(&host, &path, form, &headers);
        self.keep(&answer);
        answer
    }

    /// The consent page at `path`: its ticket and token.
    pub fn consent_page(&self, gate: &Gate, path: &str) -> (String, String) {
        let page = self.open(&format!("{}{path}", gate.origin));
        assert_eq!(page.status, 200, "{}", page.text());
        (page.field("ticket"), page.field("token"))
    }

    /// Decides; the address that our own page then goes on to.
    pub fn decide(&self, gate: &Gate, path: &str, decision: &str) -> String {
        let (ticket, token) = self.consent_page(gate, path);
        let decided = self.submit(
            &format!("{}/consent/decision", gate.origin),
            &[
                ("ticket", &ticket),
                ("token", &token),
                ("decision", decision),
            ],
            Some(&gate.origin),
        );
        assert_eq!(decided.status, 303, "{}", decided.text());
        let onward = self.open(&decided.one("location"));
        assert_eq!(onward.status, 200, "{}", onward.text());
        onward.refresh_target()
    }

    /// Signs in at the provider; the callback's address.
    pub fn sign_in(&self, provider_url: &str) -> String {
        let page = self.open(provider_url);
        if page.status == 303 {
            return page.one("location");
        }
        let (host, _) = split(provider_url);
        let request = page.field("request");
        let done = self.submit(
            &format!("http://{host}/sign-in"),
            &[
                ("request", &request),
                ("username", &self.person),
                ("password", &self.person),
            ],
            None,
        );
        assert_eq!(done.status, 303, "{}", done.text());
        done.one("location")
    }

    /// All the way to the client's address with its answer.
    pub fn answer(&self, gate: &Gate, path: &str) -> String {
        let provider = self.decide(gate, path, "allow");
        let callback = self.sign_in(&provider);
        let back = self.open(&callback);
        if back.status == 403 {
            // A rule stops it: the person reads why, and goes back to the app.
            return back.button();
        }
        assert_eq!(back.status, 303, "{}", back.text());
        back.one("location")
    }

    /// All the way to a code.
    pub fn code(&self, gate: &Gate, path: &str) -> String {
        let location = self.answer(gate, path);
        query_of(&location, "code").unwrap_or_else(|| panic!("no code in {location}"))
    }
}

fn split(url: &str) -> (String, String) {
    let rest = url
        .strip_prefix("http://")
        .unwrap_or_else(|| panic!("not here: {url}"));
    let at = rest.find('/').unwrap_or(rest.len());
    (rest[..at].to_owned(), rest[at..].to_owned())
}
