use super::*;
use crate::conclusion::fixture::{Loop, OUTPUT, groups};

#[test]
fn repetitions_of_a_load_are_one_case_and_loads_are_several() {
    let of = |concurrency, repetition| Loop { concurrency, repetition, ..Loop::default() };
    let cases = Case::all(&groups(&[of(4, 0), of(1, 0), of(4, 1), of(1, 1)]));
    let seen: Vec<_> =
        cases.iter().map(|it| (it.concurrency(), it.repetitions, it.counted, it.ok)).collect();
    assert_eq!(seen, [(Some(1), 2, 2, 32), (Some(4), 2, 2, 32)]);
}

#[test]
fn a_case_has_the_numbers_of_the_law() {
    let law = Loop { input: 3000, ..Loop::default() };
    let case = &Case::all(&groups(std::slice::from_ref(&law)))[0];
    assert_eq!((case.state, case.due, case.failed), (CaseState::Known, 16, 0));
    assert_eq!((case.input, case.output), (Some(3000.0), Some(f64::from(OUTPUT))));
    for (waited, truth) in [
        (&case.ttft, law.prefill_ms()),
        (&case.service_ttft, law.prefill_ms()),
        (&case.decode, law.a_ms * f64::from(OUTPUT - 1)),
        (&case.tpot, law.a_ms),
        (&case.e2e, law.e2e_ms()),
    ] {
        let mean = waited.mean.unwrap();
        assert!((mean.value - truth).abs() < 1e-3 && mean.contains(truth), "{mean:?} {truth}");
    }
    let (min, max) = (case.e2e.min_ms.unwrap(), case.e2e.max_ms.unwrap());
    assert!((max - min - 4.0).abs() < 1e-3, "{min} {max}");
    // 16 requests know their median and no 90th percentile.
    assert!(case.e2e.p50.is_some() && case.e2e.p90.is_none());
}

#[test]
fn a_case_that_failed_is_one_with_its_words() {
    let refused = Some("maximum context length is 4096 tokens");
    let case = &Case::all(&groups(&[Loop { refused, ..Loop::default() }]))[0];
    assert_eq!((case.state, case.counted, case.ok, case.failed), (CaseState::Failed, 0, 0, 16));
    assert_eq!(case.failures.len(), 1);
    assert!(case.failures[0].is_too_long() && case.failures[0].count == 16);
    assert_eq!(case.input_planned, Some(1000.0));
    assert_eq!((case.e2e.mean_ms, case.output), (None, None));
}

#[test]
fn a_repetition_that_was_voided_does_not_count() {
    let of = |repetition, refused| Loop { repetition, refused, ..Loop::default() };
    let case = &Case::all(&groups(&[of(0, None), of(1, Some("out of memory"))]))[0];
    assert_eq!((case.state, case.repetitions, case.counted), (CaseState::Known, 2, 1));
    assert_eq!((case.ok, case.failed, case.e2e.n), (16, 16, 16));
    assert!(case.failures[0].is_out_of_memory());
}
