//! A person as the identity provider knows them: what an ID token says, what the userinfo
//! endpoint adds to it (OpenID Connect Core §5.3.2), and where groups are told.

use serde_json::{Map, Value};

use crate::{claims::text, flow::cleaned, id_token::IdTokenError, secret::Digest};

/// Which members of a profile say who somebody is, where there are no ID tokens (UP-22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileClaims {
    /// The lasting id, by name or path. Never a name that somebody else may have tomorrow.
    pub subject: String,
    /// The name to show.
    pub name: String,
    /// The user name, for show.
    pub username: String,
    /// The e-mail address, for show.
    pub email: String,
    /// Groups and roles, by name or path.
    pub groups: Vec<String>,
}

/// A person whom the provider vouched for in this very login. Only [`crate::id_token::judge`]
/// and [`VerifiedIdentity::of_profile`] make these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) tells_groups: bool,
    /// Whether each of the claims was there that tell groups.
    pub(crate) tells_all_groups: bool,
    pub(crate) session: Option<Digest>,
}

impl VerifiedIdentity {
    /// A person by what a provider without ID tokens answered with a fresh access
    /// token of theirs; `issuer` is what that provider is called here (RFC 9700 §4.4.2 is why it
    /// has a callback address of its own). Nothing signed ties it to the login.
    ///
    /// # Errors
    /// [`IdTokenError::Claim`] without a lasting id, a text or a whole number; and for what
    /// cannot be read.
    pub fn of_profile(
        issuer: &str,
        profile: &Map<String, Value>,
        claims: &ProfileClaims,
    ) -> Result<Self, IdTokenError> {
        let subject = match at_path(profile, &claims.subject) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            _ => return Err(IdTokenError::Claim),
        };
        if subject.is_empty() || subject.len() > 512 {
            return Err(IdTokenError::Claim);
        }
        let told = groups_in(profile, &claims.groups)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            subject,
            name: shown_at(profile, &claims.name)?,
            username: shown_at(profile, &claims.username)?,
            email: shown_at(profile, &claims.email)?,
            tells_groups: told.is_some(),
            tells_all_groups: true,
            groups: told.unwrap_or_default(),
            session: None,
        })
    }

    /// The provider.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The lasting key of the person at that provider.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The name to show.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The e-mail address, for show.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// What to call the person on a page: user name, address, name or the bare key.
    pub fn for_people(&self) -> &str {
        self.username
            .as_deref()
            .or(self.email.as_deref())
            .or(self.name.as_deref())
            .unwrap_or(&self.subject)
    }

    /// Whether the ID token leaves to the userinfo endpoint what is needed: groups, if a rule
    /// asks for them, and, at a login, what to call the person.
    pub fn leaves_to_userinfo(&self, needs_groups: bool, is_login: bool) -> bool {
        let nameless = self.name.is_none() && self.username.is_none() && self.email.is_none();
        (needs_groups && !self.tells_all_groups) || (is_login && nameless)
    }

    /// The same with what the userinfo endpoint says besides (OpenID Connect Core §5.3.2);
    /// groups are in the claims of these `names`. What the ID token said stands.
    ///
    /// # Errors
    /// [`IdTokenError::UserInfo`] if it is about somebody else; [`IdTokenError`] for claims
    /// that cannot be read, and for groups that are left out there too.
    pub fn completed(
        mut self,
        claims: &Map<String, Value>,
        names: &[String],
        needs_groups: bool,
    ) -> Result<Self, IdTokenError> {
        if text(claims, "sub")? != Some(self.subject.as_str()) {
            return Err(IdTokenError::UserInfo);
        }
        if needs_groups && leaves_groups_out(claims) {
            return Err(IdTokenError::GroupsLeftOut);
        }
        self.name = self.name.take().or(shown(claims, "name")?);
        self.username = self
            .username
            .take()
            .or(shown(claims, "preferred_username")?);
        self.email = self.email.take().or(shown(claims, "email")?);
        // Groups may be here and roles there.
        if !self.tells_all_groups {
            let told = groups_in(claims, names)?;
            self.tells_groups |= told.is_some();
            self.add_groups(told.unwrap_or_default());
        }
        Ok(self)
    }

    /// The same with groups that the provider's directory told, beside those of the ID token.
    #[must_use]
    pub fn with_groups(mut self, groups: Vec<String>) -> Self {
        self.add_groups(groups);
        self.tells_groups = true;
        self
    }

    fn add_groups(&mut self, groups: Vec<String>) {
        for group in groups {
            if !self.groups.contains(&group) {
                self.groups.push(group);
            }
        }
    }

    /// The session at the provider, if it names one.
    pub fn session(&self) -> Option<Digest> {
        self.session
    }

    /// Groups and roles by their lasting ids.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The same as a word about what was known before: `None` if the ID token says nothing of
    /// groups, as many do that come with a refresh (OpenID Connect Core §12.2). Entra's leave
    /// the claim out of whoever is in none.
    pub fn groups_anew(&self) -> Option<&[String]> {
        self.tells_groups.then_some(&self.groups)
    }
}

