//! What an application is to be.

use std::time::Duration;

use super::{Step, api::WantedApi, journal::Kind};
use crate::{secret::Digest, time::Timestamp};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// By which it is found again ([`tag`](super::tag)).
    pub tag: String,
    /// The application's label.
    pub app_name: String,
    /// Whose accounts may sign in to it.
    pub accounts: Accounts,
    /// Our redirect URI, if people sign in to it.
    pub redirect: Option<String>,
    /// The API that it is, if Entra issues tokens for a server.
    pub api: Option<WantedApi>,
    /// Whether the application is to be a public client besides.
    pub public_client: bool,
    /// Whether tokens are to tell groups, since a rule names one.
    pub groups: bool,
    /// Whether it asks Microsoft Graph for groups by itself.
    pub members: bool,
    /// What the gateway proves itself with, if it acts as this application.
    pub proof: Option<Proof>,
    /// Whether the credential is to be made anew, and how long the one before is kept.
    pub rotate: Option<Duration>,
    /// The steps that may be gone.
    pub steps: Vec<Step>,
    /// What the run is called.
    pub run: String,
    /// The present time.
    pub now: Timestamp,
}

/// Whose accounts may sign in to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// Those of the tenant that it is registered in.
    OneTenant,
    /// Those of each organization.
    Organizations,
    /// Those of each organization, and personal ones.
    Everybody,
    /// Personal ones.
    Personal,
}

impl Accounts {
    /// What Microsoft Graph calls it (`signInAudience`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneTenant => "AzureADMyOrg",
            Self::Organizations => "AzureADMultipleOrgs",
            Self::Everybody => "AzureADandPersonalMicrosoftAccount",
            Self::Personal => "PersonalMicrosoftAccount",
        }
    }

    /// These, and those whom `there` lets in, as Graph calls it.
    pub(super) fn with(self, there: &str) -> Self {
        let all = [
            Self::OneTenant,
            Self::Organizations,
            Self::Everybody,
            Self::Personal,
        ];
        let there = all.into_iter().find(|accounts| accounts.name() == there);
        match (self, there.unwrap_or(Self::OneTenant)) {
            (one, other) if one == other => one,
            (Self::Everybody | Self::Personal, _) | (_, Self::Everybody | Self::Personal) => {
                Self::Everybody
            }
            _ => Self::Organizations,
        }
    }

    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::OneTenant => "for accounts of this tenant alone",
            Self::Organizations => "for accounts of any organization; idp.tenants says of which",
            Self::Everybody => {
                "for accounts of any organization and personal ones; idp.tenants says of which"
            }
            Self::Personal => "for personal accounts",
        }
    }

    /// Whether personal ones are among them: Graph wants tokens of version 2 then.
    pub(super) const fn are_personal(self) -> bool {
        matches!(self, Self::Everybody | Self::Personal)
    }
}

/// What the gateway proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret.
    Secret {
        /// What its file holds, if it holds anything.
        held: Option<Digest>,
        /// How long a new one lives.
        life: Duration,
    },
    /// A certificate that is at hand.
    Certificate {
        /// It, in DER.
        der: Vec<u8>,
        /// Its fingerprint, for people: SHA-256 in hexadecimal.
        fingerprint: String,
    },
    /// Tokens that the platform makes.
    Federated {
        /// Their issuer.
        issuer: String,
        /// Of whom they are.
        subject: String,
    },
}

impl Proof {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Secret { .. } => Kind::Secret,
            Self::Certificate { .. } => Kind::Certificate,
            Self::Federated { .. } => Kind::Federated,
        }
    }
}
