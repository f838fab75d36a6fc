//! Microsoft Graph, v1.0: the few requests that we make, each as documented. Three answers are
//! kept apart everywhere: it is there, it is not there, and we could not ask.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Client, Method,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;
use vestibule_core::{
    entra::{
        PERMISSION,
        application::{Application, EXCHANGE_AUDIENCE, FederatedCredential},
        odata,
    },
    flow::cleaned,
    secret::Secret,
    time::Timestamp,
    uri::with_query,
};

use super::{Class, Trouble};
use crate::{
    fetch::{self, FetchError},
    page::time::rfc3339,
};

/// Most that is read of an answer.
const ANSWER_MAX: usize = 4 << 20;

/// Addresses of what is there for certain, once it was made or deleted.
const PATHS_OF_ONE: [&str; 2] = ["/applications/", "/directory/deletedItems/"];

/// Pages of a list, at most.
const PAGES: usize = 50;

/// Microsoft Graph, as somebody.
pub struct Graph<'t> {
    http: Client,
    origin: String,
    token: Secret,
    /// Whether the application was made just now: the directory has replicas, and some of them
    /// say for a while that it is not there.
    fresh: bool,
    /// How long a request is repeated where that is safe.
    patience: Duration,
    talk: &'t (dyn Fn(&str) + Sync),
}

/// What Graph answers in place of what was asked for.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: String,
    said: String,
    request: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What became of a request that makes or changes.
#[derive(Debug)]
pub enum Upserted {
    /// It was made.
    Created(Box<Application>),
    /// It was there.
    Updated,
}

/// A secret that was made: Graph tells it this once.
#[derive(Debug)]
pub struct NewSecret {
    /// Its id.
    pub key: String,
    /// It.
    pub text: Secret,
}

/// Whose application it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// The tenant's id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub display_name: String,
}

impl<'t> Graph<'t> {
    /// Graph at `origin`, by `token`, which is asked again for as long as `patience`; what takes
    /// long is told to `talk`.
    pub fn new(
        http: Client,
        origin: String,
        token: Secret,
        patience: Duration,
        talk: &'t (dyn Fn(&str) + Sync),
    ) -> Self {
        Self {
            http,
            origin,
            token,
            fresh: false,
            patience,
            talk,
        }
    }

    /// From now on "not there" may only mean "not yet everywhere".
    pub fn expect_replication(&mut self) {
        self.fresh = true;
    }

    /// The application with this object id, if it is there.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask.
    pub async fn application(&self, object: &str) -> Result<Option<Application>, Trouble> {
        self.read(&format!("/applications/{}", segment(object)))
            .await
    }

    /// The application with this client id, if it is there.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask.
    pub async fn application_of_client(&self, app: &str) -> Result<Option<Application>, Trouble> {
        self.read(&format!(
            "/applications(appId={})",
            segment(&odata::quoted(app))
        ))
        .await
    }

    /// All applications that carry this tag.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask.
    pub async fn tagged(&self, tag: &str) -> Result<Vec<Application>, Trouble> {
        let filter = odata::with_tag(tag);
        self.list(&with_query("/applications", &[("$filter", &filter)]))
            .await
    }

    /// Names of the owners of an application; empty where they may not be read.
    pub async fn owners(&self, object: &str) -> Vec<String> {
        let path = format!("/applications/{}/owners", segment(object));
        let owners: Vec<Value> = self.list(&path).await.unwrap_or_default();
        let name = |owner: &Value| {
            let name = owner["userPrincipalName"].as_str();
            name.or(owner["displayName"].as_str()).map(str::to_owned)
        };
        owners.iter().filter_map(name).collect()
    }

    /// The tenant, where it may be read: a program without Organization.Read.All may not.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask.
    pub async fn organization(&self) -> Result<Option<Organization>, Trouble> {
        let path = "/organization?$select=id,displayName";
        match self.ask(Method::GET, path, None, &HeaderMap::new()).await? {
            Ok((_, answer)) => {
                let list: List<Organization> = read(&answer)?;
                Ok(list.value.into_iter().next())
            }
            Err(refusal) if refusal.status == 403 => Ok(None),
            Err(refusal) => Err(refusal.trouble("reading the tenant's name")),
        }
    }

