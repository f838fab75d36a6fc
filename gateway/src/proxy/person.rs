//! What a person must do before a tool can act for them: they are asked to, by their client
//! where it can show an address, and in the tool's own words where it cannot.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
use tokio::time::Instant;
use vestibule_core::{
    elicitation::{self, Answer, Question},
    era::Era,
    mcp,
    uri::Issuer,
};

use super::{
    Proxy,
    call::Permit,
    credential,
    refuse::{Refusal, json_answer},
    relay::AnswerBody,
    route::Mount,
};
use crate::{
    config::Transport,
    vault::{CONNECTIONS, Headers, VaultError},
};

/// How long somebody who went to the address is waited for: of the minute that clients wait for
/// an answer mostly, the tool needs its part.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked whether they are done.
const PAUSE: Duration = Duration::from_secs(2);

/// There is nothing for the server.
pub struct Unready {
    /// Why.
    pub refusal: Refusal,
    /// What the client gets in place of the refusal.
    pub answer: Option<Response<AnswerBody>>,
}

/// Asks the person of a call to do what `refusal` needs. Whoever was asked and went there is
/// waited for: their client comes back as soon as they open the address (MCP 2026-07-28,
/// client/elicitation), and what they do there takes its time.
///
/// `shows_addresses`: whether the client said so when it opened its session.
///
/// # Errors
/// [`Unready`], with a question or with words where a person can do something about it.
pub async fn ask(
    proxy: &Proxy,
    mount: &Mount,
    permit: &Permit,
    shows_addresses: bool,
    refusal: Refusal,
) -> Result<Headers, Box<Unready>> {
    let unready = |refusal, answer| Err(Box::new(Unready { refusal, answer }));
    let issuer = &proxy.office.issuer;
    let body = permit.body();
    // In the transport of 2024-11-05 answers come on the stream, and nobody reads this one.
    if mount.transport == Transport::LegacySse {
        return unready(refusal, None);
    }
    let (Some(message), Ok(mcp::Body::One(call))) =
        (words(&refusal, mount, issuer), mcp::read(&body))
    else {
        return unready(refusal, None);
    };
    let Some(id) = call.id.filter(|_| call.calls_tool()) else {
        return unready(refusal, None);
    };
    let url = format!("{issuer}{CONNECTIONS}");
    let question = Question {
        url: &url,
        message: &message,
    };
    // The id is a JSON value that was read already; it goes back as it came.
    let text = match permit.era() {
        era if !is_known(mount) => question.result(id, era),
        Era::Modern => {
            let said = elicitation::said(&body);
            match said.answer {
                None if said.can => question.input_required(id, said.state.as_deref()),
                Some(Answer::Accepted) => match awaited(proxy, mount, permit).await {
                    Awaited::Done(Ok(headers)) => return Ok(headers),
                    Awaited::Done(Err(later)) => return unready(later, None),
                    // Whoever comes after us goes on from there.
                    Awaited::Stopped if said.can => {
                        question.input_required(id, said.state.as_deref())
                    }
                    Awaited::Stopped | Awaited::InVain => question.result(id, Era::Modern),
                },
                _ => question.result(id, Era::Modern),
            }
        }
        Era::Legacy if shows_addresses => question.error(
            id,
            &URL_SAFE_NO_PAD.encode(proxy.office.world.random::<16>()),
        ),
        Era::Legacy => question.result(id, Era::Legacy),
    };
    unready(refusal, Some(json_answer(StatusCode::OK, text)))
}

/// What came of waiting.
enum Awaited {
    /// Something else than the person.
    Done(Result<Headers, Refusal>),
    /// They were not done in time, or too many are waited for.
    InVain,
    /// This process ends.
    Stopped,
}

/// What a server gets once the person is done, if that is soon.
async fn awaited(proxy: &Proxy, mount: &Mount, permit: &Permit) -> Awaited {
    let person = permit.caller().map(|caller| caller.token().subject);
    let Some(_place) = person.and_then(|person| proxy.office.waiting.take(&person)) else {
        return Awaited::InVain;
    };
    let until = Instant::now() + PATIENCE;
    let mut stopped = proxy.stopped.clone();
    let mut silent = false;
    while Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return Awaited::Stopped,
        }
        match credential::fetched(proxy, mount, permit).await {
            // What is not known right now may be in a moment.
            Err(Refusal::Credential(VaultError::Silent)) => silent = true,
            Err(refusal) if words(&refusal, mount, &proxy.office.issuer).is_some() => {
                silent = false;
            }
            done => return Awaited::Done(done),
        }
    }
    match silent {
        true => Awaited::Done(Err(Refusal::Credential(VaultError::Silent))),
        false => Awaited::InVain,
    }
}

/// Whether whoever calls can sign in to our pages as the person whom the call is of. Those whose
/// tokens the identity provider issues are nobody there.
fn is_known(mount: &Mount) -> bool {
    mount.direct.is_none()
}

/// What is said to a person who can do something about it.
fn words(refusal: &Refusal, mount: &Mount, issuer: &Issuer) -> Option<String> {
    match refusal {
        Refusal::Credential(VaultError::NotConnected) => Some(format!(
            "This tool works with an account of yours that is not connected. Open \
             {issuer}{CONNECTIONS} in a browser, connect it there, and try again."
        )),
        Refusal::Credential(VaultError::Interaction(_)) if is_known(mount) => Some(format!(
            "The company's sign-in wants you to confirm before this tool may act for you. Open \
             {issuer}{CONNECTIONS} in a browser, confirm it there, and try again. If that does \
             not help, sign in again from your app, or tell your administrator V-SRV-021: \
             {issuer}/errors/V-SRV-021"
        )),
        Refusal::Credential(VaultError::Interaction(_)) => Some(format!(
            "The company's sign-in wants you to confirm before this tool may act for you. Sign in \
             again from your app. If that does not help, tell your administrator V-SRV-021: \
             {issuer}/errors/V-SRV-021"
        )),
        _ => None,
    }
}
