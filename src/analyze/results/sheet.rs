//! The numbers as rows.

use super::{Results, Setting, Verifier};
use crate::analyze::Sheet;

const HEAD: [&str; 16] = [
    "dataset",
    "epsilon",
    "network",
    "method",
    "arch",
    "verifier",
    "timeout_seconds",
    "images",
    "natural",
    "natural_low",
    "natural_high",
    "certified",
    "certified_low",
    "certified_high",
    "open",
    "source",
];

impl Results {
    /// One row for each measurement and each published result; rates in 0..1.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new(&HEAD);
        sheet.rows = self.settings.iter().flat_map(rows).collect();
        sheet
    }
}

fn rows(setting: &Setting) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for measured in &setting.measured {
        let (verifier, timeout, open) = match &measured.verifier {
            Verifier::Intervals => ("intervals in f32", String::new(), String::new()),
            Verifier::Cascade { method, timeout, open, .. } => (method.as_str(), timeout.to_string(), open.to_string()),
        };
        let mut row = vec![
            setting.dataset.clone(),
            measured.epsilon.to_string(),
            measured.network.clone(),
            measured.method.clone(),
            measured.arch.clone(),
            verifier.to_string(),
            timeout,
            measured.images.to_string(),
        ];
        for rate in [&measured.natural, &measured.certified] {
            row.extend([rate.rate, rate.low, rate.high].map(|share| share.to_string()));
        }
        row.extend([open, "own".to_string()]);
        rows.push(row);
    }
    for published in &setting.published {
        let mut row = vec![String::new(); HEAD.len()];
        row[0] = setting.dataset.clone();
        row[1] = setting.epsilon.to_string();
        row[3] = published.method.to_string();
        row[4] = "cnn7".to_string();
        row[5] = published.verifier.to_string();
        row[8] = published.natural.map_or(String::new(), |natural| natural.to_string());
        row[11] = published.certified.to_string();
        row[15] = published.source.to_string();
        rows.push(row);
    }
    rows
}
