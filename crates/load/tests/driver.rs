//! The driver in real time. Nothing here asserts how long something took on a busy machine: only
//! what was started, for which instant, in which order, and that lateness is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use plimsoll_load::{
    ArrivalProcess, ClosedLoop, Driver, DriverReport, FollowUps, OpenLoop, Schedule, Spin, Start,
    Stop, Target, pacing_runtime,
};
use plimsoll_units::{Clock, Rate, RunClock, RunNanos};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn schedule(process: ArrivalProcess, per_second: f64) -> Schedule {
    Schedule::new(process, Rate::new(per_second).expect("rates here are above zero"), 42)
}

/// Collects what was started; every clone adds to the same list.
#[derive(Clone, Debug, Default)]
struct Log(Rc<RefCell<Vec<Start>>>);

impl Log {
    fn push(&self, start: Start) {
        self.0.borrow_mut().push(start);
    }

    fn take(&self) -> Vec<Start> {
        self.0.take()
    }
}

/// Asserts that `starts` are the arrivals of `schedule` before `end`, in order, each intended at its
/// own instant and none early; and that the report says the same.
fn assert_kept(
    starts: &[Start],
    schedule: Schedule,
    origin: RunNanos,
    end: Duration,
    report: &DriverReport,
) {
    let due: Vec<_> = schedule.take_while(|arrival| arrival.offset < end).collect();
    assert_eq!(starts.len(), due.len());
    for (start, arrival) in starts.iter().zip(due) {
        assert_eq!((start.index, start.intended), (arrival.index, origin + arrival.offset));
        assert!(start.dequeued >= start.intended);
        assert_eq!(start.lag(), start.dequeued - start.intended);
    }
    assert!(starts.is_sorted_by_key(|start| start.dequeued));
    assert_eq!((report.started, report.shed), (starts.len() as u64, 0));
    assert_eq!(report.lag.count(), report.started);
    assert_eq!(report.lag.max(), starts.iter().map(Start::lag).max().unwrap_or_default());
}

#[test]
fn starts_every_arrival_at_its_own_instant() {
    for (process, spin) in [
        (ArrivalProcess::Poisson, Spin::default()),
        (ArrivalProcess::Poisson, Spin::NONE),
        (ArrivalProcess::Constant, Duration::from_micros(200).into()),
    ] {
        let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
        let origin = clock.now() + ms(5);
        stop.at(origin + ms(400));
        let driver =
            Driver::open(schedule(process, 300.0).shard(0, 1).unwrap(), clock, origin).spin(spin);
        let target = |start| {
            log.push(start);
            std::future::ready(())
        };
        let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();
        assert_kept(&log.take(), schedule(process, 300.0), origin, ms(400), &report);
    }
}

