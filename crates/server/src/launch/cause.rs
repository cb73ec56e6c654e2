//! Why a server did not start or did not stay, guessed from its last words.

use std::fmt;

use super::error::Exit;

/// The likely reason for a server's end, with the line that gave it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What it was.
    pub kind: CauseKind,
    /// The line of the log that says so; `None` when only the way it ended does.
    pub evidence: Option<String>,
}

/// What keeps servers from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CauseKind {
    /// The GPU's memory was not enough.
    CudaOutOfMemory,
    /// What was left of the GPU's memory was not enough for the KV cache.
    KvCacheTooSmall,
    /// Another program listens on the port.
    PortTaken,
    /// There is no such model, or it cannot be fetched.
    ModelNotFound,
    /// The model's owner wants to know who fetches it.
    ModelGated,
    /// A flag, or its value, that the server does not take.
    UnknownFlag,
    /// A program that the command needs is not there.
    MissingProgram,
    /// No NVIDIA driver, or none that the server can use.
    NoCudaDriver,
    /// Fewer GPUs than the parallel sizes ask for.
    TooFewGpus,
    /// A Python module that cannot be imported.
    ImportError,
    /// The program was built for another processor.
    IllegalInstruction,
    /// The kernel killed it for want of memory.
    KilledByKernel,
    /// No room on a disk or in shared memory.
    NoSpace,
    /// The docker image cannot be had.
    ImageNotFound,
    /// The docker daemon does not answer.
    NoDockerDaemon,
    /// Somebody told it to end.
    ToldToEnd,
}

/// What a line must hold to give a cause away; all of one entry's texts, in lower case.
struct Sign {
    kind: CauseKind,
    texts: &'static [&'static str],
}

const fn sign(kind: CauseKind, texts: &'static [&'static str]) -> Sign {
    Sign { kind, texts }
}

