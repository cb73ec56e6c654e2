//! What a person reads, held against committed snapshots, and what must hold of any input.

mod circumstances;
mod comparison;
mod definitions;
mod fixture;
mod forms;
mod gates;
mod groups;
mod hostile;
mod instrument;
mod observed;
mod page;
mod scaling;
mod scaling_run;
mod together;
