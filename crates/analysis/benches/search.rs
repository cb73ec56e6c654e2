//! The capacity search's study: coverage, error and cost on random servers of known capacity in virtual
//! time. `cargo bench -p plimsoll-analysis --bench search [-- SEARCHES]` prints the table of so many
//! searches on each of 200 servers, five by default.

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
    let each = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let results = if asked { study::run(200, each) } else { study::run(4, 1) };
    println!("{}", study::table(&results));
}
