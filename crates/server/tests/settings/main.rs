//! Settings in effect, out of what real servers wrote.
//!
//! The fixtures are always there. `vllm-0.32.*` are extracts of captures of vLLM 0.32 on a CPU, made
//! with the scripts of `../shared/servers`; `vllm-0.9.2.log` and `llamacpp.props.json` were written by
//! hand in the form of those servers. Whole captures and the logs of a published study are read as well
//! where `../shared` (or `PLIMSOLL_SHARED`) is at hand.
// Everything here is a test; saying so on each module lets its helpers unwrap and panic as tests do.

#[cfg(test)]
mod captures;
#[cfg(test)]
mod collected;
#[cfg(test)]
mod extracts;
#[cfg(test)]
mod material;
#[cfg(test)]
mod study;
