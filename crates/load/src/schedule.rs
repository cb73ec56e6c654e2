//! The one sequence of arrivals of a point, and the slices of it that workers take.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_units::Rate;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Exp1, Gamma};
use thiserror::Error;

use crate::elapsed::Elapsed;
use crate::{ArrivalProcess, GapCv};

/// One arrival: which one it is, and when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its place in the one sequence, from 0, whichever shard it falls to.
    pub index: u64,
    /// When it is due, counted from the start of the schedule; never less than the one before.
    pub offset: Duration,
}

/// An endless sequence of arrivals, fixed by process, rate and seed alone.
///
/// Arrival i is due at gap_0 + ... + gap_i: the first one comes after the first gap, in every
/// process alike, so that `constant` is the limit of `gamma` for cv -> 0 and the number of arrivals
/// up to t has the mean rate * t from the start. The gaps are drawn once, in order; they are never
/// stretched to make a count fit a length. Gaps are drawn with mean 1 and then scaled, so the same
/// seed at another rate gives the same sequence played faster or slower.
///
/// Offsets are right to a nanosecond for ten million arrivals and more; an arrival further away
/// than `u64::MAX` nanoseconds stays there, which means never.
///
/// The sequence ends only when it is a replay of given instants, and one that is not told to begin
/// [again](Self::again_after).
#[derive(Clone, Debug)]
pub struct Schedule {
    gaps: Gaps,
    rng: ChaCha8Rng,
    elapsed: Elapsed,
    next_index: u64,
}

/// Where the gap to the next arrival comes from.
#[derive(Clone, Debug)]
enum Gaps {
    /// No gap is summed up: the offset of each arrival follows from its index.
    Constant {
        rate: Rate,
    },
    Poisson {
        mean_ns: f64,
    },
    Gamma {
        mean_ns: f64,
        unit: Gamma<f64>,
    },
    Ramp(Ramp),
    Replay {
        offsets: Arc<[Duration]>,
        /// How long one pass takes, if another follows it.
        period: Option<Duration>,
    },
}

/// A rate that goes in a straight line from `from` to `to` in `over_s` seconds, and stays there.
/// Rates are per second.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    from: f64,
    to: f64,
    over_s: f64,
}

/// A schedule or a slice of one that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A shard that is not one of the shards.
    #[error(
        "there is no shard {shard} of {shards}; shards are numbered from 0 to one below their count"
    )]
    NoSuchShard {
        /// The shard asked for.
        shard: u32,
        /// How many shards there are.
        shards: u32,
    },
    /// Instants to replay that are not in order.
    #[error(
        "instant {index} of the replay ({offset:?}) is earlier than the one before it ({before:?}); \
         sort the instants first"
    )]
    Unsorted {
        /// The place of the offending instant, from 0.
        index: usize,
        /// Its offset.
        offset: Duration,
        /// The offset before it.
        before: Duration,
    },
    /// A pass of a replay that is over before its last instant.
    #[error(
        "a replay cannot begin again after {period:?}: its last instant is at {last:?}, and a pass takes \
         time; give it a longer period"
    )]
    Period {
        /// The period asked for.
        period: Duration,
        /// The last of the instants.
        last: Duration,
    },
}

impl Schedule {
    /// The arrivals of `process` at `rate`, as `seed` decides them.
    ///
    /// For a ramp, `rate` is the rate at its start.
    #[must_use]
    pub fn new(process: ArrivalProcess, rate: Rate, seed: u64) -> Self {
        let mean_ns = 1e9 / rate.per_second();
        let gaps = match process {
            ArrivalProcess::Constant => Gaps::Constant { rate },
            ArrivalProcess::Poisson => Gaps::Poisson { mean_ns },
            ArrivalProcess::Gamma { cv } => Gaps::Gamma { mean_ns, unit: unit_gamma(cv) },
            ArrivalProcess::Ramp { to, over } => Gaps::Ramp(Ramp {
                from: rate.per_second(),
                to: to.per_second(),
                over_s: over.as_secs_f64(),
            }),
        };
        Self::over(gaps, seed)
    }

