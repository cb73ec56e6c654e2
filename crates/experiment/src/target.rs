//! The server of a group of points: started by the run, or found; what it says of itself; its end.

mod launch;
mod replicas;
mod sim;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_client::{ClientConfig, Endpoint, Secret, Timeouts};
use plimsoll_records::{CacheState, SettingRecord, TargetRecord};
use plimsoll_server::{
    ApiKey, ControlClient, Identity, LaunchError, MetricsSampler, ModelInfo, Owned, choose_model,
    collect_settings, compare_settings, wait_ready, well_known,
};
use plimsoll_units::RunClock;
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::matrix::{ClientTable, Launch, MatrixSource, SamplersTable, ServerTable};

pub(crate) use launch::{process_command, settings_flags};
pub(crate) use replicas::Replica;
pub(crate) use sim::sim_parts;

/// Limit for one request to the control plane before any load.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit for one reading of the metrics, unless the period is longer.
const METRICS_TIMEOUT: Duration = Duration::from_millis(1500);

/// What a target is obtained with.
pub(crate) struct Opening<'a> {
    pub(crate) source: &'a MatrixSource,
    pub(crate) table: &'a ServerTable,
    pub(crate) samplers: &'a SamplersTable,
    pub(crate) clock: RunClock,
    pub(crate) seed: u64,
    /// How many were obtained before in the run.
    pub(crate) number: u32,
    /// Where the log of its start goes.
    pub(crate) log: PathBuf,
    pub(crate) runtime: &'a Runtime,
    pub(crate) interrupt: &'a Interrupt,
}

/// A server that is there, with what it said of itself.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) control: ControlClient,
    /// The servers beside it that share the requests.
    pub(crate) replicas: Vec<Replica>,
    /// Who reads the metrics of each, the first one's first.
    pub(crate) metrics: Vec<MetricsSampler>,
    pub(crate) model: ModelInfo,
    /// Its settings, declared and in effect.
    pub(crate) settings: Vec<SettingRecord>,
    /// What of the settings could not be read, and where sources disagree.
    pub(crate) remarks: Vec<String>,
    /// How many were obtained before it in the run.
    pub(crate) number: u32,
    owned: Box<dyn Owned>,
    identity: Identity,
    api_key: Option<String>,
    table: ServerTable,
    /// What was done about its prefix cache last; `None` before its first point.
    prefix_cache: Option<CacheState>,
}

impl Target {
    /// Starts or finds the server that `opening` asks for, and waits until it is ready.
    pub(crate) fn open(opening: &Opening<'_>) -> Result<Self, RunError> {
        let Opening { source, table, runtime, interrupt, .. } = *opening;
        let api_key = api_key(source, table)?;
        make_room(&opening.log)?;
        let mut owned =
            launch::obtain(source, table, opening.seed, &opening.log, api_key.as_slice())?;
        let key = api_key.as_deref().map(ApiKey::new).transpose()?;
        let control = ControlClient::new(owned.url(), key.clone(), CONTROL_TIMEOUT)?;
        if matches!(table.launch, Launch::Process | Launch::Compose) {
            let limit = table.ready_limit.get();
            let cancelled = || interrupt.is_raised();
            let model = table.model.as_deref();
            let ready = wait_ready(owned.as_mut(), &control, model, limit, &cancelled);
            match runtime.block_on(ready) {
                Err(LaunchError::Cancelled) => return Err(RunError::Interrupted),
                ready => drop(ready?),
            }
        }
        let log = match table.launch {
            Launch::Attach => table.log.as_ref().map(|log| source.folder().join(log)),
            Launch::Sim => None,
            Launch::Process | Launch::Compose => Some(opening.log.clone()),
        };
        let mut first = Said::by(&control, opening, log.as_deref())?;
        let mut metrics = vec![sampler(owned.url(), key.clone(), opening)?];
        let mut replicas = Vec::new();
        for url in table.attached().into_iter().skip(1) {
            let control = ControlClient::new(url, key.clone(), CONTROL_TIMEOUT)?;
            first.join(&Said::by(&control, opening, None)?, url, source)?;
            metrics.push(sampler(url, key.clone(), opening)?);
            replicas.push(Replica { url: url.to_owned(), control });
        }
        let Said { identity, model, settings, remarks } = first;
        Ok(Self {
            control,
            replicas,
            metrics,
            model,
            settings,
            remarks,
            number: opening.number,
            owned,
            identity,
            api_key,
            table: table.clone(),
            prefix_cache: None,
        })
    }

