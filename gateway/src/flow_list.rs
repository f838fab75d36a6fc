//! The list of logins: what is asked by the address, and what is shown, at our own pages and at
//! the console alike.

use std::{sync::Arc, time::Duration};

use vestibule_core::{
    flow::cleaned,
    operator::{Cause, FlowFilter, FlowRow},
    params::Params,
    time::Timestamp,
    uri::with_query,
};

use crate::{
    catalogue,
    flows::Flows,
    page::{CauseLine, FlowForm, FlowLine, time},
    store::{Store, StoreError},
};

/// Logins of one page.
const MOST: u32 = 100;

/// How far back causes are counted.
const CAUSES: Duration = Duration::from_secs(24 * 3600);

/// See the module.
pub struct FlowList {
    /// Each login.
    pub flows: Vec<FlowLine>,
    /// Why logins failed.
    pub causes: Vec<CauseLine>,
    /// Address of the next page.
    pub older: Option<String>,
    filter: FlowFilter,
}

/// What an address asks for.
pub fn filter(query: &str) -> FlowFilter {
    let params = Params::parse(query).unwrap_or_default();
    let text = |name| {
        let value = cleaned(params.one(name).ok().flatten().unwrap_or_default(), 80);
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    FlowFilter {
        failed: params.has("failed"),
        error: text("code").map(|code| code.to_ascii_uppercase()),
        client: text("client"),
        person: text("person"),
        before: text("before")
            .and_then(|before| before.parse().ok())
            .map(Timestamp::from_unix),
    }
}

/// The list that an address asks for.
///
/// # Errors
/// [`StoreError`].
pub async fn of(
    store: &Arc<dyn Store>,
    flows: &Flows,
    query: &str,
    now: Timestamp,
) -> Result<FlowList, StoreError> {
    flows.keep().await;
    let filter = filter(query);
    let rows = store.flows(filter.clone(), MOST).await?;
    let causes = store.causes(now.minus(CAUSES)).await?;
    let older = (rows.len() == MOST as usize)
        .then(|| rows.last().map(|row| older(&filter, row.last)))
        .flatten();
    Ok(FlowList {
        flows: rows.into_iter().map(line).collect(),
        causes: causes.into_iter().map(cause).collect(),
        older,
        filter,
    })
}

impl FlowList {
    /// What was asked, for the form.
    pub fn form(&self) -> FlowForm<'_> {
        FlowForm {
            failed: self.filter.failed,
            code: self.filter.error.as_deref().unwrap_or_default(),
            client: self.filter.client.as_deref().unwrap_or_default(),
            person: self.filter.person.as_deref().unwrap_or_default(),
        }
    }
}

fn line(row: FlowRow) -> FlowLine {
    let title = |code: &str| catalogue::find(code).map(|(_, entry)| entry.title.clone());
    FlowLine {
        flow: row.flow.to_string(),
        at: time::moment(row.last),
        client: row.client.unwrap_or_default(),
        server: row.server.unwrap_or_default(),
        person: row.person.unwrap_or_default(),
        outcome: row.outcome,
        error: row
            .error
            .map(|code| (code.clone(), title(&code).unwrap_or_default())),
    }
}

/// A cause as a page shows it.
pub fn cause(cause: Cause) -> CauseLine {
    let title = catalogue::find(&cause.error).map(|(_, entry)| entry.title.clone());
    CauseLine {
        title: title.unwrap_or_default(),
        code: cause.error,
        flows: cause.flows,
        when: format!(
            "{} – {}",
            time::moment(cause.first),
            time::moment(cause.last)
        ),
    }
}

fn older(filter: &FlowFilter, last: Timestamp) -> String {
    let last = last.unix().to_string();
    let mut params = vec![("before", last.as_str())];
    if filter.failed {
        params.push(("failed", "1"));
    }
    for (name, value) in [
        ("code", &filter.error),
        ("client", &filter.client),
        ("person", &filter.person),
    ] {
        if let Some(value) = value {
            params.push((name, value));
        }
    }
    with_query("", &params)
}
