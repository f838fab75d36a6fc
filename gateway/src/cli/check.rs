//! `vestibule check`: reads a configuration without starting anything, and tries a real login
//! at the identity provider if that is asked for.

use std::{path::Path, time::Duration};

use axum::{Router, extract::State, http::Uri, response::Html, routing::get};
use clap::Args;
use tokio::{net::TcpListener, sync::mpsc};
use vestibule_core::{
    authorize::LoginWishes,
    callback::{Answer, Says},
    flow::Step,
    identity::VerifiedIdentity,
    params::Params,
    pkce::CodeVerifier,
    resource::MAIN_PROVIDER,
    text::on_one_line,
};

use super::{
    ConfigFile, Exit,
    client::{Failure, open, runtime},
    load, print, say,
};
use crate::{
    catalogue,
    config::{Config, Idp},
    endpoint::callback::step_of,
    fetch,
    provider::{Provider, ProviderError},
    trust::Trust,
    world::World,
};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Try a real login at the identity provider, and say what it tells
    #[arg(long)]
    login: bool,
    /// At which one, if there are several: the NAME of [idps.NAME]
    #[arg(long, value_name = "NAME", requires = "login", default_value = MAIN_PROVIDER)]
    idp: String,
}

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(arguments: &Arguments) -> Exit {
    let path = &arguments.file.config;
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    print(&told(path, &config));
    match arguments.login {
        true => try_login(&config, &arguments.idp),
        false => Exit::Ok,
    }
}

fn told(path: &Path, config: &Config) -> String {
    let servers = config.servers.len();
    let plural = if servers == 1 { "" } else { "s" };
    format!(
        "ok   {}: {}, {servers} server{plural}, identity provider {}\n",
        path.display(),
        config.public_url,
        config.idp.issuer,
    )
}

/// The login alone, of a configuration that was just written.
pub(super) fn login_of(path: &Path) -> Exit {
    match load(path) {
        Ok(config) => try_login(&config, MAIN_PROVIDER),
        Err(exit) => exit,
    }
}

/// Signs somebody in at the provider, by way of the redirect address that is registered there.
fn try_login(config: &Config, name: &str) -> Exit {
    let Some(idp) = config.providers().find(|idp| idp.name == name) else {
        let what = format!("there is no identity provider \"{name}\"");
        let fix = "name one of the [idps.NAME] tables, or leave --idp out for that of [idp]";
        return Failure::new("V-CFG-055", Exit::Usage, what, fix).tell();
    };
    match runtime().and_then(|runtime| runtime.block_on(login(config, idp))) {
        Ok(told) => {
            print(&told);
            Exit::Ok
        }
        Err(failure) => failure.tell(),
    }
}

