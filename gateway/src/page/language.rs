//! In which language a page speaks: messages by Fluent, one file for each language, and the
//! choice by what the request asks for.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    future::Future,
    sync::LazyLock,
};

use askama::filters::{Escaper as _, Html};
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

/// Languages: tag, direction of writing, messages, and what is done to each text. The last
/// two are for tests of the pages, and are had by asking for them only: every text longer and
/// marked, and every page turned around.
const LANGUAGES: [(&str, &str, &str, Option<Transform>); 4] = [
    ("en", "ltr", include_str!("../../locales/en.ftl"), None),
    ("de", "ltr", include_str!("../../locales/de.ftl"), None),
    (
        "en-XA",
        "ltr",
        include_str!("../../locales/en.ftl"),
        Some(longer),
    ),
    (
        "ar-XB",
        "rtl",
        include_str!("../../locales/en.ftl"),
        Some(longer),
    ),
];

type Transform = fn(&str) -> Cow<'_, str>;

/// A language with its messages.
pub struct Language {
    /// Its tag (BCP 47).
    pub tag: &'static str,
    /// How it is written: `ltr` or `rtl`.
    pub dir: &'static str,
    bundle: FluentBundle<FluentResource>,
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.tag)
    }
}

static ALL: LazyLock<Vec<Language>> =
    LazyLock::new(|| LANGUAGES.into_iter().map(Language::of).collect());

tokio::task_local! {
    /// The language of the request that this task answers.
    static NOW: &'static Language;
}

/// What is put into a message.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'v> {
    /// A text.
    Text(&'v str),
    /// A number, which decides about plurals.
    Number(u64),
}

impl Language {
    fn of(
        (tag, dir, messages, transform): (&'static str, &'static str, &str, Option<Transform>),
    ) -> Self {
        let id: LanguageIdentifier = tag.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // Pages isolate what they put in by markup.
        bundle.set_use_isolating(false);
        bundle.set_transform(transform);
        // A test reads each file; what of one cannot be read is missed and nothing else.
        let resource = match FluentResource::try_new(messages.to_owned()) {
            Ok(resource) => resource,
            Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
        Self { tag, dir, bundle }
    }

    /// A message without anything in it.
    pub fn text(&self, id: &str) -> String {
        self.message(id, None, None)
    }

    /// A message with texts in it.
    pub fn say<const N: usize>(&self, id: &str, values: [(&str, &str); N]) -> String {
        let values = values.map(|(name, text)| (name, Argument::Text(text)));
        self.with(id, &values)
    }

    /// A message with texts and numbers in it.
    pub fn with(&self, id: &str, values: &[(&str, Argument<'_>)]) -> String {
        self.message(id, None, Some(&arguments(values)))
    }

    /// An attribute of a message: `what` or `fix` of a refusal.
    pub fn attribute(&self, id: &str, attribute: &str, values: &[(&str, Argument<'_>)]) -> String {
        self.message(id, Some(attribute), Some(&arguments(values)))
    }

    /// Whether there is such a message.
    pub fn has(&self, id: &str) -> bool {
        self.bundle.has_message(id)
    }

    /// A message with `count` in it.
    pub fn count(&self, id: &str, count: u64) -> String {
        self.with(id, &[("count", Argument::Number(count))])
    }

    fn message(
        &self,
        id: &str,
        attribute: Option<&str>,
        values: Option<&FluentArgs<'_>>,
    ) -> String {
        let message = self.bundle.get_message(id);
        let pattern = message.and_then(|message| match attribute {
            Some(name) => message.get_attribute(name).map(|found| found.value()),
            None => message.value(),
        });
        match pattern {
            Some(pattern) => {
                let mut errors = Vec::new();
                let said = self.bundle.format_pattern(pattern, values, &mut errors);
                said.into_owned()
            }
            // What a language lacks is said in English; what that lacks, by its name.
            None if self.tag != "en" => english().message(id, attribute, values),
            None => id.to_owned(),
        }
    }
}

/// A message that a page says: as text, or as markup.
#[derive(Debug)]
pub struct Message<'m> {
    language: &'static Language,
    id: &'m str,
    texts: Vec<(&'m str, String)>,
    link: Option<String>,
}

impl<'m> Message<'m> {
    /// With nothing in it yet.
    pub fn of(language: &'static Language, id: &'m str) -> Self {
        Self {
            language,
            id,
            texts: Vec::new(),
            link: None,
        }
    }

    /// Puts a text in.
    #[must_use]
    pub fn put(mut self, name: &'m str, text: impl AsRef<str>) -> Self {
        self.texts.push((name, text.as_ref().to_owned()));
        self
    }

    /// Puts a link in, where the message has `link`.
    #[must_use]
    pub fn link(mut self, href: &str, words: impl AsRef<str>) -> Self {
        let (href, words) = (escaped(href), escaped(words.as_ref()));
        self.link = Some(format!("<a href=\"{href}\">{words}</a>"));
        self
    }

    /// As markup: the message's own is kept, and what is put in is text that stands apart from
    /// what is around it, whichever way it is written.
    pub fn html(&self) -> String {
        let apart: Vec<(&str, String)> = self
            .texts
            .iter()
            .map(|(name, text)| (*name, format!("<bdi>{}</bdi>", escaped(text))))
            .collect();
        self.said(&apart)
    }

    fn said(&self, texts: &[(&str, String)]) -> String {
        let mut values: Vec<(&str, Argument<'_>)> = texts
            .iter()
            .map(|(name, text)| (*name, Argument::Text(text)))
            .collect();
        if let Some(link) = &self.link {
            values.push(("link", Argument::Text(link)));
        }
        self.language.with(self.id, &values)
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(&self.texts))
    }
}

fn arguments<'a>(values: &'a [(&'a str, Argument<'a>)]) -> FluentArgs<'a> {
    values
        .iter()
        .map(|(name, value)| {
            let value = match *value {
                Argument::Text(text) => FluentValue::from(text),
                Argument::Number(number) => FluentValue::from(number),
            };
            (*name, value)
        })
        .collect()
}

/// Text as it stands in markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A `String` takes everything.
    let _ = Html.write_escaped_str(&mut out, text);
    out
}

/// English, which is complete.
pub fn english() -> &'static Language {
    &ALL[0]
}

/// The language of the request that is answered now.
pub fn now() -> &'static Language {
    NOW.try_with(|language| *language)
        .unwrap_or_else(|_| english())
}

