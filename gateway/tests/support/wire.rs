//! HTTP by hand: what goes out is exactly what a test wrote.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

pub struct Wire {
    stream: TcpStream,
    buffered: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {self:?}");
        all[0].to_owned()
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// As it is read: without the marks that keep a word's direction to itself.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.replace("<bdi>", "").replace("</bdi>", "")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The value of a hidden field of a page.
    pub fn field(&self, name: &str) -> String {
        let text = self.text();
        let tag = text
            .split("<input")
            .find(|tag| tag.contains(&format!("name=\"{name}\"")))
            .unwrap_or_else(|| panic!("no field {name} in {text}"));
        let value = tag.split("value=\"").nth(1).unwrap_or_default();
        unescape(value.split('"').next().unwrap_or_default())
    }

    /// Where the one link goes that looks like a button.
    pub fn button(&self) -> String {
        let text = self.text();
        let link = text.split("class=\"button\"").nth(1);
        let link = link.unwrap_or_else(|| panic!("no button: {text}"));
        let target = link.split("href=\"").nth(1).unwrap_or_default();
        unescape(target.split('"').next().unwrap_or_default())
    }

    /// Where a page goes on to by itself.
    pub fn refresh_target(&self) -> String {
        let text = self.text();
        let target = text
            .split("url=")
            .nth(1)
            .unwrap_or_else(|| panic!("stays: {text}"));
        unescape(target.split('"').next().unwrap_or_default())
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#43;", "+")
        .replace("&#39;", "'")
}

impl Wire {
    pub fn connect(port: u16) -> Self {
        Self::to(&format!("127.0.0.1:{port}"))
    }

    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        Self {
            stream,
            buffered: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The other side may have hung up already; what it said is read anyway.
        let _ = self.stream.write_all(bytes);
    }

    pub fn request(
        &mut self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes);
        self.answer()
    }

    pub fn get(&mut self, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(host, "GET", path, headers, b"")
    }

    pub fn post_form(
        &mut self,
        host: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.request(host, "POST", path, &all, body.as_bytes())
    }

    /// One whole answer.
    pub fn answer(&mut self) -> Answer {
        let (status, headers) = self.head().expect("an answer");
        let find = |name: &str| {
            headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        };
        let body = if let Some(length) = find("content-length") {
            self.take(length.parse().expect("a length"))
        } else if find("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
            body
        } else {
            Vec::new()
        };
        Answer {
            status,
            headers,
            body,
        }
    }

    /// Status and headers; the body stays to be read. `None` if the connection ended.
    pub fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let head = loop {
            if let Some(at) = self.buffered.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffered.drain(..at + 4).collect();
                break String::from_utf8_lossy(&head).into_owned();
            }
            self.fill()?;
        };
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        Some((status, headers))
    }

    /// The next chunk of a chunked body; `None` at its end or that of the connection.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(at) = self.buffered.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffered.drain(..at + 2).collect();
                break String::from_utf8_lossy(&line).trim().to_owned();
            }
            self.fill()?;
        };
        let length = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        let chunk = self.take(length + 2);
        (length > 0 && chunk.len() == length + 2).then(|| chunk[..length].to_vec())
    }

    /// Whether the other side hung up and nothing is left to read.
    pub fn is_closed(&mut self) -> bool {
        self.buffered.is_empty() && self.fill().is_none()
    }

    /// Reads so many bytes and forgets them.
    pub fn skip(&mut self, length: usize) {
        self.take(length);
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffered.len() < length {
            if self.fill().is_none() {
                break;
            }
        }
        let length = length.min(self.buffered.len());
        self.buffered.drain(..length).collect()
    }

    fn fill(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                self.buffered.extend_from_slice(&bytes[..count]);
                Some(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer within the time: {error}"),
        }
    }
}
