//! `/authorize`: the request is judged, and a person is asked. Nothing is stored yet.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use vestibule_core::{
    authorize::{self, AskConsent, PageRefusal, RedirectRefusal, Refusal},
    client::{Client, GrantType, KnownBy},
    consent::{self, Warning},
    flow::{FlowCode, Step},
    id::TicketId,
    par::{self, Pushed},
    params::Params,
    preset::{self, Likeness},
    secret::Digest,
    ticket::{Ticket, TicketError},
    uri::host_for_people,
};

use super::answer::{self, Refused};
use crate::{
    config::LookAlikes,
    http::peer::client_address,
    office::{NoClient, Office, Purpose},
    page::{self, KnownByLine, LikenessLine},
};

/// GET and form POST (OpenID Connect Core §3.1.2.1).
pub async fn authorize(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let visit = Visit::begin(&office, &headers);
    let asker = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let asked = if method == Method::POST {
        answer::form(&headers, body, office.body_max).await.ok()
    } else {
        Some(uri.query().unwrap_or_default().to_owned())
    };
    let mut response = match &asked {
        Some(text) => answer(&office, &visit, asker, text).await,
        None => unreadable(&office, &visit),
    };
    if visit.fresh {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, office.jar.set_form(&visit.cookie));
    }
    response
}

/// One request in one browser, and the record that begins with it.
pub(super) struct Visit {
    pub(super) flow: FlowCode,
    /// The form cookie: kept if there is one.
    pub(super) cookie: String,
    pub(super) fresh: bool,
}

impl Visit {
    pub(super) fn begin(office: &Office, headers: &HeaderMap) -> Self {
        let (cookie, fresh) = match office.jar.forms(headers).into_iter().next() {
            Some(cookie) => (cookie, false),
            None => (office.random_text(), true),
        };
        Self {
            flow: office.flows.begin(),
            cookie,
            fresh,
        }
    }

    fn step(&self, office: &Office, step: Step) {
        let browser = Digest::of(self.cookie.as_bytes());
        office.flows.early(self.flow, Some(browser), step);
    }

    fn refused(&self, office: &Office, code: &str, why: &str) {
        self.step(
            office,
            Step::Refused {
                code: code.to_owned(),
                why: why.to_owned(),
            },
        );
    }
}

/// Answers the parameters in `text`, which somebody at `asker` sent.
async fn answer(office: &Office, visit: &Visit, asker: IpAddr, text: &str) -> Response {
    let Ok(params) = Params::parse(text) else {
        return unreadable(office, visit);
    };
    let id = match authorize::client_id(&params) {
        Ok(id) => id,
        Err(refusal) => return refused_page(office, visit, refusal),
    };
    let client = match office.client(id, Purpose::Login, asker).await {
        Ok(client) => client,
        Err(why) => return no_client(office, visit, &why, &params),
    };
    if let Ok(Some(request_uri)) = params.one("request_uri")
        && request_uri.starts_with(par::PREFIX)
    {
        return pushed(office, visit, &client, request_uri);
    }
    match authorize::judge(&params, &client, &office.catalogue, &office.policy.own) {
        Ok(ask) => {
            let id = TicketId::new(office.world.random());
            show(office, visit, &client, &ask, id, None)
        }
        Err(Refusal::Page(refusal)) => refused_page(office, visit, refusal),
        Err(Refusal::Redirect(refusal)) => refused_redirect(office, visit, &client, &refusal),
    }
}

