//! A few threads with a reading connection each; they never wait for the writer.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::writer::failed;
use crate::store::StoreError;

const READERS: usize = 2;
const QUEUE: usize = 4096;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers.
#[derive(Clone)]
pub(super) struct Readers(SyncSender<Job>);

impl Readers {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let (send, receive) = sync_channel::<Job>(QUEUE);
        let receive = Arc::new(Mutex::new(receive));
        for number in 0..READERS {
            let connection = Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
            .and_then(|connection| {
                connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON")?;
                Ok(connection)
            })
            .map_err(|error| failed(&error))?;
            let receive = Arc::clone(&receive);
            thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || run(&connection, &receive))
                .map_err(|error| StoreError::Failed(error.to_string()))?;
        }
        Ok(Self(send))
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = reply.send(work(connection).map_err(|error| failed(&error)));
        });
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Stopped,
        })?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

fn run(connection: &Connection, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}
