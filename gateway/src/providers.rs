//! The identity providers of this gateway, and which of them signs whom in where.

use futures_util::future::join_all;
use vestibule_core::resource::{MAIN_PROVIDER, Resource};

use crate::provider::Provider;

/// All of them.
#[derive(Debug)]
pub struct Providers {
    main: Provider,
    further: Vec<Provider>,
}

impl Providers {
    /// The main one, and those that servers may name besides.
    pub fn new(main: Provider, further: Vec<Provider>) -> Self {
        Self { main, further }
    }

    /// The one that signs operators in.
    pub fn main(&self) -> &Provider {
        &self.main
    }

    /// All, the main one first.
    pub fn all(&self) -> impl Iterator<Item = &Provider> {
        std::iter::once(&self.main).chain(&self.further)
    }

    /// The one of this name in the configuration.
    pub fn named(&self, name: &str) -> Option<&Provider> {
        self.all().find(|provider| provider.name() == name)
    }

    /// The one that vouches for people of this issuer.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Provider> {
        self.all().find(|provider| provider.issuer() == issuer)
    }

    /// Those that sign people in for a server, as its configuration orders them.
    pub fn of_server<'p>(&'p self, resource: &'p Resource) -> impl Iterator<Item = &'p Provider> {
        let names = resource.providers.iter();
        names.filter_map(|name| self.named(name))
    }

    /// The one that a person chose for a server. Who was given no choice chose nothing.
    pub fn chosen<'p>(
        &'p self,
        resource: &'p Resource,
        name: Option<&str>,
    ) -> Option<&'p Provider> {
        let mut all = self.of_server(resource);
        match name {
            Some(name) => all.find(|provider| provider.name() == name),
            None => all.next().filter(|_| all.next().is_none()),
        }
    }

    /// The name by which rules write ids of this issuer's people; `None` for those of the main
    /// one, which are written bare.
    pub fn vouched_by(&self, issuer: &str) -> Option<Option<&str>> {
        let provider = self.of_issuer(issuer)?;
        Some((provider.name() != MAIN_PROVIDER).then(|| provider.name()))
    }

    /// Keeps the metadata and keys of all fresh, for as long as it is polled.
    pub async fn keep_fresh(&self) {
        join_all(self.all().map(Provider::keep_fresh)).await;
    }
}
