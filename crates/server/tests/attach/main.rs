//! The crate against real sockets: servers that behave, servers that do not, and captured answers
//! of vLLM, Dynamo and llama.cpp played back.
// Everything here is a test; saying so on each module lets its helpers unwrap and panic as tests do.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tls;
