//! One device, asked reading by reading: what it does not offer, what fails, and when it is lost.

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use plimsoll_units::RunNanos;

use crate::samples::{GpuFailure, GpuLoss, GpuSamples};

/// A reading of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Utilisation,
    Memory,
    Power,
    Energy,
    Temperature,
    SmClock,
    MemoryClock,
    ThrottleReasons,
    Xid,
    PcieSent,
    PcieReceived,
    ComputeProcesses,
    GraphicsProcesses,
    EccCorrected,
    EccUncorrected,
}

impl Reading {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Utilisation => "utilisation",
            Self::Memory => "memory",
            Self::Power => "power",
            Self::Energy => "energy",
            Self::Temperature => "temperature",
            Self::SmClock => "SM clock",
            Self::MemoryClock => "memory clock",
            Self::ThrottleReasons => "throttle reasons",
            Self::Xid => "Xid events",
            Self::PcieSent => "PCIe traffic from the device",
            Self::PcieReceived => "PCIe traffic to the device",
            Self::ComputeProcesses => "compute processes",
            Self::GraphicsProcesses => "graphics processes",
            Self::EccCorrected => "corrected memory errors",
            Self::EccUncorrected => "uncorrected memory errors",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A device and what is known of its answers.
#[derive(Debug)]
pub(crate) struct Asked<'nvml> {
    pub(crate) gpu: u32,
    device: Device<'nvml>,
    /// The readings that it does not offer, which are not asked for again.
    refused: u32,
    /// Whether it is lost, after which nothing is asked.
    lost: bool,
    /// Whether a reading failed since the last look.
    failed: bool,
}

/// What went wrong while devices were asked.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) failures: Vec<GpuFailure>,
    pub(crate) losses: Vec<GpuLoss>,
}

impl Troubles {
    /// One more failure, counted with the earlier ones of its kind.
    pub(crate) fn fail(&mut self, failure: GpuFailure) {
        let same = |other: &&mut GpuFailure| {
            other.gpu == failure.gpu
                && other.reading == failure.reading
                && other.error == failure.error
        };
        match self.failures.iter_mut().find(same) {
            Some(other) => other.count += failure.count,
            None => self.failures.push(failure),
        }
    }

    /// A loss, unless that of this device is known.
    pub(crate) fn lose(&mut self, loss: GpuLoss) {
        if !self.losses.iter().any(|other| other.gpu == loss.gpu) {
            self.losses.push(loss);
        }
    }

    /// Moves everything into `samples`. A loss stays known here, because it is told once.
    pub(crate) fn hand_over(&mut self, samples: &mut GpuSamples) {
        let mut there = Self {
            failures: std::mem::take(&mut samples.failures),
            losses: std::mem::take(&mut samples.losses),
        };
        self.failures.drain(..).for_each(|failure| there.fail(failure));
        self.losses.iter().cloned().for_each(|loss| there.lose(loss));
        (samples.failures, samples.losses) = (there.failures, there.losses);
    }
}

impl<'nvml> Asked<'nvml> {
    pub(crate) const fn new(gpu: u32, device: Device<'nvml>) -> Self {
        Self { gpu, device, refused: 0, lost: false, failed: false }
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether a reading failed since the last call.
    pub(crate) const fn take_failed(&mut self) -> bool {
        std::mem::replace(&mut self.failed, false)
    }

    /// The device's answer to `reading`; `None` where it has none, for whatever reason.
    ///
    /// What the device does not support, what this user may not see and what the library is too old
    /// for is never asked again: none of it changes while the driver stays loaded. Any other error is
    /// noted in `troubles`, and asked again the next time.
    pub(crate) fn ask<T>(
        &mut self,
        reading: Reading,
        at: RunNanos,
        troubles: &mut Troubles,
        call: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.lost || self.refused & reading.bit() != 0 {
            return None;
        }
        let error = match call(&self.device) {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let gpu = self.gpu;
        match error {
            NvmlError::NotSupported
            | NvmlError::NoPermission
            | NvmlError::FunctionNotFound
            | NvmlError::FailedToLoadSymbol(_) => {
                self.refused |= reading.bit();
                tracing::debug!(gpu, reading = reading.words(), %error, "not offered");
            }
            NvmlError::GpuLost | NvmlError::ResetRequired => {
                self.lost = true;
                let error = error.to_string();
                tracing::warn!(gpu, error, "GPU lost");
                troubles.lose(GpuLoss { at, gpu, error });
            }
            error => {
                self.failed = true;
                let (reading, error) = (reading.words(), error.to_string());
                troubles.fail(GpuFailure { at, gpu, reading, error, count: 1 });
            }
        }
        None
    }
}
