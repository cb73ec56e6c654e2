//! `plimsoll audit`: a results folder's findings, or what a code means.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command};
use plimsoll_command::{Exit, Gates, all_passed, has_colours};
use plimsoll_experiment::judge_folder_under;
use plimsoll_records::{AuditPolicy, Denied, FindingCode, Verdict};
use plimsoll_report::{Audited, ReportInput, lints, lints_json};

/// Flags of `plimsoll audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every folder is valid or qualified, 1 one could not be judged, 2 usage, 3 one is \
                  invalid, 5 a gate of --fail-on was not passed."
)]
pub(crate) struct Audit {
    /// The results folders.
    #[arg(required_unless_present = "explain", value_name = "RESULTS")]
    folders: Vec<PathBuf>,
    /// Makes findings of this code notes that neither qualify nor void; a warning stays where the point
    /// is not what it is filed under (repeatable).
    #[arg(long, value_name = "CODE")]
    allow: Vec<FindingCode>,
    /// Makes findings of this code errors, or all `warnings` (repeatable).
    #[arg(long, value_name = "CODE")]
    deny: Vec<Denied>,
    /// Prints one JSON object a folder, each on a line of its own.
    #[arg(long)]
    json: bool,
    /// Prints what a code finds, why that matters, on what evidence, and what helps.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["folders", "allow", "deny", "json", "fail_on", "junit"])]
    explain: Option<FindingCode>,
    #[command(flatten)]
    gates: Gates,
}

impl Audit {
    /// Judges each folder; one that cannot be judged does not keep the others from it.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        if let Some(code) = self.explain {
            out.write_all(plimsoll_analysis::explain(code).as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let policy = AuditPolicy { allow: self.allow, deny: self.deny };
        if let Some(code) = policy.contradiction() {
            let message = format!("`{code}` is allowed and denied; leave one of the two\n");
            return Err(Command::new("plimsoll")
                .error(ErrorKind::ArgumentConflict, message)
                .into());
        }
        let colour = has_colours(&out);
        let (mut failed, mut invalid) = (false, false);
        let mut judged_folders = Vec::new();
        for folder in &self.folders {
            let judged = match judge_folder_under(folder, &policy) {
                Ok(judged) => judged,
                Err(error) => {
                    crate::tell(&error.into());
                    failed = true;
                    continue;
                }
            };
            invalid |= judged.judgement.verdict == Verdict::Invalid;
            let gated = self.gates.judge(&judged.judgement);
            let audited = Audited {
                results: folder,
                judgement: &judged.judgement,
                policy: &judged.policy,
                unfinished: &judged.unfinished,
                gates: &gated,
            };
            if self.json {
                writeln!(out, "{}", lints_json(&audited))?;
            } else {
                out.write_all(lints(&audited, plimsoll_command::width(), colour).as_bytes())?;
            }
            judged_folders.push((folder, judged, gated));
        }
        let inputs: Vec<_> = judged_folders
            .iter()
            .map(|(folder, judged, gated)| {
                ReportInput::new(&judged.manifest, &judged.judgement, folder).with_gates(gated)
            })
            .collect();
        self.gates.write(&inputs)?;
        let passed = judged_folders.iter().all(|(.., gated)| all_passed(gated));
        Ok(match (failed, invalid) {
            (true, _) => Exit::Failed,
            (false, true) => Exit::Invalid,
            (false, false) if !passed => Exit::Gate,
            (false, false) => Exit::Measured,
        }
        .into())
    }
}
