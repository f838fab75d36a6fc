//! The leg towards the company's identity provider, of which this gateway is a client
//! (OpenID Connect Core, with PKCE, and nothing of the MCP client's in it).

mod discovery;
mod graph;
mod on_behalf;
mod profile;
mod refresh;

use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqwest::Client;
use tokio::sync::Mutex;
use url::Url;
use vestibule_core::{
    authorize::LoginWishes,
    callback::Answer,
    entra::application::EXCHANGE_AUDIENCE,
    id_token::{self, Expected, IdTokenError},
    identity::VerifiedIdentity,
    jwt::{JwtError, VerifiedClaims},
    logout_token::{self, LogoutTokenError, SignedOut},
    pkce::{CodeChallenge, CodeVerifier},
    resource::MAIN_PROVIDER,
    secret::{Digest, Secret},
    time::Timestamp,
    uri::{Issuer, with_query},
};

use crate::{
    config::{Idp, IdpKind},
    fetch::{self, FetchError},
    managed_identity,
    provider_credential::{self, ASSERTION_TYPE, AssertionError, ProviderCredential},
    token_endpoint::{self, Failed, Granted, TokenAnswer},
    world::World,
};

pub use self::discovery::Discovered;
use self::discovery::Last;
pub use self::refresh::{RefreshError, Refreshed};

/// How far the provider's clock may be from ours.
pub const LEEWAY: Duration = Duration::from_secs(90);

/// An identity provider.
#[derive(Debug)]
pub struct Provider {
    idp: Idp,
    callback: String,
    http: Client,
    world: World,
    patience: Duration,
    discovered: ArcSwapOption<Discovered>,
    /// One request for metadata at a time; holds when the last was made, so that nobody can make
    /// us ask and ask.
    loading: Mutex<Last>,
}

/// Why the provider did not sign a person in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Its metadata, keys or token endpoint do not answer.
    #[error("the identity provider: {0}")]
    Unreachable(FetchError),
    /// Its discovery document is not that of the configured issuer.
    #[error("the identity provider's discovery document {0}")]
    Discovery(&'static str),
    /// The same, with whose it is.
    #[error("the identity provider's discovery document names another issuer, {0}")]
    Issuer(String),
    /// Its token endpoint said no.
    #[error("the identity provider's token endpoint answered {status} {error}")]
    TokenRefused {
        /// HTTP status.
        status: u16,
        /// Its `error`, cleaned.
        error: String,
        /// Its words, cleaned.
        said: String,
        /// What it wants to read at the next sign-in.
        claims: Option<String>,
    },
    /// There is nothing to prove ourselves with.
    #[error("the gateway's own credential: {0}")]
    Credential(#[from] AssertionError),
    /// Its answer has no access token of the kind that everybody can send.
    #[error("the identity provider sent no bearer token")]
    NoAccessToken,
    /// There is no ID token in its answer.
    #[error("the identity provider sent no ID token")]
    NoIdToken,
    /// The ID token's signature.
    #[error("the ID token {0}")]
    Signature(#[from] JwtError),
    /// The ID token's claims.
    #[error("the ID token {0}")]
    Claims(#[from] IdTokenError),
}

/// Why a logout token is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogoutRefused {
    /// Its signature.
    #[error("the logout token {0}")]
    Signature(JwtError),
    /// Its claims.
    #[error("the logout token {0}")]
    Claims(LogoutTokenError),
    /// The keys cannot be had: nobody knows.
    #[error("{0}")]
    Provider(ProviderError),
}

/// What its token endpoint gave.
#[derive(Debug, Clone)]
pub struct ProviderTokens {
    /// The ID token, not yet believed. There is one, unless the provider has none for anybody.
    id_token: Option<String>,
    /// For the person's use of other services.
    pub access_token: Option<Secret>,
    /// To ask again whether the person is still there.
    pub refresh_token: Option<Secret>,
    /// Whether the access token is good until it is taken back.
    lasts: bool,
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(error) => Self::Unreachable(error),
            Failed::Refused {
                status,
                error,
                said,
                claims,
            } => Self::TokenRefused {
                status,
                error,
                said,
                claims,
            },
        }
    }
}

