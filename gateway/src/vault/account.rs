//! A token of the account that a person connected at the service behind a server; renewed by
//! one at a time, since many services rotate refresh tokens.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vestibule_core::{access_token::AccessToken, id::PersonId, secret::Digest, time::Timestamp};

use super::{
    VaultError,
    provider_session::{LOOK, PAUSE, kept_at, patience},
};
use crate::{
    office::Office,
    service::{Kept, Service, ServiceError},
    store::{ConnectionClaim, FoundConnection, connection_place},
    token_endpoint::Granted,
};

/// An account that a person connected, opened to be taken back at its service.
pub struct Opened {
    server: String,
    kept: Kept,
}

/// The account of a person for `server`, if there is one that opens.
pub async fn opened(office: &Office, person: PersonId, server: &str) -> Option<Opened> {
    let found = office.store.connection(person, server.to_owned()).await;
    let found = found.ok().flatten()?;
    let place = connection_place(person, server);
    let plain = office.keys.load_full().open_at_rest(&place, found.sealed)?;
    let kept = office.services.get(server)?.open(&plain).ok()?;
    Some(Opened {
        server: server.to_owned(),
        kept,
    })
}

/// All accounts of a person.
pub async fn all_opened(office: &Office, person: PersonId) -> Vec<Opened> {
    let connections = office.store.connections(person).await.unwrap_or_default();
    let mut all = Vec::new();
    for connection in connections {
        all.extend(opened(office, person, &connection.server).await);
    }
    all
}

/// Tells the services that these are over. Here they are, whatever the services say.
pub async fn take_back(office: &Office, accounts: Vec<Opened>) {
    for Opened { server, kept } in accounts {
        let Some(service) = office.services.get(&server) else {
            continue;
        };
        if let Err(error) = service.revoke(&kept).await {
            tracing::warn!(event = "service.not_revoked", server, %error);
        }
    }
}

/// What has less left than this is renewed, if it can be.
const NEARLY_OVER: Duration = Duration::from_secs(60);

/// The token for `server`. `refused` is the digest of one that the server did not take.
pub(super) async fn access_token(
    office: &Office,
    token: &AccessToken,
    server: &str,
    refused: Option<Digest>,
) -> Result<Granted, VaultError> {
    if token.machine {
        return Err(VaultError::NoLogin);
    }
    let service = office.services.get(server).ok_or(VaultError::Refused)?;
    let person = token.subject;
    let place = connection_place(person, server);
    let began = Instant::now();
    loop {
        let now = office.world.now();
        let found = office.store.connection(person, server.to_owned()).await?;
        let FoundConnection {
            sealed,
            asking_until,
        } = found.ok_or(VaultError::NotConnected)?;
        let opened = office.keys.load_full().open_at_rest(&place, sealed);
        let opened = opened.ok_or(VaultError::Silent)?;
        let Ok(kept) = service.open(&opened) else {
            return over(office, token, server, now).await;
        };
        let granted = kept.granted(now).filter(|granted| {
            let shown = Digest::of(granted.access_token.expose().as_bytes());
            // One that nothing renews is all that there is.
            !kept.renews() || refused.is_none_or(|refused| shown != refused)
        });
        match granted {
            Some(granted) if granted.life > NEARLY_OVER || !kept.renews() => return Ok(granted),
            None if !kept.renews() => return over(office, token, server, now).await,
            _ => {}
        }
        let claim = ConnectionClaim {
            person,
            server: server.to_owned(),
            until: now.plus(patience(office.providers.main()) + PAUSE),
        };
        if office
            .store
            .ask_service(claim.clone(), now)
            .await?
            .is_some()
        {
            return renewed(office, service, &opened, claim).await;
        }
        let paused = asking_until > now && asking_until <= now.plus(PAUSE);
        if paused || began.elapsed() > patience(office.providers.main()) {
            return Err(VaultError::Silent);
        }
        sleep(LOOK).await;
    }
}

/// Writes down that an account is over, so that its person sees it.
async fn over(
    office: &Office,
    token: &AccessToken,
    server: &str,
    now: Timestamp,
) -> Result<Granted, VaultError> {
    let claim = ConnectionClaim {
        person: token.subject,
        server: server.to_owned(),
        until: now.plus(PAUSE),
    };
    if office
        .store
        .ask_service(claim.clone(), now)
        .await?
        .is_some()
    {
        office.store.service_answered(claim, None).await?;
    }
    Err(VaultError::NotConnected)
}

async fn renewed(
    office: &Office,
    service: &Service,
    opened: &[u8],
    claim: ConnectionClaim,
) -> Result<Granted, VaultError> {
    let asking = async {
        let kept = service.open(opened)?;
        service.refresh(&kept, office.world.now()).await
    };
    let answer = timeout(patience(office.providers.main()), asking).await;
    let server = claim.server.as_str();
    match answer {
        Ok(Ok(kept)) => {
            let place = connection_place(claim.person, server);
            let keys = office.keys.load_full();
            let sealed = keys.seal_at_rest(&place, &kept.to_bytes(), &office.world);
            let keep = || {
                let answered = (claim.clone(), Some(sealed.clone()));
                office.store.service_answered(answered.0, answered.1)
            };
            if !kept_at(keep).await? {
                // Taken back meanwhile.
                return Err(VaultError::NotConnected);
            }
            kept.granted(office.world.now()).ok_or(VaultError::Silent)
        }
        Ok(Err(error)) if error.is_over() => {
            tracing::info!(event = "service.account_over", server, %error);
            kept_at(|| office.store.service_answered(claim.clone(), None)).await?;
            Err(VaultError::NotConnected)
        }
        other => {
            match &other {
                Ok(Err(error)) => tracing::warn!(event = "service.failed", server, %error),
                _ => tracing::warn!(event = "service.failed", server, error = "too slow"),
            }
            let again = office.world.now().plus(PAUSE);
            kept_at(|| office.store.service_silent(claim.clone(), again)).await?;
            Err(match other {
                Ok(Err(ServiceError::Refused { status, .. })) if status < 500 && status != 429 => {
                    VaultError::Refused
                }
                _ => VaultError::Silent,
            })
        }
    }
}
