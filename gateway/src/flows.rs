//! The record of logins while they happen.
//!
//! Until a person decides, steps sit in bounded memory; a decision and everything after it
//! goes to the store. What a step can hold is the core's to say.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use vestibule_core::{
    flow::{Entry, FlowCode, Outcome, Step},
    secret::Digest,
};

use crate::{store::Store, world::World};

/// Logins that nobody decided on, at most; the oldest go first.
const UNDECIDED_MAX: usize = 4096;

/// Steps kept of one login.
const STEPS_MAX: usize = 64;

/// See the module.
#[derive(Clone)]
pub struct Flows {
    world: World,
    store: Arc<dyn Store>,
    early: Arc<Mutex<Early>>,
}

#[derive(Default)]
struct Early {
    flows: HashMap<FlowCode, Flow>,
    order: VecDeque<FlowCode>,
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
        self.steps
            .last()
            .map_or(Outcome::Open, |entry| entry.step.outcome())
    }
}

impl Flows {
    /// Records into `store`.
    pub fn new(world: World, store: Arc<dyn Store>) -> Self {
        Self {
            world,
            store,
            early: Arc::default(),
        }
    }

    /// A new login.
    pub fn begin(&self) -> FlowCode {
        FlowCode::from_random(&self.world.random())
    }

    /// A step before the decision.
    pub fn early(&self, code: FlowCode, browser: Option<Digest>, step: Step) {
        log(code, &step);
        let entry = Entry {
            at: self.world.now(),
            step,
        };
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if !early.flows.contains_key(&code) {
            if early.order.len() >= UNDECIDED_MAX
                && let Some(oldest) = early.order.pop_front()
            {
                early.flows.remove(&oldest);
            }
            early.order.push_back(code);
        }
        let flow = early.flows.entry(code).or_default();
        flow.browser = flow.browser.or(browser);
        if flow.steps.len() < STEPS_MAX {
            flow.steps.push(entry);
        }
    }

    /// A step from the decision on. What came before goes along the first time.
    pub async fn record(&self, code: FlowCode, step: Step) {
        log(code, &step);
        let mut entries = Vec::new();
        let mut browser = None;
        {
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(flow) = early.flows.remove(&code) {
                early.order.retain(|other| *other != code);
                entries = flow.steps;
                browser = flow.browser;
            }
        }
        entries.push(Entry {
            at: self.world.now(),
            step,
        });
        if let Err(error) = self.store.record(code, browser, entries).await {
            // The record explains a login; it never decides one.
            tracing::warn!(event = "flow.unrecorded", flow = %code, %error);
        }
    }

    /// What is known of a login.
    pub async fn find(&self, code: FlowCode) -> Option<Flow> {
        let early = {
            let early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            early.flows.get(&code).cloned()
        };
        let stored = self.store.flow(code).await.ok().flatten();
        match (stored, early) {
            (None, early) => early,
            (Some((mut steps, browser)), early) => {
                let early = early.unwrap_or_default();
                steps.extend(early.steps);
                Some(Flow {
                    steps,
                    browser: browser.or(early.browser),
                })
            }
        }
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

/// A step in plain words.
pub fn sentence(step: &Step) -> String {
    match step {
        Step::Asked {
            client,
            known_by,
            redirect_host,
            server,
            scopes,
        } => format!(
            "“{client}” ({known_by}) asked for {server} ({scopes}); the answer would go to {redirect_host}"
        ),
        Step::ConsentShown => "The consent page was shown".to_owned(),
        Step::Allowed => "The person allowed it".to_owned(),
        Step::Denied => "The person declined, and the app was told".to_owned(),
        Step::SentToProvider { host } => format!("The browser was sent to {host} to sign in"),
        Step::CameBack => "The browser came back from the identity provider".to_owned(),
        Step::ProviderRefused { error, said } => {
            format!("The identity provider refused: {error}. It said: “{said}”")
        }
        Step::ProviderTokenFailed { status: 0, .. } => {
            "The identity provider did not answer at its token endpoint".to_owned()
        }
        Step::ProviderTokenFailed {
            status,
            error,
            said,
        } => format!(
            "The identity provider's token endpoint answered {status} {error}. It said: “{said}”"
        ),
        Step::IdentityRefused { why } => {
            format!("The identity provider's answer was refused: {why}")
        }
        Step::SignedIn { person } => format!("{person} signed in"),
        Step::CodeSent => "The app was sent its code".to_owned(),
        Step::TokensIssued => "The app exchanged its code for access".to_owned(),
        Step::Refreshed => "The app renewed its access".to_owned(),
        Step::Revoked => "The access was ended".to_owned(),
        Step::Refused { code, why } => format!("Refused ({code}): {why}"),
    }
}
