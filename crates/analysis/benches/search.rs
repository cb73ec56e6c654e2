//! The capacity search's study: coverage, error and cost on random servers of known capacity in virtual
//! time. `cargo bench -p plimsoll-analysis --bench search [-- SEARCHES [FIRST]]` prints the table of so
//! many searches (5) on each of 200 servers from number FIRST (0) on, and on each of 40 with an SLO.

#[path = "../tests/search/server.rs"]
#[expect(dead_code, reason = "the tests hold the servers to the capacity that is claimed for them")]
mod server;
#[path = "../tests/search/study.rs"]
mod study;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    // `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and only sees that it runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().any(|argument| argument == "--bench");
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (each, first) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(0));
    // SLO servers of odd numbers take a million requests to know: not in a test.
    let (servers, with_slo, each) = if asked { (200, 40, each) } else { (4, 1, 1) };
    println!("{}", study::table(&study::run(first..first + servers, each)));
    println!("{}", study::slo_table(&study::run_slo(first..first + with_slo, each)));
}
