//! Requests to servers of others, and their answers as they were: bounded in size and time,
//! no redirect followed.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use reqwest::Client;
use serde_json::Value;
use url::Url;
use vestibule_core::challenge::{self, Challenge};

use crate::{
    fetch::{self, FetchError},
    trust::Trust,
};

/// How long one answer may take.
const TIME: Duration = Duration::from_secs(15);

/// Most that is read of an answer; results of tools can be long.
const ANSWER_MAX: usize = 16 << 20;

/// See the module.
#[derive(Debug, Clone)]
pub struct Web {
    client: Client,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The type without its parameters.
    pub fn kind(&self) -> &str {
        let whole = self.header("content-type").unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim()
    }

    /// The challenge of this scheme, of all headers.
    pub fn challenge(&self, scheme: &str) -> Option<Challenge> {
        self.headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .flat_map(|(_, value)| challenge::parse(value))
            .find(|challenge| challenge.scheme == scheme)
    }
}

/// An answer that is read as it comes.
pub struct Stream {
    /// Status and headers.
    pub head: Reply,
    response: reqwest::Response,
}

impl Stream {
    /// The next bytes, if there are any.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        fetch::chunk(&mut self.response).await
    }

    /// The whole answer.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn whole(self) -> Result<Reply, FetchError> {
        let body = fetch::rest(self.response, ANSWER_MAX).await?;
        Ok(Reply { body, ..self.head })
    }
}

impl Web {
    /// Ready to ask.
    ///
    /// # Errors
    /// A sentence, if the system's certificates cannot be read.
    pub fn new() -> Result<Self, String> {
        Self::patient(TIME)
    }

    /// The same for answers that may take as long as this.
    ///
    /// # Errors
    /// A sentence, if the system's certificates cannot be read.
    pub fn patient(time: Duration) -> Result<Self, String> {
        let client = fetch::provider_client(&Trust::load(None)?, time)?;
        Ok(Self { client })
    }

    /// The same with whatever else is believed and waited for.
    pub fn over(client: Client) -> Self {
        Self { client }
    }

    /// Sends one request and reads the whole answer, whatever the status.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Result<Reply, FetchError> {
        self.open(method, url, headers, body).await?.whole().await
    }

    /// Sends one request; its answer is read as it comes.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn open(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Result<Stream, FetchError> {
        let mut request = self.client.request(method, url.clone()).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = fetch::begin(request).await?;
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        let head = Reply {
            status: response.status().as_u16(),
            headers,
            body: Vec::new(),
        };
        Ok(Stream { head, response })
    }

    /// Asks for a JSON document.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn document(&self, url: &Url) -> Result<Reply, FetchError> {
        let headers = [("accept", "application/json")];
        self.send(Method::GET, url, &headers, Vec::new()).await
    }

    /// Posts a form.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn form(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Result<Reply, FetchError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut all = vec![
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        all.extend_from_slice(headers);
        self.send(Method::POST, url, &all, body).await
    }
}
