//! Every mistake of a configuration in one report, each with its place and what to do.

use std::fmt;

use super::table::{Name, Place};

/// What is wrong with a configuration.
#[derive(Debug, Clone)]
pub struct Report {
    file: String,
    text: String,
    problems: Vec<Problem>,
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Problem {
    code: &'static str,
    what: String,
    place: Option<Place>,
    fix: Option<String>,
}

impl Problem {
    /// Adds what to do about it.
    pub fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        self.fix = Some(fix.into());
        self
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl Report {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            problems: Vec::new(),
        }
    }

    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        let mut report = Self::new(file, "");
        report.problems.push(Problem {
            code: "V-CFG-002",
            what: format!("the configuration {file} cannot be read: {error}"),
            place: None,
            fix: Some("vestibule init writes one; or name it with -c".to_owned()),
        });
        report
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// All of it.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn at(&mut self, place: &Place, code: &'static str, what: String) -> &mut Problem {
        self.problems.push(Problem {
            code,
            what,
            place: Some(place.clone()),
            fix: None,
        });
        self.problems.last_mut().expect("it was just pushed")
    }

    pub(super) fn missing(&mut self, key: &str, what: &str) -> &mut Problem {
        self.problems.push(Problem {
            code: "V-CFG-006",
            what: what.to_owned(),
            place: None,
            fix: Some(format!("add {key}")),
        });
        self.problems.last_mut().expect("it was just pushed")
    }

    /// A mistake that is in no one place.
    pub(super) fn between(&mut self, code: &'static str, what: &str, fix: &str) {
        self.problems.push(Problem {
            code,
            what: what.to_owned(),
            place: None,
            fix: Some(fix.to_owned()),
        });
    }

    pub(super) fn unknown_key(&mut self, name: &Name, known: &[String]) {
        let near = known
            .iter()
            .map(|candidate| (distance(&name.text, candidate), candidate))
            .filter(|(distance, candidate)| {
                *distance <= candidate.len().max(name.text.len()) / 3 + 1
            })
            .min();
        let problem = self.at(
            &name.place,
            "V-CFG-007",
            format!("unknown key \"{}\"", name.path),
        );
        if let Some((_, near)) = near {
            problem.fix(format!("did you mean \"{near}\"?"));
        }
    }
}

impl fmt::Display for Report {
    /// One block per problem: code and sentence, place, the line with a caret, the fix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error[{}]: {}", problem.code, problem.what)?;
            match &problem.place {
                Some(Place::File(span)) => {
                    let before = &self.text[..span.start.min(self.text.len())];
                    let number = before.matches('\n').count() + 1;
                    let begin = before.rfind('\n').map_or(0, |at| at + 1);
                    let column = before[begin..].chars().count() + 1;
                    let line = self.text[begin..].lines().next().unwrap_or_default();
                    let width = self.text
                        [span.start.min(self.text.len())..span.end.min(self.text.len())]
                        .lines()
                        .next()
                        .map_or(1, |text| text.chars().count().max(1));
                    let gutter = " ".repeat(number.to_string().len());
                    writeln!(f, "{gutter}--> {}:{number}:{column}", self.file)?;
                    writeln!(f, "{number} | {line}")?;
                    writeln!(
                        f,
                        "{gutter} | {}{}",
                        " ".repeat(column - 1),
                        "^".repeat(width)
                    )?;
                }
                Some(Place::Env(variable)) => writeln!(f, "  --> environment variable {variable}")?,
                None => writeln!(f, "  --> {}", self.file)?,
            }
            if let Some(fix) = &problem.fix {
                writeln!(f, "  fix: {fix}")?;
            }
            writeln!(f)?;
        }
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural}. Nothing was started.")
    }
}

impl std::error::Error for Report {}

/// How many letters must be put in, left out, replaced or swapped.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
