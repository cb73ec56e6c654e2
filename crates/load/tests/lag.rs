//! The lag that a driver reports, against what others saw, on a thread that has hardly any time for
//! it. Nothing here asserts how long something took: each stamp must lie between two others.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_load::{ArrivalProcess, Driver, Lags, Schedule, Start, Stop, pacing_runtime};
use plimsoll_units::{Clock, Rate, RunClock, RunNanos};

const LENGTH: Duration = Duration::from_millis(1_200);

/// The indices that arrived, each with when.
type Observed = io::Result<Vec<(u64, RunNanos)>>;

/// A server on a thread of its own. It takes one connection, stamps each message of eight bytes (the
/// index of an arrival) when it has read it, and returns what it saw when the connection ends.
fn observer(clock: RunClock) -> io::Result<(TcpStream, JoinHandle<Observed>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let (mut seen, mut message) = (Vec::new(), [0; 8]);
        loop {
            match stream.read_exact(&mut message) {
                Ok(()) => seen.push((u64::from_le_bytes(message), clock.now())),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(seen),
                Err(error) => return Err(error),
            }
        }
    });
    Ok((stream, thread))
}

/// One start as its own process saw it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    start: Start,
    /// When the target had been called, by its own reading of the clock.
    called: RunNanos,
}

/// Tasks that leave the thread about a tenth of its time hold the driver up again and again. For
/// every arrival, the reported instant lies between what held it up and what came of it:
///
/// max(intended, end of the stretch that it fell due in, start before it) <= dequeued
/// <= call of the target <= receipt by the server.
///
/// So no lag is reported smaller than it was, and none larger than the server's view of it.
#[test]
fn the_lag_of_a_busy_thread_is_what_others_saw() {
    let clock = RunClock::start();
    let (stream, server) = observer(clock).unwrap();
    let schedule = Schedule::new(ArrivalProcess::Poisson, Rate::new(500.0).unwrap(), 9);
    let origin = clock.now() + Duration::from_millis(5);
    let stop = Stop::new();
    stop.at(origin + LENGTH);

    let starts = Rc::new(RefCell::new(Vec::new()));
    let stretches = Rc::new(RefCell::new(Vec::new()));
    let target = |start: Start| {
        let called = clock.now();
        // Eight bytes always fit: the server's thread has nothing else to do.
        assert_eq!((&stream).write(&start.index.to_le_bytes()).unwrap(), 8);
        starts.borrow_mut().push(Seen { start, called });
        std::future::ready(())
    };
    let driver = Driver::open(schedule.clone().shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(async {
        let stretches = Rc::clone(&stretches);
        tokio::task::spawn_local(async move {
            // Busy for 3 to 19 ms, then off for the 1 to 2 ms that the runtime makes of one.
            for millis in [11, 3, 19, 7].into_iter().cycle() {
                let begun = clock.now();
                while clock.now() < begun + Duration::from_millis(millis) {
                    std::hint::spin_loop();
                }
                stretches.borrow_mut().push((begun, clock.now()));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        driver.run(&target, &stop).await.unwrap()
    });
    drop(stream);
    let received = server.join().unwrap().unwrap();
    let (starts, stretches) = (starts.take(), stretches.take());

    let due = schedule.take_while(|arrival| arrival.offset < LENGTH);
    assert!(due.map(|arrival| arrival.index).eq(received.iter().map(|(index, _)| *index)));
    let mut held_up = 0;
    let mut before = RunNanos::ZERO;
    for (Seen { start, called }, (index, received)) in starts.iter().zip(&received) {
        assert_eq!(start.index, *index);
        let stretch = stretches
            .iter()
            .find(|(begun, ended)| *begun <= start.intended && start.intended < *ended);
        if let Some((_, ended)) = stretch {
            held_up += 1;
            assert!(start.dequeued >= *ended, "{start:?} inside {stretch:?}");
        }
        assert!(start.dequeued >= start.intended && start.dequeued >= before, "{start:?}");
        assert!(start.dequeued <= *called && called <= received, "{start:?} {called} {received}");
        assert!(*received - start.intended >= start.lag());
        before = *called;
    }
    assert!(2 * held_up > starts.len(), "{held_up} of {}: the thread was busy", starts.len());

    // The report has the same lags: exactly in count, mean and maximum.
    let mut lags = Lags::new();
    starts.iter().for_each(|seen| lags.record(seen.start.lag()));
    assert_eq!((report.started, report.lag), (starts.len() as u64, lags.clone()));

    // What the server saw beyond the reported lag is its own waking up: in the median a tenth of a
    // millisecond on a free machine, and far below this on any.
    let mut beyond: Vec<_> =
        starts.iter().zip(&received).map(|(seen, (_, at))| *at - seen.start.dequeued).collect();
    beyond.sort_unstable();
    let beyond = beyond[beyond.len() / 2];
    println!("{lags:?}; the server's view is {beyond:?} later in the median");
    assert!(beyond < Duration::from_millis(50));
}
