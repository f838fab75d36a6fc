//! Whether anything costs more in a store that is full, or with a long configuration: calls,
//! logins and refreshes, empty against full, with a second empty one for the difference that
//! the machine makes by itself.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use rusqlite::{Connection, params};
use vestibule::world::World;

use crate::{
    Common,
    browser::Browser,
    gateway::{Form, Gateway},
    load::{self, Aim},
    logins::{self, House},
    measure::{Series, Spread},
    peers, print,
    process::Pin,
    say,
    table::table,
};

#[derive(Args, Debug, Clone)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Registered clients, each with a person's consent
    #[arg(long, default_value_t = 1_000_000)]
    clients: usize,
    /// Live grants
    #[arg(long, default_value_t = 100_000)]
    grants: usize,
    /// Grants that were revoked a moment ago
    #[arg(long, default_value_t = 10_000)]
    revoked: usize,
    /// MCP servers
    #[arg(long, default_value_t = 1_000)]
    servers: usize,
    /// Rules about tools, on all servers together; as many again on the one that is called
    #[arg(long, default_value_t = 10_000)]
    rules: usize,
}

const UPSTREAM: u16 = 18_500;
const NAMES: [&str; 3] = ["empty", "empty again", "full"];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let _upstream = peers::upstream(at, UPSTREAM, Pin::No)?;
    let mut houses = Vec::new();
    for (number, name) in NAMES.into_iter().enumerate() {
        say(&format!("growth: prepare {name}"));
        let port = 18_510 + 10 * u16::try_from(number)?;
        let full = name == "full";
        let more = if full {
            servers(arguments)
        } else {
            String::new()
        };
        let mut calls = None;
        let house = House::start(
            &arguments.common.bin,
            &at.join(name),
            port,
            UPSTREAM,
            &more,
            |gateway| {
                let path = "/rules/json";
                calls = Some(Aim {
                    port,
                    path: path.to_owned(),
                    tokens: gateway.tokens(path, 1, Form::Sealed)?,
                });
                if full {
                    fill(gateway, arguments)
                } else {
                    Ok(())
                }
            },
        )?;
        // The provider's documents are fetched before anything is measured.
        Browser::default().login(&house.door)?;
        houses.push((name, house, calls.context("a token")?));
    }
    let mut all = vec![Series::default(); houses.len()];
    for round in 0..arguments.common.rounds {
        say(&format!(
            "growth: round {} of {}",
            round + 1,
            arguments.common.rounds
        ));
        for turn in 0..houses.len() {
            let number = (turn + round) % houses.len();
            let (_, house, calls) = &houses[number];
            let series = &mut all[number];
            let time = arguments.common.time();
            let before = house.process.cpu()?;
            let seen = load::wrk(calls, 32, time, Pin::No, at)?;
            series.push(
                "call µs",
                (house.process.cpu()? - before) * 1e6 / seen.answered as f64,
            );
            series.push("bad", seen.bad as f64);
            logins::measure(house, 1, time, "alone", series)?;
            series.push("login wall ms", 1e3 / last(series, "login alone rate"));
            series.push("refresh wall ms", 1e3 / last(series, "refresh alone rate"));
            series.push("MiB", house.process.resident()? as f64 / 1024.0);
        }
    }
    let figures = [
        ("call, CPU µs", "call µs", 1),
        ("login, CPU ms", "login alone cpu", 2),
        ("login, ms", "login wall ms", 2),
        ("refresh, CPU ms", "refresh alone cpu", 3),
        ("refresh, ms", "refresh wall ms", 3),
        ("memory, MiB", "MiB", 1),
    ];
    let rows: Vec<Vec<String>> = figures
        .into_iter()
        .map(|(words, figure, digits)| {
            let text = |series: &Series| {
                Spread::of(series.of(figure).iter().copied())
                    .map_or_else(String::new, |spread| spread.text(digits))
            };
            let ratio = |series: &Series| {
                Spread::ratio(series.of(figure), all[0].of(figure))
                    .map_or_else(String::new, |spread| spread.text(2))
            };
            vec![
                words.to_owned(),
                text(&all[0]),
                text(&all[1]),
                ratio(&all[1]),
                text(&all[2]),
                ratio(&all[2]),
            ]
        })
        .collect();
    let heading = [
        "what",
        "empty",
        "empty again",
        "to empty",
        "full",
        "to empty",
    ];
    let bad: f64 = all.iter().flat_map(|series| series.of("bad")).sum();
    print(&format!(
        "\n## Growth: {} clients with consents, {} grants, {} revoked, {} servers, {} rules\n\n{}\n\n\
         Bad answers: {bad}",
        arguments.clients,
        arguments.grants,
        arguments.revoked,
        arguments.servers,
        arguments.rules,
        table(&heading, &rows)
    ));
    Ok(())
}