/// The words of vLLM, PyTorch, Hugging Face's hub, uvicorn, llama.cpp, argument parsers, shells and
/// docker. The more specific comes first: an import that fails for want of the driver is the driver's.
const SIGNS: &[Sign] = &[
    sign(CauseKind::KvCacheTooSmall, &["no available memory for the cache blocks"]),
    sign(CauseKind::KvCacheTooSmall, &["larger than the available kv cache memory"]),
    sign(CauseKind::KvCacheTooSmall, &["tokens that can be stored in kv cache"]),
    sign(CauseKind::KvCacheTooSmall, &["failed to create context", "kv cache"]),
    sign(CauseKind::CudaOutOfMemory, &["cuda out of memory"]),
    sign(CauseKind::CudaOutOfMemory, &["outofmemoryerror"]),
    sign(CauseKind::CudaOutOfMemory, &["free memory on device", "less than desired gpu memory"]),
    sign(CauseKind::CudaOutOfMemory, &["cuda error: out of memory"]),
    sign(CauseKind::CudaOutOfMemory, &["cudamalloc failed: out of memory"]),
    sign(CauseKind::PortTaken, &["address already in use"]),
    sign(CauseKind::PortTaken, &["eaddrinuse"]),
    sign(CauseKind::PortTaken, &["couldn't bind", "socket"]),
    sign(CauseKind::PortTaken, &["port is already allocated"]),
    sign(CauseKind::ModelGated, &["gated repo"]),
    sign(CauseKind::ModelGated, &["gatedrepoerror"]),
    sign(CauseKind::ModelGated, &["access to model", "is restricted"]),
    sign(CauseKind::ModelNotFound, &["is not a local folder and is not a valid model identifier"]),
    sign(CauseKind::ModelNotFound, &["invalid repository id or local directory specified"]),
    sign(CauseKind::ModelNotFound, &["repo id must be in the form"]),
    sign(CauseKind::ModelNotFound, &["repo id must use alphanumeric"]),
    sign(CauseKind::ModelNotFound, &["repository not found for url"]),
    sign(CauseKind::ModelNotFound, &["repositorynotfounderror"]),
    sign(CauseKind::ModelNotFound, &["localentrynotfounderror"]),
    sign(CauseKind::ModelNotFound, &["couldn't connect to", "huggingface"]),
    sign(CauseKind::ModelNotFound, &["can't load the configuration of"]),
    sign(CauseKind::ModelNotFound, &["error loading model"]),
    sign(CauseKind::ModelNotFound, &["failed to open gguf file"]),
    sign(CauseKind::UnknownFlag, &["unrecognized argument"]),
    sign(CauseKind::UnknownFlag, &["unrecognized option"]),
    sign(CauseKind::UnknownFlag, &["error: invalid argument"]),
    sign(CauseKind::UnknownFlag, &["error: unexpected argument"]),
    sign(CauseKind::UnknownFlag, &["error: argument ", ": "]),
    sign(CauseKind::UnknownFlag, &["error: ambiguous option"]),
    sign(CauseKind::UnknownFlag, &["the following arguments are required"]),
    sign(CauseKind::UnknownFlag, &["error: no such option"]),
    sign(CauseKind::UnknownFlag, &["flag provided but not defined"]),
    sign(CauseKind::TooFewGpus, &["larger than the number of available gpus"]),
    sign(CauseKind::TooFewGpus, &["exceeds the number of available gpus"]),
    sign(CauseKind::TooFewGpus, &["invalid device ordinal"]),
    sign(CauseKind::NoCudaDriver, &["found no nvidia driver"]),
    sign(CauseKind::NoCudaDriver, &["driver on your system is too old"]),
    sign(CauseKind::NoCudaDriver, &["cuda driver version is insufficient"]),
    sign(CauseKind::NoCudaDriver, &["libcuda.so", "cannot open shared object file"]),
    sign(CauseKind::NoCudaDriver, &["no cuda gpus are available"]),
    sign(CauseKind::NoCudaDriver, &["no cuda-capable device is detected"]),
    sign(CauseKind::NoCudaDriver, &["failed to infer device type"]),
    sign(CauseKind::NoCudaDriver, &["could not select device driver"]),
    sign(CauseKind::NoCudaDriver, &["nvml: driver/library version mismatch"]),
    sign(CauseKind::NoSpace, &["no space left on device"]),
    sign(CauseKind::KilledByKernel, &["can't allocate memory"]),
    sign(CauseKind::KilledByKernel, &["cannot allocate memory"]),
    sign(CauseKind::ImageNotFound, &["pull access denied"]),
    sign(CauseKind::ImageNotFound, &["manifest unknown"]),
    sign(CauseKind::ImageNotFound, &["no such image"]),
    sign(CauseKind::NoDockerDaemon, &["cannot connect to the docker daemon"]),
    sign(CauseKind::NoDockerDaemon, &["permission denied", "docker daemon socket"]),
    sign(CauseKind::MissingProgram, &["command not found"]),
    sign(CauseKind::MissingProgram, &["unknown command: docker compose"]),
    sign(CauseKind::MissingProgram, &["'compose' is not a docker command"]),
    sign(CauseKind::MissingProgram, &["executable file not found in $path"]),
    sign(CauseKind::ImportError, &["modulenotfounderror:"]),
    sign(CauseKind::ImportError, &["importerror:"]),
    sign(CauseKind::IllegalInstruction, &["illegal instruction"]),
];

/// The likely cause of the end of a server whose log ends in `lines` and that ended with `exit`;
/// `exit` is `None` while it lives and only does not get ready.
///
/// Lines that the server itself calls a warning, information or debug output are passed over: vLLM
/// warns of modules that it can do without, in the words of an error.
#[must_use]
pub fn likely_cause(lines: &[String], exit: Option<Exit>) -> Option<Cause> {
    let errors: Vec<(&String, String)> = lines
        .iter()
        .map(|line| (line, line.to_lowercase()))
        .filter(|(line, _)| !is_harmless(line))
        .collect();
    let said = SIGNS.iter().find_map(|Sign { kind, texts }| {
        // The last such line: earlier ones may have been survived.
        let found = |(_, lower): &&(&String, String)| texts.iter().all(|text| lower.contains(text));
        let (line, _) = errors.iter().rev().find(found)?;
        Some(Cause { kind: *kind, evidence: Some(shortened(line)) })
    });
    said.or_else(|| {
        let kind = match (exit?, exit?.signal()) {
            (_, Some(4)) => CauseKind::IllegalInstruction,
            (_, Some(9)) => CauseKind::KilledByKernel,
            // The bus error of a page of /dev/shm that cannot be had.
            (_, Some(7)) => CauseKind::NoSpace,
            (_, Some(2 | 15)) => CauseKind::ToldToEnd,
            // A shell's word for a program that it does not find.
            (Exit::Code(127), _) => CauseKind::MissingProgram,
            _ => return None,
        };
        let evidence = (kind == CauseKind::MissingProgram)
            .then(|| errors.last().map(|(line, _)| shortened(line)))
            .flatten();
        Some(Cause { kind, evidence })
    })
}

