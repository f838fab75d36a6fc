//! The authorization request: may this client ask this person, and for what (OAuth 2.1 §4.1.1).
//!
//! There are two kinds of refusal, and the types keep them apart. Until the client and its
//! redirect URI are known to match, a refusal is a page. After that it may be a redirect,
//! and only a [`MatchedRedirect`] can be redirected to.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    client::{Client, GrantType, KnownBy, MatchedRedirect},
    params::{Params, Repeated},
    pkce::CodeChallenge,
    resource::{Catalogue, ResourceError},
    scope::ScopeSet,
    secret::Digest,
    uri::{Issuer, OwnAuthority, RedirectKind, with_query},
};

/// Longest `state` that is given back.
pub const STATE_MAX: usize = 2048;

/// A request that a person may be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskConsent {
    /// Who asks.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect: MatchedRedirect,
    /// The client's own, given back byte for byte.
    pub state: Option<String>,
    /// What the token request must answer.
    pub challenge: CodeChallenge,
    /// The canonical identifier of the MCP server.
    pub resource: String,
    /// What the client would get.
    pub scopes: ScopeSet,
    /// What of it concerns the identity provider.
    pub login: LoginWishes,
    /// The thumbprint of the key that the code is bound to (`dpop_jkt`, RFC 9449 §10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_key: Option<Digest>,
}

/// How the login is to go. Only `fresh` and `max_age` are passed on to the identity provider
/// (AUTHZ-17, amended).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginWishes {
    /// `prompt=login`: the person must sign in anew.
    pub fresh: bool,
    /// `max_age` in seconds.
    pub max_age: Option<u32>,
    /// Any `prompt`: the person is asked even if the answer is remembered.
    #[serde(default)]
    pub ask: bool,
}

/// Refused before client and redirect URI were known to match: a page, never a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageRefusal {
    /// No `client_id`.
    #[error("the request names no client_id")]
    ClientIdMissing,
    /// `client_id` or `redirect_uri` came more than once.
    #[error("client_id or redirect_uri is repeated")]
    Repeated,
    /// No `redirect_uri`, and the client registered several.
    #[error("the request names no redirect_uri, and the client registered several")]
    RedirectMissing,
    /// The redirect URI is not one that the client registered.
    #[error("the redirect_uri is not one that the client registered")]
    RedirectUnknown,
}

/// Refused after they matched; the client may hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    /// A parameter came more than once (RFC 6749 §3.1).
    #[error("a parameter is repeated")]
    Repeated,
    /// `state` longer than [`STATE_MAX`].
    #[error("state is too long")]
    StateTooLong,
    /// No `response_type`.
    #[error("response_type is missing")]
    ResponseTypeMissing,
    /// A `response_type` other than `code`.
    #[error("only response_type=code is offered")]
    ResponseType,
    /// A `response_mode` other than `query`.
    #[error("only response_mode=query is offered")]
    ResponseMode,
    /// A `request` object.
    #[error("request objects are not offered")]
    RequestObject,
    /// A `request_uri`.
    #[error("request_uri is not offered")]
    RequestUri,
    /// A `registration` parameter.
    #[error("the registration parameter is not offered")]
    Registration,
    /// No `code_challenge`.
    #[error("code_challenge is missing; PKCE is required")]
    ChallengeMissing,
    /// A `code_challenge_method` other than `S256`.
    #[error("code_challenge_method must be S256")]
    ChallengeMethod,
    /// A `code_challenge` that no S256 yields.
    #[error("code_challenge must be 43 characters of base64url")]
    ChallengeMalformed,
    /// See [`ResourceError`].
    #[error("{0}")]
    Resource(#[from] ResourceError),
    /// `scope` is no list of scope tokens, or none of them is known.
    #[error("none of the scopes is known here")]
    Scope,
    /// `prompt=none`: a client cannot wish the page away.
    #[error("a person must be asked")]
    PromptNone,
    /// A client without this grant.
    #[error("the client may not ask people")]
    Unauthorized,
    /// A `dpop_jkt` that is no thumbprint.
    #[error("dpop_jkt is not a thumbprint")]
    DpopKey,
    /// The person is signed in, and a rule denies them this server.
    #[error("a rule of this gateway denies this person the server")]
    NotAllowed,
    /// `prompt` or `max_age` with a value that nothing defines.
    #[error("prompt or max_age is malformed")]
    Prompt,
    /// The person said no.
    #[error("the person declined")]
    Denied,
    /// The provider did not sign the person in.
    #[error("the person was not signed in")]
    NotSignedIn,
    /// The provider failed, or its answer could not be believed.
    #[error("the identity provider's answer could not be used")]
    ProviderFailed,
    /// The provider cannot be reached.
    #[error("the identity provider cannot be reached")]
    ProviderUnreachable,
    /// Our own store or keys failed.
    #[error("the gateway could not complete the login")]
    Internal,
}

