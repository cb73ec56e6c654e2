//! The tools whose words we speak.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A benchmark client whose figures can be computed from our rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerTool {
    /// `vllm bench serve` 0.32, the Python client.
    Vllm,
    /// The Rust client of `vllm bench serve`, 0.32.
    VllmRust,
    /// `python -m sglang.bench_serving`.
    Sglang,
    /// guidellm 0.8.
    Guidellm,
    /// aiperf 0.13.
    Aiperf,
    /// inference-perf of the Kubernetes serving group.
    InferencePerf,
    /// genai-bench of the SGLang project.
    GenaiBench,
    /// inference-benchmarker of Hugging Face.
    InferenceBenchmarker,
    /// MLPerf LoadGen, Server scenario with token latencies.
    Mlperf,
}

impl PeerTool {
    /// Every tool, in the order of docs/definitions.md.
    pub const ALL: [Self; 9] = [
        Self::Vllm,
        Self::VllmRust,
        Self::Sglang,
        Self::Guidellm,
        Self::Aiperf,
        Self::InferencePerf,
        Self::GenaiBench,
        Self::InferenceBenchmarker,
        Self::Mlperf,
    ];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::VllmRust => "vllm-rust",
            Self::Sglang => "sglang",
            Self::Guidellm => "guidellm",
            Self::Aiperf => "aiperf",
            Self::InferencePerf => "inference-perf",
            Self::GenaiBench => "genai-bench",
            Self::InferenceBenchmarker => "inference-benchmarker",
            Self::Mlperf => "mlperf",
        }
    }

    /// The name in text, with the version whose formulas these are.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vllm => "vllm bench serve 0.32",
            Self::VllmRust => "the Rust client of vllm bench serve 0.32",
            Self::Sglang => "sglang bench_serving",
            Self::Guidellm => "guidellm 0.8",
            Self::Aiperf => "aiperf 0.13",
            Self::InferencePerf => "inference-perf",
            Self::GenaiBench => "genai-bench",
            Self::InferenceBenchmarker => "inference-benchmarker",
            Self::Mlperf => "MLPerf LoadGen (Server)",
        }
    }

    /// The tools that a list of names on a command line means: each by its name, or `all`, in the
    /// order of [`Self::ALL`], none twice.
    ///
    /// # Errors
    /// When a name is none of these.
    pub fn of_names<S: AsRef<str>>(names: &[S]) -> Result<Vec<Self>, UnknownTool> {
        let mut tools = Vec::new();
        for name in names {
            match name.as_ref() {
                "all" => tools.extend(Self::ALL),
                name => tools.push(name.parse()?),
            }
        }
        tools.sort_unstable();
        tools.dedup();
        Ok(tools)
    }
}

impl fmt::Display for PeerTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no tool whose definitions are known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}` is no tool whose definitions are known; allowed are {} and all", PeerTool::ALL.map(PeerTool::as_str).join(", "))]
pub struct UnknownTool {
    name: String,
}

impl FromStr for PeerTool {
    type Err = UnknownTool;

    fn from_str(text: &str) -> Result<Self, UnknownTool> {
        Self::ALL
            .into_iter()
            .find(|tool| tool.as_str() == text)
            .ok_or_else(|| UnknownTool { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_a_wrong_one_names_the_right_ones() {
        for tool in PeerTool::ALL {
            assert_eq!(tool.as_str().parse(), Ok(tool));
            assert!(!tool.title().is_empty());
        }
        let error = "vlm".parse::<PeerTool>().unwrap_err().to_string();
        assert!(error.contains("`vlm`") && error.contains("vllm-rust, sglang"), "{error}");
        assert!(error.ends_with("mlperf and all"), "{error}");
    }

    #[test]
    fn several_names_mean_each_tool_once_in_our_order() {
        assert_eq!(
            PeerTool::of_names(&["aiperf", "vllm", "aiperf"]),
            Ok(vec![PeerTool::Vllm, PeerTool::Aiperf])
        );
        assert_eq!(PeerTool::of_names(&["vllm", "all"]), Ok(PeerTool::ALL.to_vec()));
        assert_eq!(PeerTool::of_names::<&str>(&[]), Ok(vec![]));
        assert!(PeerTool::of_names(&["vllm", "ALL"]).is_err());
    }
}
