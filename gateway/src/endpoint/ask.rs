//! A person is asked, or what they said before is remembered.

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use vestibule_core::{
    authorize::AskConsent,
    client::{Client, GrantType, KnownBy},
    consent::{self, Navigation, Remembered, Warning},
    flow::Step,
    id::TicketId,
    preset::{self, Likeness},
    ticket::Ticket,
    uri::host_for_people,
};

use super::{
    answer::{self, Refused},
    consent::{NotBegun, begin_login},
    session::Session,
    visit::Visit,
};
use crate::{
    config::LookAlikes,
    office::Office,
    page::{self, Before, KnownByLine, LikenessLine, language},
    provider::Provider,
    store::Person,
};

/// What a person is to be asked.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) ask: &'a AskConsent,
    /// Pages with one id are decided on once.
    pub(super) ticket: TicketId,
    /// The code that the person typed, if it is for a device.
    pub(super) device: Option<&'a str>,
}

/// Who is there, and what they allowed before.
pub(super) struct Known {
    pub(super) person: Option<Person>,
    pub(super) remembered: Remembered,
    pub(super) navigation: Navigation,
    /// Whether they came back in another's place.
    pub(super) somebody_else: bool,
}

impl Known {
    /// Nobody is known.
    pub(super) fn nobody() -> Self {
        Self {
            person: None,
            remembered: Remembered::Nothing,
            navigation: Navigation::Elsewhere,
            somebody_else: false,
        }
    }

    /// Whoever is signed in at our own pages. While the store does not say, nobody is, and
    /// whoever comes is asked.
    pub(super) async fn of(
        office: &Office,
        headers: &HeaderMap,
        client: &Client,
        ask: &AskConsent,
    ) -> Self {
        let session = Session::of(office, headers).await.unwrap_or_else(|error| {
            tracing::error!(event = "store.failed", %error);
            None
        });
        let Some(Session { person, .. }) = session else {
            return Self::nobody();
        };
        // Whom no provider of this server vouches for signs in as somebody else.
        let resource = office.catalogue.by_uri(&ask.resource);
        let signs_in = |resource| {
            let mut providers = office.providers.of_server(resource);
            providers.any(|provider| provider.issuer() == person.issuer)
        };
        if !resource.is_some_and(signs_in) {
            return Self::nobody();
        }
        let site = headers.get("sec-fetch-site");
        let site = site.and_then(|site| site.to_str().ok());
        Self {
            navigation: Navigation::of(site),
            ..Self::as_person(office, person, client, ask).await
        }
    }

    /// This person, who came from elsewhere.
    pub(super) async fn as_person(
        office: &Office,
        person: Person,
        client: &Client,
        ask: &AskConsent,
    ) -> Self {
        let of = (person.id, client.reference(), ask.resource.clone());
        let earlier = office.store.consents(of.0, of.1, of.2).await;
        let earlier = earlier.unwrap_or_else(|error| {
            tracing::error!(event = "store.failed", %error);
            Vec::new()
        });
        Self {
            remembered: consent::remembered(ask, client, &earlier),
            person: Some(person),
            navigation: Navigation::Elsewhere,
            somebody_else: false,
        }
    }
}