impl AuthorizeError {
    /// The error code and the sentence beside it (RFC 6749 §4.1.2.1, RFC 8707 §2,
    /// OpenID Connect Core §3.1.2.6).
    pub fn wire(self) -> (&'static str, &'static str) {
        use AuthorizeError as E;
        match self {
            E::Repeated => ("invalid_request", "a parameter is repeated"),
            E::StateTooLong => ("invalid_request", "state is longer than 2048 bytes"),
            E::ResponseTypeMissing => ("invalid_request", "response_type is missing"),
            E::ResponseType => (
                "unsupported_response_type",
                "only response_type=code is offered",
            ),
            E::ResponseMode => ("invalid_request", "only response_mode=query is offered"),
            E::RequestObject => ("request_not_supported", "request objects are not offered"),
            E::RequestUri => ("request_uri_not_supported", "request_uri is not offered"),
            E::Registration => (
                "registration_not_supported",
                "the registration parameter is not offered",
            ),
            E::ChallengeMissing => (
                "invalid_request",
                "code_challenge is missing; PKCE with S256 is required",
            ),
            E::ChallengeMethod => ("invalid_request", "code_challenge_method must be S256"),
            E::ChallengeMalformed => (
                "invalid_request",
                "code_challenge must be 43 characters of base64url",
            ),
            E::Resource(ResourceError::Unknown) => (
                "invalid_target",
                "resource is not an MCP server of this gateway",
            ),
            E::Resource(ResourceError::Several) => (
                "invalid_target",
                "name one resource; a token has one audience",
            ),
            E::Resource(ResourceError::Missing) => (
                "invalid_target",
                "resource is missing, and this gateway has several servers",
            ),
            E::Scope => (
                "invalid_scope",
                "none of the scopes is known for this resource",
            ),
            E::PromptNone => ("consent_required", "a person must be asked first"),
            E::Prompt => ("invalid_request", "prompt or max_age is malformed"),
            E::Unauthorized => (
                "unauthorized_client",
                "this client may not use the authorization code grant",
            ),
            E::DpopKey => ("invalid_request", "dpop_jkt must be a SHA-256 thumbprint"),
            E::NotAllowed => (
                "access_denied",
                "a rule of this gateway denies this person the server",
            ),
            E::Denied => ("access_denied", "the person declined"),
            E::NotSignedIn => ("access_denied", "the person was not signed in"),
            E::ProviderFailed => (
                "server_error",
                "the identity provider's answer could not be used",
            ),
            E::ProviderUnreachable => (
                "temporarily_unavailable",
                "the identity provider cannot be reached",
            ),
            E::Internal => ("server_error", "the login could not be completed"),
        }
    }
}

/// A refusal that goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRefusal {
    /// Where to.
    pub to: MatchedRedirect,
    /// The client's state, unless that is what is wrong.
    pub state: Option<String>,
    /// Why.
    pub error: AuthorizeError,
}

