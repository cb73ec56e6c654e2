//! What the client itself costs: `cargo bench -p plimsoll-benches`, and the scripts beside this package
//! (`benches/capacity-coverage`, `benches/streams`). BENCHMARKING.md says how to read them.
