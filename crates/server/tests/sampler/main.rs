//! The sampler of the metrics page against real sockets: servers that behave, that hang, that have no
//! page, that are restarted.
// Everything here is a test; saying so on each module lets its helpers unwrap and panic as tests do.

#[cfg(test)]
mod pages;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod trouble;
