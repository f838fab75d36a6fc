//! `servers.NAME.allow`, `.deny` and `.tools`: who may use what.

use vestibule_core::{
    policy::{Access, Policy, ToolRule, ToolRules, Who},
    resource::Resource,
};

use super::{
    super::table::{Table, Value},
    Reader,
};

impl Reader<'_> {
    pub(super) fn policy(&mut self, table: &mut Table, resource: &Resource) -> Policy {
        let access = self.access(table);
        let mut tools = Vec::new();
        if let Some(table) = self.table(table, "tools") {
            for (pattern, value) in table.into_entries() {
                let (scope, access) = match value {
                    Value::Table {
                        table: mut rule, ..
                    } => {
                        let access = self.access(&mut rule);
                        let scope = rule.take("scope");
                        self.leftovers(rule);
                        (scope, access)
                    }
                    value => (Some(value), Access::default()),
                };
                let scope = scope.and_then(|value| self.declared(&value, resource));
                tools.push(ToolRule {
                    pattern: pattern.text,
                    scope,
                    access,
                });
            }
        }
        Policy {
            access,
            tools: ToolRules::of(tools),
        }
    }

    fn declared(&mut self, value: &Value, resource: &Resource) -> Option<String> {
        let scope = self.text(value)?;
        if !resource.scopes.contains_key(&scope) {
            let what = format!("scope \"{scope}\" is not declared");
            self.wrong(value, "V-CFG-018", what)
                .fix("declare it in scopes of the same server");
        }
        Some(scope)
    }

    fn access(&mut self, table: &mut Table) -> Access {
        let allow = table.take("allow").map(|value| self.people(&value));
        let deny = table
            .take("deny")
            .map(|value| self.people(&value))
            .unwrap_or_default();
        Access { allow, deny }
    }

    fn people(&mut self, value: &Value) -> Vec<Who> {
        let mut people = Vec::new();
        for text in self.texts(value) {
            match Who::parse(&text) {
                Some(who) => people.push(who),
                None => {
                    let what = format!("\"{text}\" names nobody");
                    self.wrong(value, "V-CFG-040", what)
                        .fix("write \"group:ID\" or \"person:ID\", with the provider's lasting id");
                }
            }
        }
        people
    }
}