/// Either kind of refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A page.
    Page(PageRefusal),
    /// A redirect, if [`Client::may_hear_early_errors`], else a page with a link.
    Redirect(RedirectRefusal),
}

/// Whom the request names; the first thing to know, and from then on the client to fetch.
///
/// # Errors
/// [`PageRefusal`].
pub fn client_id<'p>(params: &'p Params<'_>) -> Result<&'p str, PageRefusal> {
    params
        .one("client_id")
        .map_err(|_| PageRefusal::Repeated)?
        .ok_or(PageRefusal::ClientIdMissing)
}

/// Judges the request of `client`, which [`client_id`] named.
///
/// # Errors
/// [`Refusal`]. A redirect refusal is only ever to the client's own registered URI.
pub fn judge(
    params: &Params<'_>,
    client: &Client,
    catalogue: &Catalogue,
    own: &OwnAuthority,
) -> Result<AskConsent, Refusal> {
    let presented = params
        .one("redirect_uri")
        .map_err(|_| Refusal::Page(PageRefusal::Repeated))?;
    let to = client
        .match_redirect(presented)
        // Whoever came by itself does not receive its answers at our own pages.
        .filter(|to| client.known_by == KnownBy::Operator || !own.covers(to.text()))
        .ok_or(Refusal::Page(match presented {
            Some(_) => PageRefusal::RedirectUnknown,
            None => PageRefusal::RedirectMissing,
        }))?;
    let state = params
        .one("state")
        .ok()
        .flatten()
        .filter(|state| state.len() <= STATE_MAX);
    match judge_the_rest(params, client, catalogue) {
        Ok((challenge, resource, scopes, login, dpop_key)) => Ok(AskConsent {
            client_id: client.id.clone(),
            redirect: to,
            state: state.map(str::to_owned),
            challenge,
            resource,
            scopes,
            login,
            dpop_key,
        }),
        Err(error) => Err(Refusal::Redirect(RedirectRefusal {
            to,
            state: state.map(str::to_owned),
            error,
        })),
    }
}

type Rest = (CodeChallenge, String, ScopeSet, LoginWishes, Option<Digest>);

fn judge_the_rest(
    params: &Params<'_>,
    client: &Client,
    catalogue: &Catalogue,
) -> Result<Rest, AuthorizeError> {
    use AuthorizeError as E;
    if params
        .one("state")?
        .is_some_and(|state| state.len() > STATE_MAX)
    {
        return Err(E::StateTooLong);
    }
    if params.has("request") {
        return Err(E::RequestObject);
    }
    if params.has("request_uri") {
        return Err(E::RequestUri);
    }
    if params.has("registration") {
        return Err(E::Registration);
    }
    if !client.grants.contains(GrantType::AuthorizationCode) {
        return Err(E::Unauthorized);
    }
    match params.one("response_type")? {
        Some("code") => {}
        Some(_) => return Err(E::ResponseType),
        None => return Err(E::ResponseTypeMissing),
    }
    if params
        .one("response_mode")?
        .is_some_and(|mode| mode != "query")
    {
        return Err(E::ResponseMode);
    }
    let challenge = params.one("code_challenge")?.ok_or(E::ChallengeMissing)?;
    // Absent means `plain` (RFC 7636 §4.3), which is not offered.
    if params.one("code_challenge_method")? != Some("S256") {
        return Err(E::ChallengeMethod);
    }
    let challenge = CodeChallenge::parse(challenge).map_err(|_| E::ChallengeMalformed)?;
    let resource = catalogue.named(params.all("resource"))?;
    if !client.may_reach(&resource.uri) {
        return Err(E::Resource(ResourceError::Unknown));
    }
    let asked = params
        .one("scope")?
        .map(|text| ScopeSet::parse(text).map_err(|_| E::Scope))
        .transpose()?;
    let scopes = catalogue
        .askable(resource, asked.as_ref(), client.scopes.as_ref())
        .ok_or(E::Scope)?;
    let dpop_key = params
        .one("dpop_jkt")?
        .map(|text| Digest::parse(text).ok_or(E::DpopKey))
        .transpose()?;
    Ok((
        challenge,
        resource.uri.clone(),
        scopes,
        login_wishes(params)?,
        dpop_key,
    ))
}

