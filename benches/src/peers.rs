//! The peers, each set up as well as its manual allows for this work.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::process::{Pin, Process};

/// The key of HAProxy's tokens.
const SECRET: &str = "a key of 32 bytes for measurements";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://mcp.example/weather";

/// nginx without buffers, with kept connections to the server.
pub(crate) fn nginx(
    folder: &Path,
    port: u16,
    upstream: u16,
    threads: usize,
    pin: Pin,
) -> Result<Process> {
    let here = folder.display();
    let config = folder.join("nginx.conf");
    fs::write(
        &config,
        format!(
            "daemon off;
worker_processes {threads};
worker_rlimit_nofile 20000;
pid {here}/nginx.pid;
error_log stderr error;
events {{ worker_connections 20000; multi_accept on; }}
http {{
  access_log off;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  tcp_nodelay on;
  keepalive_requests 100000000;
  upstream mcp {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport;
    location / {{
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"
        ),
    )?;
    let config = config.to_str().context("a folder with a name in UTF-8")?;
    let program = Path::new("/usr/sbin/nginx");
    Process::start(
        program,
        &["-c", config],
        pin,
        port,
        &folder.join("nginx.log"),
    )
}

/// HAProxy; on `port` a proxy only, on the next one with `jwt_verify` of HS256 and of what
/// else must be checked of a token: algorithm, issuer, audience, end.
pub(crate) fn haproxy(
    folder: &Path,
    port: u16,
    upstream: u16,
    threads: usize,
    pin: Pin,
) -> Result<Process> {
    let config = folder.join("haproxy.cfg");
    let checked = port + 1;
    fs::write(
        &config,
        format!(
            "global
  nbthread {threads}
  maxconn 9900
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend plain
  bind 127.0.0.1:{port}
  default_backend mcp
frontend checked
  bind 127.0.0.1:{checked}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str HS256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
  http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,\"{SECRET}\") -m int 1 }}
  default_backend mcp
backend mcp
  server one 127.0.0.1:{upstream} pool-purge-delay 1h
"
        ),
    )?;
    let config = config.to_str().context("a folder with a name in UTF-8")?;
    let program = Path::new("/usr/sbin/haproxy");
    let arguments = ["-db", "-f", config];
    Process::start(program, &arguments, pin, port, &folder.join("haproxy.log"))
}

/// A token that HAProxy takes.
#[allow(clippy::disallowed_methods)] // of a peer, which has the real clock
pub(crate) fn haproxy_token() -> Result<String> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!(
        "{}.{}",
        encode(json!({ "alg": "HS256", "typ": "JWT" })),
        encode(json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "0b7f7a90-6f0e-4c56-9d1c-0f8a6d6f4c1e",
            "client_id": "client-of-a-measurement",
            "scope": "weather:read",
            "iat": now,
            "exp": now + 24 * 3600,
        })),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    Ok(format!("{message}.{mac}"))
}

/// The bare proxy on hyper.
pub(crate) fn floor(
    folder: &Path,
    port: u16,
    upstream: u16,
    threads: usize,
    pin: Pin,
) -> Result<Process> {
    let program = beside("bench-floor")?;
    let [port_text, upstream, threads] =
        [usize::from(port), usize::from(upstream), threads].map(|number| number.to_string());
    let arguments = [port_text.as_str(), &upstream, &threads];
    Process::start(&program, &arguments, pin, port, &folder.join("floor.log"))
}

/// The server behind all.
pub(crate) fn upstream(folder: &Path, port: u16, pin: Pin) -> Result<Process> {
    let program = beside("bench-upstream")?;
    let text = port.to_string();
    Process::start(&program, &[&text], pin, port, &folder.join("upstream.log"))
}

/// A program that was built together with this one.
fn beside(name: &str) -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
