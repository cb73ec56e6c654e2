//! Who is in flight, and when each was over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_units::{Clock, RunClock, RunNanos};
use tokio::sync::Notify;

/// The tasks in flight of one driver.
#[derive(Debug)]
pub(crate) struct Seats(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    taken: Cell<u32>,
    clock: RunClock,
    /// The instants at which seats fell free; `None` if nobody wants to know.
    freed: Option<RefCell<Vec<RunNanos>>>,
    changed: Notify,
}

impl Seats {
    /// Seats that are only counted.
    pub(crate) fn counted(clock: RunClock) -> Self {
        Self::new(clock, None)
    }

    /// Seats, `capacity` at most, of which the driver hears when they fall free.
    pub(crate) fn watched(clock: RunClock, capacity: u32) -> Self {
        Self::new(clock, Some(RefCell::new(Vec::with_capacity(capacity as usize))))
    }

    fn new(clock: RunClock, freed: Option<RefCell<Vec<RunNanos>>>) -> Self {
        Self(Rc::new(Inner { taken: Cell::new(0), clock, freed, changed: Notify::new() }))
    }

    /// Takes a seat, until what is returned is dropped.
    pub(crate) fn take(&self) -> Seat {
        self.0.taken.set(self.0.taken.get() + 1);
        Seat(Rc::clone(&self.0))
    }

    pub(crate) fn taken(&self) -> u32 {
        self.0.taken.get()
    }

    /// Hands every instant at which a seat fell free since the last call to `each`, in order.
    pub(crate) fn drain_freed(&self, each: impl FnMut(RunNanos)) {
        if let Some(freed) = &self.0.freed {
            freed.borrow_mut().drain(..).for_each(each);
        }
    }

    /// Completes when a watched seat has fallen free since the last time this completed.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

/// The place of one task in flight. It falls free when the task ends or is dropped unfinished.
#[derive(Debug)]
pub(crate) struct Seat(Rc<Inner>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get() - 1);
        if let Some(freed) = &self.0.freed {
            freed.borrow_mut().push(self.0.clock.now());
            self.0.changed.notify_one();
        }
    }
}
