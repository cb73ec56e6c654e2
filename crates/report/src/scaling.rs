//! What is read of how a system scales: speed-ups against the ideal, laws, their serial shares, the peak.

mod drawing;
mod words;

use plimsoll_analysis::{Bound, Estimate, Fit, Law, ScalePoint, Scaling, Speedup};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::document::{self, Document, Section};
use crate::error::ReportError;
use crate::grid::{Column, Grid, Row};
use crate::json::{number, optional, optional_estimate};
use crate::numbers::{UNKNOWN, estimate, p_value, plain, three_digits};

/// The stems of the figures' file names.
const SPEEDUP: &str = "speed-up";
const KARP_FLATT: &str = "karp-flatt";

/// A scaling result to be shown: pure functions of the values in it.
#[derive(Clone, Copy, Debug)]
pub struct ScalingReport<'a> {
    /// What was measured: the model, the server, the setting that grows.
    pub title: &'a str,
    /// What a size counts, in the plural: `GPUs`, `replicas`.
    pub sizes: &'a str,
    /// The unit of the capacities: `req/s`, `tok/s`.
    pub unit: &'a str,
    /// What the file names of its figures end in, `-2`, where several such reports share a folder; else empty.
    pub mark: &'a str,
    /// The points, in any order.
    pub points: &'a [ScalePoint],
    /// What [`plimsoll_analysis::scaling()`] says of them.
    pub scaling: &'a Scaling,
}

