//! A whole run inside another program: a matrix in, the capacity of the simulator's small model out.
//!
//! Prints the verdict, the capacity with its interval, and the results folder.

use std::path::Path;

use plimsoll_experiment::{Interrupt, MatrixSource, Plan, RunOptions, Silent, run};
use plimsoll_records::Tool;

const MATRIX: &str = r#"
[experiment]
kind = "saturation"
[server]
model = "tiny"
settings = { max-num-seqs = 8 }
[workload]
input-tokens = 64
output-tokens = 32
[load]
rates = [40, 70, 160]
window = { warm-up = "1s", measure = "4s" }
"#;

#[expect(clippy::print_stdout, reason = "an example shows its result")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::new(MatrixSource::new(Path::new("embedded.toml"), MATRIX.to_owned()))?;
    let options = RunOptions {
        results: std::env::temp_dir().join("plimsoll-embed"),
        tool: Tool { name: "embed".to_owned(), version: "0.1.0".to_owned(), commit: None },
    };
    let result = run(&plan, &options, &Interrupt::new(), &mut Silent)?;
    println!("verdict   {}", result.judgement.verdict);
    if let Some(capacity) = result.judgement.groups[0].saturation.capacity_per_s {
        println!(
            "capacity  {:.1} req/s (95 % interval {:.1} to {:.1})",
            capacity.value, capacity.low, capacity.high
        );
    }
    println!("results   {}", result.folder.display());
    Ok(())
}
