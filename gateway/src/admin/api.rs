//! `/api/v1`: what the console shows and does, as JSON. Operators reach it with the console's
//! session; the command line over a socket beside the store, or without a server in its own
//! process.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vestibule_core::{
    apps,
    audit::{self, Act, Actor, Call, Deed, Filter, Record},
    flow::FlowCode,
    id::{ClientRef, PersonId},
    keyring::Purpose,
    operator::{Block, Kind, Role},
    resource::Catalogue,
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
    uri::Issuer,
};

use super::{
    Admin,
    who::{NotHere, Who, comes_from_here, is_for_us},
};
use crate::{
    audit::{Audit, Cursor},
    catalogue, flow_list,
    flow_report::FlowReport,
    flows::Flows,
    keys::{Keys, KeysError},
    office::Office,
    page::time,
    store::{
        ClientDecision, NewLink, Outcome, Sought, Store, StoreError, ToApps, ToClient, ToPerson,
        UnmakeOperator,
    },
    vault::{self, Opened},
    world::World,
};

/// Rows of a list at most.
const MOST: u32 = 500;

/// How long a link for a new operator lasts.
const LINK_LIFE: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// What the API works on; with a running gateway or without.
pub struct Desk {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// The record of logins.
    pub flows: Flows,
    /// The audit.
    pub audit: Arc<Audit>,
    /// The MCP servers.
    pub catalogue: Catalogue,
    /// Who we are to everybody.
    pub issuer: Issuer,
    /// Clock and entropy.
    pub world: World,
    /// The folder of the root key.
    pub keys_dir: PathBuf,
    /// The gateway that runs, if one does.
    pub office: Option<Arc<Office>>,
}

/// Who asks, for the audit; whether they may was judged before.
#[derive(Debug, Clone)]
pub struct Asker(pub Actor);

/// An error as JSON, with its code.
pub(super) struct ApiError(StatusCode, &'static str, String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(status, code, what) = self;
        let fix = catalogue::find(code).map(|(_, entry)| entry.fix.as_str());
        let body = json!({ "error": code, "what": what, "fix": fix });
        let mut response = (status, Json(body)).into_response();
        let value = http::HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, value);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(event = "store.failed", %error);
        Self(
            StatusCode::SERVICE_UNAVAILABLE,
            "V-STO-001",
            "the store does not answer; nothing is known".to_owned(),
        )
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        Self(
            StatusCode::INTERNAL_SERVER_ERROR,
            "V-KEY-003",
            error.to_string(),
        )
    }
}

pub(super) type Answer = Result<Json<Value>, ApiError>;

pub(super) fn not_there(what: &str) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, "V-ADM-005", what.to_owned())
}

fn wrong(what: &str) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, "V-ADM-007", what.to_owned())
}

fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/flows", get(flow_rows))
        .route("/flows/{code}", get(flow))
        .route("/calls", get(calls))
        .route("/acts", get(acts))
        .route("/clients", get(clients))
        .route("/clients/{client}", get(client))
        .route("/clients/{client}/{act}", post(to_client))
        .route("/people", get(people))
        .route("/people/{person}", get(person))
        .route("/people/{person}/{act}", post(to_person))
        .route("/keys", get(keys))
        .route("/keys/{purpose}/rotate", post(rotate))
        .fallback(|| async { not_there("there is no such address") })
}

/// The API for whoever reaches this process or the store's file: their right is that of the
/// operating system. Only they make links for new operators, and see how requests come.
pub fn local(desk: Arc<Desk>) -> Router {
    let routes = routes()
        .route("/operators/link", post(link))
        .merge(super::arrivals::routes());
    Router::new().nest("/api/v1", routes.with_state(desk))
}

/// The API for sessions of the console; nothing in it is for anybody else.
pub(super) fn for_operators(admin: &Arc<Admin>) -> Router {
    routes()
        .with_state(Arc::clone(&admin.desk))
        .layer(middleware::from_fn_with_state(Arc::clone(admin), let_in))
}