async fn login(config: &Config, idp: &Idp) -> Result<String, Failure> {
    let no_client = |error| {
        Failure::new(
            "V-RUN-004",
            Exit::Usage,
            error,
            "look at outbound.extra_ca_file",
        )
    };
    let trust = Trust::load(config.extra_ca_file.as_deref()).map_err(no_client)?;
    let time = config.limits.provider_time;
    let http = fetch::provider_client(&trust, time).map_err(no_client)?;
    let world = World::real();
    let provider = Provider::new(idp.clone(), &config.public_url, http, time, world.clone());
    let discovered = provider
        .discovered()
        .await
        .map_err(|error| refused(&error))?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let what = format!("cannot listen on {}: {error}", config.listen);
        let fix = "stop the gateway that listens there; this login comes back to its address";
        Failure::new("V-RUN-001", Exit::Unreachable, what, fix)
    })?;
    let (came_back, mut back) = mpsc::channel(1);
    let router = Router::new()
        .route(&Provider::callback_path(&idp.name), get(received))
        .with_state(came_back);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let random = || {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(world.random::<32>())
    };
    let (state, nonce) = (random(), random());
    let verifier = CodeVerifier::from_random(&world.random());
    let wishes = LoginWishes::default();
    let address =
        provider.authorization_url(&discovered, &state, &nonce, &verifier.challenge(), &wishes);
    let how = if open(&address) {
        "Opening your browser. If it does not open:"
    } else {
        "Open this in your browser:"
    };
    say(&format!(
        "Signing in at {}, which comes back to {}.\n{how}\n  {address}\nWaiting for you …",
        provider.title(),
        config.public_url,
    ));
    let answer = loop {
        let answer = tokio::time::timeout(PATIENCE, back.recv()).await;
        let Ok(Some(answer)) = answer else {
            let what = "nobody came back from the identity provider";
            let fix = "if it showed an error, it does not know the redirect address: register it to the letter";
            return Err(Failure::new("V-IDP-004", Exit::Failed, what, fix));
        };
        // Whatever else comes here is of another login.
        if Answer::read(&Params::parse(&answer).unwrap_or_default())
            .is_ok_and(|answer: Answer| answer.state == state)
        {
            break answer;
        }
    };
    serving.abort();
    let params = Params::parse(&answer).unwrap_or_default();
    let answer = Answer::read(&params)
        .map_err(|_| because("V-IDP-005", "the way back lacks its parameters"))?;
    if !provider.gave(&answer, &discovered) {
        return Err(because("V-IDP-003", "another provider answered"));
    }
    let code = match answer.says {
        Says::Code(code) => code,
        Says::Error { error, said } => {
            let what = format!("the identity provider refused: {error}. It said: {said}");
            let step = Step::ProviderRefused { error, said };
            return Err(because(step.code().unwrap_or("V-IDP-008"), &what));
        }
    };
    let failed = |error: ProviderError| refused(&error);
    let tokens = provider
        .redeem(&discovered, &code, &verifier)
        .await
        .map_err(failed)?;
    let identity = provider.identify(&discovered, &tokens, &nonce, &wishes);
    let identity = identity.await.map_err(failed)?;
    let mut out = of(&identity, idp);
    out += &match provider.to_keep(&tokens) {
        None => "note it gave no refresh token: a person signs in anew each 12 hours. Allow refresh tokens\n     \
                 for this client there, and see idp.scopes\n"
            .to_owned(),
        Some(kept) => match provider.refresh(&kept, None).await {
            Ok(refreshed) => match provider.believe(&refreshed).await {
                Ok(Some(again)) if again.subject() != identity.subject() => {
                    "note after a refresh it speaks of another person\n".to_owned()
                }
                Ok(_) => "ok   its refresh token works: it can be asked whether a person is still there\n"
                    .to_owned(),
                Err(error) => format!("note the ID token of a refresh is not believed: {error}\n"),
            },
            Err(error) => format!("note its refresh token does not work: {error}\n"),
        },
    };
    Ok(out)
}

async fn received(State(back): State<mpsc::Sender<String>>, uri: Uri) -> Html<&'static str> {
    let _ = back.send(uri.query().unwrap_or_default().to_owned()).await;
    Html(
        "<!doctype html><meta charset=utf-8><title>Vestibule</title><p>You can close this window and go back to the terminal.",
    )
}

/// What it told of the person.
fn of(identity: &VerifiedIdentity, idp: &Idp) -> String {
    // As rules write ids of a further provider.
    let of_whom = match idp.is_main() {
        true => String::new(),
        false => format!("{}/", idp.name),
    };
    let clean = |text: &str| on_one_line(text, 120);
    let mut out = format!(
        "ok   signed in as {}\n     person:{of_whom}{} is how a rule names them\n",
        clean(identity.for_people()),
        clean(identity.subject())
    );
    out += &match identity.groups_anew() {
        Some([]) => "ok   it tells groups; this person is in none\n".to_owned(),
        Some(groups) => {
            let shown: Vec<String> = groups
                .iter()
                .take(20)
                .map(|group| format!("     group:{of_whom}{}\n", clean(group)))
                .collect();
            let more = groups.len().saturating_sub(shown.len());
            let more = if more > 0 {
                format!("     and {more} more\n")
            } else {
                String::new()
            };
            format!(
                "ok   groups and roles as rules name them:\n{}{more}",
                shown.concat()
            )
        }
        None => format!(
            "note it tells no groups (looked for {}): a rule about groups would let nobody in, or deny\n     \
             nobody. See idp.groups_claim\n",
            idp.groups_claims.join(", ")
        ),
    };
    out
}

fn refused(error: &ProviderError) -> Failure {
    let mut what = error.to_string();
    if let ProviderError::TokenRefused { said, .. } = error
        && !said.is_empty()
    {
        what += &format!(". It said: {said}");
    }
    let step = step_of(error);
    let mut failure = because(step.code().unwrap_or("V-IDP-008"), &what);
    if let ProviderError::Unreachable(_) = error {
        failure.exit = Exit::Unreachable;
    }
    failure
}

/// What failed, with what the catalogue says to do.
fn because(code: &str, what: &str) -> Failure {
    let (code, fix) = match catalogue::find(code) {
        Some((code, entry)) => (code, entry.fix.trim()),
        None => ("V-IDP-008", ""),
    };
    Failure::new(code, Exit::Failed, what, fix)
}