/// Whether the server itself says that a line is no error: `WARNING 07-14 ...`, also behind vLLM's
/// `(EngineCore pid=12)`.
fn is_harmless(line: &str) -> bool {
    let line = match line.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or(rest, |(_, behind)| behind),
        None => line,
    };
    let level = line.trim_start().split([' ', ':', '\t']).next().unwrap_or_default();
    matches!(level, "WARNING" | "INFO" | "DEBUG" | "WARN")
}

/// A line without vLLM's prefixes, at a length that fits a message.
fn shortened(line: &str) -> String {
    const MOST: usize = 300;
    // `(EngineCore pid=12) ERROR 07-14 05:15:36 [core.py:515] ValueError: ...`
    let behind = line.find(".py:").and_then(|at| line[at..].find("] ").map(|end| at + end + 2));
    let text = behind.map_or(line, |at| &line[at..]).trim();
    let text = match text.strip_prefix('(') {
        Some(rest) if rest.contains("pid=") => rest.split_once(") ").map_or(text, |(_, b)| b),
        _ => text,
    };
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

impl CauseKind {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::CudaOutOfMemory => {
                "see with nvidia-smi who else uses the GPU, lower gpu-memory-utilization or \
                 max-model-len, or spread the model over more GPUs"
            }
            Self::KvCacheTooSmall => {
                "raise gpu-memory-utilization, or lower max-model-len or max-num-seqs"
            }
            Self::PortTaken => "stop the other program, or take another port",
            Self::ModelNotFound => {
                "check the model's path or name, and that the hub can be reached"
            }
            Self::ModelGated => {
                "ask for access on the model's page, and give a token in HF_TOKEN that has it"
            }
            Self::UnknownFlag => {
                "check server.settings against the server's own --help, for its version"
            }
            Self::MissingProgram => "install it, give its full path, or set PATH",
            Self::NoCudaDriver => {
                "check nvidia-smi on this machine, and that a container is given the GPUs"
            }
            Self::TooFewGpus => "lower tensor-, pipeline- or data-parallel-size",
            Self::ImportError => {
                "install the server's dependencies, or start it in its environment"
            }
            Self::IllegalInstruction => "take a build for this processor",
            Self::KilledByKernel => {
                "see `dmesg`; give it more memory, or a smaller model or cache space"
            }
            Self::NoSpace => "make room; a container needs ipc: host or a larger shm_size",
            Self::ImageNotFound => "check the image's name and tag, and docker's login",
            Self::NoDockerDaemon => "start the docker daemon, or get the right to use it",
            Self::ToldToEnd => "see who sent it the signal",
        }
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CudaOutOfMemory => "CUDA is out of memory",
            Self::KvCacheTooSmall => "there is not enough memory for the KV cache",
            Self::PortTaken => "the port is taken",
            Self::ModelNotFound => "the model was not found",
            Self::ModelGated => "the model is gated",
            Self::UnknownFlag => "the server does not take a flag or its value",
            Self::MissingProgram => "a program is missing",
            Self::NoCudaDriver => "there is no usable NVIDIA driver or GPU",
            Self::TooFewGpus => "there are fewer GPUs than asked for",
            Self::ImportError => "a Python module cannot be imported",
            Self::IllegalInstruction => "the program was built for another processor",
            Self::KilledByKernel => "the machine is out of memory and the kernel killed it",
            Self::NoSpace => "a disk or the shared memory is full",
            Self::ImageNotFound => "the docker image was not found",
            Self::NoDockerDaemon => "the docker daemon cannot be used",
            Self::ToldToEnd => "it was told to end from outside",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(evidence) = &self.evidence {
            write!(f, " (`{evidence}`)")?;
        }
        write!(f, ": {}", self.kind.remedy())
    }
}

#[cfg(test)]
mod tests;
