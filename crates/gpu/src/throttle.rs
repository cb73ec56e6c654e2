//! What holds a device's clocks down: which of the driver's reasons mean that it is slowed, in words.

use nvml_wrapper::bitmasks::device::ThrottleReasons;

/// The reasons that mean heat or power, with the words of `nvidia-smi`, in the order of their bits.
const REASONS: [(ThrottleReasons, &str); 5] = [
    (ThrottleReasons::SW_POWER_CAP, "SW Power Cap"),
    (ThrottleReasons::HW_SLOWDOWN, "HW Slowdown"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "SW Thermal Slowdown"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "HW Thermal Slowdown"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "HW Power Brake"),
];

/// The reasons in `mask` for which a device is held down by heat or power.
///
/// `mask` is [`GpuRow::throttle_reasons`](plimsoll_records::GpuRow::throttle_reasons). Not among them
/// is what an operator chose or what costs a loaded device nothing: an idle GPU, the setting of the
/// application clocks or the display clock, and sync boost.
pub fn throttle_words(mask: u64) -> impl Iterator<Item = &'static str> {
    REASONS.into_iter().filter(move |(reason, _)| mask & reason.bits() != 0).map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_and_power_count_and_nothing_else_does() {
        let words = |mask| throttle_words(mask).collect::<Vec<_>>();
        // The bits of nvml.h, written out: idle, application clocks, sync boost, display clock.
        assert!(words(0x1 | 0x2 | 0x10 | 0x100).is_empty());
        assert_eq!(words(0x4), ["SW Power Cap"]);
        assert_eq!(words(0x8 | 0x40), ["HW Slowdown", "HW Thermal Slowdown"]);
        assert_eq!(words(0x20 | 0x80 | 0x1), ["SW Thermal Slowdown", "HW Power Brake"]);
        assert!(words(0).is_empty());
    }
}
