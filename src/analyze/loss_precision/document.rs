//! The outcome in words, tables and figures.

use serde_json::{Value, json};

use super::{Approximation, Errors, Image, LossPrecision, Model, errors};
use crate::analyze::{Document, Sheet, Table};
use crate::figure::{Axis, Chart, Figure, Mark, Series};
use crate::numbers::{count, radius};

/// What the figure shows.
const DRAWN: [Approximation; 3] = [Approximation::Ibp, Approximation::Sabr, Approximation::Pgd];
/// Bars of a histogram.
const BARS: usize = 48;
/// Share of the values at either end that may lie beyond the outermost bars.
const TAIL: f64 = 0.005;

impl LossPrecision {
    /// The outcome for people.
    pub fn document(&self) -> Document {
        let title = "Precision of the worst-case approximations that training uses";
        let mut document = Document::new("loss-precision", title, self.data());
        document.explanation = vec![
            format!(
                "For each image the worst case is the greatest margin max (z_i − z_y), i ≠ y, that any point of its ball of radius ε = {} (cut with [0, 1]) gives to a wrong class \
                 over the right one: negative if no point is misclassified. The robust loss is log(1 + Σ exp(·)) of such margins; errors here are those of the margin itself, not of the \
                 logarithm. The exact value comes from complete verification: a point that has it, and a proof that no point has {} more.",
                radius(self.epsilon),
                self.tolerance
            ),
            format!(
                "Error = approximation − exact. IBP bounds the whole ball by intervals and can only be above. SABR bounds a box of radius λ·ε, λ = {}, around the point of the training \
                 attack, slid into the ball: it leaves out most of the ball and overestimates what is left, so errors of either sign can cancel. PGD takes the point of the \
                 training attack (8 steps on the cross-entropy, cut to the ball) and can only be below. Training on a value far above the truth regularises more than robustness asks \
                 for; training on one below it leaves adversarial examples in place.",
                self.lambda
            ),
            format!(
                "The strong attack of the table, {}, shows what an attack misses that is not bound to the cost of training.",
                self.attack
            ),
        ];
        document.findings = self.models.iter().flat_map(|model| self.findings(model)).collect();
        document.tables.push(self.table());
        document.figures.push(self.figure());
        document
    }

    /// A row for each image.
    pub fn sheet(&self) -> Sheet {
        let head = ["model", "index", "label", "natural", "lower", "upper", "open", "ibp", "sabr", "pgd", "attack"];
        let mut sheet = Sheet::new(&head);
        for model in &self.models {
            for image in &model.images {
                let mut row = vec![model.model.clone(), image.index.to_string(), image.label.to_string()];
                row.extend([image.natural, image.lower].map(|value| value.to_string()));
                row.push(image.upper.map_or(String::new(), |upper| upper.to_string()));
                row.push(image.open.clone().unwrap_or_default());
                row.extend(Approximation::ALL.map(|approximation| image.value(approximation).to_string()));
                sheet.rows.push(row);
            }
        }
        sheet
    }

    /// All images, and the statistics of each network.
    fn data(&self) -> Value {
        let mut data = json!(self);
        let statistics = |model: &Model| {
            let of = |only_robust: bool| -> serde_json::Map<String, Value> {
                let named = |a: Approximation| {
                    (json!(a).as_str().unwrap_or_default().to_string(), json!(self.errors(model, a, only_robust)))
                };
                Approximation::ALL.into_iter().map(named).collect()
            };
            json!({
                "model": model.model,
                "images": model.images.len(),
                "open": open(model),
                "robust": robust(model),
                "all": of(false),
                "robust_errors": of(true),
            })
        };
        data["statistics"] = self.models.iter().map(statistics).collect();
        data
    }

    fn errors(&self, model: &Model, approximation: Approximation, only_robust: bool) -> Errors {
        errors(&model.images, approximation, only_robust, self.tolerance)
    }

    fn findings(&self, model: &Model) -> Vec<String> {
        let (name, all) = (&model.model, model.images.len());
        let mut findings = Vec::new();
        let open = open(model);
        if open > 0 {
            findings.push(format!(
                "{name}: the exact value of {} of {} images is not known after {} s a claim; they are left out.",
                count(open as u64),
                count(all as u64),
                self.timeout
            ));
        }
        if open == all {
            return findings;
        }
        let [ibp, sabr, pgd, strong] = Approximation::ALL.map(|approximation| self.errors(model, approximation, false));
        let share = |part: usize, of: &Errors| format!("{:.0} %", 100.0 * part as f64 / of.images as f64);
        findings.push(format!(
            "{name}: IBP is above the exact value by {:.3} on average, SABR's small box errs by {:+.3} (above on {}, below on {} of the images), PGD by {:+.3} (below on {}); \
             the strong attack by {:+.4}.",
            ibp.mean,
            sabr.mean,
            share(sabr.over, &sabr),
            share(sabr.under, &sabr),
            pgd.mean,
            share(pgd.under, &pgd),
            strong.mean,
        ));
        let trained = [(Approximation::Ibp, ibp), (Approximation::Sabr, sabr), (Approximation::Pgd, pgd)];
        if let Some((closest, errors)) = trained.into_iter().min_by(|a, b| a.1.absolute.total_cmp(&b.1.absolute)) {
            let (closest, off) = (closest.name(), errors.absolute);
            findings.push(format!("{name}: closest of these three, off by {off:.3} on average: {closest}."));
        }
        findings
    }