impl Provider {
    /// The provider of `idp`, which sends people back to an address of its own at `here`;
    /// `http` gives an answer of its as long as `patience`.
    pub fn new(idp: Idp, here: &Issuer, http: Client, patience: Duration, world: World) -> Self {
        Self {
            callback: format!("{here}{}", Self::callback_path(&idp.name)),
            idp,
            http,
            patience,
            world,
            discovered: ArcSwapOption::empty(),
            loading: Mutex::default(),
        }
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.idp.issuer
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.idp.name
    }

    /// What people call it: its title, or its host.
    pub fn title(&self) -> String {
        let host = || vestibule_core::uri::host_for_people(&self.idp.issuer);
        self.idp.title.clone().unwrap_or_else(host)
    }

    /// Whether an answer at its address is its own (RFC 9207 §2.4).
    pub fn gave(&self, answer: &Answer, discovered: &Discovered) -> bool {
        let iss = self
            .idp
            .plain
            .as_ref()
            .and_then(|plain| plain.iss.as_deref());
        answer.is_from(iss.unwrap_or(&self.idp.issuer), discovered.announces_iss)
    }

    /// The address that it sends people back to, as it is registered there.
    pub fn callback(&self) -> &str {
        &self.callback
    }

    /// The path of the address that it sends people back to. Each has its own, so that an answer
    /// of one cannot be taken for another's (RFC 9700 §4.4.2).
    pub fn callback_path(name: &str) -> String {
        if name == MAIN_PROVIDER {
            "/oauth-callback".to_owned()
        } else {
            format!("/oauth-callback/{name}")
        }
    }

    /// How it is configured.
    pub fn settings(&self) -> &Idp {
        &self.idp
    }

    /// Where to send the browser. Only what we make ourselves is in it: the MCP client's
    /// state, resource and prompt stay here.
    pub fn authorization_url(
        &self,
        discovered: &Discovered,
        state: &str,
        nonce: &str,
        challenge: &CodeChallenge,
        wishes: &LoginWishes,
    ) -> String {
        let scope = self.idp.scopes.join(" ");
        let challenge = challenge.text();
        let max_age = wishes.max_age.map(|seconds| seconds.to_string());
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", self.idp.client_id.as_str()),
            ("redirect_uri", self.callback.as_str()),
            ("scope", scope.as_str()),
            ("state", state),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        if self.idp.plain.is_none() {
            params.push(("nonce", nonce));
        }
        let more = self.idp.params.iter();
        params.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
        if wishes.fresh {
            // Twice would be malformed (RFC 6749 §3.1); of two the fresh sign-in is meant.
            params.retain(|(name, _)| *name != "prompt");
            params.push(("prompt", "login"));
        }
        if let Some(domain) = &self.idp.hosted_domain {
            params.push(("hd", domain));
        }
        if let Some(max_age) = &max_age {
            params.push(("max_age", max_age));
        }
        with_query(&discovered.authorization_endpoint, &params)
    }

    /// The same, where the person is to confirm that a server may act for them: with consent, for
    /// `scope`, and with what the provider asked for in `claims`. Of scopes of other APIs there
    /// can be one at Entra, so only those of the sign-in stand beside it.
    pub fn confirming_url(&self, plain: &str, scope: Option<&str>, claims: Option<&str>) -> String {
        let Ok(mut url) = Url::parse(plain) else {
            return plain.to_owned();
        };
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let own = self.idp.scopes.iter().map(String::as_str);
        let own = own.filter(|own| !own.contains('/'));
        let mut scopes: Vec<&str> = own.chain(scope.unwrap_or_default().split(' ')).collect();
        scopes.retain(|scope| !scope.is_empty());
        let kept = |name: &str| !["scope", "prompt", "claims"].contains(&name);
        let mut query = url.query_pairs_mut();
        query.clear();
        query.extend_pairs(pairs.iter().filter(|(name, _)| kept(name)));
        query.append_pair("scope", &scopes.join(" "));
        query.append_pair("prompt", "consent");
        if let Some(claims) = claims {
            query.append_pair("claims", claims);
        }
        drop(query);
        url.into()
    }

