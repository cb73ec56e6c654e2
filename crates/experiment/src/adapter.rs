//! Where *when*, *what* and *how* meet: the driver's target that takes an encoded body and gives it
//! to the client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_client::{CaptureHandle, Client, ClientReport, Due, Measured, Request};
use plimsoll_load::{FollowUps, Start, Target};
use plimsoll_records::{Outcome, RequestRow, RowSender, StampSource};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use plimsoll_workload::Feeder;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::conversations::Conversations;
use crate::live::Live;

/// One worker's requests.
pub(crate) struct Requests(Rc<Shared>);

/// What the requests of one worker share. All of it belongs to the worker's own thread but `live`.
struct Shared {
    worker: u32,
    clock: RunClock,
    /// For each replica one; requests go to them in turn.
    clients: Vec<Client>,
    feeder: RefCell<Feeder>,
    /// Where requests are turns of conversations.
    conversations: Option<Conversations>,
    rows: RefCell<RowSender>,
    /// Settles rows by packets, where packets are captured; its sink has a sender of its own.
    capture: Option<CaptureHandle>,
    stamps: StampSource,
    live: Arc<Live>,
    in_flight: Cell<u64>,
    idle: Notify,
    bodies_late: Cell<u64>,
    /// Requests that ended without a row: their task panicked.
    rowless: Cell<u64>,
}

/// What one worker's requests are made from.
pub(crate) struct RequestsPlan {
    pub(crate) worker: u32,
    pub(crate) clock: RunClock,
    /// For each replica one, at least.
    pub(crate) clients: Vec<Client>,
    pub(crate) feeder: Feeder,
    pub(crate) conversations: Option<Conversations>,
    pub(crate) rows: RowSender,
    pub(crate) capture: Option<CaptureHandle>,
    /// The source of stamps that was asked for.
    pub(crate) stamps: StampSource,
    pub(crate) live: Arc<Live>,
}

impl Requests {
    pub(crate) fn new(plan: RequestsPlan) -> Self {
        Self(Rc::new(Shared {
            worker: plan.worker,
            clock: plan.clock,
            clients: plan.clients,
            feeder: RefCell::new(plan.feeder),
            conversations: plan.conversations,
            rows: RefCell::new(plan.rows),
            capture: plan.capture,
            stamps: plan.stamps,
            live: plan.live,
            in_flight: Cell::new(0),
            idle: Notify::new(),
            bodies_late: Cell::new(0),
            rowless: Cell::new(0),
        }))
    }

    /// Opens connections until so many are idle, or the server would not take one more.
    pub(crate) async fn warm_up(&self, connections: u32) {
        let clients = &self.0.clients;
        for client in clients {
            let idle = client.warm_up((connections as usize).div_ceil(clients.len())).await;
            tracing::debug!(worker = self.0.worker, idle, "connections opened ahead");
        }
    }

    /// Keeps so many connections idle beside the requests, until the value is dropped.
    pub(crate) fn keep_warm(&self, connections: u32) -> KeptWarm {
        if connections == 0 {
            return KeptWarm(Vec::new());
        }
        let of_each = (connections as usize).div_ceil(self.0.clients.len());
        let keeping = |place: usize| {
            let shared = Rc::clone(&self.0);
            let keeping = async move {
                shared.clients[place].keep_warm(of_each).await;
            };
            tokio::task::spawn_local(keeping).abort_handle()
        };
        KeptWarm((0..self.0.clients.len()).map(keeping).collect())
    }

    /// What the clients know of themselves, as of one: they are on one thread and on one clock.
    pub(crate) fn client_report(&self) -> ClientReport {
        let reports = self.0.clients.iter().map(Client::report);
        let all = reports.reduce(|mut all, one| {
            all.read_delay.merge(&one.read_delay);
            ClientReport {
                socket_fallbacks: all.socket_fallbacks + one.socket_fallbacks,
                connections_opened: all.connections_opened + one.connections_opened,
                clock_steps: all.clock_steps.max(one.clock_steps),
                clock_stepped: all.clock_stepped.max(one.clock_stepped),
                ..all
            }
        });
        all.expect("a worker has a client for each replica, and there is one at least")
    }

    /// Completes when no request is in flight.
    pub(crate) async fn idle(&self) {
        while self.0.in_flight.get() > 0 {
            self.0.idle.notified().await;
        }
    }

    /// Rows that had to wait because the writer's queue was full.
    pub(crate) fn rows_deferred(&self) -> u64 {
        self.0.rows.borrow().deferred()
    }

    /// Requests whose body was not encoded ahead of time.
    pub(crate) fn bodies_late(&self) -> u64 {
        self.0.bodies_late.get()
    }

    /// Whether a request ended without a row.
    pub(crate) fn lost_a_row(&self) -> bool {
        self.0.rowless.get() > 0
    }
}

/// A reserve of idle connections that is being kept.
#[derive(Debug)]
pub(crate) struct KeptWarm(Vec<AbortHandle>);

