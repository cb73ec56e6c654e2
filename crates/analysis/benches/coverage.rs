//! Virtual-time study of the whole judgement: how often the capacity interval holds the truth, how
//! far the capacity is off, and how often a point is called what it is. `cargo bench -p
//! plimsoll-analysis --bench coverage [-- SEEDS]` prints the table; 200 seeds take about a minute.

#[path = "../tests/virtual_time/server.rs"]
mod server;

#[path = "../tests/virtual_time/study.rs"]
mod study;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it
    // runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let unasked = if arguments.iter().any(|argument| argument == "--bench") { 200 } else { 1 };
    let seeds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(unasked);
    println!("{}", study::HEADER);
    for case in study::CASES {
        println!("{}", study::run(case, seeds));
    }
}
