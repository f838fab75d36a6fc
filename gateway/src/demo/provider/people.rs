//! The two people. They are invented, and so are their addresses.

use aws_lc_rs::constant_time;

use super::Digest;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) username: &'static str,
    /// Printed on the login page: an account that guards nothing.
    pub(super) password: &'static str,
    /// The stable `sub` claim.
    pub(super) subject: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    /// The `groups` claim, for rules to try.
    pub(super) groups: &'static [&'static str],
}

pub(super) static PEOPLE: [Person; 2] = [
    Person {
        username: "ada",
        password: "ada",
        subject: "demo-ada",
        name: "Ada Lovelace",
        email: "ada@example.com",
        groups: &["staff", "editors"],
    },
    Person {
        username: "bob",
        password: "bob",
        subject: "demo-bob",
        name: "Bob Example",
        email: "bob@example.com",
        groups: &["staff"],
    },
];

/// The person with this name and password.
///
/// Every account is compared in full, so that the time tells neither which part was
/// wrong nor whether the name exists.
pub(super) fn signed_in_by(username: &str, password: &str) -> Option<&'static Person> {
    let typed = [Digest::of(username).0, Digest::of(password).0].concat();
    PEOPLE.iter().fold(None, |found, person| {
        let known = [Digest::of(person.username).0, Digest::of(person.password).0].concat();
        let matches = constant_time::verify_slices_are_equal(&known, &typed).is_ok();
        if matches { Some(person) } else { found }
    })
}