    fn table(&self) -> Table {
        let caption = format!(
            "Error (approximation − exact margin), mean ± standard deviation, and in brackets the share of images whose approximation is above the exact value by more than {}; \
             λ = {}, ε = {}",
            self.tolerance,
            self.lambda,
            radius(self.epsilon)
        );
        let mut table = Table::new(&caption, &["network", "images"]);
        table.head.extend(Approximation::ALL.map(|approximation| approximation.name().to_string()));
        for model in &self.models {
            for (only_robust, name) in [(false, "all"), (true, "robust")] {
                let of = |approximation| self.errors(model, approximation, only_robust);
                let images = of(Approximation::Ibp).images;
                let mut row = vec![model.model.clone(), format!("{name} {}", count(images as u64))];
                row.extend(Approximation::ALL.map(|approximation| cell(&of(approximation))));
                table.rows.push(row);
            }
        }
        table
    }

    fn figure(&self) -> Figure {
        let charts: Vec<Chart> = self.models.iter().map(|model| chart(model, self.lambda)).collect();
        Figure {
            name: String::new(),
            caption: format!(
                "Errors of IBP over the ball, of SABR's small box (λ = {}) and of the training attack against the exact worst-case margin of each {} image of {}, ε = {}: a \
                 histogram for each network. Right of 0 the worst case is overestimated, left of it underestimated; the \
                 outermost bars hold what lies beyond them.",
                self.lambda,
                self.split,
                self.dataset,
                radius(self.epsilon)
            ),
            columns: if charts.len() == 3 { 3 } else { charts.len().clamp(1, 2) },
            charts,
        }
    }
}

/// Images without an exact value.
fn open(model: &Model) -> usize {
    model.images.iter().filter(|image| image.open.is_some()).count()
}

/// Images that are proved robust.
fn robust(model: &Model) -> usize {
    model.images.iter().filter(|image| image.is_robust()).count()
}

fn cell(errors: &Errors) -> String {
    match errors.images {
        0 => "–".into(),
        images => {
            let over = 100.0 * errors.over as f64 / images as f64;
            format!("{:+.3} ± {:.3} ({over:.0} %)", errors.mean, errors.deviation)
        }
    }
}

/// A histogram for each method, on the same bars.
fn chart(model: &Model, lambda: f64) -> Chart {
    let of = |approximation| model.images.iter().filter_map(move |image: &Image| image.error(approximation));
    let mut all: Vec<f64> = DRAWN.into_iter().flat_map(of).collect();
    all.sort_by(f64::total_cmp);
    let edges = edges(&all);
    let series = |(style, approximation): (usize, Approximation)| {
        let values: Vec<f64> = of(approximation).collect();
        let name = match approximation {
            Approximation::Sabr => format!("{}, λ = {lambda}", approximation.name()),
            _ => approximation.name().into(),
        };
        Series::new(&name, style, Mark::Histogram { heights: heights(&values, &edges), edges: edges.clone() })
    };
    Chart {
        title: format!("{}, {} images", model.model, count((model.images.len() - open(model)) as u64)),
        x: Axis::linear("approximation − exact margin", ""),
        y: Axis::linear("share of images", "%").within(0.0, 100.0),
        equal_axes: false,
        series: DRAWN.into_iter().enumerate().map(series).collect(),
    }
}

/// Ends of the bars for sorted `values`: 0 is one of them, and few values lie beyond.
fn edges(values: &[f64]) -> Vec<f64> {
    let at = |share: f64| values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(TAIL).min(0.0), at(1.0 - TAIL).max(0.0));
    let width = ((high - low) / BARS as f64).max(1e-6);
    let first = (low / width).floor() as i64;
    let last = ((high / width).ceil() as i64).max(first + 1);
    (first..=last).map(|i| i as f64 * width).collect()
}

/// Percentages of `values` in the bars; what lies beyond counts for the outermost ones.
fn heights(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let bars = edges.len() - 1;
    let mut heights = vec![0.0; bars];
    let each = 100.0 / values.len().max(1) as f64;
    for value in values {
        let behind = edges.partition_point(|edge| edge <= value);
        heights[behind.saturating_sub(1).min(bars - 1)] += each;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_every_value_and_end_at_zero() {
        for values in [vec![], vec![0.0], vec![0.0; 5], vec![-2.0, -1.0, 0.0, 3.0], (0..1000).map(f64::from).collect()]
        {
            let edges = edges(&values);
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
            assert!(edges.contains(&0.0) && edges.len() <= BARS + 3, "{edges:?}");
            let sum: f64 = heights(&values, &edges).iter().sum();
            assert!((sum - if values.is_empty() { 0.0 } else { 100.0 }).abs() < 1e-9, "{values:?}: {sum}");
        }
        assert_eq!(heights(&[-5.0, -0.5, 0.0, 0.5, 7.0], &[-1.0, 0.0, 1.0]), [40.0, 60.0]);
    }
}
