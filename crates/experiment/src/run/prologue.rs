//! What a run makes sure of besides its points: that the system's limits and the server's context are
//! wide enough, where stamps come from, and how large the client's own error is before and after.

use plimsoll_client::ClientConfig;
use plimsoll_records::{SelfTest, SelfTestTime};

use super::{Run, workers};
use crate::error::RunError;
use crate::limits::{Limits, Need};
use crate::matrix::{Launch, Matrix, SelfTesting};
use crate::offered::PointLoad;
use crate::pilot;
use crate::plan::{GroupPlan, Loads, Plan, derive_seed};
use crate::self_test::{SelfTestPlan, Shape, self_test};
use crate::stamping::Grade;
use crate::target::Target;

/// What the self-tests of a run are made with: the same for both, so that they can be compared.
pub(super) struct Tester {
    shape: Shape,
    matrix: Matrix,
    client: ClientConfig,
}

/// Holds the loads of a plan against the limits of the system; says what is to be said of them.
///
/// # Errors
/// When a closed loop cannot have the connections that it needs.
pub(super) fn check_limits(plan: &Plan, limits: &Limits) -> Result<Vec<String>, RunError> {
    let mut remarks: Vec<String> = Vec::new();
    for group in &plan.groups {
        let is_pilot = group.loads == Loads::Pilot;
        let known = PointLoad::heaviest(group.loads.known().iter().copied());
        // How far a search climbs is the server's affair.
        let Some(load) = known.or(pilot::heaviest(is_pilot)) else { continue };
        let need = Need {
            load,
            own_server: group.matrix.server.launch == Launch::Sim,
            max_in_flight: group.matrix.load.max_in_flight,
            output_tokens: group.workload.mean_output_tokens(),
        };
        match limits.check(&need) {
            Ok(remark) => remarks.extend(remark),
            // How far the pilot climbs is the server's affair: it may never get there.
            Err(reason) if is_pilot => remarks.push(format!("pilot: {reason}")),
            Err(reason) => {
                return Err(plan.source.error_at("load.concurrency", reason).into());
            }
        }
    }
    remarks.dedup();
    Ok(remarks)
}

impl Run<'_> {
    /// Says where stamps come from if that is not what `matrix` asks for.
    pub(super) fn remark_on_stamps(&mut self, matrix: &Matrix) {
        let grade = Grade::find(matrix.client.stamps);
        if let (Some(wish), Some(why)) = (matrix.client.stamps, grade.why_not_better) {
            let text = format!(
                "stamps = {}: not to be had ({why}); they are of the kind `{}`",
                name(wish),
                name(grade.source)
            );
            // Groups that differ in other things have it in common.
            if !self.manifest.remarks.contains(&text) {
                self.remark(text);
            }
        }
    }

    /// What the self-tests are made with, for a run of which `loads` are now known as well.
    pub(super) fn tester(
        &self,
        group: &GroupPlan,
        target: &Target,
        loads: &[PointLoad],
    ) -> Result<Option<Tester>, RunError> {
        let SelfTesting::For(length) = self.plan.matrix.experiment.self_test else {
            return Ok(None);
        };
        let planned = self.plan.groups.iter().flat_map(|group| group.loads.known());
        let Some(load) = PointLoad::heaviest(planned.chain(loads).copied()) else {
            return Ok(None);
        };
        let workload = &group.workload;
        let shape = Shape::new(
            load,
            workload.mean_input_tokens(),
            workload.mean_output_tokens(),
            length.get(),
            self.limits.connections(true),
        );
        let mut client = target.client(&self.plan.source, &group.matrix.client, self.clock)?;
        client.stamps = Grade::find(group.matrix.client.stamps).source;
        Ok(Some(Tester { shape, matrix: group.matrix.clone(), client }))
    }

    /// Makes a self-test and keeps what it says. One that cannot be made is remarked on: the run can do
    /// without.
    pub(super) fn self_test(&mut self, when: SelfTestTime) -> Result<(), RunError> {
        let Some(tester) = &self.tester else { return Ok(()) };
        // A run that was resumed has begun before.
        let begun = when == SelfTestTime::Before && !self.manifest.self_tests.is_empty();
        if begun || self.interrupt.is_raised() {
            return Ok(());
        }
        let plan = SelfTestPlan {
            when,
            shape: &tester.shape,
            matrix: &tester.matrix,
            client: &tester.client,
            workers: workers(&tester.matrix),
            seed: derive_seed(self.plan.seed, 2 + u64::from(when == SelfTestTime::After)),
            folder: self.folder.path(),
        };
        let tested = self_test(&plan, self.interrupt);
        let less = tester.shape.less.clone();
        match tested {
            Ok(None) => {}
            Ok(Some(test)) => {
                self.remark(summary(&test, less.as_deref()));
                self.manifest.self_tests.push(test);
                self.folder.write_manifest(&self.manifest)?;
            }
            Err(error) => self.remark(format!("no self-test could be made: {error}")),
        }
        Ok(())
    }

    /// Refuses requests that are longer than the model's context.
    pub(super) fn check_context(&self, group: &GroupPlan, target: &Target) -> Result<(), RunError> {
        if let (Some(longest), Some(context)) =
            (group.workload.max_total_tokens(), target.model.max_model_len)
            && u64::from(longest) > context
        {
            return Err(self
                .plan
                .source
                .error_at(
                    "workload",
                    format!(
                        "the longest request has {longest} tokens, input and output together, and the \
                         model's context has {context}; give the lengths a `max`"
                    ),
                )
                .into());
        }
        Ok(())
    }
}

/// A source of stamps as the matrix names it.
fn name(source: plimsoll_records::StampSource) -> String {
    serde_json::to_value(source)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// One line about a self-test.
fn summary(test: &SelfTest, less: Option<&str>) -> String {
    let when = match test.when {
        SelfTestTime::Before => "before the run",
        SelfTestTime::After => "after the run",
    };
    let lost = if test.lost > 0 { format!(", {} requests lost", test.lost) } else { String::new() };
    let less = less.map_or_else(String::new, |less| format!(" ({less})"));
    format!(
        "self-test {when}: the client's own error is {:+.3} ms of TTFT on average (p99 {:.3} ms) and \
         {:+.4} ms of TPOT, at {:.1} req/s with {:.1} streams{less}{lost}",
        test.ttft_error.mean_ms,
        test.ttft_error.p99_ms,
        test.tpot_error.mean_ms,
        test.rate_per_s,
        test.streams
    )
}
