//! Which credential is in use after a plan, and what becomes of ours that are not.

use std::time::Duration;

use super::{
    Step,
    application::{Credential, EXCHANGE_AUDIENCE},
    change::{Act, Mark, Plan},
    credential_name,
    journal::{GRACE, Kind, Known, Ours},
    plan::Found,
    wanted::{Proof, Wanted},
};
use crate::{secret::Digest, time::Timestamp};

/// How long before its end a secret is made anew, unless it lives for less than thrice that.
const RENEW_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// The credential that is in use once a plan was carried out.
enum InUse {
    /// One that is there, by its id.
    Kept(String),
    /// One that is made, by its name.
    Made(String),
}

/// What is to be done about credentials. Nothing that is in use is removed: neither what is
/// kept, nor what was in use while its successor is not made in the same plan.
pub(super) fn plan(plan: &mut Plan, wanted: &Wanted, known: &Known, found: &Found) {
    let Some(proof) = &wanted.proof else { return };
    let before = plan.changes.len();
    let in_use = credential(plan, wanted, proof, known, found);
    let makes = plan.changes[before..]
        .iter()
        .any(|change| change.act.is_some());
    if makes && !wanted.steps.contains(&Step::Credential) {
        return;
    }
    retire(plan, wanted, proof.kind(), known, found, &in_use);
}

/// How long what was in use before stays: a gateway that runs still proves itself by it.
fn grace(wanted: &Wanted) -> Duration {
    wanted.rotate.unwrap_or(GRACE)
}

fn credential(
    plan: &mut Plan,
    wanted: &Wanted,
    proof: &Proof,
    known: &Known,
    found: &Found,
) -> InUse {
    let step = Step::Credential;
    let retire_others = wanted.now.plus(grace(wanted));
    let current = current(proof.kind(), known, found);
    match proof {
        Proof::Secret { held, life } => {
            let renew_before = RENEW_BEFORE.min(*life / 3);
            let is_held =
                |ours: &Ours| held.is_some() && ours.digest.is_none_or(|d| Some(d) == *held);
            let usable = current.filter(|(ours, _)| {
                let ends = ours.ends.unwrap_or(wanted.now);
                is_held(ours) && wanted.rotate.is_none() && ends.minus(renew_before) > wanted.now
            });
            if let Some((ours, id)) = usable {
                let what = format!("secret \"{}\"", ours.name);
                plan.push(step, Mark::Keep, what, None);
                plan.detail(days_left(ours, wanted.now));
                return InUse::Kept(id.to_owned());
            }
            let name = credential_name(&wanted.run);
            let act = Act::AddSecret {
                name: name.clone(),
                ends: wanted.now.plus(*life),
                retire_others,
            };
            plan.push(step, Mark::Create, format!("secret \"{name}\""), Some(act));
            plan.detail(format!("{} days", life.as_secs() / 86_400));
            if current.is_some_and(|(ours, _)| !is_held(ours)) {
                plan.detail("the file does not hold the one before, and Entra tells a secret once");
            }
            InUse::Made(name)
        }
        Proof::Certificate { der, fingerprint } => {
            let name = certificate_name(fingerprint);
            if let Some((ours, id)) = current.filter(|(ours, _)| ours.name == name) {
                plan.push(step, Mark::Keep, ours.name.clone(), None);
                return InUse::Kept(id.to_owned());
            }
            let act = Act::AddCertificate {
                name: name.clone(),
                der: der.clone(),
                retire_others,
            };
            plan.push(step, Mark::Create, name.clone(), Some(act));
            InUse::Made(name)
        }
        Proof::Federated { issuer, subject } => {
            let same = found.federated.iter().find(|there| {
                &there.issuer == issuer
                    && &there.subject == subject
                    && there.audiences == [EXCHANGE_AUDIENCE]
            });
            let Some(there) = same else {
                // Names have no spaces there.
                let name = credential_name(&wanted.run).replace(' ', "-");
                let act = Act::AddFederated {
                    name: name.clone(),
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    retire_others,
                };
                plan.push(step, Mark::Create, "federated credential", Some(act));
                plan.detail(format!("tokens of {issuer}"));
                plan.detail(format!("for {subject}, to {EXCHANGE_AUDIENCE}"));
                return InUse::Made(name);
            };
            let what = format!("federated credential \"{}\"", there.name);
            if is_known_to_be_in_use(known, &there.id, &there.name) {
                plan.push(step, Mark::Keep, what, None);
            } else {
                let act = Act::Use {
                    kind: Kind::Federated,
                    name: there.name.clone(),
                    key: there.id.clone(),
                    retire_others,
                };
                plan.push(step, Mark::Change, what, Some(act));
                plan.detail("is there, and is the one in use from now on");
            }
            InUse::Kept(there.id.clone())
        }
    }
}

