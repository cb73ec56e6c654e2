//! Factors in a folder's name: `20250721-144441__SAT_G1__RR60__PLmedium__B16__MBT512__TP1__DP1__Qfp16__R0`.

use serde_json::Value;

use super::Stated;

/// What a name of this layout states; `None` for a name of another.
///
/// Parts are joined by two underscores: `G` GPUs (a word for the series may stand in front of it), `RR`
/// requests per second, `PL` prompt profile, `B` batch size, `MBT` batched tokens, `TP` and `DP` parallel
/// sizes, `Q` number format, `R` repetition. `G` and `RR` make the layout.
pub(crate) fn of_name(name: &str) -> Option<Stated> {
    let mut stated = Stated::default();
    for part in name.split("__") {
        let part = match part.rsplit_once('_') {
            Some((series, rest)) if series.bytes().all(|b| b.is_ascii_uppercase()) => rest,
            _ => part,
        };
        let Some(start) = part.find(|c: char| !c.is_ascii_uppercase()) else { continue };
        let (key, value) = part.split_at(start);
        let number = || value.parse::<u32>().ok().filter(|number| *number > 0);
        let mut setting = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                stated.settings.insert(name.to_owned(), value);
            }
        };
        match key {
            "G" => stated.gpus = number(),
            "RR" => {
                stated.rate =
                    value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
            }
            "PL" => stated.profile = Some(value.to_owned()),
            "R" => stated.repetition = value.parse().ok(),
            "B" => setting("max-num-seqs", number().map(Value::from)),
            "MBT" => setting("max-num-batched-tokens", number().map(Value::from)),
            "TP" => setting("tensor-parallel-size", number().map(Value::from)),
            "DP" => setting("data-parallel-size", number().map(Value::from)),
            "Q" => {
                if let Some((name, value)) = number_format(value) {
                    setting(name, Some(value));
                }
            }
            _ => {}
        }
    }
    (stated.gpus.is_some() && stated.rate.is_some()).then_some(stated)
}

/// The setting that a stated number format comes to: `fp16` is a `dtype`, `fp8` a `quantization`.
pub(super) fn number_format(text: &str) -> Option<(&'static str, Value)> {
    match text {
        "fp16" | "float16" | "half" => Some(("dtype", "float16".into())),
        "bf16" | "bfloat16" => Some(("dtype", "bfloat16".into())),
        "fp32" | "float32" => Some(("dtype", "float32".into())),
        "" | "none" | "auto" => None,
        other => Some(("quantization", other.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_of_the_layout() {
        let name = "20250720-174106__G4__RR10__PLlong__B16__MBT512__TP1__DP4__Qfp16__R2";
        let stated = of_name(name).unwrap();
        assert_eq!((stated.gpus, stated.rate, stated.repetition), (Some(4), Some(10.0), Some(2)));
        assert_eq!(stated.profile.as_deref(), Some("long"));
        assert_eq!(stated.settings["max-num-seqs"], json!(16));
        assert_eq!(stated.settings["max-num-batched-tokens"], json!(512));
        assert_eq!(stated.settings["data-parallel-size"], json!(4));
        assert_eq!(stated.settings["dtype"], json!("float16"));
        let series = of_name("20250721-144441__SAT_G1__RR2.5__PLmedium__B16").unwrap();
        assert_eq!((series.gpus, series.rate), (Some(1), Some(2.5)));
        assert_eq!(series.point_factors()["server.settings.max-num-seqs"], "16");
    }

    #[test]
    fn other_names_state_nothing() {
        for name in
            ["", "results", "G1", "RR10", "G0__RR10", "G1__RR0", "run__2", "G1__RRx", "é__G"]
        {
            assert_eq!(of_name(name), None, "{name}");
        }
    }
}