async fn let_in(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let refused = |status, code, what: &str| ApiError(status, code, what.to_owned());
    let who = match Who::of(&admin, headers).await {
        _ if !is_for_us(&admin, headers) => {
            let what = "this host is not served here";
            return refused(StatusCode::MISDIRECTED_REQUEST, "V-ADM-003", what).into_response();
        }
        Ok(who) => who,
        Err(NotHere::Nobody) => {
            let what = "sign in at the console first";
            return refused(StatusCode::UNAUTHORIZED, "V-ADM-001", what).into_response();
        }
        Err(NotHere::Page(response)) => {
            let what = "nothing here is for you";
            let status = response.status();
            return refused(status, "V-ADM-001", what).into_response();
        }
    };
    if request.method() != Method::GET {
        if !comes_from_here(&admin, headers) {
            let what = "the request did not come from the console's page";
            return refused(StatusCode::FORBIDDEN, "V-ADM-004", what).into_response();
        }
        if who.role != Role::Operator {
            let what = "looking is all that you may do";
            return refused(StatusCode::FORBIDDEN, "V-ADM-006", what).into_response();
        }
    }
    request.extensions_mut().insert(Asker(who.actor()));
    next.run(request).await
}

async fn flow_rows(State(desk): State<Arc<Desk>>, uri: http::Uri) -> Answer {
    desk.flows.keep().await;
    let filter = flow_list::filter(uri.query().unwrap_or_default());
    let since = desk
        .world
        .now()
        .minus(std::time::Duration::from_secs(86_400));
    let causes = desk.store.causes(since).await?;
    let flows = desk.store.flows(filter, MOST).await?;
    Ok(Json(json!({ "flows": flows, "causes": causes })))
}

async fn flow(State(desk): State<Arc<Desk>>, Path(code): Path<String>) -> Answer {
    let nothing = || not_there("there is no such login; records are kept for seven days");
    let code = FlowCode::parse(&code).ok_or_else(nothing)?;
    let flow = desk.flows.find(code).await?.ok_or_else(nothing)?;
    let report = FlowReport::of(code, &flow, &desk.catalogue);
    serde_json::to_value(report)
        .map(Json)
        .map_err(|_| nothing())
}

/// What is asked for among calls.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CallQuery {
    person: Option<String>,
    client: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    outcome: Option<String>,
    flow: Option<String>,
    from: Option<u64>,
    until: Option<u64>,
    after: Option<String>,
    most: Option<usize>,
}

impl CallQuery {
    /// The filter; a value that cannot be read finds nothing rather than everything.
    pub(super) fn filter(&self) -> Result<Filter, &'static str> {
        let text = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default().trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        Ok(Filter {
            person: text(&self.person),
            client: text(&self.client),
            server: text(&self.server),
            tool: text(&self.tool),
            outcome: match text(&self.outcome) {
                Some(word) => {
                    Some(audit::Outcome::parse(&word).ok_or("outcome is ok, denied or failed")?)
                }
                None => None,
            },
            flow: match text(&self.flow) {
                Some(code) => Some(FlowCode::parse(&code).ok_or("flow is not a flow code")?),
                None => None,
            },
            from: self.from.map(Timestamp::from_unix),
            until: self.until.map(Timestamp::from_unix),
        })
    }

    /// Where to go on.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.after.as_deref().and_then(Cursor::parse)
    }

    /// What was asked, text by text, for a form and for links.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, &str> {
        [
            ("person", &self.person),
            ("client", &self.client),
            ("server", &self.server),
            ("tool", &self.tool),
            ("outcome", &self.outcome),
            ("flow", &self.flow),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }
}

/// A call as it is exported: every name, and times for people and for programs.
#[derive(Debug, Serialize)]
pub(super) struct CallLine {
    pub(super) at: u64,
    pub(super) time: String,
    pub(super) person: String,
    pub(super) person_id: Option<PersonId>,
    pub(super) client: String,
    pub(super) client_ref: Option<ClientRef>,
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) outcome: &'static str,
    pub(super) ended: String,
    pub(super) milliseconds: u32,
    pub(super) flow: Option<FlowCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<String>,
}

impl CallLine {
    pub(super) fn of(call: Call) -> Self {
        Self {
            at: call.at.unix(),
            time: time::moment(call.at),
            person: call.subject.shown,
            person_id: call.subject.person,
            client: call.subject.client_name,
            client_ref: call.subject.client,
            server: call.server,
            tool: call.tool,
            outcome: call.ended.outcome().word(),
            ended: call.ended.words(),
            milliseconds: call.milliseconds,
            flow: call.subject.flow,
            arguments: call.arguments,
        }
    }
}