/// Answers a request in a language.
pub async fn within<F: Future>(language: &'static Language, answer: F) -> F::Output {
    NOW.scope(language, answer).await
}

/// The language for a request: what the client asks for in `ui_locales` (OpenID Connect Core
/// §3.1.2.1), else what the browser prefers (RFC 9110 §12.5.4), else English.
pub fn choose(ui_locales: Option<&str>, accept: Option<&str>) -> &'static Language {
    let asked = ui_locales.unwrap_or_default().split_ascii_whitespace();
    let asked = asked.take(10).find_map(|tag| offered(tag, true));
    asked
        .or_else(|| preferred(accept.unwrap_or_default()))
        .unwrap_or_else(english)
}

fn preferred(accept: &str) -> Option<&'static Language> {
    let mut ranges: Vec<(u32, &str)> = accept
        .split(',')
        .take(20)
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next()?;
            let weight = match parts.next() {
                Some(part) => thousandths(part.strip_prefix("q=")?)?,
                None => 1000,
            };
            (weight > 0).then_some((weight, tag))
        })
        .collect();
    // A stable sort: what is named first wins among equals.
    ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    ranges.into_iter().find_map(|(_, tag)| offered(tag, false))
}

fn thousandths(weight: &str) -> Option<u32> {
    let weight: f32 = weight.parse().ok()?;
    // Between 0 and 1, so that it fits.
    (0.0..=1.0)
        .contains(&weight)
        .then_some((weight * 1000.0) as u32)
}

/// The language of a tag, whatever the country. Those for tests only where they are asked for.
fn offered(tag: &str, tests: bool) -> Option<&'static Language> {
    let whole = |language: &&Language| language.tag.eq_ignore_ascii_case(tag);
    if let Some(exact) = ALL.iter().find(whole)
        && (tests || !exact.tag.contains("-X"))
    {
        return Some(exact);
    }
    let primary = tag.split('-').next().unwrap_or_default();
    ALL.iter()
        .find(|language| language.tag.eq_ignore_ascii_case(primary))
}

