//! The record of logins while they happen.
//!
//! Until a person decides, steps sit in bounded memory. From then on they go to the store,
//! a moment later and many together: the record explains a login and never decides one, so
//! no login waits for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vestibule_core::{
    flow::{self, Entry, FlowCode, Outcome, Step, earlier::Guess},
    secret::Digest,
};

use crate::{
    page::language::{self, Language},
    pulse::Pulse,
    store::{Recorded, Store, StoreError},
    world::World,
};

/// Logins that nobody decided on, at most; the oldest go first.
const UNDECIDED_MAX: usize = 4096;

/// Steps kept of one login before its decision.
const STEPS_MAX: usize = 64;

/// Steps that wait for the store, at most; while it fails, later ones are not kept.
const WAITING_MAX: usize = 16_384;

/// See the module.
#[derive(Clone)]
pub struct Flows {
    world: World,
    store: Arc<dyn Store>,
    memory: Arc<Mutex<Memory>>,
    pulse: Arc<Pulse>,
    /// Held while steps move to the store, so that nobody finds them twice or not at all.
    moving: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Memory {
    undecided: HashMap<FlowCode, Flow>,
    order: VecDeque<FlowCode>,
    waiting: Vec<Recorded>,
}

/// What is known of one login.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Its steps in order.
    pub steps: Vec<Entry>,
    /// Digest of the form cookie of the browser that began it.
    pub browser: Option<Digest>,
}

impl Flow {
    /// How it stands.
    pub fn outcome(&self) -> Outcome {
        self.deciding()
            .map_or(Outcome::Open, |(_, step)| step.outcome())
    }

    /// The step that says so, and its place.
    pub fn deciding(&self) -> Option<(usize, &Step)> {
        let at = flow::deciding(&self.steps)?;
        Some((at, &self.steps[at].step))
    }
}

impl Flows {
    /// Records into `store`.
    pub fn new(world: World, store: Arc<dyn Store>, pulse: Arc<Pulse>) -> Self {
        Self {
            world,
            store,
            pulse,
            memory: Arc::default(),
            moving: Arc::default(),
        }
    }

    /// A new login.
    pub fn begin(&self) -> FlowCode {
        FlowCode::from_random(&self.world.random())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step before the decision.
    pub fn early(&self, code: FlowCode, browser: Option<Digest>, step: Step) {
        let at = self.world.now();
        self.early_at(code, browser, Entry { at, step });
    }

    /// The same, of another time.
    pub fn early_at(&self, code: FlowCode, browser: Option<Digest>, entry: Entry) {
        log(code, &entry.step);
        let mut memory = self.memory();
        if !memory.undecided.contains_key(&code) {
            if memory.order.len() >= UNDECIDED_MAX
                && let Some(oldest) = memory.order.pop_front()
            {
                memory.undecided.remove(&oldest);
            }
            memory.order.push_back(code);
        }
        let flow = memory.undecided.entry(code).or_default();
        flow.browser = flow.browser.or(browser);
        if flow.steps.len() < STEPS_MAX {
            flow.steps.push(entry);
        }
    }

    /// A step from the decision on. What came before goes along the first time.
    pub fn record(&self, flow: FlowCode, step: Step) {
        log(flow, &step);
        let now = self.world.now();
        match step.outcome() {
            Outcome::Failed => self.pulse.login(now, false),
            Outcome::Succeeded if step == Step::CodeSent => self.pulse.login(now, true),
            Outcome::Open | Outcome::Succeeded => {}
        }
        let entry = Entry { at: now, step };
        let mut memory = self.memory();
        if memory.waiting.len() >= WAITING_MAX {
            return;
        }
        let before = memory.undecided.remove(&flow);
        if before.is_some() {
            memory.order.retain(|other| *other != flow);
        }
        let Flow { mut steps, browser } = before.unwrap_or_default();
        steps.push(entry);
        memory.waiting.push(Recorded {
            flow,
            browser,
            steps,
        });
    }

    /// A step that a client may cause again and again: it is kept once.
    pub async fn record_once(&self, flow: FlowCode, step: Step) {
        let has = |steps: &[Entry]| steps.iter().any(|entry| entry.step == step);
        let known = match self.find(flow).await {
            Ok(known) => known.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(event = "flow.unrecorded", %error);
                return;
            }
        };
        // Others may have come meanwhile.
        let waits = self
            .memory()
            .waiting
            .iter()
            .any(|recorded| recorded.flow == flow && has(&recorded.steps));
        if !waits && !has(&known.steps) {
            self.record(flow, step);
        }
    }

