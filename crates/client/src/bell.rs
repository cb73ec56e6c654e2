//! The waker that a connection is polled with: it can be muffled for a moment.
//!
//! When a piece of a body is taken from hyper's channel, hyper wakes the connection, to tell it that
//! there is room again. Here the request that takes the piece polls the connection right after, so that
//! wake-up would only run the whole task once more, for every token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Passes wake-ups on to the task that polls now, except while it is muffled.
#[derive(Debug)]
pub(crate) struct Bell {
    ringer: Arc<Ringer>,
    waker: Waker,
    /// The task that is woken, once more: to see without a lock that it is still the same.
    task: Waker,
}

#[derive(Debug)]
struct Ringer {
    muffled: AtomicBool,
    /// The task that polled last. Locked for a moment by whoever wakes it: its own thread, as a rule.
    task: Mutex<Waker>,
}

impl Bell {
    /// A bell that nobody hears yet.
    pub(crate) fn new() -> Self {
        let ringer = Arc::new(Ringer {
            muffled: AtomicBool::new(false),
            task: Mutex::new(Waker::noop().clone()),
        });
        let waker = Waker::from(Arc::clone(&ringer));
        Self { ringer, waker, task: Waker::noop().clone() }
    }

    /// From now on it is `task` that is woken.
    pub(crate) fn answer_to(&mut self, task: &Waker) {
        if !self.task.will_wake(task) {
            self.task.clone_from(task);
            let mut heard = self.ringer.task.lock().unwrap_or_else(PoisonError::into_inner);
            heard.clone_from(task);
        }
    }

    /// The context to poll a connection with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Does `work`, whose wake-ups wake nobody.
    pub(crate) fn muffled<T>(&self, work: impl FnOnce() -> T) -> T {
        self.ringer.muffled.store(true, Ordering::Relaxed);
        let done = work();
        self.ringer.muffled.store(false, Ordering::Relaxed);
        done
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.muffled.load(Ordering::Relaxed) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_wakes_the_last_task_unless_it_is_muffled() {
        let [first, second] = [(); 2].map(|()| Arc::new(Count::default()));
        let mut bell = Bell::new();
        let waker = bell.context().waker().clone();
        waker.wake_by_ref();
        bell.answer_to(&Waker::from(Arc::clone(&first)));
        waker.wake_by_ref();
        bell.answer_to(&Waker::from(Arc::clone(&second)));
        bell.muffled(|| waker.wake_by_ref());
        waker.wake();
        assert_eq!([first, second].map(|count| count.0.load(Ordering::Relaxed)), [1, 1]);
    }
}
