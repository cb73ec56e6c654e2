//! Answers of real servers, played back over a socket. The fixtures are extracts that are always
//! there; the whole captures are read as well where `../shared/servers` is at hand.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use plimsoll_records::Tally;
use plimsoll_server::{
    Exposition, Health, Identity, MetricsSample, ModelInfo, ServerKind, TokenizeInput,
};
use plimsoll_units::Tokens;

use crate::stand_in::{StandIn, wait};

/// A captured answer made fit to send: line ends of HTTP, and the length of the body as it is.
fn played_back(capture: &str) -> Vec<u8> {
    let capture = capture.replace('\r', "");
    let (head, body) = capture.split_once("\n\n").unwrap();
    let head: Vec<_> =
        head.lines().filter(|l| !l.to_lowercase().starts_with("content-length")).collect();
    let length = body.len();
    format!("{}\r\ncontent-length: {length}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page_of(capture: &str) -> Exposition {
    let capture = capture.replace('\r', "");
    Exposition::parse(capture.split_once("\n\n").unwrap().1.as_bytes())
}

/// A server that answers `GET /path` with the fixture `<prefix>.<path>.http`, and everything that
/// it has no fixture for as that server answers to unknown routes.
fn replay(prefix: &'static str) -> StandIn {
    StandIn::new(move |asked| {
        let name = asked.line.rsplit('/').next().unwrap_or_default();
        let path = format!("tests/fixtures/{prefix}.{name}.http");
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists();
        let name = if known { name } else { "no_route" };
        played_back(&fixture(&format!("{prefix}.{name}.http")))
    })
}

fn tally(count: f64, sum: f64) -> Option<Tally> {
    Some(Tally { count, sum })
}

fn model(id: &str, max_model_len: u64, root: Option<&str>, owned_by: &str) -> ModelInfo {
    ModelInfo {
        id: id.to_owned(),
        max_model_len: Some(max_model_len),
        root: root.map(str::to_owned),
        owned_by: Some(owned_by.to_owned()),
    }
}

#[test]
fn vllm() {
    let server = replay("vllm");
    let client = server.client();
    assert_eq!(
        wait(client.identify()).unwrap(),
        Identity {
            server: Some(ServerKind::Vllm),
            version: Some("0.32.0".to_owned()),
            models: vec![model("tiny", 4096, Some("models/tiny"), "vllm")],
        }
    );
    let count = wait(client.tokenize("tiny", TokenizeInput::Prompt("Say hello to the world.")));
    assert_eq!(count.unwrap(), Some(Tokens::new(10)));
    assert!(wait(client.reset_prefix_cache()).unwrap());
    assert_eq!(wait(client.idle()).unwrap(), Some(true));
    let expected = MetricsSample {
        server: Some(ServerKind::Vllm),
        started: Some(Duration::from_millis(1_795_294_211_570)),
        running: Some(0.0),
        waiting: Some(0.0),
        kv_cache_usage: Some(0.0),
        prefix_cache_queries: Some(241.0),
        prefix_cache_hits: Some(0.0),
        preemptions: Some(0.0),
        prompt_tokens: Some(241.0),
        generation_tokens: Some(62.0),
        queue_time_s: tally(14.0, 0.000_600_240_000_494_523),
        prefill_time_s: tally(14.0, 19.811_864_572_999_866),
        decode_time_s: tally(14.0, 0.310_532_826_000_098_8),
        ttft_s: tally(14.0, 19.974_741_935_729_98),
        e2e_s: tally(14.0, 20.289_493_083_953_857),
        step_tokens: tally(60.0, 303.0),
    };
    assert_eq!(wait(client.metrics()).unwrap(), Some(expected));
}

#[test]
fn vllm_of_another_model() {
    let server = StandIn::always(played_back(&fixture("vllm.bad_model.http")));
    let tokenize = server.client();
    let error = wait(tokenize.tokenize("no-such-model", TokenizeInput::Chat("x"))).unwrap_err();
    assert!(error.to_string().contains("Valid aliases: tiny."), "{error}");
}

#[test]
fn vllm_of_two_engines_is_summed() {
    let sample = MetricsSample::from(&page_of(&fixture("vllm.metrics_dp2.http")));
    assert_eq!(sample.prefix_cache_queries, Some(18_524.0 + 19_008.0));
    assert_eq!(sample.generation_tokens, Some(4_864.0 + 4_992.0));
    assert_eq!(sample.idle(), Some(true));
    assert_eq!(sample.queue_time_s.map(|queue| queue.count), Some(152.0 + 156.0));
    assert_eq!(sample.step_tokens, tally(1_104.0 + 1_140.0, 23_388.0 + 24_000.0));
    assert_eq!(sample.started, None, "several processes write this page, and none its start");
}

#[test]
fn dynamo() {
    let server = replay("dynamo");
    let client = server.client();
    assert_eq!(
        wait(client.identify()).unwrap(),
        Identity {
            server: Some(ServerKind::Dynamo),
            version: None,
            models: vec![model("tiny", 4096, None, "nvidia")],
        }
    );
    assert_eq!(wait(client.tokenize("tiny", TokenizeInput::Chat("x"))).unwrap(), None);
    assert!(!wait(client.reset_prefix_cache()).unwrap());
    let sample = wait(client.metrics()).unwrap().unwrap();
    assert_eq!((sample.running, sample.waiting), (Some(0.0), Some(0.0)));
    assert_eq!(sample.prompt_tokens, Some(210.0));
    assert_eq!(sample.generation_tokens, Some(58.0));
    assert_eq!(sample.prefix_cache_hits, Some(0.0));
    assert_eq!((sample.kv_cache_usage, sample.preemptions), (None, None));
    assert_eq!(sample.ttft_s, tally(12.0, 0.229_982_932));
    assert_eq!(sample.e2e_s, tally(18.0, 0.962_123_382 + 0.000_092_022));
    assert_eq!((sample.queue_time_s, sample.prefill_time_s), (None, None));
}

#[test]
fn llama_cpp() {
    let server = replay("llamacpp");
    let client = server.client();
    assert_eq!(
        wait(client.identify()).unwrap(),
        Identity {
            server: Some(ServerKind::LlamaCpp),
            version: None,
            models: vec![model("gemma3-270m", 16_384, None, "llamacpp")],
        }
    );
    assert_eq!(wait(client.health()).unwrap(), Health::Ready);
    assert_eq!(wait(client.idle()).unwrap(), Some(true));
    let sample = wait(client.metrics()).unwrap().unwrap();
    assert_eq!(sample.generation_tokens, Some(1_644.0));
    assert_eq!(sample.prefix_cache_hits, Some(276.0));
    assert_eq!(sample.prompt_tokens, Some(159.0 + 276.0));
}

#[test]
fn the_extracts_hold_no_line_that_is_skipped() {
    for name in ["vllm.metrics", "vllm.metrics_dp2", "dynamo.metrics", "llamacpp.metrics"] {
        let page = page_of(&fixture(&format!("{name}.http")));
        assert_eq!(page.skipped_lines, 0, "{name}");
        assert!(page.samples.len() > 10, "{name}");
    }
    let page = page_of(&fixture("vllm.metrics.http"));
    let cache = page.named("vllm:cache_config_info").next().unwrap();
    let skipped = ("kv_cache_dtype_skip_layers".to_owned(), "[]".to_owned());
    assert!(cache.labels.len() > 30 && cache.labels.contains(&skipped));
    let infinite = |s: &&plimsoll_server::Sample| s.labels.iter().any(|(_, v)| v == "+Inf");
    assert_eq!(
        page.named("vllm:time_to_first_token_seconds_bucket").find(infinite).unwrap().value,
        14.0
    );
}

/// The captures of real servers, where this checkout has them beside it.
fn captures() -> Option<PathBuf> {
    let shared = env::var_os("PLIMSOLL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let captures = shared.join("servers/captures");
    if captures.is_dir() {
        return Some(captures);
    }
    println!("skipped: no {}", captures.display());
    None
}

#[test]
fn the_whole_captures_are_read_to_the_last_line() {
    let Some(captures) = captures() else { return };
    for (name, prefix) in [
        ("vllm/metrics.txt", "vllm"),
        ("vllm/metrics_dp2.txt", "vllm"),
        ("dynamo/metrics.txt", "dynamo"),
        ("llamacpp/metrics.txt", "llamacpp"),
    ] {
        let text = fs::read_to_string(captures.join(name)).unwrap();
        // One capture is the page alone, without the head of its answer.
        let page = match text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")) {
            Some((head, page)) if head.contains("HTTP/1.1") => page,
            _ => &text,
        };
        let read = Exposition::parse(page.as_bytes());
        // An oracle that knows nothing of the format: every line that is no comment is a sample.
        let lines = page.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        let values: Vec<f64> =
            lines.clone().map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(read.skipped_lines, 0, "{name}");
        assert_eq!(read.samples.iter().map(|s| s.value).collect::<Vec<_>>(), values, "{name}");
        for (line, sample) in lines.zip(&read.samples) {
            assert!(line.starts_with(&sample.name), "{name}: {line}");
            assert_eq!(line.matches("=\"").count(), sample.labels.len(), "{name}: {line}");
        }
        // The extract leaves lines out, never figures.
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        let extract = page_of(&fixture(&format!("{prefix}.{stem}.http")));
        assert_eq!(MetricsSample::from(&read), MetricsSample::from(&extract), "{name}");
    }
}
