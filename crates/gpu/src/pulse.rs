//! What is read of every device in every sample: the readings that change quickly and cost little.

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock as Domain, TemperatureSensor};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use plimsoll_records::GpuRow;
use plimsoll_units::{Clock as _, RunClock, RunNanos};

use crate::GpuDriver;
use crate::reading::{Asked, Reading, Troubles};
use crate::samples::GpuLoss;

/// Most Xid events of one device in one sample: the rest waits for the next.
const MOST_EVENTS: usize = 16;

/// The number that NVML gives an Xid error which it does not know.
const UNKNOWN_XID: u64 = 999;

/// Reads every device once, on the caller's own thread.
///
/// [`GpuSampler`](crate::GpuSampler) does this on a thread of its own, at a period.
#[derive(Debug)]
pub struct GpuReader<'driver> {
    clock: RunClock,
    gpus: Vec<Watched<'driver>>,
    pub(crate) troubles: Troubles,
    /// The attempts of the last read that brought nothing.
    pub(crate) empty: Vec<(RunNanos, u32)>,
}

#[derive(Debug)]
struct Watched<'driver> {
    asked: Asked<'driver>,
    /// A set for each device, so that one without events spoils no other's.
    events: Option<EventSet<'driver>>,
}

impl<'driver> GpuReader<'driver> {
    /// A reader of all devices of `driver`, which stamps by `clock`.
    #[must_use]
    pub fn new(driver: &'driver GpuDriver, clock: RunClock) -> Self {
        let mut troubles = Troubles::default();
        for (gpu, error) in driver.unopened() {
            troubles.lose(GpuLoss { at: clock.now(), gpu, error: error.to_owned() });
        }
        let gpus = driver.devices().map(|(gpu, device)| {
            let events = xid_events(driver.nvml(), &device);
            Watched { asked: Asked::new(gpu, device), events }
        });
        Self { clock, gpus: gpus.collect(), troubles, empty: Vec::new() }
    }

    /// The devices that are lost, or could not be opened.
    #[must_use]
    pub fn losses(&self) -> &[GpuLoss] {
        &self.troubles.losses
    }

    /// Reads every device once, and adds a row for each that answered.
    ///
    /// A row's stamp is the middle of the reading of its device. What a device does not offer is
    /// `None`. A device of which nothing could be read, though it failed in no permanent way, gives
    /// no row; a lost one is not asked again. PCIe traffic, processes and memory errors are not read
    /// here: they are slow. Throttle reasons that this build's NVML does not name are left out of the
    /// mask.
    pub fn read(&mut self, rows: &mut Vec<GpuRow>) {
        self.empty.clear();
        for gpu in &mut self.gpus {
            if gpu.asked.is_lost() {
                continue;
            }
            let begun = self.clock.now();
            let mut row = gpu.row(begun, &mut self.troubles);
            let ended = self.clock.now();
            row.at = begun + (ended - begun) / 2;
            let failed = gpu.asked.take_failed() || gpu.asked.is_lost();
            let blank = GpuRow { at: row.at, gpu: row.gpu, ..GpuRow::default() };
            if failed && row == blank {
                self.empty.push((row.at, row.gpu));
            } else {
                rows.push(row);
            }
        }
    }
}

impl Watched<'_> {
    fn row(&mut self, at: RunNanos, troubles: &mut Troubles) -> GpuRow {
        let mut row = GpuRow { gpu: self.asked.gpu, ..GpuRow::default() };
        let gpu = &mut self.asked;
        if let Some(rates) = gpu.ask(Reading::Utilisation, at, troubles, Device::utilization_rates)
        {
            row.sm_utilisation_pct = Some(rates.gpu);
            row.memory_utilisation_pct = Some(rates.memory);
        }
        if let Some(memory) = gpu.ask(Reading::Memory, at, troubles, Device::memory_info) {
            row.memory_used_bytes = Some(memory.used);
            row.memory_total_bytes = Some(memory.total);
        }
        row.power_mw = gpu.ask(Reading::Power, at, troubles, Device::power_usage);
        row.energy_mj = gpu.ask(Reading::Energy, at, troubles, Device::total_energy_consumption);
        row.temperature_c = gpu.ask(Reading::Temperature, at, troubles, |device| {
            device.temperature(TemperatureSensor::Gpu)
        });
        row.sm_clock_mhz =
            gpu.ask(Reading::SmClock, at, troubles, |device| device.clock_info(Domain::SM));
        row.memory_clock_mhz =
            gpu.ask(Reading::MemoryClock, at, troubles, |device| device.clock_info(Domain::Memory));
        row.throttle_reasons = gpu.ask(Reading::ThrottleReasons, at, troubles, |device| {
            Ok(device.current_throttle_reasons()?.bits())
        });
        if let Some(events) = &self.events {
            row.xid = gpu.ask(Reading::Xid, at, troubles, |_| last_xid(events)).flatten();
        }
        row
    }
}

/// An event set that tells of the device's Xid errors; `None` where the device or the library has
/// none. What goes wrong here is not worth a word: there are no Xid errors to be had then.
fn xid_events<'driver>(nvml: &'driver Nvml, device: &Device<'driver>) -> Option<EventSet<'driver>> {
    // A set that cannot be given back must not be made: its wrapper does not survive that.
    nvml.lib().nvmlEventSetFree.as_ref().ok()?;
    let offered = device.supported_event_types().ok()?;
    if !offered.contains(EventTypes::CRITICAL_XID_ERROR) {
        return None;
    }
    let set = nvml.create_event_set().ok()?;
    device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok()
}

/// The number of the last Xid error that waits in the set. It never blocks.
fn last_xid(events: &EventSet<'_>) -> Result<Option<u64>, NvmlError> {
    let mut last = None;
    for _ in 0..MOST_EVENTS {
        match events.wait(0) {
            Ok(event) => {
                last = event.event_data.map(|xid| match xid {
                    XidError::Value(number) => number,
                    XidError::Unknown => UNKNOWN_XID,
                });
            }
            Err(NvmlError::Timeout) => break,
            // What was found before is worth more than the error, which comes again.
            Err(_) if last.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(last)
}
