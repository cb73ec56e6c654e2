//! The simulator in this process, as a server that the run owns.

use plimsoll_server::{LaunchError, Owned, Stopped};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};

use crate::error::RunError;
use crate::matrix::{MatrixError, MatrixSource, ServerTable};

/// The simulator's model when the matrix names none.
const SIM_MODEL: &str = "qwen3-14b";

/// A running simulator. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct OwnedSim {
    url: String,
    sim: Option<SimServer>,
}

impl OwnedSim {
    pub(super) fn start(
        source: &MatrixSource,
        table: &ServerTable,
        seed: u64,
    ) -> Result<Self, RunError> {
        let (model, settings) = sim_parts(source, table)?;
        let config = SimConfig { model, settings, seed, ..SimConfig::default() };
        let sim = SimServer::start(config)?;
        Ok(Self { url: sim.url(), sim: Some(sim) })
    }
}

impl Owned for OwnedSim {
    fn launch(&self) -> &'static str {
        "sim"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn stop(&mut self) -> Result<Stopped, LaunchError> {
        if let Some(sim) = self.sim.take() {
            sim.stop();
        }
        Ok(Stopped::default())
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