/// Whether the journal has it so: this one is in use, and of ours no other is.
fn is_known_to_be_in_use(known: &Known, id: &str, name: &str) -> bool {
    known.credentials.iter().all(|ours| {
        let is_it = ours.key.as_deref() == Some(id) || (ours.key.is_none() && ours.name == name);
        match is_it {
            true => ours.key.is_some() && ours.retire.is_none(),
            false => ours.key.is_none() || ours.retire.is_some(),
        }
    })
}

fn retire(
    plan: &mut Plan,
    wanted: &Wanted,
    kind: Kind,
    known: &Known,
    found: &Found,
    in_use: &InUse,
) {
    for ours in &known.credentials {
        // Its name is of its run, or of the certificate: what is called so is ours, also where
        // the id that the journal has is that of one before it.
        let listed = there(found, ours.kind);
        let by_id = listed.iter().find(|(id, _)| ours.key.as_ref() == Some(id));
        let id = by_id.or_else(|| listed.iter().find(|(_, name)| *name == ours.name));
        let id = id.map(|(id, _)| id.clone());
        let Some(id) = id else { continue };
        let stays = match in_use {
            InUse::Kept(kept) => &id == kept,
            // One that comes back is registered already.
            InUse::Made(name) => &ours.name == name,
        };
        if stays {
            continue;
        }
        let what = format!("{} \"{}\"", ours.kind.name(), ours.name);
        let act = Act::RemoveCredential {
            kind: ours.kind,
            key: id,
            known_as: ours.key.clone().unwrap_or_else(|| ours.name.clone()),
        };
        let (goes, why) = match (&ours.key, ours.retire) {
            (None, _) => (true, "the run that made it was cut off".to_owned()),
            (Some(_), Some(at)) if at <= wanted.now => (true, "a newer one is in use".to_owned()),
            (Some(_), Some(at)) => (false, kept_for(at.since(wanted.now))),
            (Some(_), None) if grace(wanted).is_zero() && ours.kind == kind => {
                (true, "once the new one has been used".to_owned())
            }
            (Some(_), None) if ours.kind == kind => (false, kept_for(grace(wanted))),
            (Some(_), None) => (false, kept_for(grace(wanted).max(GRACE))),
        };
        match goes {
            true => plan.push(Step::Retire, Mark::Remove, what, Some(act)),
            false => plan.push(Step::Retire, Mark::Keep, what, None),
        }
        plan.detail(why);
    }
}

fn certificate_name(fingerprint: &str) -> String {
    credential_name(&format!(
        "certificate {}",
        fingerprint.get(..16).unwrap_or(fingerprint)
    ))
}

fn days_left(ours: &Ours, now: Timestamp) -> String {
    let ends = ours.ends.unwrap_or(now);
    format!("{} days left", ends.since(now).as_secs() / 86_400)
}

fn kept_for(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    let span = match minutes {
        0..120 => format!("{minutes} min"),
        _ => format!("{} h", minutes.div_ceil(60)),
    };
    format!("the one before; kept for {span}, removed by the next apply after that")
}

/// Our credential that is in use, if it is still there, with its id.
fn current<'k>(kind: Kind, known: &'k Known, found: &Found) -> Option<(&'k Ours, &'k str)> {
    let ours = known.current(kind)?;
    let key = ours.key.as_deref()?;
    let is_there = there(found, ours.kind).iter().any(|(id, _)| id == key);
    is_there.then_some((ours, key))
}

/// Ids and names of the credentials of a kind that are there.
pub(super) fn there(found: &Found, kind: Kind) -> Vec<(String, String)> {
    let pair = |credential: &Credential| {
        let name = credential.display_name.clone();
        (credential.key_id.clone(), name.unwrap_or_default())
    };
    let app = found.app.as_ref();
    match kind {
        Kind::Secret => app
            .iter()
            .flat_map(|app| &app.password_credentials)
            .map(pair)
            .collect(),
        Kind::Certificate => app
            .iter()
            .flat_map(|app| app.certificates())
            .map(|credential| pair(&credential))
            .collect(),
        Kind::Federated => found
            .federated
            .iter()
            .map(|there| (there.id.clone(), there.name.clone()))
            .collect(),
    }
}

/// What a file with a secret holds, so that it can be told which one it is.
pub fn digest_of(text: &str) -> Option<Digest> {
    let text = text.trim_end_matches(['\r', '\n']);
    (!text.trim().is_empty()).then(|| Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests;
