//! What may act for a person, app by app: out of what was allowed and what lives.

use crate::{
    id::{ClientRef, GrantId},
    scope::ScopeSet,
    time::Timestamp,
};

/// What a person allowed an app for one MCP server; lives until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The app.
    pub client: ClientRef,
    /// Its `client_id`.
    pub client_id: String,
    /// Its name at the last login.
    pub client_name: Option<String>,
    /// The MCP server's identifier.
    pub resource: String,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// When.
    pub allowed: Timestamp,
}

/// A grant that lives, or a standing one that was stopped and can be allowed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub id: GrantId,
    /// The app.
    pub client: ClientRef,
    /// Its `client_id`.
    pub client_id: String,
    /// Its name at the last login.
    pub client_name: Option<String>,
    /// The MCP server's identifier.
    pub resource: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Since when.
    pub since: Timestamp,
    /// When tokens were last issued from it.
    pub used: Timestamp,
    /// Whether it was stopped: only a grant without logins is kept then.
    pub stopped: bool,
}

/// One app with everything that it may do for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Which.
    pub client: ClientRef,
    /// Its `client_id`.
    pub client_id: String,
    /// Its name at the last login.
    pub name: Option<String>,
    /// For each MCP server, by its identifier.
    pub servers: Vec<Reach>,
    /// Grants that live.
    pub grants: usize,
}

/// What an app may do at one MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The MCP server's identifier.
    pub resource: String,
    /// What it may do, of all logins together.
    pub scopes: ScopeSet,
    /// Since when.
    pub since: Timestamp,
    /// When tokens were last issued; `None` if it is allowed and not connected.
    pub used: Option<Timestamp>,
    /// Whether it was stopped, and waits to be allowed again.
    pub stopped: bool,
}

impl App {
    /// When anything of it was last used.
    pub fn used(&self) -> Option<Timestamp> {
        self.servers.iter().filter_map(|reach| reach.used).max()
    }

    /// Whether nothing of it lives and some of it can be allowed again.
    pub fn is_stopped(&self) -> bool {
        self.servers.iter().all(|reach| reach.stopped)
    }
}

/// All apps of a person, the one that was used last first.
pub fn apps(consents: Vec<Consent>, grants: Vec<Grant>) -> Vec<App> {
    let mut apps: Vec<App> = Vec::new();
    for consent in consents {
        let app = app_of(
            &mut apps,
            consent.client,
            &consent.client_id,
            consent.client_name,
        );
        let reach = reach_of(app, &consent.resource, consent.allowed);
        reach.scopes = reach.scopes.with(&consent.scopes);
    }
    for grant in grants {
        let app = app_of(&mut apps, grant.client, &grant.client_id, grant.client_name);
        app.grants += usize::from(!grant.stopped);
        let reach = reach_of(app, &grant.resource, grant.since);
        reach.scopes = reach.scopes.with(&grant.scopes);
        if grant.stopped {
            reach.stopped = reach.used.is_none();
        } else {
            reach.stopped = false;
            reach.used = reach.used.max(Some(grant.used));
        }
    }
    for app in &mut apps {
        app.servers.sort_by(|a, b| a.resource.cmp(&b.resource));
    }
    apps.sort_by_key(|app| std::cmp::Reverse(app.used()));
    apps
}

fn app_of<'a>(
    apps: &'a mut Vec<App>,
    client: ClientRef,
    client_id: &str,
    name: Option<String>,
) -> &'a mut App {
    let at = match apps.iter().position(|app| app.client == client) {
        Some(at) => at,
        None => {
            apps.push(App {
                client,
                client_id: client_id.to_owned(),
                name,
                servers: Vec::new(),
                grants: 0,
            });
            apps.len() - 1
        }
    };
    &mut apps[at]
}

fn reach_of<'a>(app: &'a mut App, resource: &str, since: Timestamp) -> &'a mut Reach {
    let known = app
        .servers
        .iter()
        .position(|reach| reach.resource == resource);
    let at = match known {
        Some(at) => at,
        None => {
            app.servers.push(Reach {
                resource: resource.to_owned(),
                scopes: ScopeSet::empty(),
                since,
                used: None,
                stopped: false,
            });
            app.servers.len() - 1
        }
    };
    let reach = &mut app.servers[at];
    reach.since = reach.since.min(since);
    reach
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> ScopeSet {
        ScopeSet::parse(text).expect("scopes")
    }

    fn consent(client: &str, resource: &str, allowed: u64) -> Consent {
        Consent {
            client: ClientRef::of(client),
            client_id: client.to_owned(),
            client_name: Some(client.to_uppercase()),
            resource: resource.to_owned(),
            scopes: scopes("read"),
            allowed: Timestamp::from_unix(allowed),
        }
    }

    fn grant(client: &str, resource: &str, used: u64, stopped: bool) -> Grant {
        Grant {
            id: GrantId::new([0; 16]),
            client: ClientRef::of(client),
            client_id: client.to_owned(),
            client_name: Some(client.to_uppercase()),
            resource: resource.to_owned(),
            scopes: scopes("read write"),
            since: Timestamp::from_unix(used - 1),
            used: Timestamp::from_unix(used),
            stopped,
        }
    }

    #[test]
    fn cons_10_each_app_is_told_once_with_all_that_it_may_do() {
        let told = apps(
            vec![
                consent("old", "a", 5),
                consent("new", "a", 50),
                consent("new", "b", 60),
            ],
            vec![
                grant("old", "a", 9, false),
                grant("new", "a", 90, false),
                grant("new", "a", 95, false),
            ],
        );
        let names: Vec<_> = told.iter().map(|app| app.client_id.as_str()).collect();
        assert_eq!(names, ["new", "old"], "the last used first");
        let new = &told[0];
        assert_eq!(new.grants, 2);
        assert_eq!(new.servers.len(), 2);
        assert_eq!(new.servers[0].scopes, scopes("read write"));
        assert_eq!(new.servers[0].used, Some(Timestamp::from_unix(95)));
        assert_eq!(new.servers[0].since, Timestamp::from_unix(50));
        assert_eq!(new.servers[1].used, None, "allowed, and not connected");
    }

    #[test]
    fn a_stopped_standing_grant_is_told_as_stopped() {
        let told = apps(Vec::new(), vec![grant("agent", "a", 9, true)]);
        assert!(told[0].is_stopped());
        assert_eq!((told[0].grants, told[0].used()), (0, None));
        let other = apps(
            Vec::new(),
            vec![grant("agent", "a", 9, true), grant("agent", "a", 8, false)],
        );
        assert!(!other[0].is_stopped());
    }
}