    /// Redeems the provider's code.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn redeem(
        &self,
        discovered: &Discovered,
        code: &str,
        verifier: &CodeVerifier,
    ) -> Result<ProviderTokens, ProviderError> {
        use ProviderError as E;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", verifier.expose()),
        ];
        let (sent, mut answered) = self.ask_for_tokens(discovered, &form).await?;
        // A secret that was replaced between our reading it and its being judged: who is not
        // known has spent no code, so it may be asked once more.
        if let (Some(sent), Err(E::TokenRefused { error, .. })) = (&sent, &answered)
            && error == "invalid_client"
            && let ProviderCredential::Secret(secret) = &self.idp.credential
            && secret.now().await.digest() != *sent
        {
            (_, answered) = self.ask_for_tokens(discovered, &form).await?;
        }
        let answer = answered?;
        if answer.id_token.is_none() && self.idp.plain.is_none() {
            return Err(E::NoIdToken);
        }
        Ok(ProviderTokens {
            lasts: answer.expires_in.is_none(),
            id_token: answer.id_token,
            access_token: answer.access_token.map(Secret::new),
            refresh_token: answer.refresh_token.map(Secret::new),
        })
    }

    /// How long an answer of its may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Believes a logout token, or says why not.
    ///
    /// # Errors
    /// [`LogoutRefused`].
    pub async fn signed_out(&self, token: &str) -> Result<SignedOut, LogoutRefused> {
        let discovered = self.discovered().await.map_err(LogoutRefused::Provider)?;
        let now = self.world.now();
        let claims = self.verified(&discovered, token, now).await;
        let claims = claims.map_err(|error| match error {
            ProviderError::Signature(why) => LogoutRefused::Signature(why),
            error => LogoutRefused::Provider(error),
        })?;
        let id = &self.idp.client_id;
        logout_token::judge(&claims, &self.idp.issuer, id, LEEWAY, now)
            .map_err(LogoutRefused::Claims)
    }

    /// Asks the token endpoint, and says which secret was shown there, if it was one.
    async fn ask_for_tokens(
        &self,
        discovered: &Discovered,
        form: &[(&str, &str)],
    ) -> Result<(Option<Digest>, Result<TokenAnswer, ProviderError>), ProviderError> {
        let mut form = form.to_vec();
        let mut request = self.http.post(&discovered.token_endpoint);
        let mut shown = None;
        let (assertion, secret);
        let by_assertion = |assertion| {
            [
                ("client_id", self.idp.client_id.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", assertion),
            ]
        };
        match &self.idp.credential {
            ProviderCredential::Secret(shared) => {
                secret = shared.now().await;
                shown = Some(secret.digest());
                request = token_endpoint::show_secret(
                    request,
                    &mut form,
                    &self.idp.client_id,
                    &secret,
                    discovered.takes,
                );
            }
            ProviderCredential::Certificate(certificate) => {
                assertion = certificate.assertion(
                    &self.idp.client_id,
                    &discovered.token_endpoint,
                    &self.world.random(),
                    discovered.takes_pss || self.idp.kind == IdpKind::Entra,
                    self.world.now(),
                )?;
                form.extend(by_assertion(&assertion));
            }
            ProviderCredential::Federated(file) => {
                assertion = provider_credential::federated(file).await?;
                form.extend(by_assertion(&assertion));
            }
            ProviderCredential::Managed(identity) => {
                let token = managed_identity::token(&self.http, identity, EXCHANGE_AUDIENCE);
                assertion = token.await?.expose().to_owned();
                form.extend(by_assertion(&assertion));
            }
        }
        let answered = token_endpoint::ask(request, &form).await;
        Ok((shown, answered.map_err(ProviderError::from)))
    }

    /// Believes the ID token, or says why not. An unknown key causes one more look at the
    /// provider's keys, at a limited rate.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn identify(
        &self,
        discovered: &Discovered,
        tokens: &ProviderTokens,
        nonce: &str,
        wishes: &LoginWishes,
    ) -> Result<VerifiedIdentity, ProviderError> {
        let (nonce, max_age) = (Some(nonce), wishes.max_age);
        if let Some(plain) = &self.idp.plain {
            // When somebody signed in there, nothing says.
            if max_age.is_some() {
                return Err(IdTokenError::TooOld.into());
            }
            let token = tokens.access_token.as_ref();
            let token = token.ok_or(ProviderError::NoAccessToken)?;
            return self.profile(plain, token).await;
        }
        let id_token = tokens.id_token.as_deref();
        let id_token = id_token.ok_or(ProviderError::NoIdToken)?;
        let access_token = tokens.access_token.as_ref().map(Secret::expose);
        self.judged(discovered, id_token, nonce, access_token, max_age)
            .await
    }

    /// A token of the provider's, under its signature.
    async fn verified(
        &self,
        discovered: &Discovered,
        token: &str,
        now: Timestamp,
    ) -> Result<VerifiedClaims, ProviderError> {
        Ok(match discovered.verify(token) {
            Err(JwtError::NoSuchKey) => {
                let fresh = self.load(now, Some(discovered.loaded)).await?;
                fresh.verify(token)?
            }
            other => other?,
        })
    }

    async fn judged(
        &self,
        discovered: &Discovered,
        id_token: &str,
        nonce: Option<&str>,
        access_token: Option<&str>,
        max_age: Option<u32>,
    ) -> Result<VerifiedIdentity, ProviderError> {
        let now = self.world.now();
        let claims = self.verified(discovered, id_token, now).await?;
        let expected = Expected {
            issuer: &self.idp.issuer,
            client_id: &self.idp.client_id,
            nonce,
            access_token,
            max_age,
            leeway: LEEWAY,
            key: self.idp.subject_key(),
            groups: &self.idp.groups_claims,
            tenants: self.idp.let_in(),
            hosted_domain: self.idp.hosted_domain.as_deref(),
            needs_groups: self.idp.needs_groups,
        };
        let identity = match (id_token::judge(&claims, &expected, now), &self.idp.graph) {
            (Err(IdTokenError::GroupsLeftOut), Some(graph)) => {
                let expected = Expected {
                    needs_groups: false,
                    ..expected
                };
                let identity = id_token::judge(&claims, &expected, now)?;
                return self.with_groups_of(graph, identity).await;
            }
            (judged, _) => judged?,
        };
        self.completed(discovered, identity, access_token, nonce.is_some())
            .await
    }

    /// Asks the userinfo endpoint for what the ID token leaves to it (OpenID Connect Core
    /// §5.3). Entra's has nothing that its ID tokens lack.
    async fn completed(
        &self,
        discovered: &Discovered,
        identity: VerifiedIdentity,
        access_token: Option<&str>,
        is_login: bool,
    ) -> Result<VerifiedIdentity, ProviderError> {
        let needs_groups = self.idp.needs_groups;
        let (Some(endpoint), Some(token)) = (&discovered.userinfo_endpoint, access_token) else {
            return Ok(identity);
        };
        if self.idp.kind == IdpKind::Entra || !identity.leaves_to_userinfo(needs_groups, is_login) {
            return Ok(identity);
        }
        let told = match fetch::whole(self.http.get(endpoint).bearer_auth(token)).await {
            Ok((200, body)) => serde_json::from_slice(&body)
                .map_err(|_| ProviderError::Discovery("has a userinfo endpoint that is no JSON")),
            Ok((status, _)) => Err(ProviderError::Unreachable(FetchError::Status(status))),
            Err(error) => Err(ProviderError::Unreachable(error)),
        };
        match told {
            Ok(claims) => Ok(identity.completed(&claims, &self.idp.groups_claims, needs_groups)?),
            // Without a name somebody can be let in, without their groups not.
            Err(error) if !needs_groups => {
                tracing::warn!(event = "idp.no_userinfo", %error);
                Ok(identity)
            }
            Err(error) => Err(error),
        }
    }
}
