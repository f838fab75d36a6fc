//! The result of a probe for people, for programs, and for pipelines.

use std::fmt::Write as _;

use serde_json::{Value, json};
use vestibule_core::text::on_one_line;

use super::judge::{Check, State};

/// Whether nothing failed.
pub fn is_good(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Fail)
}

fn count(checks: &[Check], state: State) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

/// For people: a line each, with what to do below what is wrong.
pub fn text(url: &str, checks: &[Check], colour: bool) -> String {
    let mut out = format!("{}\n\n", shown(url));
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    for check in checks {
        let (word, code) = match check.state {
            State::Ok => ("ok  ", "32"),
            State::Warn => ("WARN", "33"),
            State::Fail => ("FAIL", "31"),
            State::Skip => ("–   ", "2"),
        };
        let word = if colour {
            format!("\u{1b}[{code}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        };
        let _ = write!(out, "{word}  {:width$}  {}", check.name, shown(&check.seen));
        if let Some(flaw) = check.flaw {
            let _ = write!(out, "  [{flaw}]");
        }
        out.push('\n');
        if let Some(next) = check.next {
            let _ = writeln!(out, "      -> {next}");
        }
    }
    let of = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    let _ = writeln!(
        out,
        "\n{}, {}, {} ok",
        of(count(checks, State::Fail), "failure"),
        of(count(checks, State::Warn), "warning"),
        count(checks, State::Ok),
    );
    out
}

/// What others said is shown without what a terminal would obey.
fn shown(text: &str) -> String {
    on_one_line(text, 2000)
}

/// For programs.
pub fn json(url: &str, checks: &[Check]) -> Value {
    json!({
        "url": url,
        "ok": is_good(checks),
        "checks": checks,
    })
}

/// For pipelines: one test case for each check. A warning is a case that passed and says so.
pub fn junit(url: &str, checks: &[Check]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"vestibule probe\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
        checks.len(),
        count(checks, State::Fail),
        count(checks, State::Skip),
    );
    for check in checks {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\">",
            escaped(url),
            escaped(check.name)
        );
        let seen = escaped(&check.seen);
        let next = escaped(check.next.unwrap_or_default());
        let flaw = escaped(check.flaw.unwrap_or_default());
        let _ = match check.state {
            State::Fail => write!(
                out,
                "<failure type=\"{flaw}\" message=\"{seen}\">{next}</failure>"
            ),
            State::Skip => write!(out, "<skipped message=\"{seen}\"/>"),
            State::Warn => write!(out, "<system-out>{flaw}: {seen}. {next}</system-out>"),
            State::Ok => write!(out, "<system-out>{seen}</system-out>"),
        };
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        vec![
            Check {
                name: "a token is needed",
                state: State::Ok,
                flaw: None,
                seen: "401 without a token".into(),
                next: None,
            },
            Check {
                name: "the 401 says where to log in",
                state: State::Fail,
                flaw: Some("no-bearer-challenge"),
                seen: "401 with \u{1b}[31m<b>\"&".into(),
                next: Some("send one"),
            },
        ]
    }

    #[test]
    fn a_report_for_each_reader() {
        assert_eq!(
            text("https://a.example/mcp", &checks(), false),
            "https://a.example/mcp\n\n\
             ok    a token is needed             401 without a token\n\
             FAIL  the 401 says where to log in  401 with [31m<b>\"&  [no-bearer-challenge]\n      \
             -> send one\n\n\
             1 failure, 0 warnings, 1 ok\n"
        );
        let json = json("https://a.example/mcp", &checks());
        assert_eq!(json["ok"], false);
        assert_eq!(json["checks"][1]["flaw"], "no-bearer-challenge");
        assert_eq!(json["checks"][1]["state"], "fail");
        let junit = junit("https://a.example/mcp", &checks());
        assert!(junit.contains("tests=\"2\" failures=\"1\" skipped=\"0\""));
        assert!(junit.contains(
            "<failure type=\"no-bearer-challenge\" message=\"401 with \u{fffd}[31m&lt;b&gt;&quot;&amp;\">send one</failure>"
        ));
    }
}
