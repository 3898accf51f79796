//! How many requests are in flight at once: up to a number, fewer where the storage asks for that, and what they hold in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many requests at most. A guess between rclone's default (4) and what it is told to do over slow ways (32 and more);
/// `scripts/bench s3` has what it comes to.
const MOST: usize = 48;
/// So many bytes of content are on their way at once; a single piece that is larger goes alone. It is what guard may use in all
/// (64 MB) without what it needs anyway, which `scripts/bench s3` measures.
const BYTES: u64 = 24 * 1024 * 1024;
/// So many pieces are given ahead of the one that is taken next: one that takes long must not keep all others waiting.
const WINDOW: usize = 4 * MOST;
/// What bytes are counted in.
const UNIT: u64 = 1024;

/// The number of requests that a storage bears, and the memory that their bodies take.
#[derive(Debug)]
pub(super) struct Lanes {
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    load: Mutex<Load>,
}

/// How many requests may be in flight.
#[derive(Debug)]
struct Load {
    limit: usize,
    /// Lanes that are to be closed when the requests in them are over.
    surplus: usize,
    /// Answers that came as they should since the limit has changed.
    calm: usize,
    /// How often it was halved: answers to requests from before do not halve it again.
    halved: u64,
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct Lane {
    lanes: Arc<Lanes>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut load = self.lanes.load();
        if let Some(permit) = self.permit.take()
            && load.surplus > 0
        {
            load.surplus -= 1;
            permit.forget();
        }
    }
}

impl Lanes {
    pub(super) fn new() -> Arc<Self> {
        let kilobytes = usize::try_from(BYTES / UNIT).unwrap_or(usize::MAX);
        Arc::new(Self {
            requests: Arc::new(Semaphore::new(MOST)),
            memory: Arc::new(Semaphore::new(kilobytes.min(Semaphore::MAX_PERMITS))),
            load: Mutex::new(Load {
                limit: MOST,
                surplus: 0,
                calm: 0,
                halved: 0,
            }),
        })
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more request may be in flight; it is until what is returned is dropped.
    pub(super) async fn enter(self: &Arc<Self>) -> Lane {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.requests).acquire_owned().await.ok();
        Lane {
            lanes: Arc::clone(self),
            permit,
        }
    }

    /// Waits until so many bytes of a body may be in memory. Asked before a lane is entered, so that none is kept waiting.
    pub(super) async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kilobytes = u32::try_from(bytes.min(BYTES).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.memory).acquire_many_owned(kilobytes).await.ok()
    }

    /// How often the storage has asked for fewer requests so far.
    pub(super) fn halved(&self) -> u64 {
        self.load().halved
    }

    /// The storage asked for fewer requests: half of them, at least one. `halved` is what was so when the request was begun;
    /// those that were in flight together say it once.
    pub(super) fn slow_down(&self, halved: u64) {
        let mut load = self.load();
        load.calm = 0;
        if load.halved != halved {
            return;
        }
        load.halved += 1;
        let less = load.limit / 2;
        load.limit -= less;
        load.surplus += less - self.requests.forget_permits(less);
    }

    /// An answer came as it should: after as many as may be in flight there may be one more.
    pub(super) fn well(&self) {
        let mut load = self.load();
        load.calm += 1;
        if load.limit < MOST && load.calm >= load.limit {
            load.calm = 0;
            load.limit += 1;
            if load.surplus > 0 {
                load.surplus -= 1;
            } else {
                self.requests.add_permits(1);
            }
        }
    }
}

/// Gives work to several hands.
pub struct Giver<'g, J, T> {
    jobs: tokio::sync::mpsc::UnboundedSender<J>,
    results: mpsc::Receiver<T>,
    /// The bytes of each piece that was given and not taken, the first of them first.
    on_the_way: RefCell<VecDeque<u64>>,
    lost: &'g dyn Fn() -> T,
}

impl<J, T> Giver<'_, J, T> {
    /// Whether a piece of this size may be given before the next is taken.
    #[must_use]
    pub fn may_give(&self, bytes: u64) -> bool {
        let on_the_way = self.on_the_way.borrow();
        let held: u64 = on_the_way.iter().sum();
        on_the_way.is_empty() || (held + bytes <= BYTES && on_the_way.len() < WINDOW)
    }

    /// Gives a piece of work, with the bytes that it holds in memory until it is taken.
    pub fn give(&self, job: J, bytes: u64) {
        self.on_the_way.borrow_mut().push_back(bytes);
        // Where the hands have ended, `take` says so.
        let _ended = self.jobs.send(job);
    }

    /// Whether anything that was given has not been taken yet.
    #[must_use]
    pub fn is_on_the_way(&self) -> bool {
        !self.on_the_way.borrow().is_empty()
    }

    /// What became of the piece that was given first among those that have not been taken.
    #[must_use]
    pub fn take(&self) -> T {
        let result = self.results.recv().unwrap_or_else(|_| (self.lost)());
        self.on_the_way.borrow_mut().pop_front();
        result
    }
}

