//! A token for Microsoft Graph: from the Azure CLI, by another screen, or of a program.

use std::{
    io::Read as _,
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use vestibule_core::{
    entra::token::{TokenFacts, is_tenant_id},
    flow::cleaned,
    secret::Secret,
};

use super::{Class, Trouble};
use crate::{
    fetch, managed_identity,
    provider_credential::{ASSERTION_TYPE, Certificate, ManagedIdentity},
    world::World,
};

/// How long the Azure CLI may take.
const AZ_TIME: Duration = Duration::from_secs(60);

/// Who signs in on another screen: Microsoft's own program for this, which is known in each
/// tenant ("Microsoft Graph Command Line Tools").
pub const DEVICE_CLIENT: &str = "14d82eec-204b-4c2f-b7e8-296a70dab67e";

/// How a token is got.
#[derive(Debug, Clone)]
pub enum Means {
    /// From the Azure CLI, which is signed in.
    Az,
    /// A person signs in on another screen (RFC 8628).
    Device {
        /// As which program.
        client_id: String,
    },
    /// A program with a secret.
    Secret {
        /// Its client id.
        client_id: String,
        /// Its secret.
        secret: Secret,
    },
    /// A program with a certificate.
    Certificate {
        /// Its client id.
        client_id: String,
        /// Its certificate.
        certificate: Box<Certificate>,
    },
    /// The machine's own identity.
    Managed(ManagedIdentity),
}

impl Means {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Az => "the Azure CLI",
            Self::Device { .. } => "another screen",
            Self::Secret { .. } => "a secret",
            Self::Certificate { .. } => "a certificate",
            Self::Managed(_) => "the managed identity",
        }
    }
}

/// Where Microsoft is, and which tenant is meant.
pub struct Place<'p> {
    /// Of outgoing requests.
    pub http: &'p Client,
    /// Microsoft Entra ID.
    pub authority: &'p str,
    /// Microsoft Graph.
    pub graph: &'p str,
    /// The tenant's id.
    pub tenant: &'p str,
}

/// A token that was looked at.
#[derive(Debug)]
pub struct SignedIn {
    /// It.
    pub token: Secret,
    /// What it says of itself, if it can be read.
    pub facts: Option<TokenFacts>,
}

/// The id of a tenant that is named otherwise, such as by its domain.
///
/// # Errors
/// [`Trouble`].
pub async fn tenant_id(http: &Client, authority: &str, tenant: &str) -> Result<String, Trouble> {
    if is_tenant_id(tenant) {
        return Ok(tenant.to_owned());
    }
    let tenant_segment: String = url::form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
    let address = format!("{authority}/{tenant_segment}/v2.0/.well-known/openid-configuration");
    let (status, body) = fetch::whole(http.get(&address)).await.map_err(|error| {
        let what = format!("Microsoft Entra: {error}");
        let fix = format!("this must answer:  curl {address}");
        Trouble::new("V-ENT-004", Class::Unreachable, what, fix)
    })?;
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    let issuer = document["issuer"].as_str().unwrap_or_default();
    let id = issuer.split('/').find(|part| is_tenant_id(part));
    id.map(str::to_owned).ok_or_else(|| {
        let said = document["error_description"].as_str().unwrap_or_default();
        let what = format!("there is no tenant \"{tenant}\" (it answered {status})");
        let fix = "name it by its id, or by a domain that it has";
        Trouble::new("V-ENT-011", Class::Usage, what, fix).said(&cleaned(said, 500))
    })
}