/// Draws the page on which a person decides, or leaves it out.
pub(super) async fn ask(
    office: &Office,
    visit: &Visit,
    known: &Known,
    asking: &Asking<'_>,
) -> Response {
    let Asking {
        client,
        ask,
        ticket: id,
        device,
    } = *asking;
    let Some(resource) = office.catalogue.by_uri(&ask.resource) else {
        return unreadable(office, visit);
    };
    let name = client
        .name_for_people()
        .unwrap_or_else(|| language::now().text("consent-nameless"));
    let redirect_host = match device {
        Some(_) => language::now().text("consent-device-host"),
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
        KnownBy::Vouched => (
            KnownByLine::Vouched,
            "registered itself, an operator vouches for it".to_owned(),
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
    let ticket = Ticket {
        id,
        drawn: office.world.now(),
        flow: visit.flow,
        ask: ask.clone(),
        named: known.person.as_ref().map(|person| person.id),
        described: Some(client.described()),
    };
    if device.is_none()
        && known.person.is_some()
        && consent::may_be_left_out(&known.remembered, ask, client, known.navigation)
    {
        let person = known.person.as_ref();
        let theirs = person.and_then(|person| office.providers.of_issuer(&person.issuer));
        if let Some(provider) = theirs {
            return leave_out(office, visit, provider, &ticket).await;
        }
    }
    visit.step(office, Step::ConsentShown);
    let keys = office.keys.load();
    let warning = match device {
        Some(_) => None,
        None => consent::warning(&ask.redirect),
    };
    let handle = ticket.seal(&keys.browser, office.world.random());
    let token = ticket.form_token(&keys.form, &visit.cookie);
    let (may, may_not) = resource
        .scopes
        .iter()
        .map(|(name, sentence)| (sentence.as_str(), name.as_str()))
        .partition::<Vec<_>, _>(|(_, name)| ask.scopes.contains(name));
    let is_new = |name: &str| match &known.remembered {
        Remembered::Part { before, .. } => !before.contains(name),
        Remembered::Nothing | Remembered::All { .. } | Remembered::Changed { .. } => false,
    };
    let since = match &known.remembered {
        Remembered::All { since }
        | Remembered::Part { since, .. }
        | Remembered::Changed { since, .. } => page::time::day(*since),
        Remembered::Nothing => String::new(),
    };
    let theirs = |provider: &&Provider| {
        let person = known.person.as_ref();
        person.is_none_or(|person| person.issuer == provider.issuer())
    };
    let providers = office.providers.of_server(resource).filter(theirs);
    let providers: Vec<_> = providers
        .map(|provider| (provider.name(), provider.title()))
        .collect();
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
            may: may
                .into_iter()
                .map(|(sentence, name)| (sentence, name, is_new(name)))
                .collect(),
            may_not,
            stays: client.grants.contains(GrantType::RefreshToken) && office.tokens.refresh,
            providers: &providers,
            person: known.person.as_ref().map(|person| person.shown.as_str()),
            before: match &known.remembered {
                Remembered::Nothing => Before::Nothing,
                Remembered::All { .. } => Before::All(&since),
                Remembered::Part { .. } => Before::Part(&since),
                Remembered::Changed { host_before, .. } => match host_before {
                    Some(host) => Before::Elsewhere(&since, host),
                    None => Before::Changed(&since),
                },
            },
            somebody_else: known.somebody_else,
            this_computer: warning == Some(Warning::ThisComputer),
            claimed_scheme: warning == Some(Warning::ClaimedScheme),
            device,
            ticket: &handle,
            token: &token,
        },
    )
}

/// Goes to the provider at once; whoever comes back must be the one who allowed it.
async fn leave_out(
    office: &Office,
    visit: &Visit,
    provider: &Provider,
    ticket: &Ticket,
) -> Response {
    visit.step(office, Step::Remembered);
    match begin_login(office, provider, ticket, None, true).await {
        Ok((location, cookie)) => {
            let mut response = answer::redirect(&location);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Err(NotBegun::Provider(error)) => {
            visit.refused(office, "V-IDP-001", &error.to_string());
            answer::from_catalogue(office, StatusCode::SERVICE_UNAVAILABLE, "V-IDP-001")
        }
        Err(NotBegun::Page(response)) => response,
    }
}

/// It is not even asked about: a person in a hurry reads the name only.
fn look_alike(office: &Office, visit: &Visit) -> Response {
    let why = "the app's name is that of another, or mixes alphabets";
    visit.refused(office, "V-CLI-004", why);
    Refused::of(StatusCode::FORBIDDEN, "V-CLI-004").page(office, Some(visit.flow))
}

pub(super) fn unreadable(office: &Office, visit: &Visit) -> Response {
    visit.refused(
        office,
        "V-AUT-004",
        "the parameters are not properly encoded",
    );
    Refused::of(StatusCode::BAD_REQUEST, "V-AUT-004").page(office, Some(visit.flow))
}
