//! The server of a group of points: the simulator in this process, or one behind a URL.

use std::time::Duration;

use plimsoll_client::{ClientConfig, Endpoint, Secret, Timeouts};
use plimsoll_records::TargetRecord;
use plimsoll_server::{ApiKey, ControlClient, Identity, ModelInfo, choose_model};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use plimsoll_units::RunClock;
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::matrix::{ClientTable, Launch, MatrixError, MatrixSource, ServerTable};

/// Limit for one request to the control plane before any load.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit for one reading of the metrics beside the load: a server that is slow to answer must not
/// hold up the coordinator of a point, or Ctrl-C.
const METRICS_TIMEOUT: Duration = Duration::from_millis(1500);
/// The simulator's model when the matrix names none.
const SIM_MODEL: &str = "qwen3-14b";

/// A server that is there, with what it said of itself.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) control: ControlClient,
    /// The same server, for readings beside the load.
    pub(crate) metrics: ControlClient,
    pub(crate) model: ModelInfo,
    identity: Identity,
    url: String,
    api_key: Option<String>,
    table: ServerTable,
    /// The simulator stops when this is dropped.
    _sim: Option<SimServer>,
}

impl Target {
    /// Starts or finds the server that `table` asks for.
    pub(crate) fn open(
        source: &MatrixSource,
        table: &ServerTable,
        seed: u64,
        runtime: &Runtime,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let api_key = api_key(source, table)?;
        let (url, sim) = match table.launch {
            Launch::Attach => (table.url.clone().unwrap_or_default(), None),
            Launch::Sim => {
                let sim = start_sim(source, table, seed)?;
                (sim.url(), Some(sim))
            }
        };
        let key = api_key.as_deref().map(ApiKey::new).transpose()?;
        let metrics = ControlClient::new(&url, key.clone(), METRICS_TIMEOUT)?;
        let control = ControlClient::new(&url, key, CONTROL_TIMEOUT)?;
        let identity = runtime.block_on(interrupt.unless(control.identify()))??;
        let model = choose_model(&identity.models, table.model.as_deref())?;
        Ok(Self {
            control,
            metrics,
            model,
            identity,
            url,
            api_key,
            table: table.clone(),
            _sim: sim,
        })
    }

    /// How the measuring client reaches it.
    pub(crate) fn client(
        &self,
        source: &MatrixSource,
        table: &ClientTable,
        clock: RunClock,
    ) -> Result<ClientConfig, RunError> {
        let endpoint: Endpoint =
            self.url.parse().map_err(|error| source.error_at("server.url", error))?;
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
            launch: match self.table.launch {
                Launch::Sim => "sim",
                Launch::Attach => "attach",
            }
            .to_owned(),
            url: self.url.clone(),
            model: self.model.id.clone(),
            server,
            version,
            max_model_len: self.model.max_model_len,
            settings_declared: self.table.settings.clone(),
        }
    }
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

/// The simulator's model and settings that `table` asks for, checked against each other.
pub(crate) fn sim_parts(
    source: &MatrixSource,
    table: &ServerTable,
) -> Result<(ModelProfile, Settings), MatrixError> {
    let name = table.model.as_deref().unwrap_or(SIM_MODEL);
    let model = ModelProfile::built_in(name).ok_or_else(|| {
        source.error_at(
            "server.model",
            format!(
                "the simulator has no model `{name}`; it has {}",
                ModelProfile::BUILT_IN.join(", ")
            ),
        )
    })?;
    let wrong = |error| source.error_at("server.settings", error);
    let settings = Settings::from_map(&table.settings).map_err(wrong)?;
    settings.limits(&model).map_err(wrong)?;
    Ok((model, settings))
}

fn start_sim(source: &MatrixSource, table: &ServerTable, seed: u64) -> Result<SimServer, RunError> {
    let (model, settings) = sim_parts(source, table)?;
    let config = SimConfig { model, settings, seed, ..SimConfig::default() };
    Ok(SimServer::start(config)?)
}
