//! What lies beside a result file: the server's log and the samples of its GPUs.

mod gpus;
mod log;
mod shift;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use plimsoll_gpu::Dmon;
use plimsoll_server::LogFacts;

use crate::InterchangeError;

pub(crate) use gpus::gpu_rows;
pub(crate) use log::{LogEvidence, log_evidence};

/// Longest text of GPU samples that is read, bytes.
const MOST_DMON: u64 = 1 << 30;

/// When a point began and ended, by the wall clock of its result file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

/// The file of one of these names in the result's folder, in the one above, or in a folder `gpu` of either.
pub(crate) fn find(result: &Path, names: &[&str]) -> Option<PathBuf> {
    let folder = result.parent()?;
    let folders = [Some(folder), folder.parent()];
    folders
        .into_iter()
        .flatten()
        .flat_map(|folder| [folder.to_owned(), folder.join("gpu")])
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Reads a server's log, compressed or not: its content says which.
pub(crate) fn read_log(path: &Path) -> Result<LogFacts, InterchangeError> {
    let error = || InterchangeError::io("read", path);
    let open = || File::open(path).map(BufReader::new).map_err(error());
    let mut magic = [0; 2];
    let is_gzip = open()?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let facts = if is_gzip {
        LogFacts::read(BufReader::new(MultiGzDecoder::new(open()?)))
    } else {
        LogFacts::read(open()?)
    };
    facts.map_err(error())
}

/// Reads what `nvidia-smi dmon` wrote.
pub(crate) fn read_dmon(path: &Path) -> Result<Dmon, InterchangeError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(InterchangeError::io("read", path))?;
    file.take(MOST_DMON).read_to_end(&mut bytes).map_err(InterchangeError::io("read", path))?;
    Ok(Dmon::parse(&String::from_utf8_lossy(&bytes)))
}
