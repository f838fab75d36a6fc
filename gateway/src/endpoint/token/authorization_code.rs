//! `grant_type=authorization_code`.

use std::time::Duration;

use vestibule_core::{
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    flow::Step,
    secret::MacKey,
    token::{
        TokenError,
        authorization_code::{self, RedeemCode},
        refresh_token::RefreshToken,
    },
};

use super::{
    Failure,
    issue::{self, Issued},
    noted, replayed,
};
use crate::{
    office::Office,
    store::{NewGrant, Redeemed, secret_place},
};

/// How long a grant lives whose provider gave no refresh token.
const WITHOUT_PROVIDER: Duration = Duration::from_secs(12 * 3600);

/// Redeems a code.
pub(super) async fn redeem(
    office: &Office,
    ask: &RedeemCode,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let digest = ask.code.digest();
    let now = office.world.now();
    let found = office
        .store
        .code(digest)
        .await?
        .ok_or(TokenError::CodeUnknown)?;
    let issue =
        match authorization_code::judge(ask, client, key.as_ref(), &found.code, found.state, now) {
            Ok(issue) => issue,
            Err(refused) => {
                match refused {
                    TokenError::CodeReplayed { grant } => {
                        replayed(office, grant, now).await?;
                    }
                    TokenError::VerifierWrong => {
                        office.store.count_wrong_verifier(digest).await?;
                    }
                    _ => {}
                }
                noted(office, found.flow, &refused).await;
                return Err(refused.into());
            }
        };
    let key = issue::key_of(office, client.client().dpop_bound, key, &issue.resource)?;
    let keys = office.keys.load_full();
    let secret = office.world.random::<32>();
    // Nobody can be asked later whether the person is still there.
    let longest = if found.has_idp {
        office.tokens.refresh_ttl
    } else {
        office.tokens.refresh_ttl.min(WITHOUT_PROVIDER)
    };
    let ends = now.plus(longest);
    let access_until = now.plus(office.tokens.access_ttl).min(ends);
    let redeemed = office
        .store
        .redeem_code(
            digest,
            NewGrant {
                id: issue.grant,
                secret: keys.seal_at_rest(&secret_place(issue.grant), &secret, &office.world),
                now,
                access_until,
                idle_until: now.plus(office.tokens.refresh_idle),
                ends,
                // A confidential client proves itself at each refresh; a public one by its key.
                key: key.filter(|_| !client.client().credential.is_confidential()),
            },
        )
        .await?;
    let parties = match redeemed {
        Redeemed::Now(parties) => parties,
        // Two came at once, and the other was first: that is a replay too.
        Redeemed::Before => return Err(replayed(office, issue.grant, now).await?.into()),
    };
    office.flows.record(found.flow, Step::TokensIssued);
    let refresh = (issue.refresh && office.tokens.refresh)
        .then(|| RefreshToken::mint(&MacKey::new(&secret), office.issuer.text(), issue.grant, 1));
    Ok(Issued {
        grant: issue.grant,
        subject: issue.person,
        machine: false,
        resource: issue.resource,
        scopes: issue.scopes,
        parties,
        key,
        actor: None,
        now,
        access_until,
        refresh,
        exchanged: false,
    })
}
