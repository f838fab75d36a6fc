//! A browser without script that logs in again and again, and a client that redeems what
//! comes back. Both keep their connections.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use url::{Url, form_urlencoded};
use vestibule::world::World;
use vestibule_core::pkce::CodeVerifier;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Result<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        Ok(&found
            .with_context(|| format!("no {name}: {}", self.body))?
            .1)
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> Result<String> {
        let name = format!("name=\"{name}\"");
        let tag = self.body.split("<input").find(|tag| tag.contains(&name));
        let value = tag.and_then(|tag| tag.split("value=\"").nth(1));
        let value = value.and_then(|value| value.split('"').next());
        Ok(plain(
            value.with_context(|| format!("no {name}: {}", self.body))?,
        ))
    }

    /// Where a page goes on to by itself.
    fn refresh(&self) -> Result<String> {
        let target = self.body.split("url=").nth(1);
        let target = target.and_then(|rest| rest.split('"').next());
        Ok(plain(
            target.with_context(|| format!("stays: {}", self.body))?,
        ))
    }
}

fn plain(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#43;", "+")
        .replace("&#39;", "'")
}

/// See the module.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
    connections: BTreeMap<String, BufReader<TcpStream>>,
}

/// Where it logs in, as which client.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) origin: String,
    pub(crate) client: String,
    pub(crate) redirect: String,
    pub(crate) resource: String,
    pub(crate) person: String,
}

/// What a login gives.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) refresh: String,
}

impl Browser {
    /// A whole login: authorize, consent, provider, callback, token.
    pub(crate) fn login(&mut self, door: &Door) -> Result<Tokens> {
        let verifier = CodeVerifier::from_random(&World::real().random());
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", &door.client),
                ("redirect_uri", &door.redirect),
                ("code_challenge", &verifier.challenge().text()),
                ("code_challenge_method", "S256"),
                ("state", "state"),
                ("resource", &door.resource),
            ])
            .finish();
        let page = self.get(&format!("{}/authorize?{query}", door.origin))?;
        let decision = [
            ("ticket", page.field("ticket")?),
            ("token", page.field("token")?),
            ("decision", "allow".to_owned()),
        ];
        let decided = self.post(&format!("{}/consent/decision", door.origin), &decision)?;
        let onward = self.get(decided.header("location")?)?;
        let provider = onward.refresh()?;
        let mut signed_in = self.get(&provider)?;
        if signed_in.status == 200 {
            let form = [
                ("request", signed_in.field("request")?),
                ("username", door.person.clone()),
                ("password", door.person.clone()),
            ];
            let sign_in = Url::parse(&provider)?.join("/sign-in")?;
            signed_in = self.post(sign_in.as_str(), &form)?;
        }
        let back = self.get(signed_in.header("location")?)?;
        let back = Url::parse(back.header("location")?)?;
        let code = back.query_pairs().find(|(name, _)| name == "code");
        let code = code
            .with_context(|| format!("no code: {back}"))?
            .1
            .into_owned();
        let answer = self.token(
            door,
            &[
                ("grant_type", "authorization_code".to_owned()),
                ("client_id", door.client.clone()),
                ("code", code),
                ("code_verifier", verifier.expose().to_owned()),
                ("redirect_uri", door.redirect.clone()),
            ],
        )?;
        Ok(answer)
    }

    /// A refresh.
    pub(crate) fn refresh(&mut self, door: &Door, tokens: &Tokens) -> Result<Tokens> {
        self.token(
            door,
            &[
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", door.client.clone()),
                ("refresh_token", tokens.refresh.clone()),
            ],
        )
    }

    fn token(&mut self, door: &Door, form: &[(&str, String)]) -> Result<Tokens> {
        let answer = self.post(&format!("{}/token", door.origin), form)?;
        ensure!(answer.status == 200, "{}", answer.body);
        let json: Value = serde_json::from_str(&answer.body)?;
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Ok(Tokens {
            refresh: text("refresh_token"),
        })
    }

    fn get(&mut self, url: &str) -> Result<Answer> {
        self.ask("GET", url, "")
    }

    fn post(&mut self, url: &str, form: &[(&str, String)]) -> Result<Answer> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.ask("POST", url, &body)
    }

    fn ask(&mut self, method: &str, url: &str, body: &str) -> Result<Answer> {
        let url = Url::parse(url)?;
        let host = format!(
            "{}:{}",
            url.host_str().context("no host")?,
            url.port().context("no port")?
        );
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        if !cookies.is_empty() {
            request += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        if method == "POST" {
            request += &format!(
                "Origin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        request += "\r\n";
        request += body;
        let answer = match self.on_kept(&host, &request) {
            Ok(answer) => answer,
            // Closed while it was idle.
            Err(_) => {
                self.connections.remove(&host);
                self.on_kept(&host, &request)?
            }
        };
        for (_, value) in answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let pair = value.split(';').next().unwrap_or_default();
            if let Some((name, text)) = pair.split_once('=') {
                if value.contains("Max-Age=0") || text.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), text.to_owned());
                }
            }
        }
        Ok(answer)
    }

    fn on_kept(&mut self, host: &str, request: &str) -> Result<Answer> {
        if !self.connections.contains_key(host) {
            let stream = TcpStream::connect(host)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            self.connections
                .insert(host.to_owned(), BufReader::new(stream));
        }
        let connection = self.connections.get_mut(host).context("a connection")?;
        connection.get_mut().write_all(request.as_bytes())?;
        read(connection)
    }
}

/// Reads one answer.
pub(crate) fn read(connection: &mut BufReader<TcpStream>) -> Result<Answer> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("no answer")?.parse()?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let of = |name: &str| headers.iter().find(|(known, _)| known == name);
    let mut body = Vec::new();
    if let Some((_, length)) = of("content-length") {
        body.resize(length.parse()?, 0);
        connection.read_exact(&mut body)?;
    } else if of("transfer-encoding").is_some() {
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16)?;
            let mut chunk = vec![0; size + 2];
            connection.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Ok(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
