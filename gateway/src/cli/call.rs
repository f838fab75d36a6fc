//! `vestibule call SERVER TOOL NAME=VALUE…`: one tool, called as this user. Signs in,
//! refreshes and asks for more rights where that is needed.

use clap::Args;
use serde_json::Value;
use url::Url;
use vestibule_core::scope::ScopeSet;

use super::{
    Exit,
    client::{Failure, encrypted, has_browser, logins, runtime, server},
    login::{Who, fresh, not_kept, web},
    print,
};
use crate::{
    client::{
        call::{arguments, list, words},
        credentials::{Login, Logins},
        login::{self, LoginError, Wishes},
        mcp::{Connection, McpError},
        web::Web,
    },
    world::World,
};

/// How often more rights are asked for in one call.
const STEPS_MAX: u32 = 2;

/// A token that ends this soon is renewed first, in seconds.
const SOON: u64 = 5;

#[derive(Args)]
pub(super) struct Arguments {
    /// The MCP server: its address, or its name once you are signed in
    server: String,
    /// The tool; without one, all are listed
    tool: Option<String>,
    /// Its arguments as NAME=VALUE, or NAME:=JSON
    arguments: Vec<String>,
    #[command(flatten)]
    who: Who,
    /// Never opens a browser: ends with code 3 if somebody must sign in
    #[arg(long)]
    no_login: bool,
    /// The result as JSON, as the server gave it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    match call(arguments) {
        Ok(exit) => exit,
        Err(failure) => failure.tell(),
    }
}

fn call(arguments: &Arguments) -> Result<Exit, Failure> {
    let logins = logins()?;
    let server = server(&arguments.server, Some(&logins))?;
    let server = encrypted(server, arguments.who.allow_http)?;
    let wishes = arguments.who.wishes(false)?;
    let web = web()?;
    let caller = Caller {
        web: &web,
        server: &server,
        wishes,
        logins: &logins,
        may_sign_in: !arguments.no_login && has_browser(),
    };
    let Outcome { shown, failed } = runtime()?.block_on(caller.run(arguments))?;
    print(&shown);
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

struct Outcome {
    shown: String,
    failed: bool,
}

struct Caller<'c> {
    web: &'c Web,
    server: &'c Url,
    wishes: Wishes,
    logins: &'c Logins,
    may_sign_in: bool,
}