fn last(series: &Series, figure: &str) -> f64 {
    series.of(figure).last().copied().unwrap_or(f64::NAN)
}

/// Servers with rules, and as many rules on the server that is called.
fn servers(arguments: &Arguments) -> String {
    let mut out = String::new();
    let each = arguments.rules / arguments.servers.max(1);
    for server in 0..arguments.servers {
        let _ = writeln!(
            out,
            "[servers.more-{server}]\npath = \"/more/{server}\"\n\
             upstream = \"http://127.0.0.1:{UPSTREAM}/json\"\nscopes = {{ \"s:{server}\" = \"Use it\" }}\n\
             [servers.more-{server}.tools]"
        );
        for rule in 0..each {
            let _ = writeln!(out, "\"tool_{rule}_*\" = \"s:{server}\"");
        }
    }
    out.push_str("[servers.rules-json.tools]\n");
    for rule in 0..arguments.rules {
        let _ = writeln!(out, "\"another_{rule}_*\" = \"weather:read\"");
    }
    out.push_str("\"get_*\" = \"weather:read\"\n");
    out
}

/// Rows as the gateway writes them.
fn fill(gateway: &Gateway, arguments: &Arguments) -> Result<()> {
    let mut connection = Connection::open(gateway.folder().join("vestibule.db"))?;
    let world = World::real();
    let id = || URL_SAFE_NO_PAD.encode(world.random::<16>());
    let now = i64::try_from(world.now().unix())?;
    let later = now + i64::try_from(Duration::from_secs(30 * 24 * 3600).as_secs())?;
    let resource = "http://127.0.0.1/more/1";
    let all = connection.transaction()?;
    {
        let mut person = all.prepare(
            "INSERT INTO people (id, issuer, subject, shown, seen_at) VALUES (?1, 'i', ?1, ?1, ?2)",
        )?;
        let mut client = all.prepare(
            "INSERT INTO clients (reference, client_id, name, since) VALUES (?1, ?2, 'App', ?3)",
        )?;
        let mut consent = all.prepare(
            "INSERT INTO consents (person, client, redirect, resource, scopes, allowed_at)
             VALUES (?1, ?2, '127.0.0.1', ?3, 'weather:read', ?4)",
        )?;
        let mut grant = all.prepare(
            "INSERT INTO grants (id, person, client_id, client, resource, scopes, secret, family,
                    flow, created_at, used_at, access_until, idle_until, ends_at, ended_at)
             VALUES (?1, ?2, ?3, ?3, ?4, 'weather:read', ?5,
                    '{\"generation\":1,\"rotations\":[],\"repeats\":0}', ?1, ?6, ?6, ?7, ?7, ?7, ?8)",
        )?;
        let mut revocation = all.prepare(
            "INSERT INTO revocations (seq, kind, id, epoch, until_at) VALUES (?1, 'grant', ?2, 0, ?3)",
        )?;
        for number in 0..arguments.clients {
            let (who, app) = (id(), id());
            person.execute(params![who, now])?;
            client.execute(params![app, format!("vdc_{app}{app}{app}{app}"), now])?;
            consent.execute(params![who, app, resource, now])?;
            if number < arguments.grants + arguments.revoked {
                let ended = (number >= arguments.grants).then_some(now);
                let name = id();
                grant.execute(params![
                    name, who, app, resource, [7_u8; 80], now, later, ended
                ])?;
                if ended.is_some() {
                    let seq = i64::try_from(number - arguments.grants + 1)?;
                    revocation.execute(params![seq, name, later])?;
                }
            }
        }
        all.execute(
            "UPDATE counters SET value = ?1 WHERE name = 'revocations'",
            params![i64::try_from(arguments.revoked)?],
        )?;
    }
    all.commit()?;
    Ok(())
}
