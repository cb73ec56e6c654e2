//! Where *when*, *what* and *how* meet: the driver's target that takes an encoded body and gives it
//! to the client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_client::{Client, Due, Request};
use plimsoll_load::{Start, Target};
use plimsoll_records::{Outcome, RequestRow, RowSender, StampSource};
use plimsoll_units::{Clock as _, RunClock};
use plimsoll_workload::{EncodedRequest, Feeder};
use tokio::sync::Notify;

use crate::live::Live;

/// One worker's requests. Everything in it belongs to the worker's own thread but `live`.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) worker: u32,
    pub(crate) clock: RunClock,
    pub(crate) client: Rc<Client>,
    pub(crate) feeder: Rc<RefCell<Feeder>>,
    pub(crate) rows: Rc<RefCell<RowSender>>,
    pub(crate) live: Arc<Live>,
    pub(crate) in_flight: Rc<Cell<u64>>,
    pub(crate) bodies_late: Rc<Cell<u64>>,
    pub(crate) idle: Rc<Notify>,
}

impl Requests {
    /// Completes when no request is in flight.
    pub(crate) async fn idle(&self) {
        while self.in_flight.get() > 0 {
            self.idle.notified().await;
        }
    }

    fn request(&self, index: u64) -> Request {
        let (
            EncodedRequest {
                body,
                prompt_tokens_planned,
                output_tokens_planned,
                session,
                turn,
                ..
            },
            ready,
        ) = self.feeder.borrow_mut().next(index);
        if !ready {
            self.bodies_late.set(self.bodies_late.get() + 1);
        }
        Request {
            body,
            prompt_tokens_planned: prompt_tokens_planned.unwrap_or(0),
            output_tokens_planned,
            session,
            turn,
        }
    }
}

impl Target for Requests {
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static {
        self.live.start();
        self.in_flight.set(self.in_flight.get() + 1);
        let request = self.request(start.index);
        let due = Due {
            id: start.index,
            worker: self.worker,
            intended: start.intended,
            dequeued: start.dequeued,
        };
        let this = self.clone();
        async move {
            let row = this.client.send(due, request).await;
            this.rows.borrow_mut().send(row);
            this.in_flight.set(this.in_flight.get() - 1);
            if this.in_flight.get() == 0 {
                this.idle.notify_one();
            }
        }
    }

    fn shed(&self, start: Start) {
        self.live.start();
        // Its body is taken off the feeder as well, so that later arrivals keep theirs.
        let request = self.request(start.index);
        self.rows.borrow_mut().send(RequestRow {
            id: start.index,
            session: request.session,
            turn: request.turn,
            worker: self.worker,
            intended: start.intended,
            dequeued: start.dequeued,
            connected: None,
            connection: None,
            sent: None,
            first_byte: None,
            role_chunk: None,
            first_reasoning: None,
            first_answer: None,
            last_token: None,
            usage: None,
            done: self.clock.now(),
            resent: false,
            outcome: Outcome::Shed,
            http_status: None,
            error: Some(
                "the cap on requests in flight (load.max-in-flight) was reached".to_owned(),
            ),
            finish_reason: None,
            prompt_tokens_planned: request.prompt_tokens_planned,
            prompt_tokens: None,
            output_tokens_planned: request.output_tokens_planned,
            output_tokens: None,
            cached_tokens: None,
            stamp_source: StampSource::User,
            chunks: Vec::new(),
        });
    }
}
