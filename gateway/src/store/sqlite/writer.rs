//! One thread owns the only writing connection, and commits in groups.
//!
//! It takes a job, takes along whatever else waits, runs each in a savepoint of its own
//! inside one transaction, commits once, and only then answers. So a durable commit costs
//! one sync however many logins share it, a job that fails takes no other with it, and no
//! client that goes away can leave a job half done.

use std::{
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;

/// Jobs that may wait.
const QUEUE: usize = 4096;

/// Jobs that share a commit at most.
const GROUP: usize = 128;

/// Something to do inside the transaction, and somebody to answer after it.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Result<(), rusqlite::Error>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Call<W, T> {
    work: Option<W>,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    before_answer: Box<dyn FnOnce(&T) + Send>,
}

impl<W, T> Job for Call<W, T>
where
    W: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => {
                (self.before_answer)(&outcome);
                Ok(outcome)
            }
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Stopped),
        };
        // Whoever asked may be gone; what was done stays done.
        let _ = self.reply.send(answer);
    }
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Writer(SyncSender<Box<dyn Job>>);

impl Writer {
    /// Starts the thread, which ends when the last handle is dropped.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (send, receive) = sync_channel(QUEUE);
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, &receive))?;
        Ok(Self(send))
    }

    /// Runs `work` in a transaction; after the commit and before the answer, `then`.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Call {
            work: Some(work),
            outcome: None,
            reply,
            before_answer: Box::new(then),
        };
        self.0
            .try_send(Box::new(job))
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Stopped,
            })?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

fn run(connection: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        commit(connection, group);
    }
    // The last handle is gone: leave a tidy file behind.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

fn commit(connection: &Connection, group: Vec<Box<dyn Job>>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        let error = failed(&error);
        for job in group {
            job.answer(Err(error.clone()));
        }
        return;
    }
    let mut ran = Vec::with_capacity(group.len());
    for mut job in group {
        let outcome = connection
            .execute_batch("SAVEPOINT job")
            .and_then(|()| job.run(connection))
            .and_then(|()| connection.execute_batch("RELEASE job"));
        if outcome.is_err() {
            let _ = connection.execute_batch("ROLLBACK TO job; RELEASE job");
        }
        ran.push((job, outcome));
    }
    let committed = connection.execute_batch("COMMIT");
    if committed.is_err() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    for (job, outcome) in ran {
        let outcome = match (&committed, outcome) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(error), _) => Err(failed(error)),
            (Ok(()), Err(error)) => Err(failed(&error)),
        };
        job.answer(outcome);
    }
}

pub(super) fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
