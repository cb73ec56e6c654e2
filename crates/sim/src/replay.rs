//! Arrivals through the engine and the router in virtual time: what the server would have done.

use plimsoll_units::RunNanos;

use crate::router::Router;
use crate::{Completion, Engine, ModelProfile, Request, RequestError, Settings, SettingsError};

/// One request of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives; a replay's arrivals must not go back in time.
    pub at: RunNanos,
    /// What it asks.
    pub request: Request,
}

/// What went wrong with a replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The server could not start.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A request could not be served.
    #[error("request {index}: {source}")]
    Request {
        /// Its place among the arrivals, from 0.
        index: usize,
        /// Why.
        source: RequestError,
    },
}

/// Serves all `arrivals` in virtual time; completions come in the order of the arrivals.
///
/// The same engine and the same router as the running server's, without its clock: a step of an
/// idle replica begins when a request arrives, and a request that arrives during a step waits for
/// its end. A request reaches its replica, and is timed from there, when the profile's front end is done
/// with it.
///
/// # Errors
/// [`ReplayError`] when the settings contradict the profile or a request can never be served.
pub fn replay(
    profile: &ModelProfile,
    settings: &Settings,
    arrivals: impl IntoIterator<Item = Arrival>,
) -> Result<Vec<Completion>, ReplayError> {
    let mut replicas = (0..settings.data_parallel_size)
        .map(|_| Engine::new(profile, settings).map(Replica::new))
        .collect::<Result<Vec<_>, SettingsError>>()?;
    let mut router = Router::default();
    let mut done: Vec<Option<Completion>> = Vec::new();
    for (index, arrival) in arrivals.into_iter().enumerate() {
        let arrival = Arrival { at: arrival.at + profile.front_end.get(), ..arrival };
        for replica in &mut replicas {
            replica.advance(arrival.at, &mut done);
        }
        done.push(None);
        let choice = router.pick(replicas.iter().map(|replica| replica.unfinished));
        replicas[choice]
            .accept(index, arrival)
            .map_err(|source| ReplayError::Request { index, source })?;
    }
    for replica in &mut replicas {
        replica.advance(RunNanos::MAX, &mut done);
    }
    Ok(done.into_iter().flatten().collect())
}

/// One engine and its place on the virtual time line.
struct Replica {
    engine: Engine,
    /// End of the last step that was begun.
    free_at: RunNanos,
    /// Submitted and not finished by `free_at`, for the router.
    unfinished: usize,
    /// What the step that ends at `free_at` finished; counted when time gets there.
    ending: usize,
    /// The arrival's index of each of the engine's requests.
    indices: Vec<usize>,
}

impl Replica {
    fn new(engine: Engine) -> Self {
        Self { engine, free_at: RunNanos::ZERO, unfinished: 0, ending: 0, indices: Vec::new() }
    }

    /// Takes a request in; its arrival is not before any step that was begun.
    fn accept(&mut self, index: usize, arrival: Arrival) -> Result<(), RequestError> {
        self.unfinished += 1;
        let at = arrival.at;
        let id = self.engine.submit(arrival.request, at)?;
        debug_assert_eq!(id.0, self.indices.len() as u64);
        self.indices.push(index);
        if !self.busy_at(at) {
            self.free_at = at;
        }
        Ok(())
    }

    fn busy_at(&self, now: RunNanos) -> bool {
        self.free_at > now
    }

    /// Begins every step that begins before `until`.
    fn advance(&mut self, until: RunNanos, done: &mut [Option<Completion>]) {
        while self.free_at < until {
            self.unfinished -= std::mem::take(&mut self.ending);
            let Some(step) = self.engine.step(self.free_at) else { break };
            self.free_at = step.end;
            self.ending = step.finished.len();
            for completion in &step.finished {
                let index = self.indices[completion.id.0 as usize];
                done[index] = Some(*completion);
            }
        }
        if self.free_at <= until {
            self.unfinished -= std::mem::take(&mut self.ending);
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_units::Tokens;

    use super::*;

    fn arrival(micros: u64, prompt: u32, output: u32) -> Arrival {
        Arrival {
            at: RunNanos::from_nanos(micros * 1000),
            request: Request {
                prompt: (0..prompt)
                    .map(|i| i.wrapping_mul(2_654_435_761) ^ micros as u32)
                    .collect(),
                output_tokens: Tokens::new(output),
                seed: micros,
            },
        }
    }

    fn micros(stamp: RunNanos) -> u64 {
        stamp.as_nanos() / 1000
    }

    #[test]
    fn an_idle_server_starts_at_the_arrival_and_the_next_request_waits_for_the_step() {
        let done = replay(
            &ModelProfile::tiny(),
            &Settings::default(),
            [arrival(1_000, 100, 3), arrival(2_000, 50, 1)],
        )
        .unwrap();
        // Prefill of 100: 2000 + 20 + 400 us. Then both: 2000 + 40 + 200. Then one alone: 2020.
        let steps = [1_000 + 2_420, 1_000 + 2_420 + 2_240, 1_000 + 2_420 + 2_240 + 2_020];
        assert_eq!(micros(done[0].first_token), steps[0]);
        assert_eq!(micros(done[0].last_token), steps[2]);
        assert_eq!(micros(done[1].scheduled), steps[0]);
        assert_eq!(micros(done[1].last_token), steps[1]);
    }

    #[test]
    fn replicas_share_the_load() {
        let arrivals: Vec<Arrival> = (0..40).map(|i| arrival(i * 10, 20, 20)).collect();
        let span = |replicas: u32| {
            let settings =
                Settings { data_parallel_size: replicas, max_num_seqs: 5, ..Settings::default() };
            let done = replay(&ModelProfile::tiny(), &settings, arrivals.clone()).unwrap();
            assert_eq!(done.len(), 40);
            done.iter().map(|c| c.last_token).max().unwrap() - RunNanos::ZERO
        };
        // 40 requests through 5 slots are 8 rounds; through 4 x 5 slots they are 2.
        let ratio = span(1).as_secs_f64() / span(4).as_secs_f64();
        assert!((3.7..4.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn replays_repeat_to_the_nanosecond() {
        let arrivals: Vec<Arrival> = (0..60).map(|i| arrival(i * 777, 30 + i as u32, 9)).collect();
        let settings = Settings { data_parallel_size: 2, max_num_seqs: 4, ..Settings::default() };
        let run = || replay(&ModelProfile::tiny(), &settings, arrivals.clone()).unwrap();
        assert_eq!(run(), run());
    }

    #[test]
    fn a_request_that_cannot_be_served_is_named() {
        let error = replay(&ModelProfile::tiny(), &Settings::default(), [arrival(0, 4096, 1)])
            .unwrap_err()
            .to_string();
        assert!(error.contains("request 0") && error.contains("fewer than"), "{error}");
    }
}
