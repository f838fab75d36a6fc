//! What the gateway proves itself with: found for a plan, put into its place, and tried.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;
use vestibule_core::{
    entra::{credential, token::TokenFacts, wanted::Proof},
    secret::{Digest, Secret},
};

use super::{
    Class, Trouble, file,
    sign_in::{self, Taken},
    work::Work,
};
use crate::{
    config::ProofAt,
    managed_identity,
    provider_credential::{self, ASSERTION_TYPE},
};

impl Work<'_> {
    /// What the gateway is to prove itself with, as the plan needs it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn proof(&self) -> Result<Option<Proof>, Trouble> {
        match &self.setup.proof {
            Some(at) => self.proof_at(at).await.map(Some),
            None => Ok(None),
        }
    }

    async fn proof_at(&self, at: &ProofAt) -> Result<Proof, Trouble> {
        let of_platform = |token: Result<String, provider_credential::AssertionError>| {
            let token = token.map_err(|error| {
                let fix = "run this where the gateway runs, or write entra.federated = { issuer = …, subject = … }";
                Trouble::new("V-ENT-010", Class::Failed, error.to_string(), fix)
            })?;
            let facts = TokenFacts::read(&token).unwrap_or_default();
            if facts.iss.is_empty() || facts.sub.is_empty() {
                let what = "the platform's token does not say whose it is";
                let fix = "write entra.federated = { issuer = …, subject = … }";
                return Err(Trouble::new("V-ENT-010", Class::Failed, what, fix));
            }
            Ok(Proof::Federated {
                issuer: facts.iss,
                subject: facts.sub,
            })
        };
        if let (Some((issuer, subject)), ProofAt::File(_) | ProofAt::Managed(_)) =
            (&self.setup.entra.federated, at)
        {
            return Ok(Proof::Federated {
                issuer: issuer.clone(),
                subject: subject.clone(),
            });
        }
        match at {
            ProofAt::SecretFile(file) => Ok(Proof::Secret {
                held: self.held(file)?,
                life: self.setup.entra.secret_life,
            }),
            ProofAt::Certificate(certificate) => Ok(Proof::Certificate {
                der: certificate.der().to_vec(),
                fingerprint: certificate.fingerprint(),
            }),
            ProofAt::File(file) => of_platform(provider_credential::federated(file).await),
            ProofAt::Managed(identity) => {
                let audience = vestibule_core::entra::application::EXCHANGE_AUDIENCE;
                let token = managed_identity::token(self.place.http, identity, audience).await;
                of_platform(token.map(|token| token.expose().to_owned()))
            }
        }
    }

    /// What the secret's file holds, or will hold once a run that was cut off is made good.
    fn held(&self, file: &Path) -> Result<Option<Digest>, Trouble> {
        let known = self.journal.known();
        let staged = read_secret(&with_suffix(file, STAGED))?;
        if known.holds(staged) {
            return Ok(staged);
        }
        read_secret(file)
    }

    /// Puts a new secret beside the one in use, and waits until it is taken. It is put into its
    /// place by [`Work::settle`], once the journal knows it: a gateway that reads the file never
    /// meets one that does not work yet, nor one that the next run takes for nobody's.
    pub(super) async fn stage_secret(&self, app: &str, secret: &Secret) -> Result<(), Trouble> {
        let Some(ProofAt::SecretFile(file)) = &self.setup.proof else {
            return Ok(());
        };
        let staged = with_suffix(file, STAGED);
        file::write_whole(&staged, secret.expose().as_bytes(), 0o600, file)?;
        let proof = || Ok(vec![("client_secret", secret.expose().to_owned())]);
        let works = self.works(app, &proof, "secret").await;
        if works.is_err() {
            let _ = std::fs::remove_file(&staged);
        }
        works
    }

    /// Puts a secret into its place that was staged and written down, and takes away one that
    /// was not: the run was cut off. Text that we did not put there is kept beside it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn settle(&self) -> Result<(), Trouble> {
        let Some(ProofAt::SecretFile(file)) = &self.setup.proof else {
            return Ok(());
        };
        let staged = with_suffix(file, STAGED);
        let Some(digest) = read_secret(&staged)? else {
            return Ok(());
        };
        let failed = |error: std::io::Error| file::kept_not(file, &error);
        let known = self.journal.known();
        if !known.holds(Some(digest)) {
            return std::fs::remove_file(&staged).map_err(failed);
        }
        let there = read_secret(file)?;
        if there.is_some() && !known.holds(there) {
            std::fs::rename(file, with_suffix(file, ".before")).map_err(failed)?;
        }
        std::fs::rename(&staged, file)
            .and_then(|()| file::sync_folder(file))
            .map_err(failed)
    }

    pub(super) async fn certificate_works(&self, app: &str) -> Result<(), Trouble> {
        let Some(ProofAt::Certificate(certificate)) = &self.setup.proof else {
            return Ok(());
        };
        let endpoint = format!(
            "{}/{}/oauth2/v2.0/token",
            self.place.authority, self.place.tenant
        );
        let proof = || {
            let (random, now) = (self.world.random(), self.world.now());
            let made = certificate.assertion(app, &endpoint, &random, true, now);
            let assertion = made.map_err(|error| {
                let fix = "name another certificate in idp.credential";
                Trouble::new("V-ENT-010", Class::Failed, error.to_string(), fix)
            })?;
            Ok(vec![
                ("client_assertion_type", ASSERTION_TYPE.to_owned()),
                ("client_assertion", assertion),
            ])
        };
        self.works(app, &proof, "certificate").await
    }

    async fn works(
        &self,
        app: &str,
        proof: &(dyn Fn() -> Result<Vec<(&'static str, String)>, Trouble> + Sync),
        what: &str,
    ) -> Result<(), Trouble> {
        let until = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(500);
        loop {
            let shown = proof()?;
            let shown: Vec<(&str, &str)> = shown.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let said = match sign_in::is_taken(&self.place, app, &shown).await? {
                Taken::Yes => return Ok(()),
                Taken::No(said) | Taken::Unknown(said) => said,
            };
            if Instant::now() + pause >= until {
                let what = format!(
                    "the new {what} is not taken after {} s; the one before is still in use",
                    self.patience.as_secs()
                );
                let fix = format!("run  vestibule entra apply{}  again", self.setup.flag());
                return Err(Trouble::new("V-ENT-010", Class::Failed, what, fix).said(&said));
            }
            (self.talk)(&format!(
                "the new {what} is not known everywhere yet: once more in {:.1} s",
                pause.as_secs_f32()
            ));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(8));
        }
    }
}

/// Behind the name of a secret's file, while its place is another's.
pub(super) const STAGED: &str = ".new";

/// Which secret a file holds; nothing only if it is not there or is empty.
pub(super) fn read_secret(file: &Path) -> Result<Option<Digest>, Trouble> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(credential::digest_of(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", file.display());
            let fix = "run this as the user of the gateway, whose file it is";
            Err(Trouble::new("V-ENT-008", Class::Unexpected, what, fix))
        }
    }
}

pub(super) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
