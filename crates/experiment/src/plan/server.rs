//! What can be wrong with `[server]` and `[samplers]`.

use plimsoll_client::Endpoint;
use plimsoll_server::is_secret_name;

use crate::matrix::{
    Command, Launch, Matrix, MatrixError, MatrixSource, SamplersTable, ServerTable,
};
use crate::target::{process_command, settings_flags, sim_parts};

/// Most replicas behind URLs of their own: as many as one packet capture tells apart.
const MOST_URLS: usize = 64;
/// Any port, to try a command line with.
const SOME_PORT: u16 = 8000;

/// Refuses what does not fit the way in which the server is obtained.
pub(super) fn check(source: &MatrixSource, matrix: &Matrix) -> Result<(), MatrixError> {
    let server = &matrix.server;
    check_keys(source, server)?;
    check_secrets(source, server)?;
    if let Some(log) = &server.log
        && let Err(error) = std::fs::File::open(source.folder().join(log))
    {
        return Err(source.error_at(
            "server.log",
            format!(
                "{} cannot be read: {error}; give the file that the server writes",
                log.display()
            ),
        ));
    }
    check_samplers(source, &matrix.samplers)?;
    match server.launch {
        Launch::Sim => sim_parts(source, server).map(drop),
        Launch::Attach => check_urls(source, server),
        Launch::Process => process_command(source, server, SOME_PORT).map(drop),
        Launch::Compose => {
            if server.file.is_none() {
                return Err(source.error_at(
                    "server",
                    "launch = \"compose\" needs the compose file, like file = \"compose/vllm.yaml\"",
                ));
            }
            settings_flags(source, server).map(drop)
        }
    }
}

/// Either one URL or those of replicas, no two of which are the same server.
fn check_urls(source: &MatrixSource, server: &ServerTable) -> Result<(), MatrixError> {
    if server.url.is_some() && !server.urls.is_empty() {
        return Err(source.error_at(
            "server.urls",
            "a server has either `url`, or `urls` for all its replicas; leave one of the two",
        ));
    }
    let key = if server.urls.is_empty() { "server.url" } else { "server.urls" };
    let mut known: Vec<Endpoint> = Vec::new();
    for url in server.attached() {
        let endpoint: Endpoint = url.parse().map_err(|error| source.error_at(key, error))?;
        if known.contains(&endpoint) {
            return Err(source.error_at(
                key,
                format!("{endpoint} stands there twice: each replica has a URL of its own"),
            ));
        }
        known.push(endpoint);
    }
    match known.len() {
        0 => Err(source.error_at(
            "server",
            "launch = \"attach\" needs the URL of the server, like url = \"http://localhost:8000\"",
        )),
        1..=MOST_URLS => Ok(()),
        urls => Err(source.error_at(
            key,
            format!("{urls} replicas are too many; at most {MOST_URLS} are allowed"),
        )),
    }
}

/// Each key belongs to some ways of obtaining a server; elsewhere it would be passed over in silence.
fn check_keys(source: &MatrixSource, server: &ServerTable) -> Result<(), MatrixError> {
    use Launch::{Attach, Compose, Process};
    let usual = ServerTable::default();
    let keys: [(&str, bool, &[Launch]); 12] = [
        ("url", server.url.is_some(), &[Attach]),
        ("urls", !server.urls.is_empty(), &[Attach]),
        ("log", server.log.is_some(), &[Attach]),
        ("command", server.command.is_some(), &[Process]),
        ("folder", server.folder.is_some(), &[Process]),
        ("file", server.file.is_some(), &[Compose]),
        ("service", server.service != usual.service, &[Compose]),
        ("environment", !server.environment.is_empty(), &[Process, Compose]),
        ("flags", server.flags.is_some(), &[Process, Compose]),
        ("port", server.port.is_some(), &[Process, Compose]),
        ("ready-limit", server.ready_limit != usual.ready_limit, &[Process, Compose]),
        ("stop-grace", server.stop_grace != usual.stop_grace, &[Process, Compose]),
    ];
    for (key, written, ways) in keys {
        if written && !ways.contains(&server.launch) {
            let names: Vec<_> =
                ways.iter().map(|way| format!("launch = \"{}\"", way.as_str())).collect();
            return Err(source.error_at(
                &format!("server.{key}"),
                format!(
                    "it means nothing with launch = \"{}\"; it goes with {}",
                    server.launch.as_str(),
                    names.join(" or ")
                ),
            ));
        }
    }
    if server.ready_limit.is_zero() {
        return Err(source.error_at("server.ready-limit", "0s leaves the server no time to start"));
    }
    Ok(())
}

/// A matrix is kept with the results, word for word: no secret may stand in it.
fn check_secrets(source: &MatrixSource, server: &ServerTable) -> Result<(), MatrixError> {
    let remedy = "a matrix is kept with the results, so no secret may stand in it: set the variable \
                  that the server reads (VLLM_API_KEY, HF_TOKEN) in the environment of this program, \
                  which the server inherits";
    let named = |table: &str, name: &String| {
        let secret = is_secret_name(name);
        secret.then(|| source.error_at(&format!("server.{table}.{name}"), remedy))
    };
    let words = match &server.command {
        Some(Command::Text(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Command::Words(words)) => words.clone(),
        None => Vec::new(),
    };
    let flags = words.iter().filter_map(|word| word.strip_prefix("--"));
    let mut secret_flags =
        flags.filter(|flag| is_secret_name(flag.split('=').next().unwrap_or("")));
    let wrong = { server.environment.keys() }
        .find_map(|name| named("environment", name))
        .or_else(|| server.settings.keys().find_map(|name| named("settings", name)))
        .or_else(|| secret_flags.next().map(|_| source.error_at("server.command", remedy)));
    wrong.map_or(Ok(()), Err)
}

fn check_samplers(source: &MatrixSource, samplers: &SamplersTable) -> Result<(), MatrixError> {
    for (key, period, [shortest, longest]) in [
        ("gpu-period", samplers.gpu_period, SamplersTable::GPU_PERIODS),
        ("metrics-period", samplers.metrics_period, SamplersTable::METRICS_PERIODS),
    ] {
        if !(shortest..=longest).contains(&period.get()) {
            let [shortest, longest] = [shortest, longest].map(plimsoll_units::Span::new);
            return Err(source.error_at(
                &format!("samplers.{key}"),
                format!("{period} is no period for it; allowed are {shortest} to {longest}"),
            ));
        }
    }
    Ok(())
}
