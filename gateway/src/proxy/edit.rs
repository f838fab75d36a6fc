//! What of an answer is not passed as it came: a list of tools less what its reader may not
//! call, and the message address of the 2024-11-05 transport.

use std::{rc::Rc, sync::Arc};

use vestibule_core::{
    bearer::Caller,
    event_stream::{self, Event, EventTooLong, Events},
    message_endpoint::{self, EndpointError},
    policy::Verdict,
    tool_list::{self, Unreadable},
};

use super::{call::Permit, route::Mount};
use crate::{config::Transport, office::Office};

/// Longest answer or event that is read to be edited, in bytes.
pub const EDITED_MAX: usize = 4 << 20;

/// What is to be edited in the answer to one request.
pub struct Edit {
    office: Arc<Office>,
    mount: Rc<Mount>,
    caller: Option<Caller>,
    lists: bool,
    /// Whether the stream must say where messages are posted.
    endpoint: bool,
}

/// Why a stream is cut instead of passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// An event that is too long to be looked at.
    #[error(transparent)]
    Long(#[from] EventTooLong),
    /// A list that cannot be read.
    #[error(transparent)]
    List(#[from] Unreadable),
    /// An address that is not let through.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A stream of 2024-11-05 begins with something else than its address, or says it twice.
    #[error("the stream does not begin with one endpoint event")]
    NoEndpoint,
}

impl Edit {
    /// What is to be edited in the answer to `permit`; usually nothing. An answer to a list
    /// comes where it was asked for, or on a stream that was opened by a GET.
    pub fn of(
        office: &Arc<Office>,
        mount: &Rc<Mount>,
        permit: &Permit,
        is_get: bool,
    ) -> Option<Self> {
        let endpoint = is_get && mount.transport == Transport::LegacySse;
        let hides = permit.caller().is_some() && mount.resource.policy.hides_tools();
        let lists = hides && (is_get || permit.lists_tools());
        (endpoint || lists).then(|| Self {
            office: Arc::clone(office),
            mount: Rc::clone(mount),
            caller: permit.caller().cloned(),
            lists,
            endpoint,
        })
    }

    /// Whether there may be a list of tools in it.
    pub fn lists(&self) -> bool {
        self.lists
    }

    fn hides(&self, tool: &str) -> bool {
        let names = self.caller.as_ref().map(|caller| &*caller.token().groups);
        let policy = &self.mount.resource.policy;
        policy.judge_tool(tool, names.unwrap_or_default()) == Verdict::Denied
    }

    /// A whole message without what is hidden; `None` if it stays.
    ///
    /// # Errors
    /// [`Unreadable`]; then it is not shown at all.
    pub fn message(&self, message: &[u8]) -> Result<Option<String>, Unreadable> {
        tool_list::filter(message, &|tool| self.hides(tool))
    }

    /// For a stream.
    pub fn stream(self) -> StreamEdit {
        StreamEdit {
            edit: self,
            events: Events::new(EDITED_MAX),
            said: false,
        }
    }
}

/// A stream whose events are looked at one by one.
pub struct StreamEdit {
    edit: Edit,
    events: Events,
    said: bool,
}

impl StreamEdit {
    /// What goes on after the next bytes; may be nothing yet.
    ///
    /// # Errors
    /// [`Cut`]: the stream must end.
    pub fn pass(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Cut> {
        let Self { edit, events, said } = self;
        let mut out = Vec::with_capacity(chunk.len());
        events.push(chunk);
        while let Some(event) = events.next_whole()? {
            edit.event(event, said, &mut out)?;
        }
        Ok(out)
    }
}

impl Edit {
    /// One event; `said` is whether the address for messages was.
    fn event(&self, event: &[u8], said: &mut bool, out: &mut Vec<u8>) -> Result<(), Cut> {
        let read = Event::read(event);
        let Some(data) = &read.data else {
            out.extend_from_slice(event);
            return Ok(());
        };
        if self.endpoint {
            let is_endpoint = read.name == message_endpoint::ENDPOINT;
            // A client follows the last address that it hears.
            if is_endpoint == *said {
                return Err(Cut::NoEndpoint);
            }
            if is_endpoint {
                *said = true;
                let ours = self.address(&read)?;
                out.extend(event_stream::with_data(event, &ours));
                return Ok(());
            }
        }
        // Events without content only carry an id to resume from.
        let changed = if self.lists && !data.is_empty() {
            self.message(data.as_bytes())?
        } else {
            None
        };
        match changed {
            Some(data) => out.extend(event_stream::with_data(event, &data)),
            None => out.extend_from_slice(event),
        }
        Ok(())
    }

    fn address(&self, event: &Event) -> Result<String, EndpointError> {
        let target = message_endpoint::target(event, &self.mount.base)?;
        let resource = &self.mount.resource;
        let owner = self.mount.owner(self.caller.as_ref());
        Ok(message_endpoint::seal(
            &resource.path,
            &target,
            &owner,
            &self.office.keys.load().browser,
            self.office.world.random(),
        ))
    }
}
