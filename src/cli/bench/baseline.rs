//! `--baseline`: the medians of now beside those of an earlier run, and a gate on them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smallbox::device::DeviceInfo;
use smallbox::error::{Error, Result};

use crate::cli::format::{Side, table};
use crate::cli::{output, parse};

/// Options of every `bench`.
#[derive(clap::Args)]
pub struct Gate {
    /// Hold the medians beside those of an earlier output of the same command with --json
    #[arg(long, value_name = "F.json")]
    baseline: Option<PathBuf>,
    /// Exit with 7 if a median is more than PCT percent above the baseline's
    #[arg(long, value_name = "PCT", requires = "baseline", value_parser = parse::number, allow_negative_numbers = true)]
    fail_above: Option<f64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The rows of an earlier run.
pub struct Baseline {
    path: PathBuf,
    device: String,
    /// Names and medians in milliseconds.
    medians: Vec<(String, f64)>,
}

/// A row now and before, in milliseconds.
struct Pair {
    name: String,
    now: f64,
    before: f64,
}

impl Gate {
    /// Reads the baseline, if one was named: before anything is measured, so that a wrong file costs no time.
    pub fn read(&self, device: &DeviceInfo) -> Result<Option<Baseline>> {
        if let Some(percent) = self.fail_above.filter(|percent| *percent < 0.0) {
            return Err(Error::Usage(format!("--fail-above {percent}: expected at least 0 percent")));
        }
        let Some(path) = &self.baseline else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let baseline = Baseline::parse(path, &text)?;
        if baseline.device != device.name {
            let message = format!("was measured on {}, this is {} ({})", baseline.device, device.name, device.id);
            return Err(Error::data(path, message));
        }
        Ok(Some(baseline))
    }

    /// Prints the result, `document` (which has `rows`) or `text`, with the comparison, and fails where the gate does. `whole`: all
    /// rows of the command were measured, so that one which only the baseline has is missing.
    pub fn finish(&self, mut document: Value, text: &str, baseline: Option<&Baseline>, whole: bool) -> Result<()> {
        let pairs = baseline.map(|baseline| baseline.pairs(rows(&document), whole)).transpose()?;
        if self.json {
            if let (Some(pairs), Some(path)) = (&pairs, &self.baseline) {
                let of = |p: &Pair| json!({ "name": p.name, "median_ms": p.now, "baseline_ms": p.before, "ratio": p.ratio() });
                document["baseline"] = json!({ "file": path, "rows": pairs.iter().map(of).collect::<Vec<_>>() });
            }
            output::print_json(&document)?;
        } else {
            let compared = pairs.as_deref().map_or_else(String::new, |pairs| format!("\n{}", comparison(pairs)));
            output::print(&format!("{text}{compared}"))?;
        }
        self.fail_above.zip(pairs).map_or(Ok(()), |(percent, pairs)| verdict(&pairs, percent))
    }
}

fn rows(document: &Value) -> &[Value] {
    document["rows"].as_array().map_or(&[], Vec::as_slice)
}

/// Name and median of a row.
fn median(row: &Value) -> Option<(String, f64)> {
    let median = row["median_ms"].as_f64().filter(|ms| ms.is_finite() && *ms > 0.0)?;
    Some((row["name"].as_str()?.to_string(), median))
}

impl Baseline {
    fn parse(path: &Path, text: &str) -> Result<Baseline> {
        let wrong = |what: String| Error::data(path, format!("{what}; expected the output of a bench with --json"));
        let document: Value = serde_json::from_str(text).map_err(|e| wrong(format!("not JSON: {e}")))?;
        let device = document["device_name"].as_str().ok_or_else(|| wrong("has no device_name".into()))?;
        let medians: Option<Vec<(String, f64)>> = rows(&document).iter().map(median).collect();
        let medians = medians.filter(|medians| !medians.is_empty());
        let medians = medians.ok_or_else(|| wrong("has no rows with a name and a median_ms above 0".into()))?;
        Ok(Baseline { path: path.to_path_buf(), device: device.to_string(), medians })
    }

