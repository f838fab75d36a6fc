//! `/flows/{code}`: the record of a login, for whoever may see it.

use std::{ops::Range, sync::Arc};

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use vestibule_core::{
    aadsts,
    flow::{self, Entry, FlowCode, Outcome, RuledOut, Stage, Step, diagram},
    secret::Digest,
    sign_in::Destination,
};

use super::{
    answer::{self, Refused},
    consent::store_failed,
    session::{Session, sign_in_first},
};
use crate::{
    catalogue, flow_list,
    flow_report::{self, FlowReport},
    flows::{self, Flow},
    office::Office,
    page::{self, language},
};

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Json,
    Mermaid,
    Text,
}

impl Form {
    /// As an address names it.
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "json" => Self::Json,
            "mermaid" => Self::Mermaid,
            "text" => Self::Text,
            _ => return None,
        })
    }
}

/// The page.
pub async fn show(
    State(office): State<Arc<Office>>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(&office, &code, &headers, Form::Page).await
}

/// To take along: the steps as they are kept, or a sequence diagram to paste.
pub async fn export(
    State(office): State<Arc<Office>>,
    Path((code, form)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(form) = Form::named(&form) else {
        return not_for_you(&office, None);
    };
    answer(&office, &code, &headers, form).await
}

/// Whether somebody sees the logins of others: operators, and in the demo, which is on
/// loopback, everybody. While the store does not say who it is, nobody.
async fn may_see_all(office: &Office, headers: &HeaderMap) -> bool {
    office.flows_open || is_operator(office, headers).await
}

async fn is_operator(office: &Office, headers: &HeaderMap) -> bool {
    let Ok(Some(session)) = Session::of(office, headers).await else {
        return false;
    };
    matches!(office.role(&session.person).await, Ok(Some(_)))
}

/// `GET /flows`: the list, for whoever sees all.
pub async fn list(State(office): State<Arc<Office>>, uri: Uri, headers: HeaderMap) -> Response {
    if !may_see_all(&office, &headers).await {
        return match Session::of(&office, &headers).await {
            Ok(Some(_)) => answer::from_catalogue(&office, StatusCode::FORBIDDEN, "V-ADM-001"),
            Ok(None) => sign_in_first(&office, Destination::Flows),
            Err(error) => store_failed(&office, &error),
        };
    }
    let query = uri.query().unwrap_or_default();
    match flow_list::of(&office.store, &office.flows, query, office.world.now()).await {
        Ok(list) => page::answer(
            StatusCode::OK,
            &page::Flows {
                frame: office.frame(None),
                flows: &list.flows,
                causes: &list.causes,
                filter: list.form(),
                older: list.older.as_deref(),
            },
        ),
        Err(error) => store_failed(&office, &error),
    }
}

/// Shown to the browser that began it, and to whoever sees all.
async fn answer(office: &Office, code: &str, headers: &HeaderMap, form: Form) -> Response {
    let Some(code) = FlowCode::parse(code) else {
        return not_for_you(office, None);
    };
    let flow = match office.flows.find(code).await {
        Ok(Some(flow)) => flow,
        Ok(None) => return not_for_you(office, Some(code)),
        Err(error) => return store_failed(office, &error),
    };
    let begun_here = flow.browser.is_some_and(|browser| {
        let cookies = office.jar.forms(headers);
        cookies
            .iter()
            .any(|cookie| Digest::of(cookie.as_bytes()) == browser)
    });
    let operator = is_operator(office, headers).await;
    if !(begun_here || operator || office.flows_open) {
        return not_for_you(office, Some(code));
    }
    in_form(office, code, &flow, form, operator)
}

/// The record for whoever sees all, who was let in elsewhere.
pub async fn for_operators(office: &Office, code: &str, form: Option<&str>) -> Response {
    let Some(form) = form.map_or(Some(Form::Page), Form::named) else {
        return answer::from_catalogue(office, StatusCode::NOT_FOUND, "V-ADM-005");
    };
    let nothing = || answer::from_catalogue(office, StatusCode::NOT_FOUND, "V-ADM-005");
    let Some(code) = FlowCode::parse(code) else {
        return nothing();
    };
    match office.flows.find(code).await {
        Ok(Some(flow)) => in_form(office, code, &flow, form, true),
        Ok(None) => nothing(),
        Err(error) => store_failed(office, &error),
    }
}

/// `operator` says whether it is for one, who is shown the way to the console besides.
fn in_form(office: &Office, code: FlowCode, flow: &Flow, form: Form, operator: bool) -> Response {
    match form {
        Form::Page => draw(office, code, flow, operator),
        Form::Json => {
            let body = serde_json::json!({ "flow": code, "steps": flow.steps });
            as_file("application/json", format!("{body:#}\n"))
        }
        Form::Mermaid => as_file(TEXT, diagram::mermaid(&flow.steps)),
        Form::Text => {
            let report = FlowReport::of(code, flow, &office.catalogue);
            as_file(TEXT, report.to_string())
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn as_file(kind: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    page::harden(&mut response);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Steps after a login that are shown without being asked for: the newest.
const AFTERWARDS: usize = 10;

/// Which steps are folded away: an access lives on for a month, and is renewed all the time.
fn folded(steps: &[Entry]) -> Range<usize> {
    let issued = steps
        .iter()
        .position(|entry| entry.step == Step::TokensIssued);
    let login = issued.map_or(steps.len(), |at| at + 1);
    login..steps.len().saturating_sub(AFTERWARDS).max(login)
}

fn draw(office: &Office, code: FlowCode, flow: &Flow, operator: bool) -> Response {
    let language = language::now();
    let folded = folded(&flow.steps);
    let first = flow.steps.first().map(|entry| entry.at);
    let mut steps: Vec<_> = flow
        .steps
        .iter()
        .map(|entry| {
            let after = first.map_or(0, |first| entry.at.since(first).as_secs());
            let mark = match (entry.step.outcome(), &entry.step) {
                (Outcome::Failed, _) => "failed",
                (_, step) if step.code().is_some() => "failed",
                (_, Step::Probably { .. }) => "guess",
                (Outcome::Open | Outcome::Succeeded, _) => "ok",
            };
            (after, flows::sentence_in(language, &entry.step), mark)
        })
        .collect();
    let newest = steps.split_off(folded.end);
    let between = steps.split_off(folded.start);
    let mut arrows = diagram::arrows(&flow.steps);
    arrows.retain(|arrow| !folded.contains(&(arrow.step - 1)));
    let state = match flow.outcome() {
        Outcome::Open => waiting(office, flow),
        Outcome::Succeeded
            if flow
                .deciding()
                .is_some_and(|(_, step)| step.code().is_some()) =>
        {
            language.text("flow-went-on")
        }
        Outcome::Succeeded => language.text("flow-succeeded"),
        Outcome::Failed => {
            let number = flow.deciding().map_or(0, |(at, _)| at + 1);
            language.say("flow-failed", [("number", &number.to_string())])
        }
    };
    let code = code.to_string();
    let happened = flow
        .deciding()
        .map(|(_, step)| flows::sentence_in(language, &step.without_words()));
    let drawn = page::Flow {
        frame: office.frame(None),
        code: &code,
        state: &state,
        diagram: page::diagram::draw(arrows),
        open: flow.outcome() == Outcome::Open,
        steps,
        between,
        newest,
        again: flow_report::again(flow, &office.catalogue),
        calls: (operator && flow.outcome() == Outcome::Succeeded)
            .then(|| format!("{}/console/calls?flow={code}", office.console)),
        failure: failure(office, flow, happened.as_deref().unwrap_or_default()),
    };
    page::answer_with_script(&drawn)
}

/// After how many seconds somebody who has not come back probably sees an error elsewhere.
const LONG: u64 = 20;

/// For whom a login waits, and since when.
fn waiting(office: &Office, flow: &Flow) -> String {
    let Some(last) = flow.steps.last() else {
        return String::new();
    };
    let seconds = office.world.now().since(last.at).as_secs();
    let long = seconds >= LONG;
    let seconds = seconds.to_string();
    let since = ("seconds", seconds.as_str());
    let language = language::now();
    match &last.step {
        Step::ConsentShown | Step::Asked { .. } => language.say("flow-waits-person", [since]),
        Step::SentToProvider { host } => {
            let message = match long {
                true => "flow-waits-back-long",
                false => "flow-waits-back",
            };
            language.say(message, [since, ("host", host)])
        }
        _ => language.say("flow-waits-provider", [since]),
    }
}

/// What went wrong, if the login ended with an error; a person who declined made none.
fn failure<'f>(office: &Office, flow: &'f Flow, happened: &'f str) -> Option<page::Failure<'f>> {
    let (at, step) = flow.deciding()?;
    let (code, entry) = catalogue::find(step.code()?)?;
    let until = flow.steps[..=at].iter();
    let steps: Vec<Step> = until.map(|entry| entry.step.clone()).collect();
    let language = language::now();
    let stage = Stage::of(&steps);
    Some(page::Failure {
        number: steps.len(),
        stage: language.text(&format!("stage-{}", stage.words().replace(' ', "-"))),
        stage_word: stage.words(),
        code,
        title: &entry.title,
        happened,
        said: step.said(),
        hint: step.said().and_then(aadsts::hint).map(|hint| {
            let helps = hint.helps.replace("{public_url}", office.issuer.text());
            let values = [("means", hint.means), ("helps", &helps)];
            (hint.number, language.say("flow-usually", values))
        }),
        cause: &entry.cause,
        check: &entry.check,
        fix: &entry.fix,
        who: language.text(entry.who.message()),
        ruled_out: flow::ruled_out(&steps)
            .into_iter()
            .map(|what| match what {
                RuledOut::App => "ruled-out-app",
                RuledOut::Consent => "ruled-out-consent",
                RuledOut::OurRedirect => "ruled-out-redirect",
                RuledOut::SignIn => "ruled-out-sign-in",
            })
            .map(|message| language.text(message))
            .collect(),
    })
}

/// The same whether there is such a login or not.
fn not_for_you(office: &Office, code: Option<FlowCode>) -> Response {
    Refused::of(StatusCode::NOT_FOUND, "V-FLW-001").page(office, code)
}
