//! What goes on beside the steps of a run, and has to be over before something else begins.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Work that was begun and is waited for later. Clones share it. What nobody waits for ends with the process.
#[derive(Clone, Default)]
pub struct Aside(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Aside {
    /// Begins work on a thread of its own; where the kernel refuses one, nobody gains time, and it is done now.
    pub fn begin(&self, work: impl FnOnce() + Send + 'static) {
        let place = Arc::new(Mutex::new(Some(work)));
        let take = |place: &Mutex<Option<_>>| place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = Arc::clone(&place);
        let begun = std::thread::Builder::new()
            .name("guard-aside".to_owned())
            .spawn(move || {
                if let Some(work) = take(&theirs) {
                    work();
                }
            });
        match begun {
            Ok(thread) => self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(_) => {
                if let Some(work) = take(&place) {
                    work();
                }
            }
        }
    }

    /// Waits until all of it is over, also what is begun meanwhile.
    pub fn settle(&self) {
        loop {
            let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                // One that panicked is over as well.
                let _over = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};

    use super::Aside;

    #[test]
    fn all_of_it_is_over_when_it_has_settled() {
        let (aside, done) = (Aside::default(), Arc::new(AtomicU32::new(0)));
        let (go, wait) = mpsc::channel();
        let (theirs, again) = (Arc::clone(&done), aside.clone());
        aside.begin(move || {
            wait.recv().unwrap();
            let counted = Arc::clone(&theirs);
            again.begin(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            });
            theirs.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(done.load(Ordering::SeqCst), 0, "nobody waits for it yet");
        go.send(()).unwrap();
        aside.clone().settle();
        assert_eq!(done.load(Ordering::SeqCst), 2);
        aside.settle();
    }
}