    fn pairs(&self, now: &[Value], whole: bool) -> Result<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(now.len());
        for (name, now) in now.iter().filter_map(median) {
            let Some((_, before)) = self.medians.iter().find(|(n, _)| *n == name) else {
                return Err(Error::data(&self.path, format!("no row '{name}': measure the baseline anew")));
            };
            pairs.push(Pair { name, now, before: *before });
        }
        match self.medians.iter().find(|(name, _)| !pairs.iter().any(|pair| pair.name == *name)) {
            Some((name, _)) if whole => {
                Err(Error::data(&self.path, format!("row '{name}' was not measured now: same options as then?")))
            }
            _ => Ok(pairs),
        }
    }
}

impl Pair {
    /// Above 1 where it has become slower.
    fn ratio(&self) -> f64 {
        self.now / self.before
    }
}

fn comparison(pairs: &[Pair]) -> String {
    let mut cells = vec![["row", "ms", "baseline ms", "ratio"].map(String::from).to_vec()];
    let row = |p: &Pair| {
        vec![p.name.clone(), format!("{:.3}", p.now), format!("{:.3}", p.before), format!("{:.3}", p.ratio())]
    };
    cells.extend(pairs.iter().map(row));
    table(&[Side::Left, Side::Right, Side::Right, Side::Right], &cells)
}

fn verdict(pairs: &[Pair], percent: f64) -> Result<()> {
    let slower: Vec<&Pair> = pairs.iter().filter(|pair| pair.ratio() > 1.0 + percent / 100.0).collect();
    let Some(worst) = slower.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio())) else { return Ok(()) };
    Err(Error::Gate(format!(
        "{} of {} rows slower than the baseline by more than {percent} %, most of all {}: {:.3} ms, then {:.3} ms ({:+.1} %)",
        slower.len(),
        pairs.len(),
        worst.name,
        worst.now,
        worst.before,
        100.0 * (worst.ratio() - 1.0)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(rows: &[(&str, f64)]) -> Value {
        let rows: Vec<Value> = rows.iter().map(|(name, ms)| json!({ "name": name, "median_ms": ms })).collect();
        json!({ "device": "cpu", "device_name": "2 threads", "rows": rows })
    }

    fn baseline(rows: &[(&str, f64)]) -> Baseline {
        Baseline::parse(Path::new("b.json"), &document(rows).to_string()).unwrap()
    }

    fn pairs(before: &[(&str, f64)], now: &[(&str, f64)], whole: bool) -> Result<Vec<Pair>> {
        baseline(before).pairs(rows(&document(now)), whole)
    }

    #[test]
    fn the_gate_fails_on_a_row_that_became_slower_by_more() {
        let pairs = pairs(&[("a", 10.0), ("b", 2.0)], &[("a", 10.9), ("b", 1.0)], true).unwrap();
        assert!(verdict(&pairs, 10.0).is_ok());
        let error = verdict(&pairs, 5.0).unwrap_err();
        assert_eq!(error.exit_code(), 7);
        assert!(error.to_string().contains("1 of 2 rows") && error.to_string().contains("a: 10.900 ms"), "{error}");
        assert!(comparison(&pairs).contains("1.090"), "{}", comparison(&pairs));
    }

    #[test]
    fn rows_that_one_side_lacks_are_named() {
        let missing =
            |before: &[(&str, f64)], now: &[(&str, f64)], whole| pairs(before, now, whole).err().map(|e| e.to_string());
        assert!(missing(&[("a", 1.0)], &[("a", 1.0), ("b", 1.0)], false).unwrap().contains("no row 'b'"));
        assert!(missing(&[("a", 1.0), ("b", 1.0)], &[("a", 1.0)], true).unwrap().contains("'b' was not measured"));
        assert_eq!(missing(&[("a", 1.0), ("b", 1.0)], &[("a", 1.0)], false), None);
    }

    #[test]
    fn what_is_no_baseline_is_refused() {
        let refused = |text: &str| Baseline::parse(Path::new("b.json"), text).err().expect("refused").to_string();
        assert!(refused("{").contains("not JSON"));
        assert!(refused("{}").contains("device_name"));
        assert!(refused("{\"device_name\": \"x\", \"rows\": []}").contains("rows"));
        assert!(refused(&document(&[("a", 0.0)]).to_string()).contains("above 0"));
    }
}
