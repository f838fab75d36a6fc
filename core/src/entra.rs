//! The gateway's own registration at Microsoft Entra ID: what is wanted, what is there, and
//! what is to be done about the difference. The edge asks Microsoft Graph, and does it.

pub mod api;
pub mod application;
pub mod change;
pub mod credential;
pub mod destroy;
pub mod journal;
pub mod odata;
pub mod plan;
pub mod token;
pub mod wanted;

use serde::{Deserialize, Serialize};

/// The application id of Microsoft Graph itself, the same in each tenant.
pub const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";

/// A part of the way, in the order in which it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A token for Microsoft Graph.
    SignIn,
    /// The application.
    App,
    /// Its redirect URIs.
    Redirect,
    /// Its service principal, which is the application within the tenant.
    Principal,
    /// What the gateway proves itself with.
    Credential,
    /// Credentials that are not used any more.
    Retire,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::SignIn,
        Self::App,
        Self::Redirect,
        Self::Principal,
        Self::Credential,
        Self::Retire,
    ];

    /// Its name, which does not change.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::App => "app",
            Self::Redirect => "redirect",
            Self::Principal => "principal",
            Self::Credential => "credential",
            Self::Retire => "retire",
        }
    }

    /// The step of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// The least that Microsoft Graph asks for to change an application: for a person, and for a
/// program that made it.
pub const PERMISSION: Permission = Permission {
    delegated: "Application.ReadWrite.All",
    application: "Application.ReadWrite.OwnedBy",
};

/// A permission of Microsoft Graph, under its two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// In the token of a person (`scp`).
    pub delegated: &'static str,
    /// In the token of a program (`roles`).
    pub application: &'static str,
}

/// The tag by which an application is found again when nothing else is known of it: that of a
/// gateway, or of a server of its.
pub fn tag(instance: &str, server: Option<&str>) -> String {
    match server {
        None => format!("vestibule:{instance}"),
        // No name of a server has a slash.
        Some(server) => format!("vestibule-server:{instance}/{server}"),
    }
}

/// What a credential of ours is called there: unique to the run that makes it, so that one
/// whose making was interrupted is recognized.
pub fn credential_name(run: &str) -> String {
    format!("{CREDENTIAL_PREFIX}{run}")
}

const CREDENTIAL_PREFIX: &str = "vestibule ";