    /// The given instants again, as offsets from the start of the schedule; it ends with them.
    ///
    /// Clones and shards share the instants.
    ///
    /// # Errors
    /// When an instant is earlier than the one before it.
    pub fn replay(offsets: impl IntoIterator<Item = Duration>) -> Result<Self, ScheduleError> {
        let offsets: Arc<[Duration]> = offsets.into_iter().collect();
        if let Some(place) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(ScheduleError::Unsorted {
                index: place + 1,
                offset: offsets[place + 1],
                before: offsets[place],
            });
        }
        Ok(Self::over(Gaps::Replay { offsets, period: None }, 0))
    }

    /// A replay that begins again `period` after its beginning, and so on without end. Other schedules
    /// have no end, and stay as they are.
    ///
    /// # Errors
    /// When the period is zero, or ends before the last of the instants.
    pub fn again_after(mut self, period: Duration) -> Result<Self, ScheduleError> {
        if let Gaps::Replay { offsets, period: again } = &mut self.gaps {
            let last = offsets.last().copied().unwrap_or_default();
            if period.is_zero() || period < last {
                return Err(ScheduleError::Period { period, last });
            }
            *again = Some(period);
        }
        Ok(self)
    }

    /// The arrivals whose index leaves `shard` when divided by `shards`, stepped out of this one
    /// sequence: all shards together send what the schedule says, however many there are.
    ///
    /// # Errors
    /// When `shard` is not below `shards`.
    pub fn shard(self, shard: u32, shards: u32) -> Result<Shard, ScheduleError> {
        if shard < shards {
            Ok(Shard { schedule: self, shard, shards })
        } else {
            Err(ScheduleError::NoSuchShard { shard, shards })
        }
    }

    fn over(gaps: Gaps, seed: u64) -> Self {
        Self {
            gaps,
            rng: ChaCha8Rng::seed_from_u64(seed),
            elapsed: Elapsed::default(),
            next_index: 0,
        }
    }

    /// The offset of arrival `index`, which must be the next one; `None` at the end of a replay.
    fn offset(&mut self, index: u64) -> Option<Duration> {
        let gap_ns = match &self.gaps {
            Gaps::Constant { rate } => {
                // From the index and not from a sum: right to a nanosecond for a hundred days.
                let nanos = (index + 1) as f64 * 1e9 / rate.per_second();
                return Some(Duration::from_nanos(nanos.round() as u64));
            }
            Gaps::Replay { offsets, period } => {
                let len = (offsets.len() as u64).max(1);
                let offset = *offsets.get((index % len) as usize)?;
                let pass = u32::try_from(index / len).unwrap_or(u32::MAX);
                return match period {
                    Some(period) => Some(period.saturating_mul(pass).saturating_add(offset)),
                    None => (pass == 0).then_some(offset),
                };
            }
            Gaps::Poisson { mean_ns } => draw(&Exp1, &mut self.rng) * mean_ns,
            Gaps::Gamma { mean_ns, unit } => draw(unit, &mut self.rng) * mean_ns,
            Gaps::Ramp(ramp) => {
                let unit = draw(&Exp1, &mut self.rng);
                ramp.gap_seconds(self.elapsed.seconds(), unit) * 1e9
            }
        };
        self.elapsed.advance(gap_ns);
        Some(Duration::from_nanos(self.elapsed.nanos()))
    }
}

impl Ramp {
    /// The time from `at` until the integral of the rate has grown by `unit`, in seconds.
    ///
    /// With exponential `unit`s of mean 1 this gives a Poisson process of the ramp's rate (time
    /// rescaling). On the ramp, r*t + slope*t^2/2 = unit is solved in the form that loses no digits
    /// and has a limit for slope 0; `unit` is below the ramp's rest, so the root is real.
    fn gap_seconds(self, at: f64, unit: f64) -> f64 {
        let left = self.over_s - at;
        if left <= 0.0 {
            return unit / self.to;
        }
        let slope = (self.to - self.from) / self.over_s;
        let rate = self.from + slope * at;
        let rest = left * (rate + self.to) / 2.0;
        if unit >= rest {
            left + (unit - rest) / self.to
        } else {
            2.0 * unit / (rate + (rate * rate + 2.0 * slope * unit).max(0.0).sqrt())
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let index = self.next_index;
        let offset = self.offset(index)?;
        self.next_index += 1;
        Some(Arrival { index, offset })
    }
}

/// Gamma-distributed gaps of mean 1: shape 1/cv^2, scale cv^2.
fn unit_gamma(cv: GapCv) -> Gamma<f64> {
    // A cv so small that its square is 0 would have no shape; gaps of 1 +- 1e-100 are as good.
    let variance = (cv.get() * cv.get()).max(1e-200);
    Gamma::new(1.0 / variance, variance).expect("shape and scale are finite and above 0")
}

/// A gap of mean 1.
fn draw(gaps: &impl Distribution<f64>, rng: &mut ChaCha8Rng) -> f64 {
    gaps.sample(rng)
}

/// Every n-th arrival of one schedule; see [`Schedule::shard`].
#[derive(Clone, Debug)]
pub struct Shard {
    schedule: Schedule,
    shard: u32,
    shards: u32,
}

impl From<Schedule> for Shard {
    /// The whole schedule: shard 0 of 1.
    fn from(schedule: Schedule) -> Self {
        Self { schedule, shard: 0, shards: 1 }
    }
}

impl Iterator for Shard {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (shard, shards) = (u64::from(self.shard), u64::from(self.shards));
        self.schedule.by_ref().find(|arrival| arrival.index % shards == shard)
    }
}
