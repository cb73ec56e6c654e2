//! Which server answers, as far as its own words give it away.

use std::fmt;

use crate::metrics::MetricsSample;
use crate::model::ModelInfo;

/// Who answers at a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The server software; `None` when nothing gives it away.
    pub server: Option<ServerKind>,
    /// Its version, where it says so.
    pub version: Option<String>,
    /// The models it lists; may be empty.
    pub models: Vec<ModelInfo>,
}

/// A known kind of server software.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerKind {
    /// vLLM.
    Vllm,
    /// NVIDIA Dynamo's frontend.
    Dynamo,
    /// llama.cpp's server.
    LlamaCpp,
    /// SGLang.
    SgLang,
    /// NVIDIA TensorRT-LLM's `trtllm-serve`.
    TensorRtLlm,
    /// Text Generation Inference.
    Tgi,
    /// Plimsoll's own simulator.
    Simulator,
}

impl ServerKind {
    /// The name in its usual spelling, lower-case: `vllm`, `llama.cpp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Dynamo => "dynamo",
            Self::LlamaCpp => "llama.cpp",
            Self::SgLang => "sglang",
            Self::TensorRtLlm => "tensorrt-llm",
            Self::Tgi => "tgi",
            Self::Simulator => "plimsoll-sim",
        }
    }

    /// The kind that the answers give away. A `Server` header of the software itself (not of the
    /// web framework or proxy in front) decides, then the names of its metrics, then what it
    /// writes as the owner of its models.
    pub(crate) fn deduce(
        server_header: Option<&str>,
        metrics: Option<&MetricsSample>,
        models: &[ModelInfo],
    ) -> Option<Self> {
        let header = server_header.map(str::to_ascii_lowercase).unwrap_or_default();
        let owner = models.iter().find_map(|model| model.owned_by.as_deref()).unwrap_or_default();
        let by_header = [("llama.cpp", Self::LlamaCpp), ("plimsoll-sim", Self::Simulator)]
            .into_iter()
            .find_map(|(name, kind)| header.starts_with(name).then_some(kind));
        let by_owner = || match owner {
            "vllm" => Some(Self::Vllm),
            "llamacpp" => Some(Self::LlamaCpp),
            "sglang" => Some(Self::SgLang),
            _ => None,
        };
        by_header.or_else(|| metrics.and_then(|sample| sample.server)).or_else(by_owner)
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_then_metrics_then_owner() {
        let owned_by =
            |owner: &str| [ModelInfo { owned_by: Some(owner.to_owned()), ..ModelInfo::named("m") }];
        let dynamo = MetricsSample { server: Some(ServerKind::Dynamo), ..MetricsSample::default() };
        let none = MetricsSample::default();
        for (header, metrics, owner, expected) in [
            (Some("llama.cpp"), None, "llamacpp", Some(ServerKind::LlamaCpp)),
            (Some("plimsoll-sim/0.1.0"), Some(&none), "vllm", Some(ServerKind::Simulator)),
            (Some("uvicorn"), Some(&dynamo), "vllm", Some(ServerKind::Dynamo)),
            (Some("uvicorn"), Some(&none), "vllm", Some(ServerKind::Vllm)),
            (None, None, "sglang", Some(ServerKind::SgLang)),
            (Some("nginx/1.25"), None, "organization-owner", None),
        ] {
            let got = ServerKind::deduce(header, metrics, &owned_by(owner));
            assert_eq!(got, expected, "{header:?} {owner}");
        }
        assert_eq!(ServerKind::deduce(None, None, &[]), None);
        assert_eq!(ServerKind::LlamaCpp.to_string(), "llama.cpp");
    }
}
