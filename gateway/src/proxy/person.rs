//! What a person must do before a tool can act for them: they are asked to, by their client
//! where it can show an address, and in the tool's own words where it cannot.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
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

/// How long somebody who went to the address is waited for: less than clients wait for an
/// answer, which is a minute mostly.
const PATIENCE: Duration = Duration::from_secs(45);

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
    let (Some(message), Ok(mcp::Body::One(call))) = (words(&refusal, issuer), mcp::read(&body))
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
        Era::Modern => {
            let said = elicitation::said(&body);
            match said.answer {
                None if said.can => question.input_required(id, &body),
                Some(Answer::Accepted) => match awaited(proxy, mount, permit).await {
                    Ok(headers) => return Ok(headers),
                    Err(later) if words(&later, issuer).is_some() => {
                        question.result(id, Era::Modern)
                    }
                    Err(later) => return unready(later, None),
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

/// What a server gets once the person is done, if that is soon.
async fn awaited(proxy: &Proxy, mount: &Mount, permit: &Permit) -> Result<Headers, Refusal> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        tokio::time::sleep(PAUSE).await;
        match credential::fetched(proxy, mount, permit).await {
            Err(refusal)
                if words(&refusal, &proxy.office.issuer).is_some()
                    && tokio::time::Instant::now() < until => {}
            done => return done,
        }
    }
}

/// What is said to a person who can do something about it.
fn words(refusal: &Refusal, issuer: &Issuer) -> Option<String> {
    match refusal {
        Refusal::Credential(VaultError::NotConnected) => Some(format!(
            "This tool works with an account of yours that is not connected. Open \
             {issuer}{CONNECTIONS} in a browser, connect it there, and try again."
        )),
        Refusal::Credential(VaultError::Interaction(_)) => Some(format!(
            "The company's sign-in wants you to confirm before this tool may act for you. Open \
             {issuer}{CONNECTIONS} in a browser, confirm it there, and try again. If that does \
             not help, sign in again from your app, or tell your administrator V-SRV-021: \
             {issuer}/errors/V-SRV-021"
        )),
        _ => None,
    }
}