    /// Whether it is what `table` asks for.
    pub(crate) fn serves(&self, table: &ServerTable) -> bool {
        self.table == *table
    }

    /// The settings that a point's file keeps: what was declared, and what is well known. The manifest
    /// has all of them.
    pub(crate) fn settings_of_note(&self) -> Vec<SettingRecord> {
        let of_note =
            |setting: &&SettingRecord| setting.declared.is_some() || well_known(&setting.name);
        self.settings.iter().filter(of_note).cloned().collect()
    }

    /// Whether it is somebody else's: the run neither started it nor will end it.
    pub(crate) fn is_attached(&self) -> bool {
        self.table.launch == Launch::Attach
    }

    /// Prepares for a point whose log goes to `log`: says what its prefix cache can hold.
    pub(crate) fn before_point(
        &mut self,
        log: &Path,
        runtime: &Runtime,
    ) -> Result<CacheState, RunError> {
        make_room(log)?;
        self.owned.log_to(log).map_err(RunError::io("write the server's log"))?;
        let state = match self.prefix_cache {
            None if self.table.launch.is_started() => CacheState::Fresh,
            // Somebody else's server is not told to forget anything.
            _ if self.table.launch.is_started()
                && runtime.block_on(self.control.reset_prefix_cache()).unwrap_or(false) =>
            {
                CacheState::Reset
            }
            _ => CacheState::UnusedPrompts,
        };
        self.prefix_cache = Some(state);
        Ok(state)
    }

    /// Whether its process is still there, as far as that can be told.
    pub(crate) fn check(&mut self) -> Result<(), LaunchError> {
        self.owned.check()
    }

    /// The processes of a server that the run started; empty where they are not known.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        self.owned.processes().into_iter().collect()
    }

    /// Whether it runs on this machine.
    pub(crate) fn is_local(table: &ServerTable) -> bool {
        let urls: Vec<_> = table.attached().into_iter().map(str::to_owned).collect();
        let (launch, url) = (table.launch.as_str().to_owned(), urls.first().cloned());
        let url = url.unwrap_or_default();
        TargetRecord { launch, url, urls, ..TargetRecord::default() }.is_here()
    }

    /// The base URLs of all its replicas, where it has several; else none.
    pub(crate) fn urls(&self) -> Vec<String> {
        if self.replicas.is_empty() {
            return Vec::new();
        }
        let others = self.replicas.iter().map(|replica| replica.url.clone());
        std::iter::once(self.owned.url().to_owned()).chain(others).collect()
    }

    /// Ends the server if the run started it; what is to be said of how it ended.
    pub(crate) fn close(mut self) -> Option<String> {
        let stopped = match self.owned.stop() {
            Ok(stopped) => stopped,
            Err(error) => {
                return Some(format!("the server was not stopped as it should be: {error}"));
            }
        };
        let mut said = Vec::new();
        if stopped.killed {
            said.push(format!(
                "it did not end within {} of SIGTERM and was killed",
                self.table.stop_grace
            ));
        }
        if stopped.leftovers > 0 {
            said.push(format!(
                "{} processes that it had left behind were killed",
                stopped.leftovers
            ));
        }
        (!said.is_empty()).then(|| format!("the server's end: {}", said.join("; ")))
    }

    /// How the measuring client reaches it, and each replica beside it: requests go to them in turn.
    pub(crate) fn clients(
        &self,
        source: &MatrixSource,
        table: &ClientTable,
        clock: RunClock,
    ) -> Result<Vec<ClientConfig>, RunError> {
        let mut clients = vec![self.client(source, table, clock)?];
        for replica in &self.replicas {
            let endpoint =
                replica.url.parse().map_err(|error| source.error_at("server.urls", error))?;
            clients.push(ClientConfig { endpoint, ..clients[0].clone() });
        }
        Ok(clients)
    }

    /// How the measuring client reaches it.
    pub(crate) fn client(
        &self,
        source: &MatrixSource,
        table: &ClientTable,
        clock: RunClock,
    ) -> Result<ClientConfig, RunError> {
        let endpoint: Endpoint =
            self.owned.url().parse().map_err(|error| source.error_at("server.url", error))?;
        let api = match table.api {
            plimsoll_workload::Api::Chat => plimsoll_client::Api::Chat,
            plimsoll_workload::Api::Completions => plimsoll_client::Api::Completions,
        };
        let mut config = ClientConfig::new(endpoint, api, clock);
        config.api_key = self.api_key.as_deref().map(Secret::new);
        config.timeouts = Timeouts {
            connect: table.connect_timeout.get(),
            first_token: table.first_token_timeout.get(),
            request: table.request_timeout.get(),
        };
        config.quickack = table.quickack;
        Ok(config)
    }

    /// The first `most` characters of a text from the server, fit to be shown: on one line, without
    /// control characters, and without the API key that it may have repeated.
    pub(crate) fn quote(&self, text: &str, most: usize) -> String {
        let clean = match &self.api_key {
            Some(key) => text.replace(key.as_str(), "[redacted]"),
            None => text.to_owned(),
        };
        let shown = clean.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        shown.take(most).collect()
    }

    /// What the manifest keeps of it.
    pub(crate) fn record(&self) -> TargetRecord {
        let server = self.identity.server.map(|kind| kind.as_str().to_owned());
        // Some say their name again in their version: `plimsoll-sim-0.1.0`.
        let version = self.identity.version.as_ref().map(|version| {
            let own =
                server.as_deref().and_then(|name| version.strip_prefix(name)?.strip_prefix('-'));
            own.unwrap_or(version).to_owned()
        });
        TargetRecord {
            launch: self.owned.launch().to_owned(),
            url: self.owned.url().to_owned(),
            urls: self.urls(),
            model: self.model.id.clone(),
            server,
            version,
            max_model_len: self.model.max_model_len,
            settings_declared: self.table.settings.clone(),
            settings: self.settings.clone(),
            command: self.owned.command(),
        }
    }
}

