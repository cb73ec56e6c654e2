//! Size and power of the tests of stability and stationarity, the drift's interval, and what MSER-5 cuts.
//! `cargo bench -p plimsoll-analysis --bench stationarity [-- TRIALS]` prints the tables; 400 trials take
//! some minutes.

#[path = "../tests/virtual_time/server.rs"]
mod server;

#[path = "../tests/virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

#[path = "../tests/stationarity/study.rs"]
mod stationarity;

#[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it
    // runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().any(|argument| argument == "--bench");
    let unasked = if asked { 400 } else { 1 };
    let trials = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(unasked);
    let few = if asked { usize::MAX } else { 1 };
    println!("{}", stationarity::HEADER);
    for watched in stationarity::all().into_iter().take(few) {
        println!("{}", stationarity::run(watched, trials));
    }
    println!("\n{}", stationarity::CUT_HEADER);
    for (case, share, cold) in stationarity::CUT.into_iter().take(few) {
        println!(
            "{}",
            stationarity::run_cuts(case, share, cold, trials, if asked { 1500.0 } else { 50.0 })
        );
    }
}
