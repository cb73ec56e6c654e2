//! Obtaining the server that a matrix asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_server::{
    Attached, CommandValues, Compose, ComposeSpec, Flags, Owned, Process, ProcessSpec,
    command_line, free_port,
};

use super::sim::OwnedSim;
use crate::error::RunError;
use crate::matrix::{Command, Launch, MatrixError, MatrixSource, ServerTable};

/// The host that a started server listens on: nobody else is to be served.
const HOST: &str = "127.0.0.1";
/// The variable that opens vLLM's `/server_info` and `/reset_prefix_cache`.
const VLLM_DEV_MODE: &str = "VLLM_SERVER_DEV_MODE";

/// Starts or finds the server of `table`; its log goes to `log`, without `secrets`.
pub(super) fn obtain(
    source: &MatrixSource,
    table: &ServerTable,
    seed: u64,
    log: &Path,
    secrets: &[String],
) -> Result<Box<dyn Owned>, RunError> {
    let port = || table.port.map_or_else(free_port, Ok);
    Ok(match table.launch {
        Launch::Sim => Box::new(OwnedSim::start(source, table, seed)?),
        Launch::Attach => {
            Box::new(Attached::new(table.attached().first().copied().unwrap_or_default()))
        }
        Launch::Process => {
            let port = port().map_err(RunError::io("find a free port"))?;
            let spec = ProcessSpec {
                command: process_command(source, table, port)?,
                environment: environment(table),
                secrets: secrets.to_vec(),
                folder: Some(folder(source, table)),
                url: format!("http://{HOST}:{port}"),
                log: log.to_owned(),
                grace: table.stop_grace.get(),
            };
            Box::new(Process::start(spec)?)
        }
        Launch::Compose => {
            let port = port().map_err(RunError::io("find a free port"))?;
            let file = table.file.as_ref().map(|file| source.folder().join(file));
            let spec = ComposeSpec {
                file: file.unwrap_or_default(),
                service: table.service.clone(),
                settings: settings_flags(source, table)?,
                model: table.model.clone(),
                environment: table.environment.clone(),
                secrets: secrets.to_vec(),
                port,
                log: log.to_owned(),
                grace: table.stop_grace.get(),
            };
            Box::new(Compose::start(spec)?)
        }
    })
}

/// The variables of a command. vLLM says what settings are in effect, and forgets its prefix cache, only in
/// its developer mode.
fn environment(table: &ServerTable) -> BTreeMap<String, String> {
    let mut environment = table.environment.clone();
    if table.flags.is_none() {
        environment.entry(VLLM_DEV_MODE.to_owned()).or_insert_with(|| "1".to_owned());
    }
    environment
}

/// The command line of a server that listens on `port`.
pub(crate) fn process_command(
    source: &MatrixSource,
    table: &ServerTable,
    port: u16,
) -> Result<Vec<String>, MatrixError> {
    let Some(command) = &table.command else {
        return Err(source.error_at(
            "server",
            "launch = \"process\" needs the command that starts the server, like command = \"vllm serve Qwen/Qwen3-14B\"",
        ));
    };
    let settings = settings_flags(source, table)?;
    let values = CommandValues {
        host: HOST,
        port,
        model: table.model.as_deref(),
        settings: &settings,
        vllm: table.flags.is_none(),
    };
    let line = match command {
        Command::Text(text) => command_line(text, &values),
        Command::Words(words) => values.fill(words),
    };
    line.map_err(|error| source.error_at("server.command", error))
}

/// The settings as flags of the server's command line.
pub(crate) fn settings_flags(
    source: &MatrixSource,
    table: &ServerTable,
) -> Result<Vec<String>, MatrixError> {
    let flags = table.flags.clone().map_or_else(Flags::vllm, Flags::template);
    flags.write(&table.settings).map_err(|error| source.error_at("server.settings", error))
}

fn folder(source: &MatrixSource, table: &ServerTable) -> PathBuf {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    table.folder.as_ref().map_or_else(|| folder.to_owned(), |own| folder.join(own))
}
