//! How large a self-test is: as much like the run as a few seconds and one machine allow.

use std::time::Duration;

use plimsoll_units::Rate;

use crate::offered::PointLoad;

/// The gap between two tokens of a stream, where the load allows it.
const GAP: Duration = Duration::from_millis(10);
/// Bounds within which the simulator certainly keeps up beside the client, on two cores.
const MOST_RATE: f64 = 500.0;
const MOST_STREAMS: u32 = 2000;
/// Tokens a second of all streams together, and requests a second of a closed loop.
const MOST_TOKENS: f64 = 20_000.0;
const MOST_CLOSED_RATE: f64 = 1000.0;
/// Prompts are as long as the run's, within these bounds: the shortest that are all distinct, and the
/// longest that cost the simulator nothing worth mentioning.
const INPUT_TOKENS: (f64, f64) = (16.0, 1024.0);

/// The load of a self-test and the simulator that fits it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) load: PointLoad,
    /// Words of each prompt.
    pub(crate) input_tokens: u32,
    /// Tokens of an answer, from the fewest, at least 2, to the most, all equally often.
    pub(crate) output_tokens: (u32, u32),
    /// Time between two tokens of an answer.
    pub(crate) gap: Duration,
    /// Time for which requests are sent.
    pub(crate) length: Duration,
    /// What of the run's own load the test leaves out; `None` where it leaves out nothing.
    pub(crate) less: Option<String>,
}

