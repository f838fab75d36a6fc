//! `vestibule probe URL`: what an MCP server shows to somebody without a token.

use std::io::IsTerminal as _;

use clap::Args;

use super::{
    Exit,
    client::{Failure, encrypted, logins, runtime, server},
    login::no_web,
    print, say,
};
use crate::{
    client::{
        probe::{self, judge, report},
        web::Web,
    },
    world::World,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The MCP server, as clients write it
    url: String,
    /// Also registers a client, which the server may keep
    #[arg(long)]
    register: bool,
    /// The result as JSON
    #[arg(long, conflicts_with = "junit")]
    json: bool,
    /// The result as JUnit XML, for pipelines
    #[arg(long)]
    junit: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    match look(arguments) {
        Ok(exit) => exit,
        Err(failure) => failure.tell(),
    }
}

fn look(arguments: &Arguments) -> Result<Exit, Failure> {
    let logins = logins().ok();
    let url = server(&arguments.url, logins.as_ref())?;
    let now = World::real().now().unix();
    let token = logins
        .and_then(|logins| logins.load(&url))
        .filter(|login| login.expires.is_none_or(|expires| expires > now))
        .filter(|_| encrypted(url.clone(), false).is_ok())
        .map(|login| login.access_token);
    let options = probe::Options {
        register: arguments.register,
        token,
    };
    let web = Web::new().map_err(no_web)?;
    let facts = runtime()?
        .block_on(probe::look(&web, &World::real(), &url, &options))
        .map_err(|error| Failure::unreachable(&url, error))?;
    let checks = judge::judge(&facts);
    if arguments.json {
        print(&format!("{:#}\n", report::json(url.as_str(), &checks)));
    } else if arguments.junit {
        print(&report::junit(url.as_str(), &checks));
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&report::text(url.as_str(), &checks, colour));
        if !arguments.register && facts.found.server_metadata().is_some() {
            say("Nothing was changed. --register also tries a registration.");
        }
    }
    Ok(if report::is_good(&checks) {
        Exit::Ok
    } else {
        Exit::Failed
    })
}