/// A request that was pushed before: nothing else of this one counts (RFC 9126 §4).
fn pushed(office: &Office, visit: &Visit, client: &Client, request_uri: &str) -> Response {
    let keys = office.keys.load();
    let pushed = Pushed::read(request_uri, &client.id, &keys.browser, office.world.now());
    let still_theirs = |pushed: &Pushed| {
        let redirect = Some(pushed.ask.redirect.text());
        client.match_redirect(redirect).is_some()
    };
    match pushed {
        Ok(pushed) if still_theirs(&pushed) => {
            show(office, visit, client, &pushed.ask, pushed.id, None)
        }
        Ok(_) | Err(TicketError::NotOurs | TicketError::Expired) => {
            visit.refused(
                office,
                "V-AUT-005",
                "the pushed request is not known or too old",
            );
            Refused {
                status: StatusCode::BAD_REQUEST,
                code: "V-AUT-005",
                title: "This link is no longer valid",
                what: "The app prepared this sign-in too long ago, or it was prepared elsewhere.",
                fix: "Start again from the app itself.",
                back: None,
            }
            .page(office, Some(visit.flow))
        }
    }
}

/// Draws the page on which a person decides. Pages with one `id` are decided on once; a
/// device's has the code that the person typed.
pub(super) fn show(
    office: &Office,
    visit: &Visit,
    client: &Client,
    ask: &AskConsent,
    id: TicketId,
    device: Option<&str>,
) -> Response {
    let keys = office.keys.load();
    let Some(resource) = office.catalogue.by_uri(&ask.resource) else {
        return unreadable(office, visit);
    };
    let name = client
        .name_for_people()
        .unwrap_or_else(|| "An app without a name".to_owned());
    let redirect_host = match device {
        Some(_) => "a device or program without a browser".to_owned(),
        None => host_for_people(ask.redirect.text()),
    };
    let likeness = preset::likeness(client, &ask.redirect);
    let stands_out = match likeness {
        Likeness::NotAtHome(_) | Likeness::MixedAlphabets => true,
        Likeness::AtHome(_) | Likeness::Plain => false,
    };
    if stands_out && office.registration.look_alikes == LookAlikes::Refuse {
        return look_alike(office, visit);
    }
    let (known_by, known_by_words) = match &client.known_by {
        KnownBy::Operator => (KnownByLine::Operator, "added by an operator".to_owned()),
        KnownBy::Document {
            host,
            trusted: true,
        } => (
            KnownByLine::Verified(host),
            format!("document of {host}, trusted"),
        ),
        KnownBy::Document {
            host,
            trusted: false,
        } => (KnownByLine::Document(host), format!("document of {host}")),
        KnownBy::Dynamic => (
            KnownByLine::Dynamic,
            "registered itself, not verified".to_owned(),
        ),
    };
    visit.step(
        office,
        Step::Asked {
            client: name.clone(),
            known_by: known_by_words,
            redirect_host: redirect_host.clone(),
            server: resource.title.clone(),
            scopes: ask.scopes.to_string(),
        },
    );
    visit.step(office, Step::ConsentShown);
    let warning = match device {
        Some(_) => None,
        None => consent::warning(&ask.redirect),
    };
    let ticket = Ticket {
        id,
        drawn: office.world.now(),
        flow: visit.flow,
        ask: ask.clone(),
    };
    let handle = ticket.seal(&keys.browser, office.world.random());
    let token = ticket.form_token(&keys.form, &visit.cookie);
    let (may, may_not) = resource
        .scopes
        .iter()
        .map(|(name, sentence)| (sentence.as_str(), name.as_str()))
        .partition(|(_, name)| ask.scopes.contains(name));
    let provider = office.provider.host();
    page::answer_with_form(
        StatusCode::OK,
        &page::Consent {
            frame: office.frame(Some(visit.flow)),
            client: &name,
            known_by,
            likeness: LikenessLine::of(likeness),
            redirect_host: &redirect_host,
            redirect: match device {
                Some(_) => "",
                None => ask.redirect.text(),
            },
            server: &resource.title,
            may,
            may_not,
            stays: client.grants.contains(GrantType::RefreshToken) && office.tokens.refresh,
            provider: &provider,
            this_computer: warning == Some(Warning::ThisComputer),
            claimed_scheme: warning == Some(Warning::ClaimedScheme),
            device,
            ticket: &handle,
            token: &token,
        },
    )
}