async fn calls(State(desk): State<Arc<Desk>>, Query(query): Query<CallQuery>) -> Answer {
    let filter = query.filter().map_err(wrong)?;
    let most = query.most.unwrap_or(100).min(10_000);
    let found = desk.audit.calls(&filter, query.cursor(), most).await?;
    let next = found.next.map(|next| next.to_string());
    let calls: Vec<CallLine> = found.calls.into_iter().map(CallLine::of).collect();
    Ok(Json(json!({ "calls": calls, "next": next })))
}

/// The acts of the audit, the newest first.
pub(super) async fn acts_of(desk: &Desk) -> Result<Vec<Act>, StoreError> {
    let rows = desk.store.audited(Sought {
        kind: Some("act"),
        most: MOST,
        ..Sought::default()
    });
    let acts = rows
        .await?
        .into_iter()
        .filter_map(|(_, record)| match record {
            Record::Act(act) => Some(*act),
            Record::Calls(_) | Record::Steps { .. } => None,
        });
    Ok(acts.collect())
}

async fn acts(State(desk): State<Arc<Desk>>) -> Answer {
    let acts: Vec<Value> = acts_of(&desk)
        .await?
        .into_iter()
        .map(|act| {
            json!({
                "at": act.at, "time": time::moment(act.at), "by": act.by,
                "event": act.what.event(), "words": act.what.sentence(), "what": act.what,
            })
        })
        .collect();
    Ok(Json(json!({ "acts": acts })))
}

#[derive(Deserialize)]
struct Named {
    named: Option<String>,
}

async fn clients(State(desk): State<Arc<Desk>>, Query(query): Query<Named>) -> Answer {
    let now = desk.world.now();
    let rows = desk.store.clients(query.named, now, MOST).await?;
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            let kind = Kind::of(&row.client_id);
            let mut row = json!(row);
            row["kind"] = kind.word().into();
            row
        })
        .collect();
    Ok(Json(json!({ "clients": rows })))
}

/// The client that somebody means: by reference, by id, or by a name that only one has.
async fn client_named(desk: &Desk, named: &str) -> Result<ClientRef, ApiError> {
    let now = desk.world.now();
    if let Some(reference) = ClientRef::parse(named)
        && desk.store.client(reference, now).await?.is_some()
    {
        return Ok(reference);
    }
    let by_id = ClientRef::of(named);
    if desk.store.client(by_id, now).await?.is_some() {
        return Ok(by_id);
    }
    let rows = desk
        .store
        .clients(Some(named.to_owned()), now, MOST)
        .await?;
    let mut same = rows.iter().filter(|row| row.name.as_deref() == Some(named));
    match (same.next(), same.next()) {
        (Some(row), None) => Ok(row.reference),
        (Some(_), Some(_)) => Err(wrong("several clients have this name; take the reference")),
        (None, _) => Err(not_there("there is no such client")),
    }
}

async fn client(State(desk): State<Arc<Desk>>, Path(named): Path<String>) -> Answer {
    let now = desk.world.now();
    let reference = client_named(&desk, &named).await?;
    let row = desk.store.client(reference, now).await?;
    let row = row.ok_or_else(|| not_there("there is no such client"))?;
    let people = desk.store.people_of(reference, now, MOST).await?;
    let kind = Kind::of(&row.client_id).word();
    Ok(Json(
        json!({ "client": row, "kind": kind, "people": people }),
    ))
}

/// What comes with an act.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct With {
    why: Option<String>,
    scopes: Option<String>,
    client: Option<String>,
}

/// A decision about a client, by its word.
pub(super) fn decision(
    act: &str,
    why: Option<&str>,
    scopes: Option<&str>,
    now: Timestamp,
) -> Result<ClientDecision, &'static str> {
    match act {
        "end" => Ok(ClientDecision::Ends),
        "block" => Ok(ClientDecision::Block(Some(Block {
            since: now,
            why: why_of(why)?,
        }))),
        "unblock" => Ok(ClientDecision::Block(None)),
        "trust" => Ok(ClientDecision::Trust(true)),
        "distrust" => Ok(ClientDecision::Trust(false)),
        "limit" => {
            let scopes = scopes.ok_or("say which scopes; none at all is an empty text")?;
            let limit = ScopeSet::parse(scopes).map_err(|_| "these are no scopes")?;
            Ok(ClientDecision::Limit(Some(limit)))
        }
        "unlimit" => Ok(ClientDecision::Limit(None)),
        _ => Err("block, unblock, trust, distrust, limit, unlimit or end"),
    }
}