/// What a server says of itself.
struct Said {
    identity: Identity,
    model: ModelInfo,
    settings: Vec<SettingRecord>,
    remarks: Vec<String>,
}

impl Said {
    /// Asks the server behind `control`, whose log may be read as well.
    fn by(
        control: &ControlClient,
        opening: &Opening<'_>,
        log: Option<&Path>,
    ) -> Result<Self, RunError> {
        let Opening { table, runtime, interrupt, .. } = *opening;
        let identity = runtime.block_on(interrupt.unless(control.identify()))??;
        let model = choose_model(&identity.models, table.model.as_deref())?;
        let in_effect = runtime.block_on(interrupt.unless(collect_settings(control, log)))?;
        let settings = compare_settings(&table.settings, &in_effect);
        Ok(Self { identity, model, settings, remarks: in_effect.remarks().to_vec() })
    }

    /// Takes in what a replica at `url` says: it must serve the same model, and what else differs is
    /// remarked on.
    fn join(&mut self, other: &Self, url: &str, source: &MatrixSource) -> Result<(), RunError> {
        if self.model.id != other.model.id {
            return Err(source
                .error_at(
                    "server.urls",
                    format!(
                        "{url} serves {}, the first replica {}: requests can only be shared by servers of one \
                         model; name it as server.model if they serve several",
                        other.model.id, self.model.id
                    ),
                )
                .into());
        }
        // The shortest context is that of them all.
        let lengths = [self.model.max_model_len, other.model.max_model_len];
        self.model.max_model_len = lengths.into_iter().flatten().min();
        self.remarks.extend(replicas::other_kind(&self.identity, &other.identity, url));
        self.remarks.extend(replicas::agree(&mut self.settings, &other.settings, url));
        self.remarks.extend(other.remarks.iter().map(|remark| format!("{url}: {remark}")));
        Ok(())
    }
}

/// Who reads the metrics of the server at `url`.
fn sampler(
    url: &str,
    key: Option<ApiKey>,
    opening: &Opening<'_>,
) -> Result<MetricsSampler, RunError> {
    let period = opening.samplers.metrics_period.get();
    let control = ControlClient::new(url, key, METRICS_TIMEOUT.max(period))?;
    MetricsSampler::start(control, opening.clock, period)
        .map_err(RunError::io("start the thread that reads the server's metrics"))
}

/// Makes the folder of `log`.
fn make_room(log: &Path) -> Result<(), RunError> {
    log.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .map_err(RunError::io("make the folder of the server's log"))
}

/// The key in the variable that the matrix names. The key appears in no error.
fn api_key(source: &MatrixSource, table: &ServerTable) -> Result<Option<String>, RunError> {
    let Some(variable) = &table.api_key_env else { return Ok(None) };
    match std::env::var(variable) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_owned())),
        _ => Err(source
            .error_at(
                "server.api-key-env",
                format!("the environment variable `{variable}` is not set, or empty, or not text"),
            )
            .into()),
    }
}