/// A thread that is held up for 200 ms starts what fell due meanwhile all at once, says how late
/// each was, and keeps the instants of everything after.
#[test]
fn a_stall_delays_starts_and_moves_none() {
    let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
    let origin = clock.now() + ms(5);
    stop.at(origin + ms(600));
    let constant = || schedule(ArrivalProcess::Constant, 200.0);
    let target = |start: Start| {
        log.push(start);
        async move {
            if start.index == 20 {
                std::thread::sleep(ms(200));
            }
        }
    };
    let driver = Driver::open(constant().shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();

    let starts = log.take();
    assert_kept(&starts, constant(), origin, ms(600), &report);
    // Arrival 20 is due at 105 ms and holds the thread until 305 ms at the earliest; the next is due
    // 5 ms later and so on. Each of them knows its own lateness.
    let stalled_until = starts[20].dequeued + ms(200);
    for start in &starts[21..=59] {
        assert!(start.dequeued >= stalled_until && start.lag() >= stalled_until - start.intended);
    }
    assert!(report.lag.max() >= ms(195));
    assert!(report.lag.quantile(0.9).unwrap() >= ms(100));
}

/// Tasks that never end, and a lock that is never released, hold nothing up.
#[test]
fn waits_for_no_task() {
    let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
    let lock = Rc::new(tokio::sync::Mutex::new(()));
    let _held = lock.try_lock().unwrap();
    let origin = clock.now();
    stop.at(origin + ms(200));
    let target = |start| {
        log.push(start);
        let lock = Rc::clone(&lock);
        async move {
            let _guard = lock.lock().await;
            std::future::pending::<()>().await;
        }
    };
    let driver =
        Driver::open(schedule(ArrivalProcess::Poisson, 500.0).shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();
    let poisson = schedule(ArrivalProcess::Poisson, 500.0);
    assert_kept(&log.take(), poisson, origin, ms(200), &report);
}

/// With hundreds of tasks always ready to run, a task begins before any of them gets a turn after
/// its start; and what it leaves for later is run.
#[test]
fn a_task_begins_before_what_is_already_queued() {
    const STARTS: u32 = 20;
    let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
    let turns = Rc::new(Cell::new(0_u64));
    // For each task the turns that the others had before it began, and before it went on.
    let waits = Rc::new(RefCell::new(Vec::new()));
    let schedule = || Schedule::replay((0..STARTS).map(|i| ms(3 * u64::from(i)))).unwrap();
    let origin = clock.now() + ms(2);
    let target = |start| {
        let (turns, waits) = (Rc::clone(&turns), Rc::clone(&waits));
        log.push(start);
        let at_start = turns.get();
        async move {
            let begun = turns.get() - at_start;
            tokio::task::yield_now().await;
            waits.borrow_mut().push((begun, turns.get() - at_start));
        }
    };
    let driver = Driver::open(schedule().shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(async {
        for _ in 0..200 {
            let turns = Rc::clone(&turns);
            tokio::task::spawn_local(async move {
                loop {
                    turns.set(turns.get() + 1);
                    tokio::task::yield_now().await;
                }
            });
        }
        let report = driver.run(&target, &stop).await.unwrap();
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        report
    });
    assert_eq!(waits.borrow().len(), STARTS as usize);
    assert!(waits.borrow().iter().all(|(begun, went_on)| *begun == 0 && *went_on > 0), "{waits:?}");
    assert_kept(&log.take(), schedule(), origin, Duration::MAX, &report);
}

/// A target that counts what it was told.
#[derive(Debug, Default)]
struct Capped {
    started: RefCell<Vec<u64>>,
    shed: RefCell<Vec<u64>>,
}

impl Target for Capped {
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static {
        self.started.borrow_mut().push(start.index);
        std::future::pending()
    }

    fn shed(&self, start: Start) {
        assert!(start.dequeued >= start.intended);
        self.shed.borrow_mut().push(start.index);
    }
}

#[test]
fn a_cap_sheds_and_says_so() {
    let (clock, stop, target) = (RunClock::start(), Stop::new(), Capped::default());
    let schedule = Schedule::replay((0..10).map(ms)).unwrap();
    let open = OpenLoop::new(schedule.shard(0, 1).unwrap()).max_in_flight(Some(3));
    let driver = Driver::open(open, clock, clock.now());
    let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();
    assert_eq!((report.started, report.shed, report.lag.count()), (3, 7, 3));
    assert_eq!(target.started.take(), [0, 1, 2]);
    assert_eq!(target.shed.take(), [3, 4, 5, 6, 7, 8, 9]);
}

/// Two workers on two threads send the one sequence between them.
#[test]
fn workers_share_a_schedule_without_sharing_anything() {
    let clock = RunClock::start();
    let (origin, stop) = (clock.now() + ms(20), Stop::new());
    stop.at(origin + ms(300));
    let worker = |shard| {
        let stop = stop.clone();
        let shard = schedule(ArrivalProcess::Poisson, 200.0).shard(shard, 2).unwrap();
        let driver = Driver::open(shard, clock, origin);
        move || {
            let log = Log::default();
            let target = |start| {
                log.push(start);
                std::future::ready(())
            };
            let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();
            (log.take(), report)
        }
    };
    let (even, odd) = std::thread::scope(|scope| {
        let threads = (scope.spawn(worker(0)), scope.spawn(worker(1)));
        (threads.0.join().unwrap(), threads.1.join().unwrap())
    });
    let mut report = even.1;
    report.merge(&odd.1);
    let mut starts = [even.0, odd.0].concat();
    starts.sort_by_key(|start| start.index);
    assert_eq!((report.started, report.lag.count()), (starts.len() as u64, starts.len() as u64));
    let due = schedule(ArrivalProcess::Poisson, 200.0)
        .take_while(|arrival| arrival.offset < ms(300))
        .map(|arrival| (arrival.index, origin + arrival.offset));
    assert!(due.eq(starts.iter().map(|start| (start.index, start.intended))));
}

/// A driver that sleeps for minutes ends when another thread says so, in an open and a closed loop.
#[test]
fn a_stop_from_another_thread_wakes_the_driver() {
    let clock = RunClock::start();
    let never_done = |_| std::future::pending();
    let slow = schedule(ArrivalProcess::Constant, 0.001).shard(0, 1).unwrap();
    for driver in [
        Driver::open(slow, clock, clock.now()),
        Driver::closed(ClosedLoop::new(2), clock, clock.now()),
    ] {
        let stop = Stop::new();
        let other = stop.clone();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(ms(30));
            other.at(clock.now());
        });
        let report = pacing_runtime().unwrap().block_on(driver.run(&never_done, &stop)).unwrap();
        assert!(report.started == 0 || report.started == 2);
        stopper.join().unwrap();
    }
}

#[test]
fn stopping_at_once_starts_nothing_more_even_if_it_is_overdue() {
    let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
    let shard = Schedule::replay((0..100).map(|_| Duration::ZERO)).unwrap().shard(0, 1).unwrap();
    let target = |start: Start| {
        log.push(start);
        if start.index == 9 {
            stop.now();
        }
        std::future::ready(())
    };
    let driver = Driver::open(shard, clock, clock.now());
    let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();
    assert_eq!((report.started, log.take().len()), (10, 10));
}

/// A rate no thread can keep shows as lag and does not keep the stop or other tasks out.
#[test]
fn an_impossible_rate_ends_when_told() {
    let (clock, stop) = (RunClock::start(), Stop::new());
    let origin = clock.now();
    let target = |_| {
        std::thread::sleep(Duration::from_micros(200));
        std::future::ready(())
    };
    let shard = schedule(ArrivalProcess::Constant, 1e6).shard(0, 1).unwrap();
    let driver = Driver::open(shard, clock, origin);
    let report = pacing_runtime().unwrap().block_on(async {
        let other = stop.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(ms(50)).await;
            other.now();
        });
        driver.run(&target, &stop).await.unwrap()
    });
    assert!(report.started < 50_000, "{report:?}");
    assert!(report.lag.max() >= ms(20), "{report:?}");
}