/// Gets the very token that will be used, and looks at it: of this tenant, for Graph, alive.
///
/// # Errors
/// [`Trouble`]; nothing was changed.
pub async fn sign_in(
    place: &Place<'_>,
    means: &Means,
    world: &World,
    talk: &(dyn Fn(&str) + Sync),
) -> Result<SignedIn, Trouble> {
    let token = match means {
        Means::Az => az(place).await?,
        Means::Device { client_id } => device(place, client_id, talk).await?,
        Means::Secret { client_id, secret } => {
            let proof = [("client_secret", secret.expose())];
            program(place, client_id, &proof).await?
        }
        Means::Certificate {
            client_id,
            certificate,
        } => {
            let endpoint = token_endpoint(place);
            let assertion = certificate
                .assertion(client_id, &endpoint, &world.random(), true, world.now())
                .map_err(|error| {
                    not_signed_in(place, "the certificate").said(&error.to_string())
                })?;
            let proof = [
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            program(place, client_id, &proof).await?
        }
        Means::Managed(identity) => managed_identity::token(place.http, identity, place.graph)
            .await
            .map_err(|error| not_signed_in(place, "the machine").said(&error.to_string()))?,
    };
    let facts = TokenFacts::read(token.expose());
    if let Some(facts) = &facts {
        judge(place, facts, world)?;
    }
    Ok(SignedIn { token, facts })
}

fn judge(place: &Place<'_>, facts: &TokenFacts, world: &World) -> Result<(), Trouble> {
    let tenant = place.tenant;
    if !facts.tid.is_empty() && !facts.tid.eq_ignore_ascii_case(tenant) {
        let what = format!(
            "signed in to tenant {}, but idp.tenant is {tenant}",
            facts.tid
        );
        let fix = format!("az login --tenant {tenant}, or correct idp.tenant");
        return Err(Trouble::new("V-ENT-003", Class::SignIn, what, fix));
    }
    let graph = facts.aud.trim_end_matches('/');
    if !graph.is_empty() && graph != place.graph && graph != vestibule_core::entra::GRAPH_APP_ID {
        let what = format!("the token is for {graph}, not for Microsoft Graph");
        return Err(Trouble::new(
            "V-ENT-002",
            Class::SignIn,
            what,
            login(tenant),
        ));
    }
    if facts.expires().is_some_and(|ends| ends <= world.now()) {
        let what = "the token has ended already";
        return Err(Trouble::new(
            "V-ENT-002",
            Class::SignIn,
            what,
            login(tenant),
        ));
    }
    Ok(())
}

fn login(tenant: &str) -> String {
    format!("az login --tenant {tenant}        or add  --auth device")
}

fn not_signed_in(place: &Place<'_>, who: &str) -> Trouble {
    let tenant = place.tenant;
    let what = format!(
        "not signed in to Entra tenant {tenant}: {who} has no valid token for Microsoft Graph"
    );
    Trouble::new("V-ENT-002", Class::SignIn, what, login(tenant))
}

fn token_endpoint(place: &Place<'_>) -> String {
    format!("{}/{}/oauth2/v2.0/token", place.authority, place.tenant)
}

/// Asks the Azure CLI, without a shell. What it says on stderr is talk; stdout must be JSON.
async fn az(place: &Place<'_>) -> Result<Secret, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: String,
    }
    let arguments = [
        "account",
        "get-access-token",
        "--resource",
        place.graph,
        "--tenant",
        place.tenant,
        "--output",
        "json",
    ]
    .map(str::to_owned);
    let ran = tokio::task::spawn_blocking(move || run("az", &arguments)).await;
    let ran = ran.unwrap_or_else(|_| Err(Ran::Failed("it could not be waited for".to_owned())));
    let (ok, stdout, stderr) = match ran {
        Ok(ran) => ran,
        Err(Ran::Absent) => {
            let what = "there is no Azure CLI here (az), and no other way to sign in was named";
            let fix = "add --auth device, which needs nothing installed, or install the Azure CLI";
            return Err(Trouble::new("V-ENT-001", Class::SignIn, what, fix));
        }
        Err(Ran::Failed(why)) => {
            let what = format!("the Azure CLI: {why}");
            let fix = "see what  az account get-access-token  says, or add --auth device";
            return Err(Trouble::new("V-ENT-001", Class::SignIn, what, fix));
        }
    };
    if !ok {
        return Err(not_signed_in(place, "the Azure CLI").said(&stderr));
    }
    let answer: Answer = serde_json::from_slice(&stdout).map_err(|_| {
        let what = "the Azure CLI answered something that is not JSON alone";
        let fix =
            "see what  az account get-access-token --output json  prints, or add --auth device";
        // What it printed may hold a token.
        Trouble::new("V-ENT-012", Class::SignIn, what, fix)
    })?;
    Ok(Secret::new(answer.access_token))
}

enum Ran {
    Absent,
    Failed(String),
}

fn run(program: &str, arguments: &[String]) -> Result<(bool, Vec<u8>, String), Ran> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ran::Absent,
            _ => Ran::Failed(error.to_string()),
        })?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    // Both are read while it runs: a pipe that is full would hold it up.
    let stderr = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(err) = &mut err {
            let _ = err.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let stdout = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(out) = &mut out {
            let _ = out.read_to_end(&mut bytes);
        }
        bytes
    });
    let mut waited = Duration::ZERO;
    let pause = Duration::from_millis(20);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if waited < AZ_TIME => {
                std::thread::sleep(pause);
                waited += pause;
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Ran::Failed("it took more than a minute".to_owned()));
            }
            Err(error) => return Err(Ran::Failed(error.to_string())),
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok((status.success(), stdout, stderr))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenAnswer {
    access_token: Option<String>,
    error: String,
    error_description: String,
}

