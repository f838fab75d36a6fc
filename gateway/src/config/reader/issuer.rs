//! `[issuers.NAME]`: whose assertions are taken, and for what.

use vestibule_core::{
    id_token::SubjectKey,
    scope::ScopeSet,
    token::jwt_bearer::{TrustedIssuer, Vouches, WorkloadRule},
};

use super::{
    super::{
        Idp, IdpKind, Issuing, Server,
        table::{Table, Value},
    },
    Reader,
};

impl Reader<'_> {
    pub(super) fn issuers(
        &mut self,
        table: Option<Table>,
        idps: &[&Idp],
        servers: &[Server],
    ) -> Vec<Issuing> {
        let mut issuers: Vec<Issuing> = Vec::new();
        for (name, value) in table.map(Table::into_entries).unwrap_or_default() {
            let place = value.clone();
            let Some(table) = self.as_table(&name, value) else {
                continue;
            };
            let Some(mut issuing) = self.issuing(&name.text, table, &place, servers) else {
                continue;
            };
            // The same people as at a login there.
            let mut homes = idps.iter();
            let at_home = homes.find(|idp| idp.issuer == issuing.trusted.issuer);
            if at_home.is_some_and(|idp| idp.kind == IdpKind::Entra) {
                issuing.trusted.key = SubjectKey::TenantAndObject;
            }
            // A rule writes NAME/ID, and NAME must mean one of them.
            let another = match at_home {
                Some(idp) => !idp.is_main() && idp.name != name.text,
                None => idps.iter().any(|idp| idp.name == name.text),
            };
            if another {
                let what = format!(
                    "issuers.{} and an identity provider have one name or one issuer",
                    name.text
                );
                self.wrong(&place, "V-CFG-056", what)
                    .fix("give both the same name if they are the same, and different ones if not");
            }
            let known = issuers
                .iter()
                .any(|other| other.trusted.issuer == issuing.trusted.issuer);
            if known {
                let what = format!("the issuer {} is named twice", issuing.trusted.issuer);
                self.wrong(&place, "V-CFG-037", what)
                    .fix("one table for each issuer, so that nobody guesses which is meant");
            }
            issuers.push(issuing);
        }
        issuers
    }

    fn issuing(
        &mut self,
        name: &str,
        mut table: Table,
        place: &Value,
        servers: &[Server],
    ) -> Option<Issuing> {
        let issuer = self
            .required(&mut table, "issuer")
            .and_then(|value| self.web_address(&value));
        let jwks_uri = table
            .take("jwks_uri")
            .and_then(|value| self.web_address(&value));
        let vouches = self
            .required(&mut table, "vouches_for")
            .and_then(|value| self.text(&value).map(|text| (text, value)));
        let public_clients = self.flag(&mut table, "public_clients", false);
        let rules = table.take("allow");
        self.leftovers(table);
        let vouches = match vouches {
            Some((text, _)) if text == "people" => Vouches::People { public_clients },
            Some((text, _)) if text == "workloads" => {
                let Some(rules) = rules else {
                    self.wrong(place, "V-CFG-038", "an issuer of workloads needs rules")
                        .fix("add [[issuers.NAME.allow]] with subject and servers");
                    return None;
                };
                Vouches::Workloads(self.workload_rules(rules, servers))
            }
            Some((other, value)) => {
                let what = format!("vouches_for cannot be \"{other}\"");
                self.wrong(&value, "V-CFG-009", what)
                    .fix("it is \"people\" (ID-JAG) or \"workloads\"");
                return None;
            }
            None => return None,
        };
        Some(Issuing {
            trusted: TrustedIssuer {
                name: name.to_owned(),
                key: SubjectKey::Sub,
                issuer: issuer?,
                vouches,
            },
            jwks_uri,
        })
    }

    fn workload_rules(&mut self, value: Value, servers: &[Server]) -> Vec<WorkloadRule> {
        let Value::List { items, .. } = value else {
            self.wrong(&value, "V-CFG-008", "allow is a list of tables");
            return Vec::new();
        };
        let mut rules = Vec::new();
        for item in items {
            let place = item.clone();
            let Value::Table { mut table, .. } = item else {
                self.wrong(&place, "V-CFG-008", "allow is a list of tables");
                continue;
            };
            let subject = self
                .required(&mut table, "subject")
                .and_then(|value| self.filled(&value));
            let resources = self
                .required(&mut table, "servers")
                .map(|value| self.resources(&value, servers));
            let scopes = table
                .take("scopes")
                .map(|value| ScopeSet::of(self.texts(&value)));
            let mut claims = Vec::new();
            if let Some(table) = self.table(&mut table, "claims") {
                for (name, value) in table.into_entries() {
                    if let Some(text) = self.text(&value) {
                        claims.push((name.text, text));
                    }
                }
            }
            self.leftovers(table);
            let (Some(subject), Some(resources)) = (subject, resources) else {
                continue;
            };
            // A platform that everybody may use signs for everybody (WIF-4).
            if !names_a_tenant(&subject) && claims.is_empty() {
                self.wrong(
                    &place,
                    "V-CFG-039",
                    "this rule admits every tenant of the platform",
                )
                .fix("name your tenant in full before the first *, as in \"repo:your-org/*\", or bind a claim of it");
            }
            rules.push(WorkloadRule {
                subject,
                claims,
                resources,
                scopes,
            });
        }
        rules
    }
}

/// Whether a pattern says whose workloads it means: it has no `*`, or at least two whole parts
/// before the first, of which the second is the tenant on every platform in use
/// (`repo:ORG/…`, `system:serviceaccount:…`, `project_path:GROUP/…`, `spiffe://DOMAIN/…`).
fn names_a_tenant(subject: &str) -> bool {
    let Some((before, _)) = subject.split_once('*') else {
        return true;
    };
    let whole = before
        .rsplit_once([':', '/'])
        .map_or("", |(whole, _)| whole);
    whole
        .split([':', '/'])
        .filter(|part| !part.is_empty())
        .count()
        >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wif_4_a_wildcard_stands_behind_a_whole_tenant() {
        for (subject, named) in [
            ("repo:org/app:ref:refs/heads/main", true),
            ("repo:org/app:*", true),
            ("repo:org/*", true),
            ("system:serviceaccount:ns:*", true),
            ("spiffe://trust.example/ns/*", true),
            ("*", false),
            ("repo:*", false),
            ("repo:o*", false),
            ("repo:org*", false),
            ("repo:*/app:main", false),
            ("spiffe://*", false),
            ("::*", false),
        ] {
            assert_eq!(names_a_tenant(subject), named, "{subject}");
        }
    }
}