pub(crate) fn shown(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<String>, IdTokenError> {
    Ok(text(claims, name)?
        .map(|value| cleaned(value, 200))
        .filter(|value| !value.is_empty()))
}

/// The same by name or path.
fn shown_at(claims: &Map<String, Value>, path: &str) -> Result<Option<String>, IdTokenError> {
    match at_path(claims, path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => {
            Ok(Some(cleaned(value, 200)).filter(|value| !value.is_empty()))
        }
        Some(_) => Err(IdTokenError::Claim),
    }
}

/// Groups and roles in the claims of these names; `None` if none of them is there. A name that
/// is no claim is a path into one, with dots between.
///
/// # Errors
/// [`IdTokenError::Claim`] for what is no list of texts, no text, and no object whose keys are
/// what is told, as Zitadel has it.
pub fn groups_in(
    claims: &Map<String, Value>,
    names: &[impl AsRef<str>],
) -> Result<Option<Vec<String>>, IdTokenError> {
    let mut told: Option<Vec<String>> = None;
    for name in names {
        let Some(value) = at_path(claims, name.as_ref()) else {
            continue;
        };
        let all = told.get_or_insert_default();
        match value {
            Value::Null => {}
            // Some write a list of one as a text.
            Value::String(one) => all.push(one.clone()),
            Value::Array(list) => {
                for one in list {
                    all.push(one.as_str().ok_or(IdTokenError::Claim)?.to_owned());
                }
            }
            Value::Object(keyed) => all.extend(keyed.keys().cloned()),
            _ => return Err(IdTokenError::Claim),
        }
    }
    Ok(told)
}

pub(crate) fn at_path<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    at_path(claims.get(first)?.as_object()?, rest)
}

/// Whether groups or roles are named as claims that are to be had elsewhere (OpenID Connect Core
/// §5.6.2), or, as Entra has it in short, are there and not told.
pub(crate) fn leaves_groups_out(claims: &Map<String, Value>) -> bool {
    let elsewhere = claims.get("_claim_names").and_then(Value::as_object);
    let named =
        elsewhere.is_some_and(|names| names.contains_key("groups") || names.contains_key("roles"));
    let has = claims.get("hasgroups");
    named || has.is_some_and(|has| *has == Value::Bool(true) || has.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn up_22_a_profile_names_a_person_by_a_lasting_id() {
        let claims = ProfileClaims {
            subject: "id".into(),
            name: "name".into(),
            username: "called.login".into(),
            email: "email".into(),
            groups: vec!["teams".into()],
        };
        let of = |profile: Value| {
            VerifiedIdentity::of_profile("https://x", profile.as_object().expect("one"), &claims)
        };
        let called = json!({ "login": "ada" });
        let ada = of(json!({ "id": 583_231, "called": called, "email": null, "teams": ["t"] }));
        let ada = ada.expect("a person");
        assert_eq!((ada.issuer(), ada.subject()), ("https://x", "583231"));
        assert_eq!(
            (ada.for_people(), ada.groups_anew()),
            ("ada", Some(&["t".to_owned()][..]))
        );
        let bob = of(json!({ "id": "b" })).expect("a person");
        assert_eq!((bob.subject(), bob.groups_anew()), ("b", None));
        for profile in [
            json!({ "login": "ada" }),
            json!({ "id": null }),
            json!({ "id": "" }),
            json!({ "id": -1 }),
            json!({ "id": 1.5 }),
            json!({ "id": ["1"] }),
            json!({ "id": "x".repeat(513) }),
            json!({ "id": 1, "called": { "login": 7 } }),
            json!({ "id": 1, "teams": 7 }),
        ] {
            assert_eq!(of(profile.clone()), Err(IdTokenError::Claim), "{profile}");
        }
    }
}