impl Shape {
    /// The test of a run whose heaviest load is `load`, with answers of `output_tokens` on average and
    /// prompts of `input_tokens`, where that is known. `connections` is what the system allows.
    ///
    /// Streams last `output_tokens` times 10 ms, but at most half of `length`, so that as many are open
    /// at once as there can be. All streams together have at most 20,000 tokens a second: in an
    /// open loop the answers are shortened for that, in a closed one the gaps are stretched.
    ///
    /// On an engine that works in steps all requests of a closed loop would end with the same step and
    /// begin together again, which no server's do: so their answers differ in length, by half of it
    /// either way.
    pub(crate) fn new(
        load: PointLoad,
        input_tokens: Option<f64>,
        output_tokens: f64,
        length: Duration,
        connections: Option<u64>,
    ) -> Self {
        let longest = length / 2;
        let wished = GAP.mul_f64(output_tokens.clamp(2.0, 1e6));
        let stream = wished.min(longest);
        let kept;
        let mut less = None;
        let (gap, output_tokens);
        match load {
            PointLoad::Open(asked) => {
                let rate = asked.per_second().min(MOST_RATE);
                if rate < asked.per_second() {
                    less = Some(format!("{rate} of the run's {} req/s", asked.per_second()));
                }
                // No more than what was a rate before, so it is one.
                kept = PointLoad::Open(Rate::new(rate).unwrap_or(asked));
                let tokens = (stream.as_secs_f64() / GAP.as_secs_f64()).min(MOST_TOKENS / rate);
                // Float-to-int casts saturate.
                let tokens = (tokens as u32).max(2);
                // Fewer tokens in the same time: the number of streams that are open stays.
                gap = GAP.max(stream / tokens);
                output_tokens = (tokens, tokens);
            }
            PointLoad::Closed(asked) => {
                let room = connections.map_or(u64::from(MOST_STREAMS), |most| most.max(1));
                let most = u32::try_from(room).unwrap_or(u32::MAX).min(MOST_STREAMS);
                let streams = asked.min(most);
                if streams < asked {
                    less = Some(format!("{streams} of the run's {asked} streams"));
                }
                kept = PointLoad::Closed(streams);
                gap = GAP.max(Duration::from_secs_f64(f64::from(streams) / MOST_TOKENS));
                let stream = stream.as_secs_f64().max(f64::from(streams) / MOST_CLOSED_RATE);
                let tokens = ((stream / gap.as_secs_f64()) as u32).max(4);
                output_tokens = (tokens - tokens / 2, tokens + tokens / 2);
            }
        }
        let (shortest, longest) = INPUT_TOKENS;
        Self {
            load: kept,
            input_tokens: input_tokens.unwrap_or(128.0).clamp(shortest, longest) as u32,
            output_tokens,
            gap,
            length,
            less,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO_SECONDS: Duration = Duration::from_secs(2);

    fn open(rate: f64, output_tokens: f64) -> Shape {
        let load = PointLoad::Open(Rate::new(rate).unwrap());
        Shape::new(load, Some(512.0), output_tokens, TWO_SECONDS, None)
    }

    #[test]
    fn a_moderate_load_is_kept_as_it_is() {
        let shape = open(60.0, 64.0);
        assert_eq!(shape.load, PointLoad::Open(Rate::new(60.0).unwrap()));
        assert_eq!((shape.input_tokens, shape.output_tokens, shape.gap), (512, (64, 64), GAP));
        assert_eq!(shape.less, None);
    }

    #[test]
    fn a_stream_lasts_no_longer_than_half_the_test() {
        let shape = open(10.0, 5000.0);
        assert_eq!((shape.output_tokens, shape.gap), ((100, 100), GAP));
    }

    #[test]
    fn too_high_a_rate_is_cut_and_that_is_said() {
        let shape = open(1200.0, 128.0);
        assert_eq!(shape.load, PointLoad::Open(Rate::new(500.0).unwrap()));
        assert_eq!(shape.less.as_deref(), Some("500 of the run's 1200 req/s"));
        // 500 streams are open at once as they would be with 100 tokens at 10 ms.
        assert_eq!((shape.output_tokens, shape.gap), ((40, 40), Duration::from_millis(25)));
    }

    #[test]
    fn a_closed_loop_keeps_its_streams_and_stretches_their_gaps() {
        let closed = |streams, connections| {
            Shape::new(PointLoad::Closed(streams), None, 128.0, TWO_SECONDS, connections)
        };
        let shape = closed(1000, None);
        assert_eq!(shape.load, PointLoad::Closed(1000));
        // Streams of a second: 20 tokens on average, 50 ms apart.
        assert_eq!((shape.output_tokens, shape.gap), ((10, 30), Duration::from_millis(50)));
        assert_eq!((closed(8, None).output_tokens, closed(8, None).gap), ((50, 150), GAP));
        let shape = closed(9000, None);
        assert_eq!(shape.load, PointLoad::Closed(2000));
        assert!(shape.less.unwrap().contains("2000 of the run's 9000"));
        assert_eq!(closed(1000, Some(300)).load, PointLoad::Closed(300));
    }

    proptest! {
        /// Whatever is asked: at least two tokens, a stream within half the test (or as long as a closed
        /// loop of so many needs), and no more tokens and requests a second than allowed.
        #[test]
        fn every_shape_is_within_bounds(
            rate in prop::option::of(1e-3_f64..1e6),
            concurrency in 1_u32..1_000_000,
            output in 0.0_f64..1e7,
            length_ms in 500_u64..60_000,
        ) {
            let load = rate.map_or(PointLoad::Closed(concurrency), |rate| {
                PointLoad::Open(Rate::new(rate).unwrap())
            });
            let length = Duration::from_millis(length_ms);
            let shape = Shape::new(load, None, output, length, None);
            let (fewest, most) = shape.output_tokens;
            prop_assert!(2 <= fewest && fewest <= most && shape.gap >= GAP);
            let mean = f64::from(fewest + most) / 2.0;
            let stream = shape.gap.as_secs_f64() * mean;
            let (tokens_per_s, wait) = match shape.load {
                PointLoad::Open(rate) => (rate.per_second() * mean, 0.0),
                PointLoad::Closed(streams) => {
                    let streams = f64::from(streams);
                    prop_assert!(streams / stream <= 1.1 * MOST_CLOSED_RATE);
                    (streams / shape.gap.as_secs_f64(), streams / MOST_CLOSED_RATE)
                }
            };
            prop_assert!(tokens_per_s <= MOST_TOKENS * 1.000_001, "{tokens_per_s}");
            let longest = (length.as_secs_f64() / 2.0).max(wait).max(4.0 * shape.gap.as_secs_f64());
            prop_assert!(stream <= longest + 1e-6, "{stream} of {longest}");
        }
    }
}
