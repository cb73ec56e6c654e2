use plimsoll_records::ServerCounters;

use super::*;

fn sample(page: &str) -> MetricsSample {
    let page = Exposition::parse(page.as_bytes());
    assert_eq!(page.skipped_lines, 0);
    MetricsSample::from(&page)
}

#[test]
fn engines_are_summed_and_the_fullest_cache_counts() {
    let got = sample(
        "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 4\n\
         vllm:num_requests_waiting{engine=\"0\"} 0\nvllm:num_requests_waiting{engine=\"1\"} 2\n\
         vllm:num_requests_waiting_by_reason{reason=\"capacity\"} 2\n\
         vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n",
    );
    assert_eq!((got.running, got.waiting), (Some(7.0), Some(2.0)));
    assert_eq!(got.kv_cache_usage, Some(0.5));
    assert_eq!(got.preemptions, None);
    assert_eq!(got.server, Some(ServerKind::Vllm));
}

#[test]
fn an_old_name_is_read_and_never_added_to_the_new_one() {
    let old = "vllm:gpu_cache_usage_perc 0.3\nvllm:gpu_prefix_cache_queries_total 10\n\
               vllm:gpu_prefix_cache_hits_total 4\n";
    let both = format!(
        "{old}vllm:kv_cache_usage_perc 0.3\nvllm:prefix_cache_queries_total 10\n\
         vllm:prefix_cache_hits_total 4\n"
    );
    for page in [old, &both] {
        let got = sample(page);
        assert_eq!(got.kv_cache_usage, Some(0.3));
        assert_eq!(got.prefix_cache_queries, Some(10.0));
        assert_eq!(got.prefix_cache_hits, Some(4.0));
    }
}

#[test]
fn dynamo_counts_no_request_twice_and_is_idle_before_its_first() {
    let busy = sample(
        "dynamo_frontend_inflight_requests{model=\"a\"} 9\n\
         dynamo_frontend_queued_requests{model=\"a\"} 4\nvllm:num_requests_running 100\n",
    );
    assert_eq!((busy.running, busy.waiting), (Some(5.0), Some(4.0)));
    let fresh = sample("dynamo_frontend_model_ready{model=\"a\"} 1\n");
    assert_eq!(fresh.idle(), Some(true));
    assert_eq!(fresh.generation_tokens, Some(0.0));
    assert_eq!(fresh.preemptions, None);
}

#[test]
fn gauges_and_counters_of_sglang_and_tgi() {
    let sglang = sample(
        "sglang:num_running_reqs{model_name=\"m\"} 8\nsglang:num_queue_reqs 4\n\
         sglang:token_usage 0.28\nsglang:prompt_tokens_total 100\n\
         sglang:cached_tokens_total{cache_source=\"device\"} 30\n\
         sglang:cached_tokens_total{cache_source=\"host\"} 10\nsglang:generation_tokens_total 7\n",
    );
    assert_eq!(
        sglang,
        MetricsSample {
            server: Some(ServerKind::SgLang),
            running: Some(8.0),
            waiting: Some(4.0),
            kv_cache_usage: Some(0.28),
            prefix_cache_queries: Some(100.0),
            prefix_cache_hits: Some(40.0),
            prompt_tokens: Some(100.0),
            generation_tokens: Some(7.0),
            ..MetricsSample::default()
        }
    );
    let tgi = sample("tgi_batch_current_size 0\ntgi_queue_size 0\n");
    assert_eq!((tgi.server, tgi.idle()), (Some(ServerKind::Tgi), Some(true)));
}

#[test]
fn unknown_or_unusable_figures_stay_unknown() {
    assert_eq!(sample("up 1\nhttp_requests_total 5\n"), MetricsSample::default());
    let nan = sample("vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\n");
    assert_eq!((nan.running, nan.waiting, nan.idle()), (None, None, None));
    // Without the cached ones, llama.cpp's prompt tokens are something else.
    assert_eq!(sample("llamacpp:prompt_tokens_total 5\n").prompt_tokens, None);
}

#[test]
fn idle_needs_both_figures_unless_one_is_busy() {
    let of =
        |running, waiting| MetricsSample { running, waiting, ..MetricsSample::default() }.idle();
    assert_eq!(of(Some(0.0), Some(0.0)), Some(true));
    assert_eq!(of(Some(0.0), Some(1.0)), Some(false));
    assert_eq!(of(Some(1.0), Some(0.0)), Some(false));
    assert_eq!(of(Some(1.0), None), Some(false));
    assert_eq!(of(None, Some(2.0)), Some(false));
    assert_eq!(of(Some(0.0), None), None);
    assert_eq!(of(None, None), None);
}

