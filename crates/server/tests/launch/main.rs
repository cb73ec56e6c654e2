//! Servers that are started: real processes, real signals, a real kill -9 of the owner, and a docker
//! that is a script.
// Everything here is a test; saying so on each module lets its helpers unwrap and panic as tests do.

#[cfg(test)]
mod causes;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod toy;
