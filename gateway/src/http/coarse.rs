//! Time-outs that nearly never ring, at the price of one place in a list.
//!
//! A data thread sets several for each request, and almost all are taken back a moment
//! later. The runtime's timers keep an order for each; here all of a thread are looked at
//! together, four times a second, so that one rings up to [`TICK`] late and never early.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::time::Instant;

/// How often a thread looks at its time-outs, and how late one may be.
pub const TICK: Duration = Duration::from_millis(250);

thread_local! {
    static WATCH: Watch = const {
        Watch {
            kept: Cell::new(false),
            now: Cell::new(None),
            set: RefCell::new(Slab::new()),
        }
    };
}

/// The time-outs of one thread.
struct Watch {
    /// Whether somebody looks at them on this thread.
    kept: Cell<bool>,
    /// The time of the last look.
    now: Cell<Option<Instant>>,
    set: RefCell<Slab<(Instant, Waker)>>,
}

/// Looks at this thread's time-outs, as long as it is polled.
pub async fn keep() {
    struct Kept;
    impl Drop for Kept {
        fn drop(&mut self) {
            WATCH.with(|watch| watch.kept.set(false));
        }
    }
    let look = || {
        WATCH.with(|watch| {
            let now = Instant::now();
            watch.kept.set(true);
            watch.now.set(Some(now));
            for (_, (due, waker)) in watch.set.borrow().iter() {
                if *due <= now {
                    waker.wake_by_ref();
                }
            }
        });
    };
    let _kept = Kept;
    loop {
        look();
        tokio::time::sleep(TICK).await;
    }
}

/// Rings after a while, on the thread on which it was first polled.
#[derive(Debug)]
pub struct Sleep {
    due: Instant,
    set: Set,
}

#[derive(Debug)]
enum Set {
    Not,
    /// Its place in the list of its thread.
    Coarse(usize),
    /// Where nobody looks.
    Precise(Pin<Box<tokio::time::Sleep>>),
}

/// Rings `time` from now.
pub fn sleep(time: Duration) -> Sleep {
    // Not from the last look: a thread that stood still would ring too early.
    sleep_until(Instant::now() + time)
}

/// Rings at `due`, or up to one [`TICK`] later.
pub fn sleep_until(due: Instant) -> Sleep {
    Sleep { due, set: Set::Not }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Set::Precise(precise) = &mut this.set {
            return precise.as_mut().poll(cx);
        }
        WATCH.with(|watch| {
            if !watch.kept.get() {
                let mut precise = Box::pin(tokio::time::sleep_until(this.due));
                let polled = precise.as_mut().poll(cx);
                this.set = Set::Precise(precise);
                return polled;
            }
            if watch.now.get().is_some_and(|now| now >= this.due) {
                return Poll::Ready(());
            }
            let mut set = watch.set.borrow_mut();
            match &this.set {
                Set::Coarse(place) => {
                    if let Some((_, waker)) = set.get_mut(*place) {
                        waker.clone_from(cx.waker());
                    }
                }
                _ => this.set = Set::Coarse(set.insert((this.due, cx.waker().clone()))),
            }
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Set::Coarse(place) = self.set {
            // At the end of a thread the list may be gone already.
            let _ = WATCH.try_with(|watch| watch.set.borrow_mut().try_remove(place));
        }
    }
}

pin_project! {
    /// See [`timeout`].
    #[derive(Debug)]
    pub struct Timeout<F> {
        // Not an `async fn`, in which it would have room twice.
        #[pin]
        future: F,
        late: Sleep,
    }
}

/// Waits for `future`, but no longer than `time` and one [`TICK`]; `None` if that is over.
pub fn timeout<F: Future>(time: Duration, future: F) -> Timeout<F> {
    let late = sleep(time);
    Timeout { future, late }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(done) = this.future.poll(cx) {
            return Poll::Ready(Some(done));
        }
        Pin::new(this.late).poll(cx).map(|()| None)
    }
}

/// These for the HTTP library, which times the silence between requests.
#[derive(Debug, Clone, Copy)]
pub struct CoarseTimer;

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for CoarseTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep(time))
    }

    fn sleep_until(&self, due: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep_until(due.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn t_prx_16_a_coarse_time_out_rings_late_and_never_early() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                tokio::task::spawn_local(keep());
                tokio::task::yield_now().await;
                for millis in [0, 1, 249, 250, 1_000, 12_345] {
                    let asked = Duration::from_millis(millis);
                    let begun = Instant::now();
                    sleep(asked).await;
                    let took = begun.elapsed();
                    assert!(took >= asked, "{took:?} is before {asked:?}");
                    assert!(took <= asked + TICK * 2, "{took:?} is long after {asked:?}");
                }
                let nothing = timeout(Duration::from_secs(1), std::future::pending::<()>());
                assert_eq!(nothing.await, None);
                assert_eq!(timeout(Duration::from_secs(1), async { 7 }).await, Some(7));
                let left = WATCH.with(|watch| watch.set.borrow().len());
                assert_eq!(left, 0, "whatever was set is taken back");
            })
            .await;
        drop(local);
        // Where nobody looks, it rings all the same.
        let begun = Instant::now();
        sleep(Duration::from_millis(700)).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(700));
    }
}
