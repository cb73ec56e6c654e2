//! Verdicts on identical settings and on settings 5 % apart, on servers in virtual time, with the
//! repetitions that the tool recommends. `cargo bench -p plimsoll-analysis --bench comparison [-- TRIALS]`
//! prints the table; 200 trials take some minutes.

#[path = "../tests/virtual_time/server.rs"]
mod server;

#[path = "../tests/virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

#[path = "../tests/comparison/study.rs"]
mod comparison;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it
    // runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().any(|argument| argument == "--bench");
    let unasked = if asked { 200 } else { 1 };
    let trials = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(unasked);
    println!("{}", comparison::HEADER);
    for one in comparison::ALL.into_iter().take(if asked { usize::MAX } else { 1 }) {
        for (faster, first) in [(1.0, 1), (1.05, 10_001)] {
            println!("{}", comparison::run(one, faster, first, trials));
        }
    }
}
