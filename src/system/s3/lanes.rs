//! How many requests are in flight at once: up to a number, by their bytes too, and fewer where the storage asks for that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many requests at most.
const MOST: usize = 32;
/// So many bytes of content at once; a single object that is larger goes alone.
const BYTES: u64 = 64 * 1024 * 1024;
/// After so many answers that came at once, one more request may be in flight. The three are guesses.
const CALM: usize = 50;

/// The number of requests that a storage bears.
#[derive(Debug)]
pub(super) struct Lanes {
    open: AtomicUsize,
    calm: AtomicUsize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(MOST),
            calm: AtomicUsize::new(0),
        }
    }
}

impl Lanes {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The storage asked for fewer requests: half of them, at least one.
    pub(super) fn slow_down(&self) {
        self.calm.store(0, Ordering::Relaxed);
        let halved = |open: usize| Some((open / 2).max(1));
        // It always has a value to give.
        let _before = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, halved);
    }

    /// An answer came as it should.
    pub(super) fn well(&self) {
        if self.open() < MOST && self.calm.fetch_add(1, Ordering::Relaxed) >= CALM {
            self.calm.store(0, Ordering::Relaxed);
            self.open.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that is given in order, done side by side, and handed back in order.
struct Road<J, T> {
    waiting: VecDeque<(usize, u64, J)>,
    /// What is done, by its number, with its bytes.
    done: Vec<(usize, u64, T)>,
    /// Requests in flight, and bytes that are in flight or done and not handed back.
    busy: usize,
    bytes: u64,
    given: usize,
    handed: usize,
    closed: bool,
}

/// Gives work to several hands.
pub struct Giver<'g, J, T> {
    road: &'g Mutex<Road<J, T>>,
    moved: &'g Condvar,
    lost: &'g dyn Fn() -> T,
}

impl<J, T> Giver<'_, J, T> {
    /// Whether one more piece of this size may be given now without waiting.
    fn has_room(road: &Road<J, T>, bytes: u64) -> bool {
        let on_the_way = road.given - road.handed;
        on_the_way == 0 || (road.bytes + bytes <= BYTES && on_the_way < 4 * MOST)
    }

    /// Whether a piece of this size may be given before the next is taken.
    #[must_use]
    pub fn may_give(&self, bytes: u64) -> bool {
        Self::has_room(&locked(self.road), bytes)
    }

    /// Gives a piece of work, with the bytes that it holds while it is on its way.
    pub fn give(&self, job: J, bytes: u64) {
        let mut road = locked(self.road);
        let number = road.given;
        road.given += 1;
        road.bytes += bytes;
        road.waiting.push_back((number, bytes, job));
        drop(road);
        self.moved.notify_all();
    }

    /// Whether anything that was given has not been taken yet.
    #[must_use]
    pub fn is_on_the_way(&self) -> bool {
        let road = locked(self.road);
        road.given > road.handed
    }

    /// What became of the piece that was given first among those that have not been taken.
    #[must_use]
    pub fn take(&self) -> T {
        let mut road = locked(self.road);
        loop {
            let next = road.handed;
            if let Some(at) = road.done.iter().position(|(number, ..)| *number == next) {
                let (_, bytes, result) = road.done.swap_remove(at);
                road.handed += 1;
                road.bytes -= bytes;
                drop(road);
                self.moved.notify_all();
                return result;
            }
            if road.closed {
                return (self.lost)();
            }
            road = self.moved.wait(road).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends the hands whatever happens to the one that gives: a panic must not leave them waiting.
struct End<'e, J, T> {
    road: &'e Mutex<Road<J, T>>,
    moved: &'e Condvar,
}

impl<J, T> Drop for End<'_, J, T> {
    fn drop(&mut self) {
        let mut road = locked(self.road);
        road.closed = true;
        road.waiting.clear();
        drop(road);
        self.moved.notify_all();
    }
}

/// Lets `give` hand out work that `act` does side by side, in as many lanes as the storage bears. `lost` stands for what a
/// hand that panicked would have said.
pub(super) fn side_by_side<J: Send, T: Send, R>(
    lanes: &Lanes,
    act: &(dyn Fn(J) -> T + Sync),
    lost: &dyn Fn() -> T,
    give: impl FnOnce(&Giver<'_, J, T>) -> R,
) -> R {
    let road = Mutex::new(Road {
        waiting: VecDeque::new(),
        done: Vec::new(),
        busy: 0,
        bytes: 0,
        given: 0,
        handed: 0,
        closed: false,
    });
    let moved = Condvar::new();
    std::thread::scope(|scope| {
        let _end = End {
            road: &road,
            moved: &moved,
        };
        for _ in 0..MOST {
            scope.spawn(|| {
                // A hand that panics takes the others along, and the giver is told.
                let watch = Watch {
                    road: &road,
                    moved: &moved,
                };
                loop {
                    let mut open = locked(&road);
                    let (number, bytes, job) = loop {
                        if open.closed {
                            return;
                        }
                        if open.busy < lanes.open()
                            && let Some(job) = open.waiting.pop_front()
                        {
                            open.busy += 1;
                            break job;
                        }
                        open = moved.wait(open).unwrap_or_else(PoisonError::into_inner);
                    };
                    drop(open);
                    let result = act(job);
                    let mut open = locked(&road);
                    open.busy -= 1;
                    open.done.push((number, bytes, result));
                    drop(open);
                    watch.moved.notify_all();
                }
            });
        }
        give(&Giver {
            road: &road,
            moved: &moved,
            lost,
        })
    })
}

/// Closes the road when its thread panics.
struct Watch<'w, J, T> {
    road: &'w Mutex<Road<J, T>>,
    moved: &'w Condvar,
}

impl<J, T> Drop for Watch<'_, J, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            locked(self.road).closed = true;
            self.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_side_by_side_comes_back_in_order() {
        let lanes = Lanes::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let gate = std::sync::Barrier::new(4);
        let act = |number: usize| {
            let busy = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(busy, Ordering::SeqCst);
            // Four have to be under way at once, or this never ends.
            gate.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            number
        };
        let got: Vec<usize> = side_by_side(&lanes, &act, &|| 0, |giver| {
            for number in 0..40 {
                giver.give(number, 10);
            }
            (0..40).map(|_| giver.take()).collect()
        });
        assert_eq!(got, (0..40).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) >= 4);
    }

    #[test]
    fn a_storage_that_asks_for_less_gets_half_and_later_more() {
        let lanes = Lanes::default();
        lanes.slow_down();
        assert_eq!(lanes.open(), MOST / 2);
        for _ in 0..10 {
            lanes.slow_down();
        }
        assert_eq!(lanes.open(), 1);
        for _ in 0..=CALM {
            lanes.well();
        }
        assert_eq!(lanes.open(), 2);
    }

    #[test]
    fn bytes_on_the_way_are_bounded_and_one_large_piece_goes_alone() {
        side_by_side(&Lanes::default(), &|_: u64| (), &|| (), |giver| {
            assert!(giver.may_give(BYTES * 3));
            giver.give(1, BYTES * 3);
            assert!(!giver.may_give(1));
            let () = giver.take();
            assert!(giver.may_give(1));
        });
    }
}
