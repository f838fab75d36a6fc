//! `vestibule clients …`, `people …`, `grants …`, `operators …` and `audit`: who may do what,
//! who did, and how it ends.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_core::{time::Timestamp, uri::with_query};

use super::{
    ConfigFile, Exit,
    control::{Control, Said, confirmed, segment, table},
    print, say,
};
use crate::{page::time, world::World};

/// How a client is meant, and in which form the answer comes.
#[derive(Args)]
pub(super) struct One {
    /// Reference, id, or a name that only one has
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// The same for what ends something.
#[derive(Args)]
pub(super) struct Ending {
    #[command(flatten)]
    one: One,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
pub(super) struct List {
    /// A part of the name
    name: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Subcommand)]
pub(super) enum Clients {
    /// Clients that somebody allowed something
    List(List),
    /// One client, and for whom it acts
    Show(One),
    /// Ends all that it may do, and lets nobody allow it anything
    Block {
        #[command(flatten)]
        ending: Ending,
        /// Why; kept in the audit
        #[arg(long)]
        why: String,
    },
    /// Lets it in again; tokens of before stay dead
    Unblock(One),
    /// Vouches for it: people are no longer told that it is not verified
    Trust(One),
    /// Vouches for it no more
    Distrust(One),
    /// Ends its grants; from now on it gets these scopes at most
    Limit {
        #[command(flatten)]
        ending: Ending,
        /// Separated by blanks
        #[arg(long)]
        scopes: String,
    },
    /// Takes the limit away
    Unlimit(One),
    /// Ends all its grants; each person can allow it again
    End(Ending),
}

#[derive(Subcommand)]
pub(super) enum People {
    /// People and machines that signed in
    List(List),
    /// One person, and what may act for them
    Show(One),
    /// Ends all that may act for them, and does not let them in
    Block {
        #[command(flatten)]
        ending: Ending,
        /// Why; kept in the audit
        #[arg(long)]
        why: String,
    },
    /// Lets them in again; tokens of before stay dead
    Unblock(One),
}

#[derive(Subcommand)]
pub(super) enum Grants {
    /// What may act for a person
    List {
        /// Id, or a name that only one has
        #[arg(long, alias = "user")]
        person: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Ends what a client, or everything, may do for a person
    Revoke {
        /// Id, or a name that only one has
        #[arg(long, alias = "user")]
        person: String,
        /// Only of this client
        #[arg(long)]
        client: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Lets a client that works without logins act for a person again
    Allow {
        /// Id, or a name that only one has
        #[arg(long, alias = "user")]
        person: String,
        /// The client
        #[arg(long)]
        client: String,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Subcommand)]
pub(super) enum Operators {
    /// Makes a link that makes whoever signs in by it an operator, once, within 15 minutes
    Link(ConfigFile),
    /// Takes the role from somebody whom a link made an operator
    Remove(One),
}

#[derive(Args)]
pub(super) struct Audit {
    /// A part of the person's name, or their id
    #[arg(long, alias = "user")]
    person: Option<String>,
    /// A part of the client's name, or its reference
    #[arg(long)]
    client: Option<String>,
    /// The server's name
    #[arg(long)]
    server: Option<String>,
    /// A part of the tool's name
    #[arg(long)]
    tool: Option<String>,
    /// ok, denied or failed
    #[arg(long)]
    outcome: Option<String>,
    /// The login's flow code
    #[arg(long)]
    flow: Option<String>,
    /// Calls at most
    #[arg(long, default_value_t = 100)]
    most: u32,
    /// Where an earlier look stopped
    #[arg(long)]
    after: Option<String>,
    /// What was done to access, in place of calls
    #[arg(long)]
    acts: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn clients(command: &Clients) -> Exit {
    let ran = match command {
        Clients::List(list) => list_clients(list),
        Clients::Show(one) => show_client(one),
        Clients::Block { ending, why } => {
            end_client(ending, "block", &json!({ "why": why }), "blocks")
        }
        Clients::Limit { ending, scopes } => {
            end_client(ending, "limit", &json!({ "scopes": scopes }), "limits")
        }
        Clients::End(ending) => end_client(ending, "end", &json!({}), "ends all grants of"),
        Clients::Unblock(one) => change_client(one, "unblock"),
        Clients::Trust(one) => change_client(one, "trust"),
        Clients::Distrust(one) => change_client(one, "distrust"),
        Clients::Unlimit(one) => change_client(one, "unlimit"),
    };
    ran.unwrap_or_else(|said| said)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn ago(value: &Value) -> String {
    match value.as_u64() {
        Some(at) => time::ago(Timestamp::from_unix(at), World::real().now()),
        None => "never".to_owned(),
    }
}

fn named(path: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => with_query(path, &[("named", name)]),
        None => path.to_owned(),
    }
}

fn client_state(row: &Value) -> &'static str {
    let standing = &row["standing"];
    match (&standing["blocked"], &standing["trusted"]) {
        (Value::Object(_), _) => "blocked",
        (_, Value::Number(_)) => "trusted",
        _ => match row["kind"].as_str() {
            Some("operator") => "trusted",
            Some("dynamic") => "not verified",
            _ => "",
        },
    }
}

fn client_name(row: &Value) -> String {
    match row["name"].as_str() {
        Some(name) => name.to_owned(),
        None => text(&row["client_id"]),
    }
}

fn list_clients(list: &List) -> Result<Exit, Said> {
    let control = Control::open(&list.file.config)?;
    let answer = control.get(&named("/clients", list.name.as_deref()))?;
    if list.json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = answer["clients"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            vec![
                client_name(row),
                text(&row["kind"]),
                row["people"].to_string(),
                row["grants"].to_string(),
                ago(&row["used"]),
                client_state(row).to_owned(),
                text(&row["reference"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        say(
            "No client is like that. A client is listed from the first time that somebody allows it something.",
        );
        return Ok(Exit::Ok);
    }
    let head = [
        "NAME",
        "KNOWN BY",
        "PEOPLE",
        "GRANTS",
        "LAST USED",
        "STATE",
        "REFERENCE",
    ];
    print(&table(&head, &rows));
    Ok(Exit::Ok)
}

fn show_client(one: &One) -> Result<Exit, Said> {
    let control = Control::open(&one.file.config)?;
    let answer = control.get(&format!("/clients/{}", segment(&one.name)))?;
    if one.json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let row = &answer["client"];
    let standing = &row["standing"];
    let mut facts = vec![
        ("name", client_name(row)),
        ("id", text(&row["client_id"])),
        ("reference", text(&row["reference"])),
        ("known by", text(&answer["kind"])),
        ("last used", ago(&row["used"])),
        (
            "acts for",
            format!("{} people, {} grants", row["people"], row["grants"]),
        ),
    ];
    if standing["blocked"].is_object() {
        let block = &standing["blocked"];
        facts.push((
            "blocked",
            format!("{}: {}", ago(&block["since"]), text(&block["why"])),
        ));
    }
    if standing["trusted"].is_u64() {
        facts.push(("vouched for", ago(&standing["trusted"])));
    }
    if let Some(limit) = standing["limit"].as_str() {
        facts.push(("limited to", limit.to_owned()));
    }
    tell(&facts);
    let people: Vec<Vec<String>> = answer["people"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| vec![text(&row["shown"]), ago(&row["seen"]), text(&row["id"])])
        .collect();
    if !people.is_empty() {
        print(&format!("\n{}", table(&["PERSON", "SEEN", "ID"], &people)));
    }
    Ok(Exit::Ok)
}

fn tell(facts: &[(&str, String)]) {
    for (name, value) in facts {
        let value = vestibule_core::text::on_one_line(value, 300);
        print(&format!("{name:12} {value}\n"));
    }
}

fn end_client(ending: &Ending, act: &str, with: &Value, words: &str) -> Result<Exit, Said> {
    let one = &ending.one;
    let control = Control::open(&one.file.config)?;
    let path = format!("/clients/{}", segment(&one.name));
    let row = &control.get(&path)?["client"];
    let what = format!(
        "This {words} {} and stops {} live grants of {} people.",
        client_name(row),
        row["grants"],
        row["people"]
    );
    confirmed(&what, ending.yes)?;
    let answer = control.post(&format!("{path}/{act}"), with)?;
    done(&answer, one.json);
    Ok(Exit::Ok)
}

fn change_client(one: &One, act: &str) -> Result<Exit, Said> {
    let control = Control::open(&one.file.config)?;
    if act == "trust" {
        // Whoever vouches sees for what.
        let answer = control.get(&format!("/clients/{}", segment(&one.name)))?;
        let row = &answer["client"];
        let redirects = row["redirects"].as_array().cloned().unwrap_or_default();
        let redirects: Vec<String> = redirects.iter().map(text).collect();
        say(&format!(
            "{}\n  id               {}\n  answers went to  {}",
            client_name(row),
            text(&row["client_id"]),
            redirects.join(" ")
        ));
    }
    let path = format!("/clients/{}/{act}", segment(&one.name));
    let answer = control.post(&path, &json!({}))?;
    done(&answer, one.json);
    Ok(Exit::Ok)
}

fn done(answer: &Value, json: bool) {
    if json {
        print(&format!("{answer:#}\n"));
        return;
    }
    match answer["ended"].as_u64() {
        Some(0) | None => print("ok\n"),
        Some(ended) => print(&format!(
            "ok   {ended} live grants and codes ended, and are refused from now on\n"
        )),
    }
}

pub(super) fn people(command: &People) -> Exit {
    let ran = match command {
        People::List(list) => list_people(list),
        People::Show(one) => show_person(&one.name, one.json, &one.file),
        People::Block { ending, why } => block_person(ending, why),
        People::Unblock(one) => {
            let path = format!("/people/{}/unblock", segment(&one.name));
            Control::open(&one.file.config)
                .and_then(|control| control.post(&path, &json!({})))
                .map(|answer| {
                    done(&answer, one.json);
                    Exit::Ok
                })
        }
    };
    ran.unwrap_or_else(|said| said)
}

fn list_people(list: &List) -> Result<Exit, Said> {
    let control = Control::open(&list.file.config)?;
    let answer = control.get(&named("/people", list.name.as_deref()))?;
    if list.json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = answer["people"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let state = match (row["blocked"].is_object(), row["operator"].as_bool()) {
                (true, _) => "blocked",
                (false, Some(true)) => "operator",
                (false, _) => "",
            };
            vec![
                text(&row["shown"]),
                row["apps"].to_string(),
                ago(&row["seen"]),
                state.to_owned(),
                text(&row["id"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        say("Nobody is like that. People and machines are listed from their first sign-in.");
        return Ok(Exit::Ok);
    }
    print(&table(
        &["NAME", "APPS", "LAST SIGN-IN", "STATE", "ID"],
        &rows,
    ));
    Ok(Exit::Ok)
}

fn show_person(name: &str, json: bool, file: &ConfigFile) -> Result<Exit, Said> {
    let control = Control::open(&file.config)?;
    let answer = control.get(&format!("/people/{}", segment(name)))?;
    if json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let row = &answer["person"];
    let mut facts = vec![
        ("name", text(&row["shown"])),
        ("id", text(&row["id"])),
        ("vouched by", text(&row["issuer"])),
        ("last sign-in", ago(&row["seen"])),
    ];
    if row["blocked"].is_object() {
        let block = &row["blocked"];
        facts.push((
            "blocked",
            format!("{}: {}", ago(&block["since"]), text(&block["why"])),
        ));
    }
    tell(&facts);
    let rows: Vec<Vec<String>> = answer["apps"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|app| {
            let servers = app["servers"].as_array().cloned().unwrap_or_default();
            let name = client_name(app);
            let reference = text(&app["client"]);
            servers.into_iter().map(move |server| {
                let used = match server["stopped"].as_bool() {
                    Some(true) => "stopped".to_owned(),
                    _ => ago(&server["used"]),
                };
                vec![
                    name.clone(),
                    text(&server["server"]),
                    text(&server["scopes"]),
                    used,
                    reference.clone(),
                ]
            })
        })
        .collect();
    if !rows.is_empty() {
        let head = ["APP", "SERVER", "MAY", "LAST USED", "REFERENCE"];
        print(&format!("\n{}", table(&head, &rows)));
    }
    Ok(Exit::Ok)
}

fn block_person(ending: &Ending, why: &str) -> Result<Exit, Said> {
    let one = &ending.one;
    let control = Control::open(&one.file.config)?;
    let path = format!("/people/{}", segment(&one.name));
    let row = &control.get(&path)?["person"];
    let what = format!(
        "This does not let {} in any more and stops {} live grants of {} apps.",
        text(&row["shown"]),
        row["grants"],
        row["apps"]
    );
    confirmed(&what, ending.yes)?;
    let answer = control.post(&format!("{path}/block"), &json!({ "why": why }))?;
    done(&answer, one.json);
    Ok(Exit::Ok)
}

pub(super) fn grants(command: &Grants) -> Exit {
    let ran = match command {
        Grants::List { person, json, file } => show_person(person, *json, file),
        Grants::Revoke {
            person,
            client,
            yes,
            file,
        } => revoke(person, client.as_deref(), *yes, file),
        Grants::Allow {
            person,
            client,
            file,
        } => {
            let path = format!("/people/{}/allow_again", segment(person));
            Control::open(&file.config)
                .and_then(|control| control.post(&path, &json!({ "client": client })))
                .map(|_| {
                    print("ok\n");
                    Exit::Ok
                })
        }
    };
    ran.unwrap_or_else(|said| said)
}

fn revoke(person: &str, client: Option<&str>, yes: bool, file: &ConfigFile) -> Result<Exit, Said> {
    let control = Control::open(&file.config)?;
    let path = format!("/people/{}", segment(person));
    let answer = control.get(&path)?;
    let row = &answer["person"];
    let what = match client {
        Some(client) => format!("This stops {client} -> {}.", text(&row["shown"])),
        None => format!(
            "This stops everything that may act for {}: {} live grants of {} apps.",
            text(&row["shown"]),
            row["grants"],
            row["apps"]
        ),
    };
    confirmed(&what, yes)?;
    let with = json!({ "client": client });
    let answer = control.post(&format!("{path}/stop"), &with)?;
    done(&answer, false);
    Ok(Exit::Ok)
}

pub(super) fn operators(command: &Operators) -> Exit {
    let file = match command {
        Operators::Link(file) => file,
        Operators::Remove(one) => {
            let path = format!("/people/{}/unmake", segment(&one.name));
            let gone =
                Control::open(&one.file.config).and_then(|control| control.post(&path, &json!({})));
            return match gone {
                Ok(answer) => {
                    done(&answer, one.json);
                    Exit::Ok
                }
                Err(said) => said,
            };
        }
    };
    let made =
        Control::open(&file.config).and_then(|control| control.post("/operators/link", &json!({})));
    match made {
        Ok(answer) => {
            print(&format!("{}\n", text(&answer["link"])));
            say(
                "Good for one sign-in within 15 minutes: whoever signs in by it is an operator from then on.",
            );
            Exit::Ok
        }
        Err(said) => said,
    }
}

pub(super) fn audit(arguments: &Audit) -> Exit {
    audited(arguments).unwrap_or_else(|said| said)
}

fn audited(arguments: &Audit) -> Result<Exit, Said> {
    let control = Control::open(&arguments.file.config)?;
    if arguments.acts {
        let answer = control.get("/acts")?;
        if arguments.json {
            print(&format!("{answer:#}\n"));
            return Ok(Exit::Ok);
        }
        let rows: Vec<Vec<String>> = answer["acts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|act| {
                let by = &act["by"];
                let by = by["shown"].as_str().or(by["user"].as_str());
                vec![
                    text(&act["time"]),
                    by.unwrap_or_default().to_owned(),
                    text(&act["words"]),
                ]
            })
            .collect();
        print(&table(&["WHEN", "WHO", "WHAT"], &rows));
        return Ok(Exit::Ok);
    }
    let most = arguments.most.to_string();
    let mut params = vec![("most", most.as_str())];
    for (name, value) in [
        ("person", &arguments.person),
        ("client", &arguments.client),
        ("server", &arguments.server),
        ("tool", &arguments.tool),
        ("outcome", &arguments.outcome),
        ("flow", &arguments.flow),
        ("after", &arguments.after),
    ] {
        if let Some(value) = value {
            params.push((name, value));
        }
    }
    let answer = control.get(&with_query("/calls", &params))?;
    if arguments.json {
        print(&format!("{answer:#}\n"));
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = answer["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            vec![
                text(&call["time"]),
                text(&call["person"]),
                text(&call["client"]),
                text(&call["server"]),
                text(&call["tool"]),
                text(&call["ended"]),
                format!("{} ms", call["milliseconds"]),
                text(&call["flow"]),
            ]
        })
        .collect();
    let next = answer["next"].as_str();
    if rows.is_empty() {
        match next {
            Some(next) => say(&format!(
                "None among the newest: look further back with --after {next}"
            )),
            None => say("No call is like that."),
        }
        return Ok(Exit::Ok);
    }
    let head = [
        "WHEN", "PERSON", "CLIENT", "SERVER", "TOOL", "RESULT", "TIME", "FLOW",
    ];
    print(&table(&head, &rows));
    if let Some(next) = next {
        say(&format!("There may be older ones: --after {next}"));
    }
    Ok(Exit::Ok)
}
