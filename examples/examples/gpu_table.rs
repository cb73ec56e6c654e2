//! A live table of this machine's GPUs, each second, until Ctrl-C; without a driver, why there is none.
//!
//! `cargo run -p plimsoll-examples --example gpu_table -- [LIBRARY]`; the library is the driver's own
//! `libnvidia-ml.so.1` unless another is named.
//!
//! Prints a line a GPU and second: busy share of SMs and memory, memory in use, power, clock,
//! temperature, and what holds the clock down; `-` where the device does not say.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::env;
use std::fmt::Display;
use std::thread;
use std::time::Duration;

use plimsoll_gpu::{GpuConfig, GpuSampler, throttle_words};
use plimsoll_units::{Clock as _, RunClock};

/// A reading as the table shows it.
fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn main() {
    let clock = RunClock::start();
    let library = env::args_os().nth(1).map(Into::into);
    let sampler = match GpuSampler::start(GpuConfig { library, ..GpuConfig::new(clock) }) {
        Ok(sampler) => sampler,
        Err(error) => return println!("{error}"),
    };
    let machine = sampler.machine();
    println!("driver {}, CUDA {}", shown(machine.driver.as_ref()), shown(machine.cuda.as_ref()));

    loop {
        let second = clock.now();
        thread::sleep(Duration::from_secs(1));
        let samples = sampler.take();
        let (windows, sampling) = samples.window(second, clock.now(), None);
        println!("gpu name                      sm%  mem%  GiB used   watt   MHz  °C  slowed by");
        for gpu in windows {
            let name = machine.gpus.iter().find(|one| one.gpu == gpu.gpu).map(|one| &one.name);
            let last = samples.rows.iter().rfind(|row| row.gpu == gpu.gpu);
            let mask = last.and_then(|row| row.throttle_reasons);
            let words = mask.map(|mask| throttle_words(mask).collect::<Vec<_>>().join(", "));
            println!(
                "{:3} {:24.24} {:>4} {:>5} {:>9} {:>6} {:>5} {:>3}  {}",
                gpu.gpu,
                shown(name),
                shown(gpu.sm_utilisation_mean_pct.map(f64::round)),
                shown(gpu.memory_utilisation_mean_pct.map(f64::round)),
                shown(gpu.memory_used_max_bytes.map(|bytes| bytes >> 30)),
                shown(gpu.power_mean_w.map(f64::round)),
                shown(gpu.sm_clock_mean_mhz.map(f64::round)),
                shown(gpu.temperature_max_c),
                shown(words),
            );
        }
        println!("{} samples; {}\n", sampling.samples, shown(sampling.remark));
    }
}