    /// A step of a login that nobody has decided on, once; of any other it tells nothing,
    /// and it goes to no disk.
    pub fn early_once(&self, flow: FlowCode, step: Step) {
        let mut memory = self.memory();
        let Some(undecided) = memory.undecided.get_mut(&flow) else {
            return;
        };
        let known = undecided.steps.iter().any(|entry| entry.step == step);
        if !known && undecided.steps.len() < STEPS_MAX {
            log(flow, &step);
            let at = self.world.now();
            undecided.steps.push(Entry { at, step });
        }
    }

    /// Moves what waits to the store, in one write.
    pub async fn keep(&self) {
        let _moving = self.moving.lock().await;
        let waiting = std::mem::take(&mut self.memory().waiting);
        if waiting.is_empty() {
            return;
        }
        if let Err(error) = self.store.record(waiting.clone()).await {
            tracing::warn!(event = "flow.unrecorded", %error);
            let mut memory = self.memory();
            let later = std::mem::replace(&mut memory.waiting, waiting);
            memory.waiting.extend(later);
        }
    }

    /// What is known of a login.
    ///
    /// # Errors
    /// [`StoreError`]: then nobody knows whether there is such a login.
    pub async fn find(&self, code: FlowCode) -> Result<Option<Flow>, StoreError> {
        let _still = self.moving.lock().await;
        let (steps, browser) = self.store.flow(code).await?.unwrap_or_default();
        let mut flow = Flow { steps, browser };
        let memory = self.memory();
        let waiting = memory
            .waiting
            .iter()
            .filter(|recorded| recorded.flow == code);
        for recorded in waiting {
            flow.steps.extend(recorded.steps.iter().cloned());
            flow.browser = flow.browser.or(recorded.browser);
        }
        if let Some(undecided) = memory.undecided.get(&code) {
            flow.steps.extend(undecided.steps.iter().cloned());
            flow.browser = flow.browser.or(undecided.browser);
        }
        Ok((!flow.steps.is_empty()).then_some(flow))
    }
}

fn log(code: FlowCode, step: &Step) {
    match step.outcome() {
        Outcome::Failed => {
            tracing::warn!(event = "login.step", flow = %code, step = %sentence(step));
        }
        Outcome::Open | Outcome::Succeeded => {
            tracing::info!(event = "login.step", flow = %code, step = %sentence(step));
        }
    }
}

/// A step in plain words, in English: for logs and for what is kept.
pub fn sentence(step: &Step) -> String {
    sentence_in(language::english(), step)
}

/// A step in plain words.
pub fn sentence_in(language: &Language, step: &Step) -> String {
    let plain = match step {
        Step::Probably { what } => match what {
            Guess::Challenged => "step-probably-challenged",
            Guess::ResourceMetadata => "step-probably-resource",
            Guess::ServerMetadata => "step-probably-server",
        },
        Step::Registered => "step-registered",
        Step::Asked {
            client,
            known_by,
            redirect_host,
            server,
            scopes,
        } => {
            let values = [
                ("client", client.as_str()),
                ("known", known_by),
                ("server", server),
                ("scopes", scopes),
                ("host", redirect_host),
            ];
            return language.say("step-asked", values);
        }
        Step::SentToProvider { host } => return language.say("step-sent", [("host", host)]),
        Step::ProviderRefused { error, said } if said.is_empty() => {
            return language.say("step-provider-refused", [("error", error)]);
        }
        Step::ProviderRefused { error, said } => {
            let values = [("error", error.as_str()), ("said", said)];
            return language.say("step-provider-refused-said", values);
        }
        Step::ProviderTokenFailed { status: 0, .. } => "step-provider-silent",
        Step::ProviderTokenFailed {
            status,
            error,
            said,
        } => {
            let status = status.to_string();
            let values = [
                ("status", status.as_str()),
                ("error", error),
                ("said", said),
            ];
            return match said.is_empty() {
                true => language.say("step-provider-failed", values),
                false => language.say("step-provider-failed-said", values),
            };
        }
        Step::IdentityRefused { why } => {
            return language.say("step-identity-refused", [("why", why)]);
        }
        Step::SignedIn { person } => return language.say("step-signed-in", [("person", person)]),
        Step::Refused { code, why } => {
            return language.say("step-refused", [("code", code), ("why", why)]);
        }
        Step::ConsentShown => "step-consent-shown",
        Step::Remembered => "step-remembered",
        Step::Allowed => "step-allowed",
        Step::Denied => "step-denied",
        Step::CameBack => "step-came-back",
        Step::CodeSent => "step-code-sent",
        Step::TokensIssued => "step-tokens-issued",
        Step::Used => "step-used",
        Step::ToolsListed => "step-tools-listed",
        Step::Refreshed => "step-refreshed",
        Step::Revoked => "step-revoked",
    };
    language.text(plain)
}
