//! What may cut a request off: the abort switch and the limits of time.
//!
//! The timer is the runtime's, with ticks of 1 ms: it ends requests and measures nothing. Deadlines
//! are kept as stamps of the run clock and turned into delays when the timer is set.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll_units::{Clock, RunNanos, Span};
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep};

use crate::{Abort, Timeouts};

/// How long the HTTP body may go on after the stream's own end (`[DONE]` or an error) before its
/// connection is given up. A server that ends its streams does so at once.
const LINGER: Duration = Duration::from_secs(1);

/// A limit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connect,
    FirstToken,
    Request,
    Linger,
}

/// Why a request was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Aborted,
    TimedOut(Limit),
}

/// The watch over one request.
pub(crate) struct Watch {
    clock: Rc<dyn Clock>,
    abort: Abort,
    notified: Pin<Box<OwnedNotified>>,
    /// Who is woken by the switch. While it is the task that polls, a look at the flag is enough,
    /// and no lock that other threads share is taken on each token.
    registered: Option<Waker>,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows the waker in `registered`.
    set: bool,
    deadline: RunNanos,
    limit: Limit,
    timeouts: Timeouts,
    whole: RunNanos,
    first_token: Option<RunNanos>,
}

impl Watch {
    /// A watch that begins now, under the limit for the whole request.
    pub(crate) fn new(clock: Rc<dyn Clock>, abort: Abort, timeouts: Timeouts) -> Self {
        let whole = clock.now() + timeouts.request;
        Self {
            notified: Box::pin(abort.notified()),
            clock,
            abort,
            registered: None,
            timer: Box::pin(sleep(timeouts.request)),
            set: false,
            deadline: whole,
            limit: Limit::Request,
            timeouts,
            whole,
            first_token: None,
        }
    }

    /// The limit for connecting begins.
    pub(crate) fn connecting(&mut self) {
        self.arm(Limit::Connect, self.clock.now() + self.timeouts.connect);
    }

    /// The limit for the first token begins, or goes on if the request is sent once more.
    pub(crate) fn sending(&mut self) {
        let fresh = self.clock.now() + self.timeouts.first_token;
        let deadline = *self.first_token.get_or_insert(fresh);
        self.arm(Limit::FirstToken, deadline);
    }

    /// The first token came: only the limit for the whole request is left.
    pub(crate) fn streaming(&mut self) {
        if self.limit != Limit::Request {
            self.arm(Limit::Request, self.whole);
        }
    }

    /// The stream ended itself: its body has a moment left to end too.
    pub(crate) fn lingering(&mut self) {
        if self.limit != Limit::Linger {
            self.arm(Limit::Linger, self.clock.now() + LINGER);
        }
    }

    fn arm(&mut self, limit: Limit, deadline: RunNanos) {
        // The whole request's limit holds in every phase.
        let (limit, deadline) = if deadline >= self.whole && limit != Limit::Linger {
            (Limit::Request, self.whole)
        } else {
            (limit, deadline)
        };
        self.limit = limit;
        self.deadline = deadline;
        self.set = false;
        self.timer.set(sleep(deadline - self.clock.now()));
    }

    /// Ready when the request is to be cut off. To be polled before the work it watches, so that
    /// work which never pauses cannot starve it: the runtime gives each turn of a task a budget, and
    /// a server that floods would use it up before the timer is asked.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        if !self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let _ = self.notified.as_mut().poll(cx);
            self.registered = Some(cx.waker().clone());
            self.set = false;
        }
        // Looked at after registering, so that a raise in between is not missed.
        if self.abort.is_raised() {
            return Poll::Ready(Cut::Aborted);
        }
        // A look at the clock costs less than one at the timer, which has this task's waker already.
        if self.set && self.clock.now() < self.deadline {
            return Poll::Pending;
        }
        let fired = self.timer.as_mut().poll(cx);
        // A task that has used its turn up is not let to the timer.
        self.set = tokio::task::coop::has_budget_remaining();
        fired.map(|()| Cut::TimedOut(self.limit))
    }

    /// Does `work` until it is done or cut off.
    pub(crate) async fn guard<F: Future>(&mut self, work: F) -> Result<F::Output, Cut> {
        let mut work = pin!(work);
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(cut) => Poll::Ready(Err(cut)),
            Poll::Pending => work.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// What a row says of `limit`.
    pub(crate) fn words(&self, limit: Limit) -> String {
        let Timeouts { connect, first_token, request } = self.timeouts;
        match limit {
            Limit::Connect => format!("no connection within {}", Span::new(connect)),
            Limit::FirstToken => {
                format!("no first token within {} of sending", Span::new(first_token))
            }
            Limit::Request => format!("the request was not over within {}", Span::new(request)),
            Limit::Linger => format!("the response did not end within {}", Span::new(LINGER)),
        }
    }
}
