//! What a full factorial says: the ranking of the factors, their effects and what two do to each other.

use std::fmt::Write as _;

use plimsoll_analysis::{Contrast, Effect, FactorRank, FactorialEffects};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::document::Section;
use crate::grid::{Column, Grid, Row};
use crate::json::{number, optional, optional_estimate};
use crate::numbers::{UNKNOWN, change, list, p_value, percent};

/// What each factor does, the one that matters most first, in a sentence.
pub(super) fn headline(figure: &str, effects: &FactorialEffects) -> String {
    let by = |rank: &FactorRank| {
        format!(
            "{} from {} to {}",
            change(rank.ratio, rank.interval.as_ref()),
            clean(&rank.lowest),
            clean(&rank.highest)
        )
    };
    let Some((first, others)) = effects.ranking.split_first() else {
        return "No factor was varied".to_owned();
    };
    let mut text =
        format!("{} moves the {} most: {}", clean(&first.factor), clean(figure), by(first));
    for other in others {
        let _ = write!(text, "; {}: {}", clean(&other.factor), by(other));
        if !claimed(effects, &other.factor) {
            text.push_str(", which may be chance");
        }
    }
    if !claimed(effects, &first.factor) {
        text = format!("Nothing may be claimed of the factors yet: {text}");
    }
    text
}

/// Whether any main effect of the factor may be claimed.
fn claimed(effects: &FactorialEffects, factor: &str) -> bool {
    effects.main.iter().any(|effect| effect.claimed && effect.contrasts[0].factor == factor)
}

/// Ranking and effects.
pub(super) fn sections(figure: &str, effects: &FactorialEffects) -> Vec<Section> {
    let mut ranking = vec![format!(
        "Changes of the {} from the factor's lowest to its highest level; intervals hold for all pairs of its levels \
         at once. Share: of all variation between combinations",
        clean(figure)
    )];
    if effects.repetitions < 2 {
        ranking.push("One repetition has no intervals, and no effect may be claimed".to_owned());
    }
    vec![
        Section {
            title: format!("Factors by their effect on {}", clean(figure)),
            figure: None,
            table: Some(ranking_table(effects)),
            notes: ranking,
        },
        Section {
            title: format!("Main effects and interactions: {}", clean(figure)),
            figure: None,
            table: Some(effects_table(effects)),
            notes: vec![
                "A level against the mean of those before it. An interaction is a ratio of ratios: 0 % where two \
                 factors do not meddle. p values are adjusted for all effects together (Holm); claimed: p at most 0.05"
                    .to_owned(),
            ],
        },
    ]
}

fn ranking_table(effects: &FactorialEffects) -> Grid {
    let columns = [
        Column::words(["factor", ""]),
        Column::words(["highest", "at"]),
        Column::words(["lowest", "at"]),
        Column::number(["change", "95 % interval"]),
        Column::number(["share", ""]),
    ];
    let rows = effects.ranking.iter().map(|rank| {
        Row::new(vec![
            clean(&rank.factor),
            clean(&rank.highest),
            clean(&rank.lowest),
            change(rank.ratio, rank.interval.as_ref()),
            percent(rank.share),
        ])
    });
    Grid::of(&columns, rows.collect())
}

fn effects_table(effects: &FactorialEffects) -> Grid {
    let columns = [
        Column::words(["effect", ""]),
        Column::number(["change", "95 % interval"]),
        Column::number(["p", "adjusted"]),
        Column::words(["claimed", ""]),
    ];
    let row = |effect: &Effect| {
        let names: Vec<_> = effect.contrasts.iter().map(contrast).collect();
        Row::new(vec![
            names.join(" × "),
            change(effect.ratio, effect.interval.as_ref()),
            effect.p_value.map_or_else(|| UNKNOWN.to_owned(), p_value),
            if effect.claimed { "yes" } else { "no" }.to_owned(),
        ])
    };
    Grid::of(&columns, effects.main.iter().chain(&effects.interactions).map(row).collect())
}

/// `slots 16 → 32`.
fn contrast(contrast: &Contrast) -> String {
    let against: Vec<_> = contrast.against.iter().map(|level| clean(level)).collect();
    format!("{} {} → {}", clean(&contrast.factor), list(&against), clean(&contrast.level))
}

/// The effects as JSON.
pub(crate) fn json(figure: &str, effects: &FactorialEffects) -> Value {
    let effect = |effect: &Effect| {
        json!({
            "contrasts": effect.contrasts.iter().map(|one| json!({
                "factor": clean(&one.factor),
                "level": clean(&one.level),
                "against": one.against.iter().map(|level| clean(level)).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "ratio": number(effect.ratio),
            "interval": optional_estimate(effect.interval),
            "p_value": optional(effect.p_value),
            "claimed": effect.claimed,
        })
    };
    let ranking = effects.ranking.iter().map(|rank| {
        json!({
            "factor": clean(&rank.factor),
            "highest": clean(&rank.highest),
            "lowest": clean(&rank.lowest),
            "ratio": number(rank.ratio),
            "interval": optional_estimate(rank.interval),
            "share": number(rank.share),
        })
    });
    json!({
        "figure": clean(figure),
        "repetitions": effects.repetitions,
        "main": effects.main.iter().map(effect).collect::<Vec<_>>(),
        "interactions": effects.interactions.iter().map(effect).collect::<Vec<_>>(),
        "ranking": ranking.collect::<Vec<_>>(),
    })
}
