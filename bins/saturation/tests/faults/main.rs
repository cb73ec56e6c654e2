//! Each code of the audit fires on a fault that was planted in the simulator, in the client or around
//! them: the binary measures, and the finding stands in the folder that it leaves.
//!
//! Faults that do not hide each other share a run. Other findings may be there as well, for a busy machine
//! makes a client late; that a code is silent where nothing is wrong is held by the tests beside it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bench;
mod cases;
mod proxy;

use std::collections::BTreeSet;

use plimsoll_records::{Finding, FindingCode};

use bench::Bench;

/// Faults that are planted together, and the codes that each of them must raise.
struct Planted {
    codes: &'static [FindingCode],
    run: fn(&Bench) -> Vec<Finding>,
}

/// How often a case is tried: what else runs on the machine can hide a fault, an overload for instance
/// one of a stable point.
const TRIES: usize = 3;

impl Planted {
    /// Plants, measures, and looks for every code.
    fn fires(&self) {
        let (mut missing, mut said): (Vec<FindingCode>, _) = (Vec::new(), String::new());
        for _ in 0..TRIES {
            let findings = (self.run)(&Bench::new());
            let found: BTreeSet<FindingCode> = findings.iter().map(|it| it.code).collect();
            let silent = self.codes.iter().filter(|code| !found.contains(code));
            missing = silent.copied().collect();
            if missing.is_empty() {
                return;
            }
            said = format!("{findings:#?}");
        }
        assert!(missing.is_empty(), "{missing:?} did not fire; found: {said}");
    }
}

/// The table: one test a line, and all lines together for the test of the table.
macro_rules! planted {
    ($($name:ident: [$($code:ident),+], $run:path;)+) => {
        const TABLE: &[Planted] = &[$(Planted { codes: &[$(FindingCode::$code),+], run: $run },)+];
        $(
            #[test]
            fn $name() {
                Planted { codes: &[$(FindingCode::$code),+], run: $run }.fires();
            }
        )+
    };
}

planted! {
    a_client_that_is_asked_for_more_than_it_can_send:
        [RateMissed, ClientLate, ClientBusy], cases::overwhelmed_client;
    requests_that_are_long_beside_the_window:
        [DrainBias, WindowShort, NoPlateau], cases::long_requests;
    arrivals_that_get_fewer: [NotStationary], cases::falling_arrivals;
    a_server_with_little_memory_under_overload:
        [OverloadLatency, Preempted], cases::little_memory;
    a_server_that_miscounts_and_mishears:
        [OutputLength, ChunkedTokens, TokenCount, PromptLength, TemplateDoubled, ErrorsExcluded],
        cases::wrong_counts;
    a_server_whose_first_requests_are_slow: [ColdStart], cases::slow_start;
    one_prompt_again_and_again_and_a_cap: [PrefixReuse, ConcurrencyCapped], cases::one_prompt;
    a_server_that_is_replaced_in_mid_point: [ServerRestarted, SamplerGap], cases::restart;
    a_setting_that_never_arrived: [SettingNotApplied], cases::lost_setting;
    gpus_that_are_capped_shared_and_always_busy:
        [GpuThrottled, GpuShared, UtilisationFlat], cases::gpus;
    settings_compared_from_one_run_below_saturation: [SingleRun, LoadLimited], cases::claims;
    repetitions_with_one_sequence_of_arrivals: [SameArrivals], cases::one_sequence;
    a_wall_clock_that_is_set: [ClockStep], cases::set_clock;
}

#[test]
fn every_code_of_the_audit_has_its_fault() {
    let planted: BTreeSet<FindingCode> =
        TABLE.iter().flat_map(|planted| planted.codes).copied().collect();
    let all: BTreeSet<FindingCode> = FindingCode::ALL.iter().copied().collect();
    let without: Vec<_> = all.difference(&planted).collect();
    assert!(without.is_empty(), "no fault is planted for {without:?}");
}
