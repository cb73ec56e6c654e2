//! `load.arrivals`: an arrival process, or the instants of the workload's trace.

use std::fmt;

use plimsoll_load::ArrivalProcess;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `load.arrivals`
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadArrivals {
    /// By chance or by the clock.
    Process(ArrivalProcess),
    /// When the requests of `workload.trace` came, played so that they have the rate of the point.
    Trace,
}

/// The word for the trace.
const TRACE: &str = "trace";

impl LoadArrivals {
    /// The coefficient of variation of the gaps between arrivals, where it is known.
    pub(crate) const fn gap_cv(&self) -> Option<f64> {
        match self {
            Self::Process(process) => process.gap_cv(),
            Self::Trace => None,
        }
    }
}

impl fmt::Display for LoadArrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => process.fmt(f),
            Self::Trace => f.write_str(TRACE),
        }
    }
}

impl Serialize for LoadArrivals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LoadArrivals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = LoadArrivals;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an arrival process like \"poisson\", or \"trace\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LoadArrivals, E> {
                if text.trim() == TRACE {
                    return Ok(LoadArrivals::Trace);
                }
                let wrong =
                    |error| E::custom(format_args!("{error}, or trace with workload.trace"));
                text.parse().map(LoadArrivals::Process).map_err(wrong)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LoadArrivals, A::Error> {
                ArrivalProcess::deserialize(MapAccessDeserializer::new(map))
                    .map(LoadArrivals::Process)
            }
        }
        deserializer.deserialize_any(Written)
    }
}