    /// Makes the application of this unique name, or sets its properties if it is there.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn upsert(&self, unique_name: &str, body: &Value) -> Result<Upserted, Trouble> {
        let path = format!(
            "/applications(uniqueName={})",
            segment(&odata::quoted(unique_name))
        );
        let mut headers = HeaderMap::new();
        headers.insert("prefer", "create-if-missing".parse().expect("a header"));
        match self.ask(Method::PATCH, &path, Some(body), &headers).await? {
            Ok((201, answer)) => Ok(Upserted::Created(Box::new(read(&answer)?))),
            Ok(_) => Ok(Upserted::Updated),
            Err(refusal) => Err(refusal.trouble("making the application")),
        }
    }

    /// Sets properties of an application.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn update(&self, object: &str, patch: &Value) -> Result<(), Trouble> {
        let path = format!("/applications/{}", segment(object));
        self.act(
            Method::PATCH,
            &path,
            Some(patch),
            "changing the application",
        )
        .await
        .map(|_| ())
    }

    /// Makes a secret.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn add_password(
        &self,
        object: &str,
        name: &str,
        ends: Timestamp,
    ) -> Result<NewSecret, Trouble> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Made {
            key_id: String,
            secret_text: String,
        }
        let path = format!("/applications/{}/addPassword", segment(object));
        let body = json!({ "passwordCredential": {
            "displayName": name,
            "endDateTime": rfc3339(ends),
        } });
        let answer = self
            .act(Method::POST, &path, Some(&body), "making a secret")
            .await?;
        let made: Made = read(&answer)?;
        Ok(NewSecret {
            key: made.key_id,
            text: Secret::new(made.secret_text),
        })
    }

    /// Removes a secret; one that is not there any more is removed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn remove_password(&self, object: &str, key: &str) -> Result<(), Trouble> {
        let path = format!("/applications/{}/removePassword", segment(object));
        let body = json!({ "keyId": key });
        let sent = self
            .ask(Method::POST, &path, Some(&body), &HeaderMap::new())
            .await?;
        gone(sent, "removing a secret")
    }

    /// Registers a certificate beside those that are there: the list is replaced as a whole,
    /// so it is read before and sent back with it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn add_certificate(
        &self,
        object: &str,
        name: &str,
        der: &[u8],
    ) -> Result<String, Trouble> {
        let named = |app: &Application| {
            let mut all = app.certificates().into_iter();
            let ours = all.find(|there| there.display_name.as_deref() == Some(name));
            ours.map(|there| there.key_id)
        };
        let app = self.existing(object).await?;
        if let Some(there) = named(&app) {
            // A run that was cut off registered it, or it comes back.
            return Ok(there);
        }
        let mut keys = app.key_credentials.clone();
        keys.push(json!({
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "displayName": name,
            "key": STANDARD.encode(der),
        }));
        self.update(object, &json!({ "keyCredentials": keys }))
            .await?;
        let after = self.existing(object).await?;
        named(&after).ok_or_else(|| {
            let what = "Graph took a certificate and does not list it";
            let fix = "look at the application's certificates; run the command again";
            Trouble::new("V-ENT-007", Class::Unexpected, what, fix)
        })
    }

    /// Removes a certificate; one that is not there any more is removed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn remove_certificate(&self, object: &str, key: &str) -> Result<(), Trouble> {
        let app = self.existing(object).await?;
        let others: Vec<&Value> = app
            .key_credentials
            .iter()
            .filter(|there| there["keyId"].as_str() != Some(key))
            .collect();
        self.update(object, &json!({ "keyCredentials": others }))
            .await
    }

    /// The issuers whose tokens stand for an application.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn federated(&self, object: &str) -> Result<Vec<FederatedCredential>, Trouble> {
        let object = segment(object);
        self.list(&format!(
            "/applications/{object}/federatedIdentityCredentials"
        ))
        .await
    }

    /// Trusts one more.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn add_federated(
        &self,
        object: &str,
        name: &str,
        issuer: &str,
        subject: &str,
    ) -> Result<String, Trouble> {
        let object = segment(object);
        let path = format!("/applications/{object}/federatedIdentityCredentials");
        let body = json!({
            "name": name,
            "issuer": issuer,
            "subject": subject,
            "audiences": [EXCHANGE_AUDIENCE],
        });
        let answer = self
            .act(
                Method::POST,
                &path,
                Some(&body),
                "making a federated credential",
            )
            .await?;
        let made: FederatedCredential = read(&answer)?;
        Ok(made.id)
    }

    /// Trusts it no more.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn remove_federated(&self, object: &str, id: &str) -> Result<(), Trouble> {
        let (object, id) = (segment(object), segment(id));
        let path = format!("/applications/{object}/federatedIdentityCredentials/{id}");
        let sent = self
            .ask(Method::DELETE, &path, None, &HeaderMap::new())
            .await?;
        gone(sent, "removing a federated credential")
    }

    /// Whether an application has a service principal in this tenant.
    ///
    /// # Errors
    /// [`Trouble`]: we could not ask.
    pub async fn has_principal(&self, app: &str) -> Result<bool, Trouble> {
        let path = format!(
            "/servicePrincipals(appId={})?$select=id",
            segment(&odata::quoted(app))
        );
        match self
            .ask(Method::GET, &path, None, &HeaderMap::new())
            .await?
        {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.status == 404 => Ok(false),
            Err(refusal) => Err(refusal.trouble("reading the service principal")),
        }
    }

    /// Makes it; one that somebody made in between is as good.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn add_principal(&self, app: &str) -> Result<(), Trouble> {
        let body = json!({ "appId": app });
        let sent = self
            .ask(
                Method::POST,
                "/servicePrincipals",
                Some(&body),
                &HeaderMap::new(),
            )
            .await?;
        match sent {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.status == 409 => Ok(()),
            Err(refusal) => Err(refusal.trouble("making the service principal")),
        }
    }

    /// Deletes an application; it can be brought back for thirty days.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn delete(&self, object: &str) -> Result<(), Trouble> {
        let path = format!("/applications/{}", segment(object));
        let sent = self
            .ask(Method::DELETE, &path, None, &HeaderMap::new())
            .await?;
        gone(sent, "deleting the application")
    }

    /// Deletes a deleted application for good.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn purge(&self, object: &str) -> Result<(), Trouble> {
        let path = format!("/directory/deletedItems/{}", segment(object));
        let sent = self
            .ask(Method::DELETE, &path, None, &HeaderMap::new())
            .await?;
        gone(sent, "deleting the application for good")
    }

    async fn existing(&self, object: &str) -> Result<Application, Trouble> {
        self.application(object).await?.ok_or_else(|| {
            let what = "the application is not there any more";
            let fix = "run vestibule entra plan";
            Trouble::new("V-ENT-007", Class::Unexpected, what, fix)
        })
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Trouble> {
        match self.ask(Method::GET, path, None, &HeaderMap::new()).await? {
            Ok((_, answer)) => read(&answer).map(Some),
            Err(refusal) if refusal.status == 404 => Ok(None),
            Err(refusal) => Err(refusal.trouble("reading the application")),
        }
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Trouble> {
        let mut all = Vec::new();
        let mut path = path.to_owned();
        for _ in 0..PAGES {
            let sent = self
                .ask(Method::GET, &path, None, &HeaderMap::new())
                .await?;
            let (_, answer) = sent.map_err(|refusal| refusal.trouble("reading applications"))?;
            let page: List<T> = read(&answer)?;
            all.extend(page.value);
            let Some(next) = page.next else {
                return Ok(all);
            };
            // The token goes to Graph only, whatever a page says.
            let Some(rest) = next.strip_prefix(&format!("{}/v1.0", self.origin)) else {
                return Err(unreadable("a next page that is not its own"));
            };
            path = rest.to_owned();
        }
        Err(unreadable("more pages than there can be"))
    }

    async fn act(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        doing: &str,
    ) -> Result<Vec<u8>, Trouble> {
        let sent = self.ask(method, path, body, &HeaderMap::new()).await?;
        sent.map(|(_, answer)| answer)
            .map_err(|refusal| refusal.trouble(doing))
    }

    /// Asks, and again where Graph says that it did nothing yet: 429 and 503, and, of an
    /// application that was made just now, 404.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &HeaderMap,
    ) -> Result<Result<(u16, Vec<u8>), Refusal>, Trouble> {
        let until = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(500);
        loop {
            let (status, answered, answer) = self.once(&method, path, body, headers).await?;
            if (200..300).contains(&status) {
                return Ok(Ok((status, answer)));
            }
            let again = match status {
                429 | 503 => Some("Microsoft Graph asks to wait"),
                404 if self.fresh && PATHS_OF_ONE.iter().any(|of| path.starts_with(of)) => {
                    Some("the application is not everywhere yet")
                }
                // How Graph says it where the application is meant and not named.
                400 if self.fresh && path == "/servicePrincipals" => {
                    Some("the application is not everywhere yet")
                }
                _ => None,
            };
            let wait = answered
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map_or(pause, Duration::from_secs);
            match again {
                Some(why) if Instant::now() + wait < until => {
                    (self.talk)(&format!("{why}: once more in {:.1} s", wait.as_secs_f32()));
                    tokio::time::sleep(wait).await;
                    pause = (pause * 2).min(Duration::from_secs(8));
                }
                _ => return Ok(Err(Refusal::read(status, &answered, &answer))),
            }
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        headers: &HeaderMap,
    ) -> Result<(u16, HeaderMap, Vec<u8>), Trouble> {
        let unreachable = |error: FetchError| {
            let what = format!("Microsoft Graph: {error}");
            let fix = format!("see whether {} can be reached from here", self.origin);
            Trouble::new("V-ENT-004", Class::Unreachable, what, fix)
        };
        let mut request = self
            .http
            .request(method.clone(), format!("{}/v1.0{path}", self.origin))
            .bearer_auth(self.token.expose())
            .headers(headers.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = fetch::begin(request).await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let answered = response.headers().clone();
        let answer = fetch::rest(response, ANSWER_MAX)
            .await
            .map_err(unreachable)?;
        Ok((status, answered, answer))
    }
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(answer).map_err(|_| unreadable("an answer that is not as documented"))
}

fn unreadable(what: &str) -> Trouble {
    let what = format!("Microsoft Graph gave {what}");
    let fix =
        "see whether entra.graph is right, and whether something between answers in its place";
    Trouble::new("V-ENT-007", Class::Unexpected, what, fix)
}

/// What is not there any more has gone, too.
fn gone(sent: Result<(u16, Vec<u8>), Refusal>, doing: &str) -> Result<(), Trouble> {
    match sent {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.status == 404 => Ok(()),
        // How Graph says so of a secret.
        Err(refusal)
            if refusal.status == 400 && refusal.said.contains("No password credential") =>
        {
            Ok(())
        }
        Err(refusal) => Err(refusal.trouble(doing)),
    }
}

impl Refusal {
    fn read(status: u16, headers: &HeaderMap, answer: &[u8]) -> Self {
        let error: Option<ErrorAnswer> = serde_json::from_slice(answer).ok();
        let (code, said) = error
            .map(|answer| (answer.error.code, answer.error.message))
            .unwrap_or_default();
        let request = headers.get("request-id").and_then(|id| id.to_str().ok());
        Self {
            status,
            code: cleaned(&code, 100),
            said: cleaned(&said, 500),
            request: cleaned(request.unwrap_or_default(), 64),
        }
    }

    /// In words, while `doing` this.
    fn trouble(&self, doing: &str) -> Trouble {
        let said = format!("{} {}", self.code, self.said);
        let request = match self.request.as_str() {
            "" => String::new(),
            id => format!(" (request {id})"),
        };
        let trouble = match self.status {
            401 => Trouble::new(
                "V-ENT-002",
                Class::SignIn,
                format!("Microsoft Graph does not take the token, {doing}{request}"),
                "sign in anew: az login, or add --auth device",
            ),
            403 => Trouble::new(
                "V-ENT-005",
                Class::Refused,
                format!("Microsoft Graph does not allow {doing}{request}"),
                format!(
                    "whoever runs this needs {} (a program: {}), and a person besides the right to register applications, or the role Application Developer",
                    PERMISSION.delegated, PERMISSION.application
                ),
            ),
            400 if self.code == "HostNameNotOnVerifiedDomain"
                || self.said.contains("verified domain") =>
            {
                Trouble::new(
                    "V-ENT-016",
                    Class::Refused,
                    format!("the Application ID URI is not of this tenant's, {doing}{request}"),
                    "verify the domain of public_url in the tenant (Custom domain names), or write servers.NAME.scope_prefix = \"api://TENANT-ID/NAME/\"",
                )
            }
            429 | 500..=599 => Trouble::new(
                "V-ENT-004",
                Class::Unreachable,
                format!("Microsoft Graph answered {}, {doing}{request}", self.status),
                "try again later; what was done is kept",
            ),
            status => Trouble::new(
                "V-ENT-007",
                Class::Unexpected,
                format!("Microsoft Graph answered {status}, {doing}{request}"),
                "its words say what it does not like; nothing after this was done",
            ),
        };
        trouble.said(said.trim())
    }
}

/// Text within a path, all of it as one part.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        // A plus is a space in forms only.
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_12_a_name_stays_within_its_part_of_the_address() {
        let path = segment(&odata::quoted("O'Brien/../x?y#z w"));
        assert_eq!(path, "%27O%27%27Brien%2F..%2Fx%3Fy%23z%20w%27");
    }
}