/// A text of which every letter has a mark, and which is a third longer, as translations are;
/// markup stays.
fn longer(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut inside = false;
    let mut letters = 0;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                out.push(c);
                continue;
            }
            _ => {}
        }
        let marked = match c {
            _ if inside => c,
            'a' => 'á',
            'e' => 'é',
            'i' => 'í',
            'o' => 'ó',
            'u' => 'ú',
            'A' => 'Á',
            'E' => 'É',
            'I' => 'Í',
            'O' => 'Ó',
            'U' => 'Ú',
            other => other,
        };
        out.push(marked);
        if !inside && c.is_alphabetic() {
            letters += 1;
        }
    }
    let _ = write!(out, "{}", " ~~~".repeat(letters / 12));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ids(messages: &str) -> BTreeSet<&str> {
        messages
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
            .filter_map(|line| Some(line.split_once(" =")?.0))
            .collect()
    }

    #[test]
    fn every_language_says_everything() {
        let english = ids(LANGUAGES[0].2);
        assert!(english.len() > 200);
        for (tag, _, messages, _) in LANGUAGES {
            assert!(
                FluentResource::try_new(messages.to_owned()).is_ok(),
                "{tag}"
            );
            assert_eq!(ids(messages), english, "{tag}");
            // The same is put in everywhere, and the same is marked.
            for id in &english {
                let of = |messages: &str| {
                    let from = messages.find(&format!("\n{id} =")).expect("there");
                    let rest = &messages[from + 1..];
                    let ends = |(at, _): &(usize, &str)| {
                        let next = rest[at + 1..].chars().next();
                        next.is_some_and(|c| c.is_ascii_alphabetic() || c == '#')
                    };
                    let end = rest.match_indices('\n').find(ends);
                    let end = end.map_or(rest.len(), |(at, _)| at);
                    let text = &rest[..end];
                    let puts: BTreeSet<String> = text
                        .split("{ $")
                        .skip(1)
                        .filter_map(|part| Some(part.split([' ', '}']).next()?.to_owned()))
                        .collect();
                    (
                        puts,
                        text.matches("<strong>").count() == text.matches("</strong>").count(),
                    )
                };
                assert_eq!(of(messages), of(LANGUAGES[0].2), "{tag}: {id}");
            }
        }
    }

    #[test]
    fn the_client_chooses_then_the_browser_then_english() {
        let tag = |ui: Option<&str>, accept: Option<&str>| choose(ui, accept).tag;
        assert_eq!(tag(None, None), "en");
        assert_eq!(tag(Some("de"), Some("en")), "de");
        assert_eq!(tag(Some("fr de-AT en"), None), "de");
        assert_eq!(tag(Some("fr"), Some("de-CH,en;q=0.5")), "de");
        assert_eq!(tag(None, Some("en;q=0.5, de;q=0.9")), "de");
        assert_eq!(tag(None, Some("fr, de;q=0")), "en");
        assert_eq!(tag(None, Some("*")), "en");
        assert_eq!(tag(None, Some("de;q=NaN, de;q=7, ;;,,")), "en");
        // The languages for tests are had by asking, and by no browser.
        assert_eq!(tag(Some("ar-XB"), None), "ar-XB");
        assert_eq!(tag(None, Some("ar-XB, en-XA")), "en");
    }

    #[test]
    fn t_con_09_what_is_put_into_markup_is_text() {
        let evil = "<script>\"'&\u{5d0}";
        for language in ALL.iter() {
            let said = Message::of(language, "consent-next")
                .put("provider", evil)
                .html();
            assert!(!said.contains("<script"), "{said}");
            assert!(
                said.contains("<bdi>&#60;script&#62;&#34;&#39;&#38;\u{5d0}</bdi>"),
                "{said}"
            );
            assert!(said.contains("<strong>"), "{said}");
            let said = Message::of(language, "consent-back")
                .link("/x\"y", "a<b")
                .html();
            assert!(said.contains("<a href=\"/x&#34;y\">a&#60;b</a>"), "{said}");
        }
        // Nothing that is put in is taken for a message.
        let said = Message::of(english(), "onward-taken")
            .put("host", "{ $host } { flow }")
            .html();
        assert!(said.contains("{ $host } { flow }"), "{said}");
    }

    #[test]
    fn plurals_and_dates_are_each_languages_own() {
        let german = choose(Some("de"), None);
        assert_eq!(german.count("days-ago", 1), "vor 1 Tag");
        assert_eq!(german.count("days-ago", 3), "vor 3 Tagen");
        assert_eq!(english().count("hours-ago", 1), "1 hour ago");
        assert_eq!(english().text("no such message"), "no such message");
    }

    #[test]
    fn the_language_for_tests_is_longer_and_keeps_markup() {
        let long = choose(Some("en-XA"), None);
        let said = long.text("consent-before-part");
        assert!(
            said.contains("<strong>") && said.contains('é') && said.contains('~'),
            "{said}"
        );
    }
}