fn login_wishes(params: &Params<'_>) -> Result<LoginWishes, AuthorizeError> {
    use AuthorizeError as E;
    let mut wishes = LoginWishes::default();
    for prompt in params
        .one("prompt")?
        .unwrap_or_default()
        .split(' ')
        .filter(|p| !p.is_empty())
    {
        wishes.ask = true;
        match prompt {
            "none" => return Err(E::PromptNone),
            "login" | "select_account" => wishes.fresh = true,
            "consent" => {}
            _ => return Err(E::Prompt),
        }
    }
    wishes.max_age = params
        .one("max_age")?
        .map(|text| text.parse().map_err(|_| E::Prompt))
        .transpose()?;
    Ok(wishes)
}

impl From<Repeated> for AuthorizeError {
    fn from(_: Repeated) -> Self {
        Self::Repeated
    }
}

impl RedirectRefusal {
    /// The address that tells the client: `error`, the sentence, `state` if there was one,
    /// `iss` (RFC 9207), and `error_uri` if there is a page about this login.
    pub fn location(&self, issuer: &Issuer, error_uri: Option<&str>) -> String {
        let (error, description) = self.error.wire();
        let mut params = vec![("error", error), ("error_description", description)];
        if let Some(uri) = error_uri {
            params.push(("error_uri", uri));
        }
        if let Some(state) = &self.state {
            params.push(("state", state));
        }
        params.push(("iss", issuer.text()));
        with_query(self.to.text(), &params)
    }
}

impl AskConsent {
    /// The address that brings the client its code (RFC 6749 §4.1.2, RFC 9207 §2).
    pub fn success_location(&self, issuer: &Issuer, code: &str) -> String {
        let mut params = vec![("code", code)];
        if let Some(state) = &self.state {
            params.push(("state", state));
        }
        params.push(("iss", issuer.text()));
        with_query(self.redirect.text(), &params)
    }

    /// The same request, refused.
    pub fn refused(&self, error: AuthorizeError) -> RedirectRefusal {
        RedirectRefusal {
            to: self.redirect.clone(),
            state: self.state.clone(),
            error,
        }
    }
}

/// A match survives in a sealed ticket or a stored login, whose authenticity was checked.
impl Serialize for MatchedRedirect {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let kind = match self.kind() {
            RedirectKind::Https => 0u8,
            RedirectKind::Loopback => 1,
            RedirectKind::PrivateScheme => 2,
        };
        (self.text(), kind).serialize(s)
    }
}

impl<'de> Deserialize<'de> for MatchedRedirect {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (text, kind) = <(String, u8)>::deserialize(d)?;
        let kind = match kind {
            0 => RedirectKind::Https,
            1 => RedirectKind::Loopback,
            2 => RedirectKind::PrivateScheme,
            _ => return Err(serde::de::Error::custom("not a redirect")),
        };
        Ok(Self::restored(text, kind))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{client::tests::client, resource::tests::catalogue};

    pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn base() -> String {
        format!(
            "client_id=vcl_test&redirect_uri=https%3A%2F%2Fa.example%2Fcb&response_type=code\
             &code_challenge={CHALLENGE}&code_challenge_method=S256&state=s%2B1"
        )
    }

    fn judged(query: &str) -> Result<AskConsent, Refusal> {
        let params = Params::parse(query).expect("readable");
        judge(
            &params,
            &client(&["https://a.example/cb"]),
            &catalogue(&["a"]),
            &OwnAuthority::of("https://gw.example"),
        )
    }