#[test]
fn a_closed_loop_keeps_its_tasks_in_flight() {
    let (clock, stop) = (RunClock::start(), Stop::new());
    let origin = clock.now() + ms(5);
    stop.at(origin + ms(250));
    let log = Log::default();
    let ends = Rc::new(RefCell::new(Vec::new()));
    let (flying, most) = (Rc::new(Cell::new(0_u32)), Cell::new(0));
    let target = |start| {
        log.push(start);
        flying.set(flying.get() + 1);
        most.set(most.get().max(flying.get()));
        let (ends, flying) = (Rc::clone(&ends), Rc::clone(&flying));
        async move {
            tokio::time::sleep(ms(4)).await;
            flying.set(flying.get() - 1);
            ends.borrow_mut().push(clock.now());
        }
    };
    // Concurrency 7 over two workers: the second one's share is 3.
    let share = ClosedLoop::new(7).shard(1, 2).unwrap();
    let driver = Driver::closed(share, clock, origin);
    let report = pacing_runtime().unwrap().block_on(driver.run(&target, &stop)).unwrap();

    let starts = log.take();
    assert_eq!(most.get(), 3);
    assert_eq!(report.started, starts.len() as u64);
    assert!(starts.len() > 3, "slots were filled again");
    assert!(starts[..3].iter().all(|start| start.intended == origin));
    let ends = ends.take();
    for (place, start) in starts.iter().enumerate() {
        assert_eq!(start.index, 1 + 2 * place as u64);
        assert!(start.intended < origin + ms(250) && start.dequeued >= start.intended);
        // Slots fall free in the order in which tasks end, right after each of them.
        if let Some(before) = place.checked_sub(3) {
            assert!(start.intended >= ends[before]);
            assert!(ends.get(before + 1).is_none_or(|next| start.intended <= *next));
        }
    }
}

