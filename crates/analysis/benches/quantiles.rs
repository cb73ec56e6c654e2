//! Coverage of the intervals of latency quantiles and of their ratios, where neighbours are alike. `cargo
//! bench -p plimsoll-analysis --bench quantiles [-- TRIALS]` prints the table; 400 trials take some minutes.

#[path = "../tests/virtual_time/server.rs"]
mod server;

#[path = "../tests/virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

#[path = "quantiles/study.rs"]
mod quantiles;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it
    // runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().any(|argument| argument == "--bench");
    let unasked = if asked { 400 } else { 1 };
    let trials = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(unasked);
    println!("{}", quantiles::HEADER);
    for one in quantiles::all().into_iter().take(if asked { usize::MAX } else { 1 }) {
        println!("{}", quantiles::run(one, trials));
    }
}
