//! Where tokens wait for their connection, on the thread that owns both.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::Completion;
use crate::replica::Outbox;

/// Tokens of one request that its connection has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    arrived: u32,
    done: Option<Box<Completion>>,
    waker: Option<Waker>,
}

/// What a connection takes out of its mailbox at once.
pub(crate) struct Mail {
    /// Tokens, at least one.
    pub(crate) tokens: u32,
    /// Present when the last of them ends the answer.
    pub(crate) done: Option<Box<Completion>>,
}

impl Mailbox {
    /// Everything that has come, or a wake-up when something comes.
    pub(crate) fn poll_take(&mut self, cx: &Context<'_>) -> Poll<Mail> {
        if self.arrived == 0 {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Mail { tokens: std::mem::take(&mut self.arrived), done: self.done.take() })
    }
}

/// All mailboxes of one HTTP thread, by ticket.
#[derive(Debug, Default)]
pub(crate) struct Desk(RefCell<HashMap<u64, Rc<RefCell<Mailbox>>>>);

impl Desk {
    /// A new mailbox for `ticket`.
    pub(crate) fn open(&self, ticket: u64) -> Rc<RefCell<Mailbox>> {
        let mailbox = Rc::default();
        self.0.borrow_mut().insert(ticket, Rc::clone(&mailbox));
        mailbox
    }

    /// Nothing is delivered under `ticket` any more.
    pub(crate) fn close(&self, ticket: u64) {
        self.0.borrow_mut().remove(&ticket);
    }
}

/// Puts what comes to the thread's outbox into the mailboxes, for ever.
pub(crate) async fn deliver(desk: Rc<Desk>, outboxes: Arc<[Outbox]>, index: usize) {
    let outbox = &outboxes[index];
    let mut batch = Vec::new();
    loop {
        outbox.ready.notified().await;
        outbox.collect(&mut batch);
        let mailboxes = desk.0.borrow();
        for delivery in batch.drain(..) {
            // Tokens of a client that has just gone have no mailbox any more.
            if let Some(mailbox) = mailboxes.get(&delivery.ticket) {
                let mut mailbox = mailbox.borrow_mut();
                mailbox.arrived += 1;
                mailbox.done = delivery.done;
                if let Some(waker) = mailbox.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}