#[test]
fn runs_in_a_local_set_as_well() {
    let (clock, log, stop) = (RunClock::start(), Log::default(), Stop::new());
    let schedule = || Schedule::replay((0..5).map(|i| ms(2 * i))).unwrap();
    let origin = clock.now();
    let target = |start| {
        let log = log.clone();
        async move {
            tokio::task::yield_now().await;
            log.push(start);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let driver = Driver::open(schedule().shard(0, 1).unwrap(), clock, origin);
    let report = runtime.block_on(local.run_until(driver.run(&target, &stop))).unwrap();
    runtime.block_on(local);
    // Each task wrote after its first await, where their order is no longer promised.
    let mut starts = log.take();
    starts.sort_by_key(|start| start.index);
    assert_kept(&starts, schedule(), origin, Duration::MAX, &report);
}

/// Each arrival has three turns, the next one 3 ms after the last one ended.
#[derive(Debug, Default)]
struct Turns {
    log: Log,
    follow_ups: FollowUps,
    expected: Rc<RefCell<Vec<(u64, u32, RunNanos)>>>,
}

impl Target for Turns {
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static {
        self.log.push(start);
        let (follow_ups, expected) = (self.follow_ups.clone(), Rc::clone(&self.expected));
        async move {
            tokio::time::sleep(ms(2)).await;
            if start.turn < 2 {
                let due = start.dequeued + ms(5);
                expected.borrow_mut().push((start.index, start.turn + 1, due));
                follow_ups.add(start.index, start.turn + 1, due);
            }
        }
    }

    fn follow_ups(&self) -> Option<&FollowUps> {
        Some(&self.follow_ups)
    }
}

#[test]
fn what_follows_on_a_task_starts_at_its_instant_and_the_driver_waits_for_the_last() {
    let (clock, turns) = (RunClock::start(), Turns::default());
    let origin = clock.now() + ms(5);
    // The schedule is over long before the last turn, and no stop was set.
    let schedule = Schedule::replay([0, 1, 30].map(ms)).unwrap();
    let driver = Driver::open(schedule.shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(driver.run(&turns, &Stop::new())).unwrap();
    let starts = turns.log.take();
    assert_eq!((report.started, starts.len()), (9, 9));
    let mut followed: Vec<_> = starts
        .iter()
        .filter(|start| start.turn > 0)
        .map(|start| (start.index, start.turn, start.intended))
        .collect();
    let mut expected = turns.expected.take();
    followed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(followed, expected);
    assert!(starts.iter().all(|start| start.dequeued >= start.intended));
}

#[test]
fn what_would_follow_after_the_stop_does_not() {
    let (clock, turns) = (RunClock::start(), Turns::default());
    let origin = clock.now() + ms(5);
    let stop = Stop::new();
    stop.at(origin + ms(4));
    let driver =
        Driver::open(Schedule::replay([ms(0)]).unwrap().shard(0, 1).unwrap(), clock, origin);
    let report = pacing_runtime().unwrap().block_on(driver.run(&turns, &stop)).unwrap();
    // The next turn is due 5 ms after the first at the earliest.
    assert_eq!((report.started, turns.log.take().len()), (1, 1));
}
