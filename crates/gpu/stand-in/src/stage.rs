//! The script as it is played: how often each reading was asked for, and what comes next.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, ptr, thread};

use crate::install::SCRIPT_FILE;
use crate::script::{Fault, Script, ScriptedGpu, ScriptedProcess, Track};

/// The script that this copy of the library plays, between its start and its shutdown.
static STAGE: Mutex<Option<Stage>> = Mutex::new(None);

/// A script in play.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) script: Script,
    played: Vec<Played>,
}

/// How far one device has come.
#[derive(Clone, Debug, Default)]
struct Played {
    calls: [u64; Reading::COUNT],
    /// Calls for utilisation.
    samples: u64,
    /// Xid errors handed out.
    xids: usize,
}

/// A reading that is scripted by call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    PowerLimit,
    SmClockMax,
    SmUtilisation,
    MemoryUtilisation,
    MemoryUsed,
    MemoryTotal,
    Power,
    Energy,
    Temperature,
    SmClock,
    MemoryClock,
    ThrottleReasons,
    PcieTx,
    PcieRx,
    EccCorrected,
    EccUncorrected,
    Compute,
    Graphics,
}

impl Reading {
    const COUNT: usize = Self::Graphics as usize + 1;

    fn track(self, gpu: &ScriptedGpu) -> Option<&Track> {
        Some(match self {
            Self::PowerLimit => &gpu.power_limit_mw,
            Self::SmClockMax => &gpu.sm_clock_max_mhz,
            Self::SmUtilisation => &gpu.sm_utilisation_pct,
            Self::MemoryUtilisation => &gpu.memory_utilisation_pct,
            Self::MemoryUsed => &gpu.memory_used_bytes,
            Self::MemoryTotal => &gpu.memory_total_bytes,
            Self::Power => &gpu.power_mw,
            Self::Energy => &gpu.energy_mj,
            Self::Temperature => &gpu.temperature_c,
            Self::SmClock => &gpu.sm_clock_mhz,
            Self::MemoryClock => &gpu.memory_clock_mhz,
            Self::ThrottleReasons => &gpu.throttle_reasons,
            Self::PcieTx => &gpu.pcie_tx_kb_per_s,
            Self::PcieRx => &gpu.pcie_rx_kb_per_s,
            Self::EccCorrected => &gpu.ecc_corrected,
            Self::EccUncorrected => &gpu.ecc_uncorrected,
            Self::Compute | Self::Graphics => return None,
        })
    }
}

/// The stage, whatever happened to an earlier holder of it.
fn stage() -> MutexGuard<'static, Option<Stage>> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the script beside this library and begins to play it.
pub(crate) fn open() -> Result<(), Fault> {
    let path = own_path().ok_or(Fault::Unknown)?;
    let text = fs::read(path.with_file_name(SCRIPT_FILE)).map_err(|_| Fault::DriverNotLoaded)?;
    let script: Script = serde_json::from_slice(&text).map_err(|_| Fault::Unknown)?;
    thread::sleep(Duration::from_millis(script.init_sleep_ms));
    if let Some(fault) = script.init {
        return Err(fault);
    }
    let played = vec![Played::default(); script.gpus.len()];
    *stage() = Some(Stage { script, played });
    Ok(())
}

/// Ends the play.
pub(crate) fn close() -> Result<(), Fault> {
    stage().take().map(drop).ok_or(Fault::Uninitialized)
}

/// What `question` finds on the stage.
pub(crate) fn ask<T>(question: impl FnOnce(&mut Stage) -> Result<T, Fault>) -> Result<T, Fault> {
    stage().as_mut().ok_or(Fault::Uninitialized).and_then(question)
}

/// The next answer of device `gpu` to `reading`, after the time that it takes.
pub(crate) fn read(gpu: usize, reading: Reading) -> Result<u64, Fault> {
    // The stage is free while a slow call sleeps.
    let (sleep_ms, answer) = ask(|stage| stage.next(gpu, reading))?;
    if sleep_ms > 0 {
        thread::sleep(Duration::from_millis(sleep_ms));
    }
    answer
}

impl Stage {
    /// The script of device `gpu`, if it is still there.
    pub(crate) fn gpu(&self, gpu: usize) -> Result<&ScriptedGpu, Fault> {
        let script = self.script.gpus.get(gpu).ok_or(Fault::InvalidArgument)?;
        let samples = self.played[gpu].samples;
        match script.lost_at_sample {
            Some(lost_at) if samples > lost_at => Err(Fault::GpuIsLost),
            _ => Ok(script),
        }
    }

    fn next(&mut self, gpu: usize, reading: Reading) -> Result<(u64, Result<u64, Fault>), Fault> {
        let played = self.played.get_mut(gpu).ok_or(Fault::InvalidArgument)?;
        let call = played.calls[reading as usize];
        played.calls[reading as usize] += 1;
        if matches!(reading, Reading::SmUtilisation) {
            played.samples += 1;
        }
        let script = self.gpu(gpu)?;
        Ok(reading.track(script).map_or((0, Err(Fault::NotSupported)), |track| track.at(call)))
    }

    /// The processes of device `gpu`. The next list's turn comes only when this one fits into `room`.
    pub(crate) fn processes(
        &mut self,
        gpu: usize,
        reading: Reading,
        room: usize,
    ) -> Result<Vec<ScriptedProcess>, Fault> {
        let script = self.gpu(gpu)?;
        let lists =
            if matches!(reading, Reading::Graphics) { &script.graphics } else { &script.compute };
        let call = usize::try_from(self.played[gpu].calls[reading as usize]).unwrap_or(usize::MAX);
        let list = lists.get(call).or(lists.last()).ok_or(Fault::NotSupported)?.clone();
        if list.len() <= room {
            self.played[gpu].calls[reading as usize] += 1;
        }
        Ok(list)
    }

    /// The next Xid error of device `gpu` whose sample has come.
    pub(crate) fn xid(&mut self, gpu: usize) -> Result<Option<u64>, Fault> {
        let next = self.gpu(gpu)?.xids.get(self.played[gpu].xids).copied();
        let Some(due) = next.filter(|xid| xid.sample < self.played[gpu].samples) else {
            return Ok(None);
        };
        self.played[gpu].xids += 1;
        Ok(Some(due.xid))
    }
}

/// `Dl_info` of `<dlfcn.h>`.
#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    /// `<dlfcn.h>`: which loaded file the address lies in.
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// The file that this copy of the library was loaded from.
fn own_path() -> Option<PathBuf> {
    let mut info = DlInfo {
        file: ptr::null(),
        base: ptr::null_mut(),
        symbol: ptr::null(),
        address: ptr::null_mut(),
    };
    // SAFETY: `info` is a valid `Dl_info` to write to, and any address may be asked for.
    let found = unsafe { dladdr((&raw const STAGE).cast(), &raw mut info) };
    if found == 0 || info.file.is_null() {
        return None;
    }
    // SAFETY: the loader's name of the file ends in a zero, and stays as long as the library does.
    let file = unsafe { CStr::from_ptr(info.file) };
    Some(Path::new(OsStr::from_bytes(file.to_bytes())).to_owned())
}
