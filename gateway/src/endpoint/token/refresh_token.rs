//! `grant_type=refresh_token`.

use vestibule_core::{
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    resource::Resource,
    secret::MacKey,
    token::{
        TokenError,
        refresh_token::{self, Refresh, RefreshToken},
    },
};

use super::{
    Failure,
    issue::{self, Issued},
    noted, recheck, replayed,
};
use crate::{
    office::Office,
    store::{Renewal, StoreError, secret_place},
    uses::Use,
};

/// How often a renewal is judged again because somebody else was faster.
const TRIES: usize = 64;

/// Renews.
pub(super) async fn renew(
    office: &Office,
    ask: &Refresh,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let token = RefreshToken::parse(ask.token.expose()).ok_or(TokenError::RefreshUnknown)?;
    let keys = office.keys.load_full();
    for _ in 0..TRIES {
        let now = office.world.now();
        let found = office
            .store
            .grant(token.grant())
            .await?
            .ok_or(TokenError::RefreshUnknown)?;
        let secret: Option<[u8; 32]> = keys
            .open_at_rest(&secret_place(token.grant()), found.secret.clone())
            .and_then(|plain| plain.as_slice().try_into().ok());
        let Some(secret) = secret else {
            return Err(StoreError::Failed("a grant's secret does not open".into()).into());
        };
        let secret = MacKey::new(&secret);
        if !token.is_authentic(&secret, office.issuer.text()) {
            return Err(TokenError::RefreshUnknown.into());
        }
        let window = office.tokens.refresh_window;
        let server = office.catalogue.by_uri(&found.facts.resource);
        let known = server.map(Resource::all_scopes).unwrap_or_default();
        let renewed = match refresh_token::judge(
            &ask.naming_only(&known),
            &token,
            client,
            key.as_ref(),
            &found.facts,
            window,
            now,
        ) {
            Ok(renewed) => renewed,
            Err(refused) => {
                if let TokenError::RefreshReplayed { grant } = refused {
                    replayed(office, grant, now).await?;
                }
                // A renewal for another server says nothing of this login.
                if !matches!(refused, TokenError::ResourceNotGranted) {
                    noted(office, found.flow, &refused).await;
                }
                return Err(refused.into());
            }
        };
        let bound_only = client.client().dpop_bound;
        let bound = issue::key_of(office, bound_only, key, &found.facts.resource)?;
        // Before the rotation: whom a rule denies for a while keeps the token that they have.
        let reference = client.client().reference();
        let Some(parties) = office.store.parties(found.person, reference).await? else {
            return Err(TokenError::RefreshUnknown.into());
        };
        if let Err(refused) =
            recheck::still_there(office, token.grant(), &found, &parties, now).await
        {
            if let Failure::Token(refused) = &refused {
                noted(office, found.flow, refused).await;
            }
            return Err(refused);
        }
        // The answer may have brought other groups.
        if let Some(parties) = office.store.parties(found.person, reference).await? {
            issue::admitted(office, &found.facts.resource, false, &parties)?;
        }
        if renewed.from_the_future {
            tracing::warn!(event = "token.from_restored_store", grant = %token.grant());
        }
        let access_until = now.plus(office.tokens.access_ttl).min(found.facts.ends);
        let generation = renewed.family.generation;
        let stored = office
            .store
            .renew_grant(Renewal {
                grant: token.grant(),
                judged: found.facts.family,
                renewed: renewed.family,
                now,
                access_until,
                idle_until: now.plus(office.tokens.refresh_idle),
            })
            .await?;
        let Some(parties) = stored else { continue };
        if renewed.rotated {
            tracing::info!(event = "token.refreshed", flow = %found.flow);
            let access = (token.grant(), found.person, client.client().reference());
            office.uses.note(access, Use::renewed(now), String::new);
        }
        let refresh = RefreshToken::mint(&secret, office.issuer.text(), token.grant(), generation);
        return Ok(Issued {
            grant: token.grant(),
            subject: found.person,
            machine: false,
            resource: found.facts.resource,
            scopes: renewed.scopes,
            parties,
            key: bound,
            actor: None,
            now,
            access_until,
            refresh: Some(refresh),
            exchanged: false,
        });
    }
    Err(StoreError::Busy.into())
}