#[test]
fn deltas_are_differences_until_a_counter_falls() {
    let before = MetricsSample {
        server: Some(ServerKind::Vllm),
        prefix_cache_queries: Some(100.0),
        prefix_cache_hits: Some(10.0),
        generation_tokens: Some(5.0),
        ..MetricsSample::default()
    };
    let after = MetricsSample {
        prefix_cache_queries: Some(300.0),
        prefix_cache_hits: Some(60.0),
        preemptions: Some(1.0),
        ..before
    };
    let delta = MetricsSample::delta(&before, &after);
    assert_eq!(delta.prefix_cache_queries_tokens, Some(200.0));
    assert_eq!(delta.prefix_cache_hits_tokens, Some(50.0));
    assert_eq!(delta.generation_tokens, Some(0.0));
    assert_eq!(delta.preemptions, None);
    assert!(!delta.restarted);

    let back = MetricsSample::delta(&after, &before);
    assert_eq!(back, ServerCounters { restarted: true, ..ServerCounters::default() });
    let other = MetricsSample { server: Some(ServerKind::SgLang), ..after };
    assert!(MetricsSample::delta(&before, &other).restarted);
}

fn tally(count: f64, sum: f64) -> Option<Tally> {
    Some(Tally { count, sum })
}

/// The histograms of a sample: queue, prefill, decode, TTFT, E2E, step.
fn tallies(sample: &MetricsSample) -> [Option<Tally>; 6] {
    [
        sample.queue_time_s,
        sample.prefill_time_s,
        sample.decode_time_s,
        sample.ttft_s,
        sample.e2e_s,
        sample.step_tokens,
    ]
}

#[test]
fn histograms_of_vllm_are_summed_over_engines() {
    let got = sample(
        "vllm:request_queue_time_seconds_bucket{engine=\"0\",le=\"0.3\"} 2\n\
         vllm:request_queue_time_seconds_sum{engine=\"0\"} 0.5\n\
         vllm:request_queue_time_seconds_count{engine=\"0\"} 2\n\
         vllm:request_queue_time_seconds_sum{engine=\"1\"} 0.25\n\
         vllm:request_queue_time_seconds_count{engine=\"1\"} 3\n\
         vllm:request_prefill_time_seconds_sum 1.5\n\
         vllm:request_decode_time_seconds_count 4\n\
         vllm:iteration_tokens_total_sum 100\nvllm:iteration_tokens_total_count 8\n",
    );
    // Half of a histogram is none.
    let expected = [tally(5.0, 0.75), None, None, None, None, tally(8.0, 100.0)];
    assert_eq!(tallies(&got), expected);
}

#[test]
fn documented_names_of_sglang() {
    for prefix in ["sglang:", "sglang_"] {
        let page = "P_num_running_reqs{tp_rank=\"0\"} 3\nP_num_queue_reqs 1\n\
                    P_num_retracted_requests_total 2\n\
                    P_queue_time_seconds_sum 0.5\nP_queue_time_seconds_count 4\n\
                    P_per_stage_req_latency_seconds_sum{stage=\"prefill_forward\"} 9\n\
                    P_per_stage_req_latency_seconds_count{stage=\"prefill_forward\"} 4\n\
                    P_time_to_first_token_seconds_sum 1\nP_time_to_first_token_seconds_count 4\n\
                    P_e2e_request_latency_seconds_sum 8\nP_e2e_request_latency_seconds_count 3\n"
            .replace("P_", prefix);
        let got = sample(&page);
        assert_eq!(got.server, Some(ServerKind::SgLang));
        assert_eq!((got.running, got.waiting, got.preemptions), (Some(3.0), Some(1.0), Some(2.0)));
        let expected = [tally(4.0, 0.5), None, None, tally(4.0, 1.0), tally(3.0, 8.0), None];
        assert_eq!(tallies(&got), expected);
    }
}

#[test]
fn documented_names_of_tensorrt_llm() {
    let got = sample(
        "trtllm_num_requests_running{engine_type=\"trtllm\",model_name=\"m\"} 6\n\
         trtllm_num_requests_waiting 2\ntrtllm_kv_cache_utilization 0.62\n\
         trtllm_prompt_tokens_total 900\ntrtllm_prompt_cached_tokens_total 300\n\
         trtllm_generation_tokens_total 70\n\
         trtllm_kv_cache_reused_blocks_total 11\ntrtllm_kv_cache_missed_blocks_total 13\n\
         trtllm_request_queue_time_seconds_sum 1\ntrtllm_request_queue_time_seconds_count 5\n\
         trtllm_request_prefill_time_seconds_sum 2\ntrtllm_request_prefill_time_seconds_count 5\n\
         trtllm_request_decode_time_seconds_sum 3\ntrtllm_request_decode_time_seconds_count 5\n\
         trtllm_time_to_first_token_seconds_sum 4\ntrtllm_time_to_first_token_seconds_count 5\n\
         trtllm_e2e_request_latency_seconds_sum 6\ntrtllm_e2e_request_latency_seconds_count 5\n\
         trtllm_request_success_created 1.79e9\ntrtllm_prompt_tokens_created 1.780000000125e9\n",
    );
    assert_eq!(
        got,
        MetricsSample {
            server: Some(ServerKind::TensorRtLlm),
            started: Some(Duration::from_millis(1_780_000_000_125)),
            running: Some(6.0),
            waiting: Some(2.0),
            kv_cache_usage: Some(0.62),
            prefix_cache_queries: Some(900.0),
            prefix_cache_hits: Some(300.0),
            preemptions: None,
            prompt_tokens: Some(900.0),
            generation_tokens: Some(70.0),
            queue_time_s: tally(5.0, 1.0),
            prefill_time_s: tally(5.0, 2.0),
            decode_time_s: tally(5.0, 3.0),
            ttft_s: tally(5.0, 4.0),
            e2e_s: tally(5.0, 6.0),
            step_tokens: None,
        }
    );
}

