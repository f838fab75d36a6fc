//! Keeps a quiet stream from being taken for a dead one, and ends one that is dead.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};
use vestibule_core::event_stream::Between;

/// Watches over the silence of one stream.
pub struct Alive {
    between: Between,
    every: Duration,
    idle: Duration,
    said: Instant,
    heard: Instant,
    /// Begins with the first silence.
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a silence calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// A comment, since an event may begin here.
    Comment,
    /// The end: the server said nothing for too long.
    End,
}

impl Alive {
    /// Asks for a comment after `every` without a byte, and ends after `idle` without one of
    /// the server's.
    pub fn new(every: Duration, idle: Duration) -> Self {
        let now = Instant::now();
        Self {
            between: Between::default(),
            every,
            idle,
            said: now,
            heard: now,
            timer: None,
        }
    }

    /// The server said something.
    pub fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// This went to the client.
    pub fn said(&mut self, bytes: &[u8]) {
        self.between.pass(bytes);
        self.said = Instant::now();
    }

    /// Ready when the silence is too long. The timer is set anew only when it rings, so that
    /// a busy stream pays nothing for it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        let first = (self.said + self.every).min(self.heard + self.idle);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(first)));
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= self.heard + self.idle {
                return Poll::Ready(Silence::End);
            }
            let comment = now >= self.said + self.every;
            if comment {
                // In the midst of an event the next chance is a full turn later.
                self.said = now;
            }
            let next = (self.said + self.every).min(self.heard + self.idle);
            timer.as_mut().reset(next);
            if comment && self.between.events() {
                return Poll::Ready(Silence::Comment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn px_9_comments_come_in_silence_between_events() {
        let begun = Instant::now();
        let mut alive = Alive::new(seconds(15), seconds(50));
        assert_eq!(poll_fn(|cx| alive.poll(cx)).await, Silence::Comment);
        assert_eq!(begun.elapsed().as_secs(), 15);

        tokio::time::sleep(seconds(10)).await;
        alive.heard();
        alive.said(b"data: 1\n\n");
        assert_eq!(poll_fn(|cx| alive.poll(cx)).await, Silence::Comment);
        assert_eq!(begun.elapsed().as_secs(), 40, "15 s after the last byte");

        alive.heard();
        alive.said(b"data: 2");
        assert_eq!(poll_fn(|cx| alive.poll(cx)).await, Silence::End);
        assert_eq!(begun.elapsed().as_secs(), 90, "no comment inside an event");
    }
}
