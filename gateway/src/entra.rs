//! The gateway's registration at Microsoft Entra ID, made and kept over Microsoft Graph:
//! look, plan, do, and write down each effect. What is to be done is decided in the core.

mod file;
pub mod graph;
pub mod journal;
mod proof;
pub mod sign_in;
pub mod work;

use std::fmt;

/// Where a command stops, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// See [`catalogue`](crate::catalogue).
    pub code: &'static str,
    /// In plain words.
    pub what: String,
    /// What somebody else said, as they said it.
    pub said: Option<String>,
    /// What to do.
    pub fix: String,
    /// What scripts are told.
    pub class: Class,
}

/// Kinds of trouble, by who must do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The command or the configuration is wrong.
    Usage,
    /// Somebody must sign in.
    SignIn,
    /// Somebody does not answer.
    Unreachable,
    /// A check failed.
    Failed,
    /// It is not allowed, or not confirmed.
    Refused,
    /// Anything else.
    Unexpected,
}

impl Trouble {
    /// Trouble of which nobody else said anything.
    pub fn new(
        code: &'static str,
        class: Class,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            said: None,
            fix: fix.into(),
            class,
        }
    }

    /// With the words of whoever refused.
    #[must_use]
    pub fn said(mut self, words: &str) -> Self {
        // Tools like to surround what they say with empty lines.
        let lines: Vec<&str> = words
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let text: String = lines.join(" ").chars().take(800).collect();
        self.said = (!text.is_empty()).then_some(text);
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.what)?;
        if let Some(said) = &self.said {
            write!(f, "\n  it said  {said}")?;
        }
        write!(f, "\n  fix      {}", self.fix)
    }
}