/// Why nobody can vouch for a client yet.
pub(super) const NEVER_SEEN: &str =
    "nobody has allowed it anything yet, so it is not known how it describes itself";

/// How many codes and grants ended.
fn ended(outcome: Outcome, what: &str) -> Result<usize, ApiError> {
    match outcome {
        Outcome::Now(ended) => Ok(ended),
        Outcome::NotThere => Err(not_there(what)),
        Outcome::NeverSeen => Err(wrong(NEVER_SEEN)),
    }
}

/// A reason as it is kept.
pub(super) fn why_of(why: Option<&str>) -> Result<String, &'static str> {
    let why = vestibule_core::flow::cleaned(why.unwrap_or_default(), 200);
    let why = why.trim();
    if why.is_empty() {
        Err("say why; it is kept in the audit and shown to whoever asks")
    } else {
        Ok(why.to_owned())
    }
}

async fn to_client(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    Path((named, act)): Path<(String, String)>,
    with: Option<Json<With>>,
) -> Answer {
    let with = with.map(|Json(with)| with).unwrap_or_default();
    let client = client_named(&desk, &named).await?;
    let now = desk.world.now();
    let (why, scopes) = (with.why.as_deref(), with.scopes.as_deref());
    let decision = decision(&act, why, scopes, now).map_err(wrong)?;
    let decided = desk.store.decide_client(ToClient {
        client,
        decision,
        by: asker.0,
        now,
    });
    let ended = ended(decided.await?, "there is no such client")?;
    let row = desk.store.client(client, now).await?;
    Ok(Json(json!({ "client": row, "ended": ended })))
}

async fn people(State(desk): State<Arc<Desk>>, Query(query): Query<Named>) -> Answer {
    let now = desk.world.now();
    let rows = desk.store.people(query.named, now, MOST).await?;
    Ok(Json(json!({ "people": rows })))
}

/// The person whom somebody means: by id, or by a name that only one has.
async fn person_named(desk: &Desk, named: &str) -> Result<PersonId, ApiError> {
    let now = desk.world.now();
    if let Some(id) = PersonId::parse(named)
        && desk.store.person(id, now).await?.is_some()
    {
        return Ok(id);
    }
    let rows = desk.store.people(Some(named.to_owned()), now, MOST).await?;
    let mut same = rows.iter().filter(|row| row.shown == named);
    match (same.next(), same.next()) {
        (Some(row), None) => Ok(row.id),
        (Some(_), Some(_)) => Err(wrong("several people are called so; take the id")),
        (None, _) => Err(not_there("there is no such person")),
    }
}

async fn person(State(desk): State<Arc<Desk>>, Path(named): Path<String>) -> Answer {
    let now = desk.world.now();
    let id = person_named(&desk, &named).await?;
    let row = desk.store.person(id, now).await?;
    let row = row.ok_or_else(|| not_there("there is no such person"))?;
    let allowed = desk.store.allowed(id, now).await?;
    let apps: Vec<Value> = apps::apps(allowed.consents, allowed.grants)
        .into_iter()
        .map(|app| {
            let servers: Vec<Value> = app
                .servers
                .iter()
                .map(|reach| {
                    let known = desk.catalogue.by_uri(&reach.resource);
                    json!({
                        "server": known.map_or(reach.resource.as_str(), |known| &known.name),
                        "scopes": reach.scopes.to_string(),
                        "since": reach.since, "used": reach.used, "stopped": reach.stopped,
                    })
                })
                .collect();
            json!({
                "client": app.client, "client_id": app.client_id, "name": app.name,
                "grants": app.grants, "servers": servers,
            })
        })
        .collect();
    Ok(Json(json!({ "person": row, "apps": apps })))
}

/// Accounts of somebody who is to be blocked, at services behind servers.
pub(super) async fn accounts_of(office: Option<&Arc<Office>>, person: PersonId) -> Vec<Opened> {
    match office {
        Some(office) => vault::all_opened(office, person).await,
        None => Vec::new(),
    }
}

/// Takes them back there, beside: a service that is slow keeps no operator waiting.
pub(super) fn take_back(office: Option<&Arc<Office>>, accounts: Vec<Opened>) {
    if let Some(office) = office.map(Arc::clone) {
        tokio::spawn(async move { vault::take_back(&office, accounts).await });
    }
}

