//! The live detector on servers in virtual time, at loads close to their capacity and above it.

#[path = "virtual_time/server.rs"]
mod server;

#[path = "virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

use plimsoll_records::PointEnd;

/// How many of 15 points at this share of the capacity ended because of certain overload.
fn ended(case: study::Case, share: f64, measure: f64) -> usize {
    let capacity = server::capacity(case.server, case.lengths);
    let plan = server::Plan { measure, may_end_early: true, declared_mean: Some(24.0) };
    (1..=15)
        .filter(|&seed| {
            let (point, _) =
                server::measure(case.server, case.lengths, share * capacity, plan, 7000 + seed);
            point.ended == PointEnd::Overloaded
        })
        .count()
}

#[test]
fn a_server_near_its_capacity_is_not_called_overloaded_in_half_a_minute() {
    for share in [0.9, 0.98] {
        assert_eq!(ended(study::SMALL, share, 30.0), 0, "at {share}");
    }
}

#[test]
fn heavy_overload_ends_the_point_before_its_window() {
    let found = ended(study::SMALL, 1.7, 20.0);
    assert!(found >= 14, "{found} of 15");
}