#[test]
fn documented_names_of_tgi() {
    let got = sample(
        "tgi_batch_current_size 4\ntgi_queue_size 1\n\
         tgi_request_input_length_sum 500\ntgi_request_generated_tokens_sum 60\n\
         tgi_request_queue_duration_sum 0.5\ntgi_request_queue_duration_count 3\n\
         tgi_batch_inference_duration_sum{method=\"prefill\"} 7\n\
         tgi_batch_inference_duration_count{method=\"prefill\"} 2\n\
         tgi_request_duration_sum 9\ntgi_request_duration_count 3\n",
    );
    assert_eq!(
        got,
        MetricsSample {
            server: Some(ServerKind::Tgi),
            running: Some(4.0),
            waiting: Some(1.0),
            prompt_tokens: Some(500.0),
            generation_tokens: Some(60.0),
            queue_time_s: tally(3.0, 0.5),
            e2e_s: tally(3.0, 9.0),
            ..MetricsSample::default()
        }
    );
}

#[test]
fn a_frontend_that_passes_on_its_engines_tells_their_inside() {
    let got = sample(
        "dynamo_frontend_inflight_requests 5\ndynamo_frontend_queued_requests 2\n\
         dynamo_frontend_time_to_first_token_seconds_sum 1\n\
         dynamo_frontend_time_to_first_token_seconds_count 2\n\
         vllm:num_requests_running 1\nvllm:kv_cache_usage_perc 0.5\nvllm:num_preemptions_total 3\n\
         vllm:request_queue_time_seconds_sum 4\nvllm:request_queue_time_seconds_count 2\n\
         vllm:time_to_first_token_seconds_sum 8\nvllm:time_to_first_token_seconds_count 2\n",
    );
    assert_eq!((got.server, got.running), (Some(ServerKind::Dynamo), Some(3.0)));
    assert_eq!((got.kv_cache_usage, got.preemptions), (Some(0.5), Some(3.0)));
    let expected = [tally(2.0, 4.0), None, None, tally(2.0, 1.0), tally(0.0, 0.0), None];
    assert_eq!(tallies(&got), expected);
}

#[test]
fn the_start_is_said_outright_or_by_the_first_series() {
    let started = |page: &str| sample(page).started;
    let second = |text| Some(Duration::from_secs(text));
    assert_eq!(started("a_created 30\nb_created 20\n"), second(20));
    assert_eq!(started("a_created 20\nprocess_start_time_seconds 30\n"), second(30));
    assert_eq!(started("a_created NaN\nb_created 0\nc 5\n"), None);
    assert_eq!(started("process_start_time_seconds -1e300\n"), None);
    assert_eq!(started("process_start_time_seconds 1e300\n"), None);
}

#[test]
fn a_new_start_is_a_restart_even_where_no_counter_fell() {
    let at = |started: f64, tokens: f64| MetricsSample {
        started: Some(Duration::from_secs_f64(started)),
        generation_tokens: Some(tokens),
        ..MetricsSample::default()
    };
    assert!(MetricsSample::delta(&at(1_000.0, 5.0), &at(1_001.0, 9.0)).restarted);
    assert!(MetricsSample::delta(&at(1_001.0, 5.0), &at(1_000.0, 9.0)).restarted);
    let same = MetricsSample::delta(&at(1_000.0, 5.0), &at(1_000.01, 9.0));
    assert_eq!((same.restarted, same.generation_tokens), (false, Some(4.0)));
    let unsaid = MetricsSample { started: None, ..at(1_001.0, 9.0) };
    assert!(!MetricsSample::delta(&at(1_000.0, 5.0), &unsaid).restarted);
}

#[test]
fn histograms_grow_by_count_and_sum_and_fall_when_they_restart() {
    let with = |count: f64, sum: f64| MetricsSample {
        decode_time_s: tally(count, sum),
        ..MetricsSample::default()
    };
    let grown = MetricsSample::delta(&with(2.0, 0.5), &with(6.0, 3.0));
    assert_eq!(grown.decode_time_s, tally(4.0, 2.5));
    assert_eq!(grown.decode_time_s.unwrap().mean(), Some(0.625));
    assert_eq!(grown.queue_time_s, None);
    assert!(MetricsSample::delta(&with(6.0, 3.0), &with(2.0, 5.0)).restarted);
    assert!(MetricsSample::delta(&with(6.0, 3.0), &with(6.0, 2.9)).restarted);
    // Floats of several processes, summed in another order.
    let rounded = MetricsSample::delta(&with(6.0, 3.0), &with(6.0, 2.999_999_999_999_9));
    assert_eq!((rounded.restarted, rounded.decode_time_s), (false, tally(0.0, 0.0)));
}