async fn to_person(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    Path((named, act)): Path<(String, String)>,
    with: Option<Json<With>>,
) -> Answer {
    let with = with.map(|Json(with)| with).unwrap_or_default();
    let person = person_named(&desk, &named).await?;
    let now = desk.world.now();
    let client = match with.client.as_deref().filter(|client| !client.is_empty()) {
        Some(named) => Some(client_named(&desk, named).await?),
        None => None,
    };
    let by = asker.0;
    let apps = |by| ToApps {
        person,
        client,
        by,
        now,
    };
    let decided = |block, by| ToPerson {
        person,
        block,
        by,
        now,
    };
    let nobody = "there is no such person";
    let ended = match act.as_str() {
        "stop" => desk.store.stop(apps(by)).await?,
        "allow_again" => desk.store.allow_again(apps(by)).await?,
        "block" => {
            let why = why_of(with.why.as_deref()).map_err(wrong)?;
            let block = Block { since: now, why };
            let accounts = accounts_of(desk.office.as_ref(), person).await;
            let decided = desk.store.decide_person(decided(Some(block), by));
            let ended = ended(decided.await?, nobody)?;
            take_back(desk.office.as_ref(), accounts);
            ended
        }
        "unblock" => ended(desk.store.decide_person(decided(None, by)).await?, nobody)?,
        "unmake" => {
            let unmake = UnmakeOperator { person, by, now };
            if !desk.store.unmake_operator(unmake).await? {
                return Err(wrong(
                    "no link made them an operator; a group or admin.people may",
                ));
            }
            0
        }
        _ => return Err(wrong("stop, allow_again, block, unblock or unmake")),
    };
    let row = desk.store.person(person, now).await?;
    Ok(Json(json!({ "person": row, "ended": ended })))
}

/// Names and times of all keys.
pub(super) async fn listed(desk: &Desk) -> Result<Keys, KeysError> {
    let issuer = desk.issuer.text();
    Keys::load(&desk.keys_dir, issuer, &*desk.store, &desk.world).await
}

async fn keys(State(desk): State<Arc<Desk>>) -> Answer {
    let now = desk.world.now();
    let keys: Vec<Value> = listed(&desk)
        .await?
        .list
        .iter()
        .map(|key| {
            json!({
                "purpose": key.purpose.word(), "key": key.id.to_string(),
                "created": key.created, "active_from": key.active_from, "retires": key.retires,
                "state": key.state(now),
            })
        })
        .collect();
    Ok(Json(json!({ "keys": keys })))
}

/// Makes a key, and lets a running gateway know it at once. It is in the audit.
pub(super) async fn rotate_key(
    desk: &Desk,
    purpose: Purpose,
    by: Actor,
) -> Result<String, KeysError> {
    let key = Keys::rotate(&desk.keys_dir, purpose, &*desk.store, &desk.world).await?;
    let act = Act {
        at: desk.world.now(),
        by,
        what: Deed::KeyRotated {
            purpose: purpose.word().to_owned(),
            key: key.to_string(),
        },
    };
    if let Some(office) = &desk.office {
        office.keys.store(Arc::new(listed(desk).await?));
    }
    desk.store.audit(Record::Act(Box::new(act))).await?;
    Ok(key.to_string())
}

async fn rotate(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    Path(purpose): Path<String>,
) -> Answer {
    let purpose = Purpose::parse(&purpose).ok_or_else(|| wrong("there are no keys for that"))?;
    // Founds the ring if this is the first use of this store.
    listed(&desk).await?;
    let key = rotate_key(&desk, purpose, asker.0).await?;
    Ok(Json(json!({ "purpose": purpose.word(), "key": key })))
}

async fn link(State(desk): State<Arc<Desk>>, Extension(asker): Extension<Asker>) -> Answer {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let secret = URL_SAFE_NO_PAD.encode(desk.world.random::<32>());
    let now = desk.world.now();
    let expires = now.plus(LINK_LIFE);
    desk.store
        .make_link(NewLink {
            digest: Digest::of(secret.as_bytes()),
            expires,
            by: asker.0,
            now,
        })
        .await?;
    let link = format!("{}/login?link={secret}", desk.issuer);
    Ok(Json(json!({ "link": link, "expires": expires })))
}
