//! Puts the commit into `PLIMSOLL_COMMIT`: what a build from a repository was built from, with
//! `-dirty` where files differ from it. Empty elsewhere; a variable of that name goes before.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PLIMSOLL_COMMIT");
    let commit = std::env::var("PLIMSOLL_COMMIT").ok().or_else(commit).unwrap_or_default();
    println!("cargo::rustc-env=PLIMSOLL_COMMIT={commit}");
}

fn commit() -> Option<String> {
    // The list of references changes with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", file])?);
    }
    // What the program is made of, for `-dirty` to be true.
    for source in ["../../crates", "../../bins", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { hash } else { format!("{hash}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
