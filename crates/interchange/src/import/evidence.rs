//! What lies beside a run, read once a file.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use plimsoll_gpu::Dmon;
use plimsoll_records::{GpuRow, SettingRecord, TargetRecord};
use plimsoll_server::{InEffect, LogFacts, compare_settings};

use super::run::Run;
use crate::InterchangeError;
use crate::beside::{LogEvidence, find, gpu_rows, log_evidence, read_dmon, read_log};
use crate::stated::Stated;

/// The files that were read: several results may share one. Only the last of each kind is kept.
#[derive(Default)]
pub(super) struct Files {
    log: Option<(PathBuf, Rc<LogFacts>)>,
    dmon: Option<(PathBuf, Rc<Dmon>)>,
}

impl Files {
    fn log(&mut self, path: PathBuf) -> Result<Rc<LogFacts>, InterchangeError> {
        match &self.log {
            Some((known, facts)) if *known == path => Ok(Rc::clone(facts)),
            _ => {
                let facts = Rc::new(read_log(&path)?);
                self.log = Some((path, Rc::clone(&facts)));
                Ok(facts)
            }
        }
    }

    fn dmon(&mut self, path: PathBuf) -> Result<Rc<Dmon>, InterchangeError> {
        match &self.dmon {
            Some((known, dmon)) if *known == path => Ok(Rc::clone(dmon)),
            _ => {
                let dmon = Rc::new(read_dmon(&path)?);
                self.dmon = Some((path, Rc::clone(&dmon)));
                Ok(dmon)
            }
        }
    }
}

/// What lies beside a run.
#[derive(Default)]
pub(super) struct Evidence {
    in_effect: Option<InEffect>,
    pub(super) log: Option<LogEvidence>,
    pub(super) gpus: Vec<GpuRow>,
    pub(super) remarks: Vec<String>,
}

impl Evidence {
    pub(super) fn of(
        run: &Run,
        origin: Duration,
        files: &mut Files,
    ) -> Result<Self, InterchangeError> {
        let mut evidence = Self::default();
        if let Some(path) = find(&run.path, &["server.log", "server.log.gz"]) {
            let facts = files.log(path)?;
            let says_nothing = "says nothing of the minutes of";
            if run.dated {
                let requests = run.measured.record.requests;
                evidence.log = log_evidence(&facts.engine, run.span, origin, requests);
                if evidence.log.is_none() {
                    evidence.remarks.push(format!("the server's log {says_nothing} {}", run.name));
                }
            } else {
                evidence.remarks.push(format!(
                    "{} has no date, so no log or sample can be laid beside it",
                    run.name
                ));
            }
            evidence.in_effect = Some(facts.settings.clone());
        }
        if run.dated
            && let Some(path) = find(&run.path, &["dmon.csv"])
        {
            evidence.gpus = gpu_rows(files.dmon(path)?.as_ref(), run.span, origin);
        }
        Ok(evidence)
    }

    /// The settings, stated and in effect.
    pub(super) fn settings(&self, stated: &Stated) -> Vec<SettingRecord> {
        let nothing = InEffect::default();
        compare_settings(&stated.settings, self.in_effect.as_ref().unwrap_or(&nothing))
    }

    /// The server.
    pub(super) fn target(&self, run: &Run) -> TargetRecord {
        let says = |name: &str| self.in_effect.as_ref().and_then(|it| it.text(name));
        TargetRecord {
            launch: "imported".to_owned(),
            url: run.measured.url.clone().unwrap_or_default(),
            urls: Vec::new(),
            model: run.measured.model.clone().unwrap_or_default(),
            server: self
                .in_effect
                .as_ref()
                .filter(|it| it.lists_non_defaults())
                .map(|_| "vllm".to_owned()),
            version: says("version"),
            max_model_len: self
                .in_effect
                .as_ref()
                .and_then(|it| it.get("max-model-len")?.value.as_u64()),
            settings_declared: run.stated.settings.clone(),
            settings: self.settings(&run.stated),
            command: None,
        }
    }
}
