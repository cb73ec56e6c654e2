//! `plimsoll sim`: flags to configuration, then serve or explain.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use plimsoll_sim::{LengthMix, Lengths, ModelProfile, Settings, SimConfig, SimServer, explain};
use tokio::signal::unix::{SignalKind, signal};

/// Flags of `plimsoll sim`; those named as vLLM's mean what vLLM's mean.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Built-in model to serve.
    #[arg(long, default_value = "qwen3-14b", value_parser = PossibleValuesParser::new(ModelProfile::BUILT_IN))]
    model: String,
    /// Most sequences in one step [default: 256].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_num_seqs: Option<u32>,
    /// Most tokens computed in one step [default: 2048].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_num_batched_tokens: Option<u32>,
    /// Replicas behind a least-loaded router [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    data_parallel_size: Option<u32>,
    /// How much longer a step takes for each replica beside, as a share of 0 to 1 [default: 0].
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0, hide_default_value = true, value_parser = share)]
    scaling_contention: f64,
    /// How much longer a step takes for each ordered pair of replicas, likewise [default: 0].
    #[arg(long, value_name = "KAPPA", default_value_t = 0.0, hide_default_value = true, value_parser = share)]
    scaling_coherency: f64,
    /// Prefill long prompts over several steps (the default).
    #[arg(long, overrides_with = "no_enable_chunked_prefill")]
    enable_chunked_prefill: bool,
    /// Prefill every prompt in one step.
    #[arg(long)]
    no_enable_chunked_prefill: bool,
    /// Take prefixes seen before from the cache (the default).
    #[arg(long, overrides_with = "no_enable_prefix_caching")]
    enable_prefix_caching: bool,
    /// Compute every prompt whole.
    #[arg(long)]
    no_enable_prefix_caching: bool,
    /// KV-cache blocks of one replica [default: the model's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    num_gpu_blocks_override: Option<u32>,
    /// Tokens of one KV-cache block [default: 16].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    block_size: Option<u32>,
    /// Longest prompt plus answer, tokens [default: the model's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    max_model_len: Option<u32>,
    /// Decides the words of answers, and the lengths in the overload run of --explain.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the server's own record of every request to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Print settings in effect, step-time law and capacity, and exit.
    #[arg(long)]
    explain: bool,
    /// Prompt lengths for --explain: 512, uniform(64,512) or lognormal(512,0.6,4096).
    #[arg(long, value_name = "LENGTHS", default_value = "512")]
    input_tokens: Lengths,
    /// Answer lengths for --explain, written likewise.
    #[arg(long, value_name = "LENGTHS", default_value = "128")]
    output_tokens: Lengths,
    /// Do not announce the address.
    #[arg(long)]
    quiet: bool,
}

impl Sim {
    /// Explains or serves.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let model = ModelProfile::built_in(&self.model)
            .context("the list of models in --help is that of the library")?;
        let settings = self.settings();
        if self.explain {
            let mix = LengthMix { input: self.input_tokens, output: self.output_tokens };
            print(&explain(&model, &settings, &mix, self.seed)?);
            return Ok(ExitCode::SUCCESS);
        }
        raise_open_files();
        let (name, quiet) = (model.name.clone(), self.quiet);
        let server = SimServer::start(SimConfig {
            model,
            settings,
            host: self.host,
            port: self.port,
            truth: self.truth,
            seed: self.seed,
            ..SimConfig::default()
        })?;
        if !quiet {
            announce(&format!("READY {} model={name}", server.url()));
        }
        wait_for_signal()?;
        server.stop();
        Ok(ExitCode::SUCCESS)
    }

    /// The settings that the flags ask for.
    fn settings(&self) -> Settings {
        let default = Settings::default();
        Settings {
            max_num_seqs: self.max_num_seqs.unwrap_or(default.max_num_seqs),
            max_num_batched_tokens: self.max_num_batched_tokens,
            enable_chunked_prefill: !self.no_enable_chunked_prefill,
            enable_prefix_caching: !self.no_enable_prefix_caching,
            num_gpu_blocks_override: self.num_gpu_blocks_override,
            block_size: self.block_size.unwrap_or(default.block_size),
            max_model_len: self.max_model_len,
            data_parallel_size: self.data_parallel_size.unwrap_or(default.data_parallel_size),
            scaling_contention: self.scaling_contention,
            scaling_coherency: self.scaling_coherency,
            ..default
        }
    }
}

/// A share of 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1 is needed".to_owned())
}

/// Thousands of streams need thousands of files; the usual limit is 1024 where the system would
/// allow far more. Where it does not, connections beyond it wait to be accepted.
fn raise_open_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Returns when INT or TERM has come.
fn wait_for_signal() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "the explanation is the command's result")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "scripts wait for this line; results go to stdout")]
fn announce(line: &str) {
    eprintln!("{line}");
}
