//! Accuracies as a table and as JSON.

use std::path::Path;

use serde_json::{Value, json};
use smallbox::train::{BestEpoch, Config, Evaluation, MethodKind, Rate};

use super::format::{Side, count, radius, table as lines};

/// The method with the parameters that it has.
pub fn method(config: &Config) -> String {
    let (name, epsilon) = (config.method.name(), radius(config.epsilon));
    match config.method {
        MethodKind::Sabr | MethodKind::Staps => format!("{name} with ε = {epsilon}, λ = {}", config.lambda),
        MethodKind::CcIbp | MethodKind::MtlIbp | MethodKind::ExpIbp => {
            format!("{name} with ε = {epsilon}, α = {}", config.alpha)
        }
        MethodKind::Std => format!("{name} (measured at ε = {epsilon})"),
        MethodKind::Pgd | MethodKind::Ibp | MethodKind::Taps => format!("{name} with ε = {epsilon}"),
    }
}

/// Natural, adversarial and certified accuracy with their 95 % intervals.
pub fn table(evaluation: &Evaluation, attack_steps: usize) -> String {
    let row = |name: String, rate: &Rate| {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        vec![
            name,
            format!("{}/{}", count(rate.count as u64), count(evaluation.images as u64)),
            format!("{} %", percent(rate.rate)),
            format!("{} to {} %", percent(rate.low), percent(rate.high)),
        ]
    };
    let head = ["accuracy", "images", "rate", "95 % interval"].map(String::from).to_vec();
    let rows = [
        head,
        row("natural".into(), &evaluation.natural),
        row(format!("adversarial (PGD-{attack_steps})"), &evaluation.adversarial),
        row("IBP-certified".into(), &evaluation.ibp),
    ];
    lines(&[Side::Left, Side::Right, Side::Right, Side::Right], &rows)
}

/// What was evaluated.
pub struct Evaluated<'a> {
    /// Run directory or file.
    pub model: &'a Path,
    /// Name of the dataset.
    pub dataset: &'a str,
    /// Name of the split.
    pub split: &'a str,
    /// Radius.
    pub epsilon: f64,
}

/// The keys of `eval --json`.
pub fn document(of: &Evaluated<'_>, evaluation: &Evaluation) -> Value {
    json!({
        "model": of.model,
        "dataset": of.dataset,
        "split": of.split,
        "epsilon": of.epsilon,
        "images": evaluation.images,
        "natural": evaluation.natural,
        "adversarial": evaluation.adversarial,
        "ibp": evaluation.ibp,
    })
}

/// The key `best` of a run's result: the epoch whose weights `best.safetensors` holds, with its rates on the validation slice.
pub fn best_document(best: &BestEpoch) -> Value {
    let validation = best.validation();
    json!({
        "epoch": best.epoch,
        "validation": {
            "images": validation.images,
            "natural": validation.natural,
            "adversarial": validation.adversarial,
            "ibp": validation.ibp,
            "box": validation.small_box,
        },
    })
}
