use std::collections::HashSet;

use super::*;

/// Counts words, and `overhead` for the template.
fn whitespace(overhead: u32) -> impl Fn(&str) -> u32 {
    move |text| overhead + text.split(' ').count() as u32
}

/// Counts words, those in `dear` as `cost` tokens wherever they stand.
fn with_dear(dear: HashSet<&'static str>, cost: u32) -> impl Fn(&str) -> u32 {
    move |text| {
        3 + text.split(' ').map(|word| if dear.contains(word) { cost } else { 1 }).sum::<u32>()
    }
}

fn calibrate(count: impl Fn(&str) -> u32) -> Result<Calibration, CalibrationError> {
    Calibrator::new(CalibratorOptions { verify_tokens: vec![512], ..Default::default() }).run(count)
}

fn texts(calibration: &Calibration) -> HashSet<&str> {
    calibration.vocabulary.words.iter().map(|word| word.text.as_str()).collect()
}

#[test]
fn a_plain_tokenizer_takes_few_probes() {
    for overhead in [0, 1, 27] {
        let calibration = calibrate(whitespace(overhead)).unwrap();
        let report = calibration.report();
        assert_eq!(report.overhead_tokens, overhead);
        assert_eq!((report.words, report.one_token_words, report.first_words), (256, 256, 16));
        // Anchor, 8 batches, 15 further first words, 5 verifications: nothing to refine.
        assert_eq!(report.probes, 1 + 8 + 15 + 5);
        assert!(report.exact && report.max_error_tokens == 0);
        assert!(report.verified.iter().any(|pair| pair.counted_tokens == 512));
    }
}

#[test]
fn one_dear_word_costs_its_batch_and_no_probe_while_others_suffice() {
    let calibration = calibrate(with_dear(HashSet::from([WORDS[40]]), 2)).unwrap();
    assert!(calibration.report().exact);
    assert_eq!(calibration.report().words, 256 - 32);
    assert!(!texts(&calibration).contains(WORDS[40]));
}

#[test]
fn dear_words_in_every_batch_are_found_one_by_one() {
    // One bad word in each batch of 32: no batch is clean, so all have to be taken apart.
    let dear: HashSet<&str> = WORDS.iter().skip(5).step_by(32).copied().collect();
    assert_eq!(dear.len(), 8);
    let calibration = calibrate(with_dear(dear.clone(), 3)).unwrap();
    let report = calibration.report();
    assert!(report.exact && report.one_token_words >= 64, "{report:?}");
    assert!(texts(&calibration).is_disjoint(&dear));
}

#[test]
fn dearer_words_help_out_where_few_cost_one_token() {
    let cheap: HashSet<&str> = WORDS.iter().skip(3).step_by(25).copied().collect();
    let dear = WORDS.iter().copied().filter(|word| !cheap.contains(word)).collect();
    let calibration = calibrate(with_dear(dear, 2)).unwrap();
    let report = calibration.report();
    assert!(report.one_token_words < 32 && report.words > report.one_token_words, "{report:?}");
    assert!(report.exact, "{report:?}");
}

#[test]
fn a_server_that_merges_words_is_not_called_exact() {
    // Every full six words cost five tokens.
    let merging = |text: &str| {
        let words = text.split(' ').count() as u32;
        words - words / 6
    };
    match calibrate(merging) {
        Ok(calibration) => assert!(!calibration.report().exact),
        Err(error) => assert!(matches!(error, CalibrationError::NothingAddsUp { .. })),
    }
}

#[test]
fn counts_that_cannot_be_end_it_with_a_reason() {
    let error = calibrate(|_| 11).unwrap_err();
    assert_eq!(error, CalibrationError::NothingAddsUp { probes: 9 });
    assert!(error.to_string().contains("prompt file"), "{error}");
    assert_eq!(calibrate(|_| 0).unwrap_err(), CalibrationError::NoTokens { words: 1 });

    let mut calibrator = Calibrator::new(CalibratorOptions::default());
    assert_eq!(calibrator.answer(4).unwrap_err(), CalibrationError::NoProbeOpen { tokens: 4 });
    let first = calibrator.next_probe().cloned();
    assert_eq!(calibrator.next_probe().cloned(), first, "asked twice, it is the same probe");
    assert_eq!(calibrator.finish().unwrap_err(), CalibrationError::Unfinished);
}

#[test]
fn the_probes_are_bounded_whatever_the_server_counts() {
    // Counts with no sense in them, but growing: as much confusion as a server can cause.
    for salt in 0..50_u32 {
        let mut calibrator =
            Calibrator::new(CalibratorOptions { refine_probes: 20, ..Default::default() });
        let mut probes = 0;
        while let Some(probe) = calibrator.next_probe() {
            let words = probe.text.split(' ').count() as u32;
            probes += 1;
            if calibrator.answer(words + (words * 7 + salt * probes) % 9).is_err() {
                break;
            }
        }
        assert!(probes <= 1 + 8 + 20 + 15 + 4, "{probes}");
    }
}

#[test]
fn it_survives_the_manifest() {
    let calibration = calibrate(whitespace(4)).unwrap();
    let json = serde_json::to_string(&calibration).unwrap();
    assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), calibration);
}

#[test]
fn a_server_that_refuses_the_longest_prompts_is_calibrated_by_the_others() {
    let options = CalibratorOptions { verify_tokens: vec![6_000, 300], ..Default::default() };
    let mut calibrator = Calibrator::new(options);
    assert!(!calibrator.pass_over(), "nothing is open");
    let count = whitespace(4);
    let mut passed_over = 0;
    while let Some(probe) = calibrator.next_probe() {
        let tokens = count(&probe.text);
        if tokens < 4_096 {
            calibrator.answer(tokens).unwrap();
        } else {
            assert!(calibrator.pass_over());
            passed_over += 1;
        }
    }
    let calibration = calibrator.finish().unwrap();
    assert_eq!(passed_over, 1);
    assert!(calibration.report().exact, "{:?}", calibration.report());
    // Without what words cost there are no prompts.
    let mut calibrator = Calibrator::new(CalibratorOptions::default());
    assert!(calibrator.next_probe().is_some() && !calibrator.pass_over());
}