/// The client may hear of it by redirect, or by a link that a person follows (CONS-9).
fn refused_redirect(
    office: &Office,
    visit: &Visit,
    client: &Client,
    refusal: &RedirectRefusal,
) -> Response {
    visit.refused(office, "V-AUT-003", &refusal.error.to_string());
    let location = refusal.location(&office.issuer, Some(&office.flow_url(visit.flow)));
    if client.may_hear_early_errors(&refusal.to) {
        return answer::redirect(&location);
    }
    let host = host_for_people(refusal.to.text());
    let what = format!("The app's request cannot be used: {}.", refusal.error);
    Refused {
        status: StatusCode::BAD_REQUEST,
        code: "V-AUT-003",
        title: "This request cannot be used",
        what: &what,
        fix: "This is for the makers of the app to mend. You can go back to it and tell it.",
        back: Some((&location, &host)),
    }
    .page(office, Some(visit.flow))
}

/// It is not even asked about: a person in a hurry reads the name only.
fn look_alike(office: &Office, visit: &Visit) -> Response {
    let why = "the app's name is that of another, or mixes alphabets";
    visit.refused(office, "V-CLI-004", why);
    Refused {
        status: StatusCode::FORBIDDEN,
        code: "V-CLI-004",
        title: "This app looks like another",
        what: "It calls itself like an app that people know, at an address that is not that \
               app's, or it writes its name with letters that are easily taken for others.",
        fix: "If you did not expect this, close the page. If it is an app of your company, ask \
              your administrator to add it.",
        back: None,
    }
    .page(office, Some(visit.flow))
}

fn refused_page(office: &Office, visit: &Visit, refusal: PageRefusal) -> Response {
    let code = match refusal {
        PageRefusal::ClientIdMissing | PageRefusal::Repeated => "V-AUT-001",
        PageRefusal::RedirectMissing | PageRefusal::RedirectUnknown => "V-AUT-002",
    };
    visit.refused(office, code, &refusal.to_string());
    let what = format!("In short: {refusal}.");
    Refused {
        status: StatusCode::BAD_REQUEST,
        code,
        title: "This link cannot be used",
        what: &what,
        fix: "Start again from the app itself. If that does not help, remove the server from \
              the app and add it anew, so that it registers again.",
        back: None,
    }
    .page(office, Some(visit.flow))
}

fn no_client(office: &Office, visit: &Visit, why: &NoClient, params: &Params<'_>) -> Response {
    // One page for every way a document can fail: nobody learns about our network by it.
    let (code, what) = match why {
        NoClient::Unknown => ("V-CLI-001", "The app's id is not one of this gateway's."),
        NoClient::NotAdmitted => ("V-CLI-002", "This gateway does not admit that app."),
        NoClient::Document(_) | NoClient::NotNow => (
            "V-CLI-003",
            "The web address that describes the app could not be used.",
        ),
    };
    visit.refused(office, code, &why.to_string());
    // Whoever is stuck here has an app that kept an id too long; its address tells which.
    let redirect = params.one("redirect_uri").ok().flatten();
    let start_again = match redirect.and_then(preset::by_redirect) {
        Some(preset) => preset.start_again,
        None => "Remove the server from the app and add it anew, so that it registers again.",
    };
    let fix =
        format!("{start_again} If that does not help, ask your administrator to admit the app.");
    Refused {
        status: StatusCode::BAD_REQUEST,
        code,
        title: "This app is not known here",
        what,
        fix: &fix,
        back: None,
    }
    .page(office, Some(visit.flow))
}

fn unreadable(office: &Office, visit: &Visit) -> Response {
    visit.refused(
        office,
        "V-AUT-004",
        "the parameters are not properly encoded",
    );
    Refused {
        status: StatusCode::BAD_REQUEST,
        code: "V-AUT-004",
        title: "This link cannot be read",
        what: "Its parameters are not properly encoded.",
        fix: "Start again from the app itself.",
        back: None,
    }
    .page(office, Some(visit.flow))
}