impl Caller<'_> {
    async fn run(&self, asked: &Arguments) -> Result<Outcome, Failure> {
        let mut login = self.logins.load(self.server);
        if login.as_ref().is_some_and(ends_soon) {
            login = self.renewed(login).await?;
        }
        let mut renewed = false;
        let mut steps = 0;
        loop {
            let token = login.as_ref().map(|login| login.access_token.as_str());
            let error = match self.once(token, asked).await {
                Ok(done) => return done,
                Err(error) => error,
            };
            let McpError::Token { status, challenge } = &error else {
                return Err(self.failed(&error));
            };
            let needed = challenge.as_ref().and_then(|challenge| {
                let step = challenge.param("error") == Some("insufficient_scope");
                challenge.param("scope").filter(|_| step)
            });
            match (status, needed) {
                (403, Some(needed)) if steps < STEPS_MAX => {
                    steps += 1;
                    login = Some(self.step_up(login.as_ref(), needed).await?);
                }
                (403, _) => return Err(self.failed(&error)),
                _ if login.is_some() && !renewed => {
                    renewed = true;
                    login = self.renewed(login).await?;
                }
                _ if steps < STEPS_MAX => {
                    steps += 1;
                    // What this very call needs may be more than what a first message does.
                    let challenged = challenge
                        .as_ref()
                        .filter(|_| self.wishes.scope.is_none())
                        .and_then(|challenge| challenge.param("scope"));
                    let wishes = Wishes {
                        challenged: challenged.map(str::to_owned),
                        ..self.wishes.clone()
                    };
                    login = Some(self.sign_in(&wishes).await?);
                    renewed = true;
                }
                _ => return Err(self.failed(&error)),
            }
        }
    }

    /// One try. What is wrong with the words of the person is no error of the server's.
    async fn once(
        &self,
        token: Option<&str>,
        asked: &Arguments,
    ) -> Result<Result<Outcome, Failure>, McpError> {
        let mut connection = Connection::open(self.web, self.server, token).await?;
        let done = self.with(&mut connection, asked).await;
        connection.close().await;
        done
    }

    async fn with(
        &self,
        connection: &mut Connection<'_>,
        asked: &Arguments,
    ) -> Result<Result<Outcome, Failure>, McpError> {
        let tools = connection.tools().await?;
        let Some(name) = &asked.tool else {
            let shown = if asked.json {
                format!("{:#}\n", Value::Array(tools))
            } else {
                list(&tools)
            };
            let failed = false;
            return Ok(Ok(Outcome { shown, failed }));
        };
        let Some(tool) = tools.iter().find(|tool| tool["name"] == name.as_str()) else {
            let known: Vec<&str> = tools
                .iter()
                .filter_map(|tool| tool["name"].as_str())
                .collect();
            let what = format!("{} has no tool \"{name}\" for you", self.server);
            let fix = format!("it has {}", known.join(", "));
            return Ok(Err(Failure::new("V-CMD-012", Exit::Usage, what, fix)));
        };
        let arguments = match arguments(&asked.arguments, tool) {
            Ok(arguments) => arguments,
            Err(error) => {
                let fix = format!("see them all: vestibule call {}", self.server);
                let what = error.to_string();
                return Ok(Err(Failure::new("V-CMD-013", Exit::Usage, what, fix)));
            }
        };
        let result = connection.call(tool, arguments).await?;
        let shown = match (&result["structuredContent"], asked.json) {
            (Value::Null, true) => format!("{result}\n"),
            (structured, true) => format!("{structured}\n"),
            _ => words(&result),
        };
        let failed = result["isError"] == true;
        Ok(Ok(Outcome { shown, failed }))
    }

    /// The login with a new access token; none if a person must sign in.
    async fn renewed(&self, login: Option<Login>) -> Result<Option<Login>, Failure> {
        let Some(login) = login else { return Ok(None) };
        // Of several processes one renews, and the others take what it got.
        let _one = self
            .logins
            .lock(self.server)
            .map_err(|error| not_kept(&error))?;
        match self.logins.load(self.server) {
            Some(other) if other.access_token != login.access_token => return Ok(Some(other)),
            Some(_) => {}
            // Forgotten meanwhile.
            None => return Ok(None),
        }
        match login::refresh(self.web, &World::real(), &login).await {
            Ok(login) => {
                self.logins.save(&login).map_err(|error| not_kept(&error))?;
                Ok(Some(login))
            }
            // A registration that the server forgot is not shown to it again. A client that a
            // person added is that person's to mend.
            Err(error) if error.is_of_client() => {
                if login.client.registered && self.may_sign_in {
                    let forgotten = self.logins.forget(self.server);
                    forgotten.map_err(|error| not_kept(&error))?;
                }
                Ok(None)
            }
            Err(LoginError::Missing(_)) => Ok(None),
            Err(LoginError::Refused { error, .. }) if says_signed_out(&error) => Ok(None),
            Err(error) => Err(Failure::of_login(&error, self.server)),
        }
    }

    /// Signs in for what there was and what is needed besides, so that nothing is lost.
    async fn step_up(&self, login: Option<&Login>, needed: &str) -> Result<Login, Failure> {
        let held = login.and_then(|login| login.scope.as_deref());
        let held = ScopeSet::of(
            held.unwrap_or_default()
                .split(' ')
                .filter(|s| !s.is_empty()),
        );
        let all = held.with(&ScopeSet::of(needed.split(' ').filter(|s| !s.is_empty())));
        let wishes = Wishes {
            challenged: Some(all.to_string()),
            ..self.wishes.clone()
        };
        self.sign_in(&wishes).await
    }

    async fn sign_in(&self, wishes: &Wishes) -> Result<Login, Failure> {
        if !self.may_sign_in {
            return Err(Failure::new(
                "V-CMD-014",
                Exit::SignIn,
                format!("somebody must sign in to {}", self.server),
                format!("vestibule login {}", self.server),
            ));
        }
        fresh(self.web, self.server, wishes, self.logins).await
    }

    fn failed(&self, error: &McpError) -> Failure {
        let (exit, fix) = match error {
            McpError::Fetch(error) => return Failure::unreachable(self.server, *error),
            McpError::Token { status: 403, .. } => (
                Exit::Refused,
                "you may not do this there; ask whoever runs the server",
            ),
            McpError::Token { .. } => (Exit::SignIn, "sign in again with vestibule login"),
            McpError::Rpc { .. } | McpError::InputNeeded => {
                (Exit::Failed, "look at the arguments, or use another client")
            }
            McpError::Status(_) | McpError::NotMcp => {
                (Exit::Unreachable, "look at it with vestibule probe")
            }
        };
        Failure::new("V-CMD-015", exit, format!("{}: {error}", self.server), fix)
    }
}

/// Whether a refused refresh means that somebody must sign in: `invalid_grant`
/// (RFC 6749 §5.2), or what servers say in place of it.
fn says_signed_out(error: &str) -> bool {
    !matches!(
        error,
        "invalid_request"
            | "invalid_scope"
            | "invalid_target"
            | "unsupported_grant_type"
            | "access_denied"
            | "temporarily_unavailable"
            | "server_error"
    ) && (!error.starts_with("status ") || matches!(error, "status 400" | "status 401"))
}

fn ends_soon(login: &Login) -> bool {
    let now = World::real().now().unix();
    login.expires.is_some_and(|expires| expires <= now + SOON)
}
