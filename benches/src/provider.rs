//! The identity provider of logins that are measured: the demo's, in this process, so that
//! its work is not the gateway's.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Result, anyhow};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use tokio::runtime::Runtime;
use vestibule::{
    demo::{
        loopback::require_loopback,
        provider::{DemoProvider, DemoProviderSettings},
    },
    world::World,
};

use crate::gateway::SECRET;

/// Starts it; it ends with its runtime.
pub(crate) fn start(issuer: &str, port: u16, gateway: &str) -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let world = World::real();
    let (clock, entropy) = (world.clone(), world);
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let provider = DemoProvider::new(DemoProviderSettings {
        issuer: issuer.to_owned(),
        client_id: "bench".to_owned(),
        client_secret: SECRET.to_owned(),
        redirect_uri: format!("{gateway}/oauth-callback"),
        signing_key_pkcs8: key.to_pkcs8v1()?.as_ref().to_vec(),
        clock: Arc::new(move || clock.now().unix()),
        entropy: Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes)),
    })
    .map_err(|error| anyhow!("{error}"))?;
    runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = require_loopback(address)
            .map_err(|error| anyhow!("{error}"))?
            .listen()
            .await?;
        tokio::spawn(provider.serve(listener, std::future::pending()));
        anyhow::Ok(())
    })?;
    Ok(runtime)
}