async fn ask(place: &Place<'_>, form: &[(&str, &str)]) -> Result<TokenAnswer, Trouble> {
    let endpoint = token_endpoint(place);
    let (_, body) = fetch::whole(place.http.post(&endpoint).form(form))
        .await
        .map_err(|error| unreachable(&endpoint, &error.to_string()))?;
    serde_json::from_slice(&body).map_err(|_| unreachable(&endpoint, "its answer is not JSON"))
}

fn unreachable(endpoint: &str, why: &str) -> Trouble {
    let what = format!("Microsoft Entra: {why}");
    let fix = format!("see whether {endpoint} can be reached from here");
    Trouble::new("V-ENT-004", Class::Unreachable, what, fix)
}

/// The client credentials grant (RFC 6749 §4.4).
async fn ask_as_program(
    place: &Place<'_>,
    client_id: &str,
    proof: &[(&str, &str)],
) -> Result<TokenAnswer, Trouble> {
    let scope = format!("{}/.default", place.graph);
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("scope", &scope),
    ];
    form.extend(proof);
    ask(place, &form).await
}

async fn program(
    place: &Place<'_>,
    client_id: &str,
    proof: &[(&str, &str)],
) -> Result<Secret, Trouble> {
    let answer = ask_as_program(place, client_id, proof).await?;
    answer.access_token.map(Secret::new).ok_or_else(|| {
        let who = format!("the program {client_id}");
        let said = cleaned(&answer.error_description, 500);
        let mut trouble = not_signed_in(place, &who).said(&said);
        trouble.fix = "correct --client-id and what proves it, or add --auth device".to_owned();
        trouble
    })
}

/// Whether a credential of ours is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It proves who we are; whether the program is allowed anything is another matter.
    Yes,
    /// It does not, yet; with what was said.
    No(String),
    /// Nobody said either; with what was said.
    Unknown(String),
}

/// Tries a credential of ours.
///
/// # Errors
/// [`Trouble`]: we could not ask.
pub async fn is_taken(
    place: &Place<'_>,
    client_id: &str,
    proof: &[(&str, &str)],
) -> Result<Taken, Trouble> {
    let answer = ask_as_program(place, client_id, proof).await?;
    let said = cleaned(&answer.error_description, 300);
    Ok(match (answer.access_token, answer.error.as_str()) {
        (Some(_), _) => Taken::Yes,
        (None, "invalid_client" | "unauthorized_client") => Taken::No(said),
        // What is asked for comes after who asks for it.
        (None, "invalid_scope" | "invalid_resource" | "access_denied") => Taken::Yes,
        (None, _) => Taken::Unknown(said),
    })
}

/// The device authorization grant (RFC 8628).
async fn device(
    place: &Place<'_>,
    client_id: &str,
    talk: &(dyn Fn(&str) + Sync),
) -> Result<Secret, Trouble> {
    #[derive(Deserialize)]
    struct Begun {
        device_code: String,
        user_code: String,
        verification_uri: String,
        expires_in: u64,
        #[serde(default)]
        interval: Option<u64>,
    }
    let endpoint = format!(
        "{}/{}/oauth2/v2.0/devicecode",
        place.authority, place.tenant
    );
    let scope = format!("{}/Application.ReadWrite.All", place.graph);
    let form = [("client_id", client_id), ("scope", &scope)];
    let (_, body) = fetch::whole(place.http.post(&endpoint).form(&form))
        .await
        .map_err(|error| unreachable(&endpoint, &error.to_string()))?;
    let begun: Begun = serde_json::from_slice(&body).map_err(|_| {
        let said: TokenAnswer = serde_json::from_slice(&body).unwrap_or_default();
        not_signed_in(place, "the sign-in on another screen")
            .said(&cleaned(&said.error_description, 500))
    })?;
    talk(&format!(
        "open {} on any screen and type the code {}",
        begun.verification_uri, begun.user_code
    ));
    let until = Instant::now() + Duration::from_secs(begun.expires_in);
    let mut pause = Duration::from_secs(begun.interval.unwrap_or(5));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", client_id),
        ("device_code", &begun.device_code),
    ];
    while Instant::now() < until {
        tokio::time::sleep(pause).await;
        let answer = ask(place, &form).await?;
        match (answer.access_token, answer.error.as_str()) {
            (Some(token), _) => return Ok(Secret::new(token)),
            (None, "authorization_pending") => {}
            (None, "slow_down") => pause += Duration::from_secs(5),
            (None, _) => {
                return Err(not_signed_in(place, "the sign-in on another screen")
                    .said(&cleaned(&answer.error_description, 500)));
            }
        }
    }
    Err(not_signed_in(place, "the sign-in on another screen").said("the code has ended"))
}
