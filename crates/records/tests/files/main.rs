//! The results folder as its users see it: through the public interface, and on the disk.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod aggregate;
mod columns;
mod cuts;
mod folder;
mod golden;
mod killed;
mod memory;
mod sample;
mod samples;
mod sizes;
mod traffic;
mod versions;
