//! What is said of an identity provider that speaks OAuth and no OpenID Connect.

use vestibule_core::identity::ProfileClaims;

use super::{
    super::{
        PlainOAuth,
        table::{Table, Value},
    },
    Reader,
};

impl Reader<'_> {
    /// `idp.organizations` of GitHub's: ids, of which a person must have one, or "any".
    pub(super) fn organizations(
        &mut self,
        table: &mut Table,
        kind: Option<&Value>,
    ) -> Option<Vec<String>> {
        const FIX: &str = "name your organizations by their ids, which api.github.com/orgs/NAME \
                           tells: idp.organizations = [\"9919\"], or \"any\"";
        let Some(value) = table.take("organizations") else {
            if let Some(kind) = kind {
                let what = "everybody who has an account at GitHub would be let in";
                self.wrong(kind, "V-CFG-052", what).fix(FIX);
            }
            return None;
        };
        let ids = self.one_or_more(&value);
        if ids == ["any"] {
            return None;
        }
        let is_id = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        if ids.is_empty() || !ids.iter().all(is_id) {
            let what = "an organization has a number; its name may be another's tomorrow";
            self.wrong(&value, "V-CFG-052", what).fix(FIX);
        }
        Some(ids)
    }

    /// The endpoints of a provider that has no discovery document.
    pub(super) fn plain_oauth(
        &mut self,
        table: &mut Table,
        groups: &[String],
    ) -> Option<PlainOAuth> {
        let mut endpoint = |reader: &mut Self, key| {
            let value = reader.required(table, key)?;
            reader.address_of_idp(&value, key, false)
        };
        let authorization_endpoint = endpoint(self, "authorization_endpoint");
        let token_endpoint = endpoint(self, "token_endpoint");
        let userinfo_endpoint = endpoint(self, "userinfo_endpoint");
        let subject = self
            .required(table, "subject_claim")
            .and_then(|value| self.filled(&value));
        let mut named = |reader: &mut Self, key, usual: &str| {
            let value: Option<Value> = table.take(key);
            let named = value.and_then(|value| reader.filled(&value));
            named.unwrap_or_else(|| usual.to_owned())
        };
        let name = named(self, "name_claim", "name");
        let username = named(self, "username_claim", "preferred_username");
        let email = named(self, "email_claim", "email");
        Some(PlainOAuth {
            iss: None,
            secret_in_form: self.flag(table, "client_secret_post", false),
            authorization_endpoint: authorization_endpoint?,
            token_endpoint: token_endpoint?,
            userinfo_endpoint: userinfo_endpoint?,
            claims: ProfileClaims {
                subject: subject?,
                name,
                username,
                email,
                groups: groups.to_vec(),
            },
            memberships: Vec::new(),
            organizations: None,
        })
    }
}
