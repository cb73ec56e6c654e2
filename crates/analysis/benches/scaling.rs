//! Bias and coverage of the scaling laws' parameters on points of known law. `cargo bench -p
//! plimsoll-analysis --bench scaling [-- TRIALS]` prints the table; 1,000 trials take three minutes.

#[path = "../tests/scaling/study.rs"]
mod study;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it
    // runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().any(|argument| argument == "--bench");
    let unasked = if asked { 1000 } else { 1 };
    let trials = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(unasked);
    println!("{}", study::HEADER);
    for case in study::CASES.iter().filter(|case| asked || case.in_tests) {
        println!("{}", study::run(case, trials));
    }
}