/// Tells the hands that nobody takes any more, whatever became of the one that gave.
struct End<'e>(&'e AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets `give` hand out work that `act` does side by side, and take what comes of it in the order in which it was given. `lost`
/// stands for what a panic took. Once `give` has returned nothing more is begun; what was begun is waited for, since a request
/// that is only let go of may still be done by the storage, behind one that is made later.
///
/// All acts are driven by one thread: what an act does between its requests has to be short.
pub(super) fn side_by_side<J: Send, T: Send, R>(
    runtime: &Handle,
    act: &(impl AsyncFn(J) -> T + Sync),
    lost: &dyn Fn() -> T,
    give: impl FnOnce(&Giver<'_, J, T>) -> R,
) -> R {
    let (jobs, mut given) = tokio::sync::mpsc::unbounded_channel();
    let (done, results) = mpsc::channel();
    let (is_over, hands) = (AtomicBool::new(false), Semaphore::new(MOST));
    let (is_over, hands) = (&is_over, &hands);
    std::thread::scope(|scope| {
        let driver = scope.spawn(move || {
            runtime.block_on(async move {
                let jobs = stream::poll_fn(|cx| given.poll_recv(cx));
                let begun = jobs.map(async |job| {
                    let _hand = hands.acquire().await;
                    if is_over.load(Ordering::Relaxed) {
                        None
                    } else {
                        Some(act(job).await)
                    }
                });
                let mut ended = std::pin::pin!(begun.buffered(WINDOW));
                while let Some(result) = ended.next().await {
                    // Nobody takes it any more: the rest is only waited for.
                    let _untaken = result.map(|result| done.send(result));
                }
            });
        });
        let result = {
            let _end = End(is_over);
            give(&Giver {
                jobs,
                results,
                on_the_way: RefCell::default(),
                lost,
            })
        };
        // Of a panic there the giver was told as of something lost.
        let _panicked = driver.join();
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap()
    }

    #[test]
    fn what_is_done_side_by_side_comes_back_in_order() {
        let runtime = runtime();
        let gate = tokio::sync::Barrier::new(4);
        let act = async |number: usize| {
            // Four have to be under way at once, or this never ends.
            gate.wait().await;
            number
        };
        let got: Vec<usize> = side_by_side(runtime.handle(), &act, &|| 0, |giver| {
            for number in 0..40 {
                giver.give(number, 10);
            }
            (0..40).map(|_| giver.take()).collect()
        });
        assert_eq!(got, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_storage_that_asks_for_less_gets_half_and_later_more() {
        let (runtime, lanes) = (runtime(), Lanes::new());
        let begun = lanes.halved();
        // Two in flight at the time: their lanes close when they are over, and both say it once.
        let mut in_flight: Vec<Lane> = (0..MOST).map(|_| runtime.block_on(lanes.enter())).collect();
        lanes.slow_down(begun);
        lanes.slow_down(begun);
        assert_eq!(lanes.load().limit, MOST / 2);
        for _ in 0..MOST / 2 {
            in_flight.pop();
            assert_eq!(lanes.requests.available_permits(), 0);
        }
        in_flight.pop();
        assert_eq!(lanes.requests.available_permits(), 1);
        in_flight.clear();
        assert_eq!(lanes.requests.available_permits(), MOST / 2);
        for _ in 0..10 {
            lanes.slow_down(lanes.halved());
        }
        assert_eq!((lanes.load().limit, lanes.requests.available_permits()), (1, 1));
        lanes.well();
        assert_eq!((lanes.load().limit, lanes.requests.available_permits()), (2, 2));
        for _ in 0..MOST * MOST {
            lanes.well();
        }
        assert_eq!((lanes.load().limit, lanes.requests.available_permits()), (MOST, MOST));
    }

    #[test]
    fn bytes_on_the_way_are_bounded_and_one_large_piece_goes_alone() {
        side_by_side(runtime().handle(), &async |_: u64| (), &|| (), |giver| {
            assert!(giver.may_give(BYTES * 3));
            giver.give(1, BYTES * 3);
            assert!(!giver.may_give(1));
            let () = giver.take();
            assert!(giver.may_give(1));
        });
    }

    #[test]
    fn once_nobody_takes_nothing_more_is_begun_and_what_was_begun_is_waited_for() {
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let gate = tokio::sync::Semaphore::new(0);
        let act = async |_: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            let _open = gate.acquire().await;
            ended.fetch_add(1, Ordering::SeqCst);
        };
        side_by_side(runtime().handle(), &act, &|| (), |giver| {
            for number in 0..WINDOW {
                giver.give(number, 0);
            }
            while begun.load(Ordering::SeqCst) < MOST {
                std::thread::yield_now();
            }
            gate.add_permits(1);
            let () = giver.take();
            // Whoever had the first one's hand may have begun another; the others wait for the gate.
            std::thread::scope(|scope| {
                scope.spawn(|| gate.add_permits(WINDOW));
            });
        });
        let begun = begun.load(Ordering::SeqCst);
        assert_eq!(begun, ended.load(Ordering::SeqCst));
    }

    #[test]
    fn a_panic_is_told_as_something_lost() {
        let act = async |number: usize| {
            assert!(number != 2, "a bug");
            number
        };
        let got: Vec<usize> = side_by_side(runtime().handle(), &act, &|| 99, |giver| {
            giver.give(1, 0);
            giver.give(2, 0);
            vec![giver.take(), giver.take()]
        });
        assert_eq!(got.last(), Some(&99));
    }
}