impl ScalingReport<'_> {
    /// For a terminal of `width` characters, 40 to 100; `colour` asks for ANSI styles.
    #[must_use]
    pub fn terminal(&self, width: usize, colour: bool) -> String {
        self.document().terminal(width, colour)
    }

    /// As GitHub-flavoured Markdown, figures by relative links to `figs/`.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.document().markdown()
    }

    /// As one HTML page with its figures in it, without a script and without the network.
    ///
    /// # Errors
    /// When a figure cannot be drawn, or the page not be filled in.
    pub fn html(&self) -> Result<String, ReportError> {
        document::page(&self.document(), &self.figures()?)
    }

    /// The figures as SVG with their file names: `speed-up.svg` (measured against ideal, with the laws) and
    /// `karp-flatt.svg` (the serial share that each size implies). None where there is no speed-up.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        if self.scaling.speedups.is_empty() {
            return Ok(Vec::new());
        }
        drawing::all(self)
    }

    /// As one JSON object: `base`, `points`, `speedups`, `fits`, `chosen`, `peak`, `remarks` (each with its
    /// `text`). Numbers to six digits; `bound` is `measured`, `at-least` or `at-most`, and says which end of
    /// an interval stands for something; `karp_flatt` is bounded the other way round. What is not known is
    /// `null`.
    #[must_use]
    pub fn json(&self) -> Value {
        let scaling = self.scaling;
        let law = |law: Law| json!(law);
        let points: Vec<_> = self
            .sorted()
            .iter()
            .map(|point| {
                json!({
                    "n": number(point.n),
                    "capacity_per_s": optional_estimate(Some(point.capacity)),
                    "lower_bound": point.lower_bound,
                })
            })
            .collect();
        let speedups = scaling.speedups.iter().map(|gain| {
            json!({
                "n": number(gain.n),
                "speedup": optional_estimate(Some(gain.speedup)),
                "efficiency": optional_estimate(Some(gain.efficiency)),
                "karp_flatt": optional_estimate(Some(gain.karp_flatt)),
                "bound": gain.bound,
            })
        });
        let fits = scaling.fits.iter().map(|fit| {
            json!({
                "law": law(fit.law),
                "lambda_per_s": optional_estimate(Some(fit.lambda)),
                "sigma": optional_estimate(fit.sigma),
                "kappa": optional_estimate(fit.kappa),
                "aicc": optional(fit.aicc),
                "misfit_p": optional(fit.misfit),
                "bound": fit.bound,
            })
        });
        let remarks = scaling.remarks.iter().map(|remark| {
            let mut object = json!(remark);
            object["text"] = json!(remark.to_string());
            object
        });
        json!({
            "title": clean(self.title),
            "sizes": clean(self.sizes),
            "unit": clean(self.unit),
            "base": number(scaling.base),
            "points": points,
            "speedups": speedups.collect::<Vec<_>>(),
            "fits": fits.collect::<Vec<_>>(),
            "chosen": scaling.chosen.map(law),
            "peak": scaling.peak.map(|peak| json!({
                "n": optional_estimate(Some(peak.n)),
                "capacity_per_s": optional_estimate(Some(peak.capacity)),
            })),
            "remarks": remarks.collect::<Vec<_>>(),
        })
    }

    /// The points, smallest first.
    fn sorted(&self) -> Vec<ScalePoint> {
        let mut points = self.points.to_vec();
        points.sort_by(|a, b| a.n.total_cmp(&b.n));
        points
    }

    /// The law that was chosen.
    fn chosen(&self) -> Option<&Fit> {
        self.scaling.fits.iter().find(|fit| Some(fit.law) == self.scaling.chosen)
    }

    /// The title of an axis of sizes.
    fn sizes_title(&self) -> String {
        format!("n, {}", clean(self.sizes))
    }

    /// The file name of a figure.
    fn file(&self, stem: &str) -> String {
        format!("{stem}{}.svg", self.mark)
    }

    pub(crate) fn document(&self) -> Document {
        let drawn = !self.scaling.speedups.is_empty();
        let mut sections = vec![Section {
            title: "What more of them bought".to_owned(),
            figure: drawn.then(|| self.file(SPEEDUP)),
            table: Some(self.sizes_table()),
            notes: Vec::new(),
        }];
        if !self.scaling.fits.is_empty() {
            sections.push(Section {
                title: "Laws".to_owned(),
                figure: None,
                table: Some(self.laws_table()),
                notes: vec![words::LAWS.to_owned()],
            });
        }
        if drawn {
            sections.push(Section {
                title: "Serial share that each size implies (Karp-Flatt)".to_owned(),
                figure: Some(self.file(KARP_FLATT)),
                table: None,
                notes: words::karp_flatt(self.scaling),
            });
        }
        if !self.scaling.remarks.is_empty() {
            sections.push(Section {
                title: "Remarks".to_owned(),
                figure: None,
                table: None,
                notes: self.scaling.remarks.iter().map(ToString::to_string).collect(),
            });
        }
        Document { title: clean(self.title), headline: words::headline(self), sections }
    }

    fn sizes_table(&self) -> Grid {
        let columns = [
            Column::number(["n", ""]),
            Column::number(["capacity per s", "95 % interval"]),
            Column::number(["speed-up", "95 % interval"]),
            Column::number(["efficiency", ""]),
            Column::number(["Karp-Flatt", "95 % interval"]),
        ];
        let row = |point: &ScalePoint| {
            let gain = self.scaling.speedups.iter().find(|gain| gain.n == point.n);
            let capacity = if point.lower_bound {
                format!("≥ {}", three_digits(point.capacity.value))
            } else {
                with_interval(&point.capacity)
            };
            let speedup = gain.map(|gain| bounded(&gain.speedup, gain.bound));
            let efficiency = gain.map(|gain| percent(&gain.efficiency, gain.bound));
            let serial = gain.map(serial_share);
            let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
            Row::new(vec![
                plain(point.n),
                capacity,
                known(speedup),
                known(efficiency),
                known(serial),
            ])
        };
        Grid::of(&columns, self.sorted().iter().map(row).collect())
    }

    fn laws_table(&self) -> Grid {
        let columns = [
            Column::words(["law", ""]),
            Column::words(["chosen", ""]),
            Column::number(["sigma", "95 % interval"]),
            Column::number(["kappa", "95 % interval"]),
            Column::number(["one alone", "per s"]),
            Column::number(["AICc", ""]),
            Column::number(["misfit", "p"]),
        ];
        let row = |fit: &Fit| {
            let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
            let bound = if fit.bound == Bound::AtLeast { " (held up)" } else { "" };
            Row::new(vec![
                format!("{}{bound}", fit.law.name()),
                if self.scaling.chosen == Some(fit.law) { "yes" } else { "" }.to_owned(),
                known(fit.sigma.as_ref().map(with_interval)),
                known(fit.kappa.as_ref().map(with_interval)),
                with_interval(&fit.lambda),
                known(fit.aicc.map(|aicc| format!("{aicc:.1}").replace('-', "−"))),
                known(fit.misfit.map(p_value)),
            ])
        };
        Grid::of(&columns, self.scaling.fits.iter().map(row).collect())
    }
}

/// `36.4 (35.9 to 37.0)`; the value alone where the interval has no width.
fn with_interval(number: &Estimate) -> String {
    let [value, low, high] = estimate(number);
    if number.low < number.high { format!("{value} ({low} to {high})") } else { value }
}

/// The same for a number that may only be a bound: then the end that stands for something.
fn bounded(number: &Estimate, bound: Bound) -> String {
    let [_, low, high] = estimate(number);
    match bound {
        Bound::Measured => with_interval(number),
        Bound::AtLeast => format!("≥ {low}"),
        Bound::AtMost => format!("≤ {high}"),
    }
}

/// A share in percent without its interval, or the end of it that stands for something.
fn percent(share: &Estimate, bound: Bound) -> String {
    let whole = |share: f64| format!("{} %", three_digits(100.0 * share));
    match bound {
        Bound::Measured => whole(share.value),
        Bound::AtLeast => format!("≥ {}", whole(share.low)),
        Bound::AtMost => format!("≤ {}", whole(share.high)),
    }
}

/// Karp-Flatt's share, which is bounded the other way round than the speed-up.
fn serial_share(gain: &Speedup) -> String {
    let turned = match gain.bound {
        Bound::Measured => Bound::Measured,
        Bound::AtLeast => Bound::AtMost,
        Bound::AtMost => Bound::AtLeast,
    };
    bounded(&gain.karp_flatt, turned)
}