    pub(crate) fn ask() -> AskConsent {
        judged(&base()).expect("a good request")
    }

    #[test]
    fn a_plain_request_is_asked_about() {
        let ask = ask();
        assert_eq!(ask.redirect.text(), "https://a.example/cb");
        assert_eq!(ask.state.as_deref(), Some("s+1"));
        assert_eq!(ask.resource, "https://gw.example/a/mcp");
        assert_eq!(ask.scopes, ScopeSet::of(["read"]));
    }

    #[test]
    fn t_aut_03_t_reg_01_our_own_pages_receive_no_answers() {
        let judge_at = |ours: &str, registered: &str, presented: &str, known_by: KnownBy| {
            let client = Client {
                known_by,
                ..client(&[registered])
            };
            let address = with_query("https://x.example/", &[("redirect_uri", presented)]);
            let (_, query) = address.split_once('?').expect("a query");
            let other = "redirect_uri=https%3A%2F%2Fa.example%2Fcb";
            let query = base().replace(other, query);
            let params = Params::parse(&query).expect("readable");
            let own = OwnAuthority::of(ours);
            judge(&params, &client, &catalogue(&["a"]), &own).map(|_| ())
        };
        let refused = Err(Refusal::Page(PageRefusal::RedirectUnknown));
        for own in [
            "https://gw.example/device/done",
            "https://gw.example:443/device/done",
            "https://gw.example./device/done",
            "https://GW.example/try/callback",
        ] {
            let at = |known_by| judge_at("https://gw.example", own, own, known_by);
            assert_eq!(at(KnownBy::Dynamic), refused, "{own}");
            assert_eq!(at(KnownBy::Operator), Ok(()), "{own}");
        }
        // The port of a loopback address comes with the request.
        let here = |port: u16| {
            let presented = format!("http://127.0.0.1:{port}/device/done");
            let registered = "http://127.0.0.1/device/done";
            judge_at(
                "http://127.0.0.1:8080",
                registered,
                &presented,
                KnownBy::Dynamic,
            )
        };
        assert_eq!(here(8080), refused);
        assert_eq!(here(8081), Ok(()));
        let elsewhere = "https://gw.example:8443/cb";
        assert_eq!(
            judge_at("https://gw.example", elsewhere, elsewhere, KnownBy::Dynamic),
            Ok(())
        );
    }

    #[test]
    fn authz_2_t_aut_01_t_aut_02_a_redirect_that_does_not_match_is_a_page() {
        for (query, page) in [
            (
                base().replace("a.example", "evil.example"),
                PageRefusal::RedirectUnknown,
            ),
            (base() + "&redirect_uri=x", PageRefusal::Repeated),
        ] {
            assert_eq!(judged(&query), Err(Refusal::Page(page)), "{query}");
        }
        let id = |query: &str| {
            let params = Params::parse(query).expect("readable");
            client_id(&params).map(str::to_owned)
        };
        assert_eq!(id(""), Err(PageRefusal::ClientIdMissing));
        assert_eq!(id("client_id=a&client_id=b"), Err(PageRefusal::Repeated));
    }