impl Drop for KeptWarm {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    /// Passes on a request that is over, here or through the capture.
    fn end(&self, measured: Measured) {
        let row = match &self.capture {
            None => Some(measured.settle()),
            // A capture that has ended gives the row back, with the stamps of its reads.
            Some(capture) => capture.settle(measured),
        };
        if let Some(row) = row {
            self.rows.borrow_mut().send(row);
        }
    }

    /// The request of a start, or why it cannot be sent.
    fn request(&self, start: Start) -> Result<Request, String> {
        let encoded = match (&self.conversations, start.turn) {
            (Some(conversations), 1..) => conversations.next(start.index, start.turn)?,
            _ => {
                let (encoded, ready) = self.feeder.borrow_mut().next(start.index);
                if !ready {
                    self.bodies_late.set(self.bodies_late.get() + 1);
                }
                encoded
            }
        };
        Ok(Request {
            body: encoded.body,
            prompt_tokens_planned: encoded.prompt_tokens_planned,
            output_tokens_planned: encoded.output_tokens_planned,
            session: encoded.session,
            turn: encoded.turn,
            keep_answer: self.conversations.as_ref().is_some_and(Conversations::keep_answers),
        })
    }

    /// The client of a start: replicas take turns by its number, whichever worker has it, and a
    /// conversation stays where it began.
    fn client(&self, start: Start) -> &Client {
        let replicas = self.clients.len() as u64;
        // A remainder fits where its divisor came from.
        &self.clients[(start.index % replicas) as usize]
    }

    /// The id of a start's row.
    fn id(&self, start: Start) -> u64 {
        match &self.conversations {
            Some(_) => Conversations::id(start.index, start.turn),
            None => start.index,
        }
    }

    /// A turn is over, with its answer or why there is none.
    fn over(&self, start: Start, now: RunNanos, answer: Result<String, String>) {
        if let Some(conversations) = &self.conversations {
            conversations.over(start.index, start.turn, now, answer);
        }
    }

    /// The row of a start that was never sent.
    fn unsent(&self, start: Start, outcome: Outcome, error: String) -> RequestRow {
        let session = self.conversations.as_ref().map(|_| start.index);
        RequestRow {
            id: self.id(start),
            session,
            turn: session.map(|_| start.turn),
            worker: self.worker,
            intended: start.intended,
            dequeued: start.dequeued,
            done: self.clock.now(),
            outcome,
            error: Some(error),
            stamp_source: self.stamps,
            ..RequestRow::default()
        }
    }
}

/// A request in flight. However its task ends, it is counted off.
struct InFlight {
    shared: Rc<Shared>,
    has_row: bool,
}

impl InFlight {
    fn begin(shared: &Rc<Shared>) -> Self {
        shared.in_flight.set(shared.in_flight.get() + 1);
        Self { shared: Rc::clone(shared), has_row: false }
    }

    fn end(mut self, measured: Measured) {
        self.shared.end(measured);
        self.has_row = true;
    }

    fn end_unsent(mut self, row: RequestRow) {
        self.shared.rows.borrow_mut().send(row);
        self.has_row = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.rowless.set(shared.rowless.get() + u64::from(!self.has_row));
        shared.in_flight.set(shared.in_flight.get() - 1);
        if shared.in_flight.get() == 0 {
            shared.idle.notify_one();
        }
    }
}

impl Target for Requests {
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static {
        self.0.live.start(self.0.worker, start.intended);
        let request = self.0.request(start);
        let due = Due {
            id: self.0.id(start),
            worker: self.0.worker,
            intended: start.intended,
            dequeued: start.dequeued,
        };
        let this = InFlight::begin(&self.0);
        async move {
            match request {
                Ok(request) => {
                    let (measured, answer) = this.shared.client(start).converse(due, request).await;
                    if this.shared.conversations.is_some() {
                        let now = this.shared.clock.now();
                        let answer = match measured.outcome() {
                            Outcome::Ok => Ok(answer),
                            outcome => Err(format!(
                                "turn {} of this conversation has no answer ({}), so it ended there",
                                start.turn,
                                outcome.as_str()
                            )),
                        };
                        this.shared.over(start, now, answer);
                    }
                    this.end(measured);
                }
                Err(why) => {
                    let row = this.shared.unsent(start, Outcome::Aborted, why.clone());
                    this.shared.over(start, start.intended, Err(why));
                    this.end_unsent(row);
                }
            }
        }
    }

    fn shed(&self, start: Start) {
        self.0.live.start(self.0.worker, start.intended);
        // Its body is taken off the feeder as well, so that later arrivals keep theirs.
        let planned = self.0.request(start).ok();
        let why = "the cap on requests in flight (load.max-in-flight) was reached".to_owned();
        let row = self.0.unsent(start, Outcome::Shed, why);
        self.0.rows.borrow_mut().send(RequestRow {
            prompt_tokens_planned: planned.as_ref().and_then(|it| it.prompt_tokens_planned),
            output_tokens_planned: planned.map_or(0, |it| it.output_tokens_planned),
            ..row
        });
    }

    fn follow_ups(&self) -> Option<&FollowUps> {
        self.0.conversations.as_ref().map(Conversations::follow_ups)
    }
}
