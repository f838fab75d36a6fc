//! What is known beforehand of clients that people use: how they call themselves, where they
//! receive answers, how they send a secret.
//!
//! Nothing here lets a client in. It tells a person that a name and an address do not belong
//! together, an operator what to write for a client, and a stuck person how to start again.

mod known;

use unicode_normalization::char::is_combining_mark;
use unicode_security::{MixedScript as _, confusable_detection::skeleton};
use url::Url;

use crate::{
    client::{Client, KnownBy, MatchedRedirect, SecretMethod},
    uri::RedirectKind,
};

pub use self::known::KNOWN;

/// A client that people use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name in configurations.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Words by which it calls itself, in lower case.
    pub names: &'static [&'static str],
    /// Redirect URIs to write for it, as long as they are the same for everybody.
    pub redirect_uris: &'static [&'static str],
    /// Hosts of its maker: where its document is, and where nobody else receives answers.
    pub hosts: &'static [&'static str],
    /// Private-use schemes that it claims.
    pub schemes: &'static [&'static str],
    /// Ports of this computer that it listens at, if they are its own.
    pub ports: &'static [u16],
    /// How it sends a secret, if it was given one.
    pub secret_method: SecretMethod,
    /// What a person does there to begin anew.
    pub start_again: &'static str,
}

/// What name and address of a client say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Nothing worth telling.
    Plain,
    /// It calls itself like this client, and the answer or the document is at its maker's.
    AtHome(&'static Preset),
    /// It calls itself like this client, at an address that is not its.
    NotAtHome(&'static Preset),
    /// Its name mixes alphabets, as names do that should be taken for another.
    MixedAlphabets,
}

/// The preset of this id.
pub fn by_id(id: &str) -> Option<&'static Preset> {
    KNOWN.iter().find(|preset| preset.id == id)
}

/// The client that receives answers at this address, as far as an address tells: by its
/// maker's host, its scheme or its port. A hint for help texts, never a proof.
pub fn by_redirect(uri: &str) -> Option<&'static Preset> {
    let url = Url::parse(uri).ok()?;
    KNOWN.iter().find(|preset| match url.scheme() {
        "https" => url.host_str().is_some_and(|host| preset.owns(host)),
        "http" => url.port().is_some_and(|port| preset.ports.contains(&port)),
        scheme => preset.schemes.contains(&scheme),
    })
}

/// Compares the name of `client` with where its answer goes (T-CON-09). What an operator
/// added or trusts is not questioned, and of programs on this computer no address tells
/// anything.
pub fn likeness(client: &Client, redirect: &MatchedRedirect) -> Likeness {
    let Some(name) = client.name_for_people() else {
        return Likeness::Plain;
    };
    let home = |preset: &Preset| match &client.known_by {
        KnownBy::Operator | KnownBy::Document { trusted: true, .. } => None,
        KnownBy::Document {
            host,
            trusted: false,
        } => Some(preset.owns(host)),
        KnownBy::Dynamic | KnownBy::Vouched => match redirect.kind() {
            RedirectKind::Loopback => None,
            RedirectKind::Https => {
                let url = Url::parse(redirect.text()).ok();
                let host = url.as_ref().and_then(Url::host_str);
                Some(host.is_some_and(|host| preset.owns(host)))
            }
            RedirectKind::PrivateScheme => {
                let scheme = redirect.text().split(':').next().unwrap_or_default();
                // Any program may claim a scheme, so the right one proves nothing.
                (!preset.schemes.contains(&scheme)).then_some(false)
            }
        },
    };
    let claim = claimed(&name).map(|preset| (preset, home(preset)));
    if let Some((preset, Some(false))) = claim {
        return Likeness::NotAtHome(preset);
    }
    let questioned = !matches!(
        client.known_by,
        KnownBy::Operator | KnownBy::Document { trusted: true, .. }
    );
    // Also where the address says nothing, as on the own computer: no maker spells its name so.
    if questioned && !name.is_single_script() {
        return Likeness::MixedAlphabets;
    }
    match claim {
        Some((preset, Some(true))) => Likeness::AtHome(preset),
        _ => Likeness::Plain,
    }
}

/// The client that a name claims to be: the longest of the known names that are words of it,
/// however they are spelled (Unicode TR 39 §4).
pub fn claimed(name: &str) -> Option<&'static Preset> {
    let folded = folded(name);
    let joined: String = folded.split_whitespace().collect();
    let claims = |known: &str| {
        let known = self::folded(known);
        let whole: String = known.split_whitespace().collect();
        format!(" {folded} ").contains(&format!(" {known} ")) || joined == whole
    };
    KNOWN
        .iter()
        .flat_map(|preset| preset.names.iter().map(move |name| (preset, *name)))
        .filter(|(_, name)| claims(name))
        .max_by_key(|(_, name)| name.len())
        .map(|(preset, _)| preset)
}