    #[test]
    fn authz_6_authz_7_authz_8_authz_10_t_aut_05_t_aut_06_t_aut_07_t_aut_08_t_aut_11_t_aut_12() {
        let table = [
            (base() + "&state=again", "invalid_request"),
            (base() + "&scope=a&scope=b", "invalid_request"),
            (
                base().replace("response_type=code", "response_type=token"),
                "unsupported_response_type",
            ),
            (
                base().replace("response_type=code", "response_type=id_token"),
                "unsupported_response_type",
            ),
            (
                base().replace("response_type=code", "response_type=code+token"),
                "unsupported_response_type",
            ),
            (
                base().replace("response_type=code", "x=y"),
                "invalid_request",
            ),
            (base() + "&response_mode=fragment", "invalid_request"),
            (base() + "&response_mode=form_post", "invalid_request"),
            (
                base() + "&request=eyJhbGciOiJub25lIn0..",
                "request_not_supported",
            ),
            (
                base() + "&request_uri=http%3A%2F%2F169.254.169.254%2F",
                "request_uri_not_supported",
            ),
            (
                base() + "&registration=%7B%7D",
                "registration_not_supported",
            ),
            (
                base().replace("code_challenge=", "nothing="),
                "invalid_request",
            ),
            (base().replace("S256", "plain"), "invalid_request"),
            (base().replace("S256", "S512"), "invalid_request"),
            (
                base().replace("&code_challenge_method=S256", ""),
                "invalid_request",
            ),
            (base().replace("E9Melhoa2O", "E9Melhoa2"), "invalid_request"),
            (
                base().replace("E9Melhoa2O", "E9Melhoa2%C2%AD"),
                "invalid_request",
            ),
            (
                base() + "&resource=https%3A%2F%2Fevil.example%2F",
                "invalid_target",
            ),
            (
                base() + "&resource=https%3A%2F%2Fgw.example%2Fa%2Fmcp%23x",
                "invalid_target",
            ),
            (base() + "&scope=*", "invalid_scope"),
            (base() + "&scope=%22", "invalid_scope"),
            (base() + "&prompt=none", "consent_required"),
            (base() + "&prompt=dance", "invalid_request"),
            (base() + "&max_age=-1", "invalid_request"),
        ];
        for (query, expected) in table {
            match judged(&query) {
                Err(Refusal::Redirect(refusal)) => {
                    assert_eq!(refusal.error.wire().0, expected, "{query}");
                    assert_eq!(refusal.to.text(), "https://a.example/cb", "{query}");
                }
                other => panic!("{query}: {other:?}"),
            }
        }
    }

    #[test]
    fn t_aut_09_a_state_beyond_the_limit_is_not_echoed() {
        let long = base().replace("s%2B1", &"x".repeat(STATE_MAX + 1));
        let Err(Refusal::Redirect(refusal)) = judged(&long) else {
            panic!("accepted")
        };
        assert_eq!(
            (refusal.error, refusal.state),
            (AuthorizeError::StateTooLong, None)
        );
        let full = base().replace("s%2B1", &"x".repeat(STATE_MAX));
        assert!(judged(&full).is_ok());
    }

    #[test]
    fn authz_5_disc_7_every_answer_names_the_issuer_and_gives_the_state_back() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let ask = ask();
        assert_eq!(
            ask.success_location(&issuer, "vac_x"),
            "https://a.example/cb?code=vac_x&state=s%2B1&iss=https%3A%2F%2Fgw.example"
        );
        let denied = ask.refused(AuthorizeError::Denied).location(&issuer, None);
        assert_eq!(
            denied,
            "https://a.example/cb?error=access_denied&error_description=the+person+declined\
             &state=s%2B1&iss=https%3A%2F%2Fgw.example"
        );
    }

    #[test]
    fn authz_17_only_login_and_max_age_concern_the_provider() {
        let wishes = |more: &str| judged(&(base() + more)).expect("good").login;
        let ask_only = LoginWishes {
            ask: true,
            ..LoginWishes::default()
        };
        assert_eq!(wishes("&prompt=consent"), ask_only);
        assert!(wishes("&prompt=login").fresh);
        assert_eq!(wishes("&max_age=60").max_age, Some(60));
        assert_eq!(
            wishes("&login_hint=x&acr_values=y&claims=z"),
            LoginWishes::default()
        );
    }

    #[test]
    fn a_request_survives_its_ticket() {
        let json = serde_json::to_string(&ask()).expect("serializes");
        assert_eq!(
            serde_json::from_str::<AskConsent>(&json).expect("reads back"),
            ask()
        );
    }
}
