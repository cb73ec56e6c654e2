//! The row of one sample of one GPU, and of one series of the server's metrics: what the samplers
//! write.

use plimsoll_units::RunNanos;

/// One sample of one GPU. What the device does not offer is `None`, never zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuRow {
    /// When it was taken: the middle of the reading.
    pub at: RunNanos,
    /// The device's index, as the driver counts.
    pub gpu: u32,
    /// Share of time in which a kernel ran, percent.
    pub sm_utilisation_pct: Option<u32>,
    /// Share of time in which device memory was read or written, percent.
    pub memory_utilisation_pct: Option<u32>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Memory of the device, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Power, mW.
    pub power_mw: Option<u32>,
    /// Energy since the driver was loaded, mJ.
    pub energy_mj: Option<u64>,
    /// Temperature, degrees Celsius.
    pub temperature_c: Option<u32>,
    /// SM clock, MHz.
    pub sm_clock_mhz: Option<u32>,
    /// Memory clock, MHz.
    pub memory_clock_mhz: Option<u32>,
    /// What holds the clocks down: the driver's bit mask (`nvmlClocksThrottleReason*`).
    pub throttle_reasons: Option<u64>,
    /// Traffic from the device over PCIe, kB/s.
    pub pcie_tx_kb_per_s: Option<u32>,
    /// Traffic to the device over PCIe, kB/s.
    pub pcie_rx_kb_per_s: Option<u32>,
    /// Processes on the device.
    pub processes: Option<u32>,
    /// Memory of those, bytes.
    pub processes_memory_bytes: Option<u64>,
    /// Memory errors corrected since the driver was loaded.
    pub ecc_corrected: Option<u64>,
    /// Memory errors that could not be corrected since the driver was loaded.
    pub ecc_uncorrected: Option<u64>,
    /// The number of the last Xid error that the driver reported since the sample before.
    pub xid: Option<u64>,
}

/// One series of the server's metrics page in one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerRow {
    /// When the page was asked for and had come, the middle of both.
    pub at: RunNanos,
    /// The metric's name; a histogram's parts end in `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// Its labels as the page wrote them: `engine="0",le="0.1"`; empty without.
    pub labels: String,
    /// The value.
    pub value: f64,
}