/// A name as an eye in a hurry reads it: look-alikes are one, marks and case are gone, and
/// what is no letter or digit parts words.
fn folded(name: &str) -> String {
    let plain: String = skeleton(name).filter(|c| !is_combining_mark(*c)).collect();
    // Once more in lower case: some capitals have look-alikes that their small ones lack.
    skeleton(&plain.to_lowercase())
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

impl Preset {
    fn owns(&self, host: &str) -> bool {
        self.hosts.contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{client::tests::client, uri::RedirectUri};

    #[test]
    fn presets_are_data_that_holds_together() {
        let ids: BTreeSet<_> = KNOWN.iter().map(|preset| preset.id).collect();
        assert_eq!(ids.len(), KNOWN.len(), "one id each");
        let schemes: Vec<String> = KNOWN
            .iter()
            .flat_map(|preset| preset.schemes)
            .map(|scheme| (*scheme).to_owned())
            .collect();
        for preset in KNOWN {
            for name in preset.names {
                assert_eq!(claimed(name).map(|p| p.id), Some(preset.id), "{name}");
            }
            for uri in preset.redirect_uris {
                RedirectUri::parse(uri, &schemes).unwrap_or_else(|e| panic!("{uri}: {e}"));
            }
            assert!(preset.start_again.ends_with('.'), "{}", preset.id);
        }
    }

    #[test]
    fn t_con_09_a_name_is_read_as_an_eye_reads_it() {
        for (name, id) in [
            ("Claude", Some("claude")),
            ("claude.ai connector", Some("claude")),
            ("Claude Code (weather)", Some("claude-code")),
            ("CIaude", Some("claude")),
            ("C1aude", Some("claude")),
            ("Сlаudе", Some("claude")),
            ("Cláude", Some("claude")),
            ("ＣＬＡＵＤＥ", Some("claude")),
            ("C l a u d e", Some("claude")),
            ("Visua1 Studio Code", Some("vscode")),
            ("VSCode", Some("vscode")),
            ("ChatGΡT", Some("chatgpt")),
            ("Microsoft Copilot Studio", Some("copilot-studio")),
            ("Weather bot", None),
            ("Claudette", None),
            ("Precursor", None),
            ("", None),
        ] {
            assert_eq!(claimed(name).map(|preset| preset.id), id, "{name}");
        }
    }

    #[test]
    fn t_con_09_t_reg_07_a_name_that_lives_elsewhere_is_told() {
        let doc = |host: &str, trusted| KnownBy::Document {
            host: host.to_owned(),
            trusted,
        };
        let theirs = "https://claude.ai/api/mcp/auth_callback";
        let evil = "https://claude.ai.evil.example/cb";
        let here = "http://127.0.0.1:4711/cb";
        let claude = by_id("claude").expect("known");
        let table = [
            ("Claude", KnownBy::Dynamic, theirs, Likeness::AtHome(claude)),
            (
                "Claude",
                KnownBy::Dynamic,
                evil,
                Likeness::NotAtHome(claude),
            ),
            (
                "Сlаude",
                KnownBy::Dynamic,
                evil,
                Likeness::NotAtHome(claude),
            ),
            ("Claude", KnownBy::Dynamic, here, Likeness::Plain),
            ("Claude", KnownBy::Operator, evil, Likeness::Plain),
            (
                "Claude",
                doc("claude.ai", false),
                here,
                Likeness::AtHome(claude),
            ),
            (
                "Claude",
                doc("evil.example", false),
                theirs,
                Likeness::NotAtHome(claude),
            ),
            ("Claude", doc("evil.example", true), evil, Likeness::Plain),
            ("Bot", KnownBy::Dynamic, evil, Likeness::Plain),
            (
                "Bоt of Bоb",
                KnownBy::Dynamic,
                evil,
                Likeness::MixedAlphabets,
            ),
            ("Bоt of Bоb", KnownBy::Operator, evil, Likeness::Plain),
            // A known name in letters of another alphabet, where its own would be nothing.
            ("Claude", KnownBy::Dynamic, here, Likeness::Plain),
            ("Сlаudе", KnownBy::Dynamic, here, Likeness::MixedAlphabets),
            (
                "Сlаudе",
                KnownBy::Dynamic,
                evil,
                Likeness::NotAtHome(claude),
            ),
            ("Погода", KnownBy::Dynamic, evil, Likeness::Plain),
        ];
        for (name, known_by, uri, expected) in table {
            let client = Client {
                name: Some(name.to_owned()),
                known_by: known_by.clone(),
                ..client(&[uri])
            };
            let redirect = client.match_redirect(Some(uri)).expect("one");
            let found = likeness(&client, &redirect);
            assert_eq!(found, expected, "{name} {known_by:?} {uri}");
        }
    }

    #[test]
    fn an_address_tells_whom_to_help() {
        for (uri, id) in [
            ("https://claude.ai/api/mcp/auth_callback", Some("claude")),
            ("https://vscode.dev/redirect", Some("vscode")),
            ("http://127.0.0.1:33418/", Some("vscode")),
            (
                "cursor://anysphere.cursor-mcp/oauth/callback",
                Some("cursor"),
            ),
            ("http://localhost:6274/oauth/callback", Some("inspector")),
            ("http://localhost:1/callback", None),
            ("https://evil.example/cb", None),
            ("nonsense", None),
        ] {
            assert_eq!(by_redirect(uri).map(|preset| preset.id), id, "{uri}");
        }
    }
}
