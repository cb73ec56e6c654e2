//! Whether a window is stationary, on servers in virtual time: seldom doubted where it is, found where it
//! is not; and a start from an empty server is cut where it should be.

#[path = "virtual_time/server.rs"]
mod server;

#[path = "virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

#[path = "stationarity/study.rs"]
#[expect(dead_code, reason = "the whole study is the bench's")]
mod stationarity;

use stationarity::{Fault, Row, Watched};

/// 20 points with seeds 300,001 on.
#[expect(clippy::print_stdout, reason = "a test's figures, shown when it fails")]
fn watched(case: study::Case, share: f64, fault: Fault) -> Row {
    let row = stationarity::run(Watched { case, share, fault }, 20);
    println!("{}\n{row}", stationarity::HEADER);
    row
}

#[test]
fn a_stationary_window_is_seldom_doubted() {
    let row = watched(study::SMALL, 0.85, Fault::None);
    assert!(row.unstable + row.not_stationary <= 1, "{row}");
    assert!(row.drift_covered >= 18, "{row}");
}

#[test]
fn an_overload_and_a_backlog_that_drains_are_found() {
    let overload = watched(study::SMALL, 1.2, Fault::None);
    assert!(overload.unstable + overload.not_stationary >= 17, "{overload}");
    let backlog = watched(study::SMALL, 0.7, Fault::Backlog(5.0));
    assert!(backlog.not_stationary >= 17, "{backlog}");
}

#[test]
fn where_the_rule_cannot_know_the_recommended_cut_does() {
    let cold = stationarity::run_cuts(study::SMALL, 0.7, 5.0, 20, 100.0);
    println!("{}\n{cold}", stationarity::CUT_HEADER);
    let [nothing, rule, _, recommended] = cold.ways;
    assert!(nothing.bias() > 50.0 && rule.bias() > 10.0, "{cold}");
    assert!(recommended.given >= 14.0 && recommended.bias().abs() < 5.0, "{cold}");
    let empty = stationarity::run_cuts(study::SMALL, 0.5, 0.0, 20, 100.0);
    println!("{empty}");
    assert!(empty.ways[3].given >= 19.0 && empty.ways[3].bias().abs() < 3.0, "{empty}");
}
