//! Grants where nobody logs in: client credentials and assertions, under one standing grant
//! for each subject, client and server, which somebody can stop.

use vestibule_core::{
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    flow::cleaned,
    id::{GrantId, PersonId},
    jwt,
    scope::ScopeSet,
    token::{
        TokenError,
        client_credentials::{self, ClientCredentials},
        jwt_bearer::{self, AssertionGrant, IssueForAssertion},
    },
};

use super::{
    Failure, audiences,
    issue::{self, Issued},
    keys_unavailable,
};
use crate::{
    config::Issuing,
    key_cache::{KeyError, Source},
    office::Office,
    store::{MACHINES, Standing, StandingGrant, secret_place},
};

/// `grant_type=client_credentials`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn machine(
    office: &Office,
    ask: &ClientCredentials,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let issue = client_credentials::judge(ask, client, &office.catalogue)?;
    let client = client.client();
    let key = issue::key_of(office, client.dpop_bound, key, &issue.resource)?;
    let subject = Subject {
        issuer: MACHINES.to_owned(),
        subject: client.id.clone(),
        shown: client
            .name_for_people()
            .unwrap_or_else(|| client.id.clone()),
        groups: None,
        once: None,
        machine: true,
    };
    grant(
        office,
        subject,
        &client.id,
        client.name_for_people(),
        issue.resource,
        issue.scopes,
        key,
    )
    .await
}

/// `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` with an identity assertion, which
/// a client brings.
///
/// # Errors
/// [`Failure`].
pub(super) async fn id_jag(
    office: &Office,
    ask: &AssertionGrant,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let now = office.world.now();
    let (issuing, token) = verified(office, ask).await?;
    let issue = jwt_bearer::judge_id_jag(
        ask,
        client,
        &token,
        &issuing.trusted,
        &office.issuer,
        &office.catalogue,
        now,
    )?;
    let client = client.client();
    let key = issue::key_of(office, client.dpop_bound, key, &issue.resource)?;
    by_assertion(office, issue, &client.id, client.name_for_people(), key).await
}

/// The same with a platform's token about a workload, in which no client takes part. The
/// client of such a token is the platform itself; the name it gets here is returned with it.
///
/// # Errors
/// [`Failure`].
pub(super) async fn workload(
    office: &Office,
    ask: &AssertionGrant,
    key: Option<Thumbprint>,
) -> Result<(String, Issued), Failure> {
    let now = office.world.now();
    let (issuing, token) = verified(office, ask).await?;
    let us = audiences(office);
    let us = [us[0].as_str(), us[1].as_str()];
    let trusted = &issuing.trusted;
    let issue = jwt_bearer::judge_workload(ask, &token, trusted, &us, &office.catalogue, now)?;
    let key = issue::key_of(office, false, key, &issue.resource)?;
    let client_id = issue.issuer.clone();
    let name = Some(trusted.name.clone());
    let issued = by_assertion(office, issue, &client_id, name, key).await?;
    Ok((client_id, issued))
}

async fn by_assertion(
    office: &Office,
    issue: IssueForAssertion,
    client_id: &str,
    client_name: Option<String>,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let subject = Subject {
        shown: cleaned(issue.shown.as_deref().unwrap_or(&issue.subject), 200),
        issuer: issue.issuer,
        subject: issue.subject,
        groups: issue.groups,
        once: Some(issue.once),
        machine: issue.machine,
    };
    grant(
        office,
        subject,
        client_id,
        client_name,
        issue.resource,
        issue.scopes,
        key,
    )
    .await
}

/// The assertion under its issuer's signature. An issuer that the operator did not name
/// causes no request at all (WIF-2).
async fn verified<'o>(
    office: &'o Office,
    ask: &AssertionGrant,
) -> Result<(&'o Issuing, jwt::VerifiedClaims), Failure> {
    let token = ask.assertion.expose();
    let claims = jwt::peek(token).map_err(|_| TokenError::AssertionRefused)?;
    let named = claims.get("iss").and_then(serde_json::Value::as_str);
    let issuing = office
        .issuers
        .iter()
        .find(|issuing| Some(issuing.trusted.issuer.as_str()) == named)
        .ok_or(TokenError::AssertionUntrusted)?;
    let verified = office
        .key_cache
        .verify(&source_of(issuing), token, office.world.now())
        .await;
    match verified {
        Ok(verified) => Ok((issuing, verified)),
        Err(KeyError::Jwt(why)) => {
            tracing::info!(event = "assertion.refused", issuer = issuing.trusted.issuer, %why);
            Err(TokenError::AssertionRefused.into())
        }
        Err(error) => Err(keys_unavailable(&error)),
    }
}

/// Where an issuer's keys are.
pub(super) fn source_of(issuing: &Issuing) -> Source {
    match &issuing.jwks_uri {
        Some(address) => Source::Operator(address.clone()),
        None => Source::Issuer(issuing.trusted.issuer.clone()),
    }
}

struct Subject {
    issuer: String,
    subject: String,
    shown: String,
    groups: Option<Vec<String>>,
    once: Option<vestibule_core::assertion::Once>,
    machine: bool,
}

async fn grant(
    office: &Office,
    subject: Subject,
    client_id: &str,
    client_name: Option<String>,
    resource: String,
    scopes: ScopeSet,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    let keys = office.keys.load_full();
    let now = office.world.now();
    let access_until = now.plus(office.tokens.access_ttl);
    let new_id = GrantId::new(office.world.random());
    let secret = office.world.random::<32>();
    let standing = office
        .store
        .standing_grant(StandingGrant {
            new_id,
            issuer: subject.issuer,
            subject: subject.subject,
            shown: subject.shown,
            groups: subject.groups,
            new_person: PersonId::new(office.world.random()),
            client_id: client_id.to_owned(),
            client_name,
            resource: resource.clone(),
            scopes: scopes.clone(),
            secret: keys.seal_at_rest(&secret_place(new_id), &secret, &office.world),
            flow: office.flows.begin(),
            once: subject.once,
            now,
            access_until,
        })
        .await?;
    match standing {
        Standing::Now(grant, person, parties) => {
            tracing::info!(event = "token.issued", %grant, client = client_id, resource);
            Ok(Issued {
                grant,
                subject: person,
                machine: subject.machine,
                resource,
                scopes,
                parties,
                key,
                actor: None,
                now,
                access_until,
                refresh: None,
                exchanged: false,
            })
        }
        Standing::Replayed => {
            tracing::warn!(event = "assertion.replayed", client = client_id);
            Err(TokenError::AssertionReplayed.into())
        }
        Standing::Stopped => Err(TokenError::Stopped.into()),
    }
}
