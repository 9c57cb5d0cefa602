//! The metrics of a run, one row per epoch, from `metrics.jsonl` or, where that is not kept, `metrics.csv`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Keys that every line has had since the first version.
const REQUIRED: [&str; 9] =
    ["epoch", "step", "seconds", "epsilon", "lr", "loss", "train_natural", "train_adversarial", "train_ibp"];

/// The figures of one epoch by their keys. A figure that was not measured (`null`, an empty cell) is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From 1.
    pub epoch: u32,
    figures: HashMap<String, f64>,
}

impl Row {
    /// The figure `key`.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.figures.get(key).copied()
    }
}

/// All epochs of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// In rising order, at least one.
    pub rows: Vec<Row>,
    /// What was skipped, for the user.
    pub note: Option<String>,
}

impl History {
    /// Reads the metrics in the run directory `run`.
    ///
    /// A last line without its end is being written, or was cut off by a crash: it is skipped, and noted.
    ///
    /// # Errors
    /// [`Error::Data`] that names file and line: no metrics, a line that is not one, a missing key, epochs out of order.
    pub fn read(run: &Path) -> Result<History> {
        for (name, parse) in [("metrics.jsonl", json_lines as Parse), ("metrics.csv", csv_lines)] {
            let path = run.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => return history(&path, &bytes, parse),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&path)(error)),
            }
        }
        Err(Error::data(run.join("metrics.jsonl"), "no such file, nor metrics.csv: no epoch of this run has ended yet"))
    }
}

/// From the whole lines of a file (numbered from 1) to the figures of each epoch; on a mistake, the number of the line.
type Parse = fn(&[(usize, &str)]) -> std::result::Result<Vec<Numbered>, (usize, String)>;

/// Number of the line, and its figures; `None` is a key without a figure.
type Numbered = (usize, HashMap<String, Option<f64>>);

fn history(path: &Path, bytes: &[u8], parse: Parse) -> Result<History> {
    let wrong = |(line, message): (usize, String)| Error::data(path, format!("line {line}: {message}"));
    let (whole, cut) = match bytes.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => bytes.split_at(end + 1),
        None => (&[][..], bytes),
    };
    let text = std::str::from_utf8(whole).map_err(|error| {
        let before = whole[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        wrong((before + 1, "not UTF-8 text".into()))
    })?;
    let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for (line, figures) in parse(&lines).map_err(wrong)? {
        let row = row(figures).map_err(|message| wrong((line, message)))?;
        if let Some(before) = rows.last().filter(|before| before.epoch >= row.epoch) {
            return Err(wrong((line, format!("epoch {} after epoch {}", row.epoch, before.epoch))));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(wrong((1, "no whole line: no epoch of this run has ended yet".into())));
    }
    let skipped = lines.len() + 1;
    let note = (!cut.is_empty()).then(|| format!("{}: line {skipped} has no end yet and is skipped", path.display()));
    Ok(History { rows, note })
}

fn row(figures: HashMap<String, Option<f64>>) -> std::result::Result<Row, String> {
    if let Some(key) = REQUIRED.iter().find(|key| !figures.contains_key(**key)) {
        return Err(format!("no key '{key}'"));
    }
    let epoch = figures["epoch"].unwrap_or(f64::NAN);
    if epoch.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&epoch) {
        return Err(format!("epoch = {epoch}: expected a whole number from 1"));
    }
    let figures = figures.into_iter().filter_map(|(key, figure)| Some((key, figure?))).collect();
    Ok(Row { epoch: epoch as u32, figures })
}

fn json_lines(lines: &[(usize, &str)]) -> std::result::Result<Vec<Numbered>, (usize, String)> {
    let parse = |&(line, text): &(usize, &str)| {
        let object: serde_json::Map<String, Value> =
            serde_json::from_str(text).map_err(|e| (line, format!("not a JSON object of figures: {e}")))?;
        let figure = |(key, value): (String, Value)| match value {
            Value::Null => Ok((key, None)),
            value => match value.as_f64() {
                Some(number) => Ok((key, Some(number))),
                None => Err((line, format!("{key} = {value}: expected a number or null"))),
            },
        };
        Ok((line, object.into_iter().map(figure).collect::<std::result::Result<_, _>>()?))
    };
    lines.iter().map(parse).collect()
}

fn csv_lines(lines: &[(usize, &str)]) -> std::result::Result<Vec<Numbered>, (usize, String)> {
    let Some(((_, header), rest)) = lines.split_first() else { return Ok(Vec::new()) };
    let keys: Vec<&str> = header.split(',').collect();
    let parse = |&(line, text): &(usize, &str)| {
        let cells: Vec<&str> = text.split(',').collect();
        if cells.len() != keys.len() {
            return Err((line, format!("{} cells: expected {}, as in line 1", cells.len(), keys.len())));
        }
        let figure = |(key, cell): (&&str, &str)| match cell {
            "" => Ok((key.to_string(), None)),
            cell => match cell.parse() {
                Ok(number) => Ok((key.to_string(), Some(number))),
                Err(_) => Err((line, format!("{key} = {cell:?}: expected a number or nothing"))),
            },
        };
        Ok((line, keys.iter().zip(cells).map(figure).collect::<std::result::Result<_, _>>()?))
    };
    rest.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "epoch,step,seconds,epsilon,lr,loss,train_natural,train_adversarial,train_ibp,validation_ibp";

    fn read(name: &str, text: &str) -> Result<History> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        History::read(folder.path())
    }

    fn json_line(epoch: u32) -> String {
        let cells = [epoch.to_string().as_str(), "3", "1.5", "0.1", "2e-3", "0.5", "0.9", "0.8", "0.7", "null"]
            .map(String::from);
        let pairs: Vec<String> = HEADER.split(',').zip(cells).map(|(key, cell)| format!("\"{key}\":{cell}")).collect();
        format!("{{{}}}\n", pairs.join(","))
    }

    #[test]
    fn both_forms_give_the_same_rows() {
        let json = read("metrics.jsonl", &(json_line(1) + &json_line(2))).unwrap();
        let csv = format!("{HEADER}\n1,3,1.5,0.1,0.002,0.5,0.9,0.8,0.7,\n2,3,1.5,0.1,0.002,0.5,0.9,0.8,0.7,\n");
        assert_eq!(read("metrics.csv", &csv).unwrap(), json);
        assert_eq!((json.rows.len(), json.rows[1].epoch, json.note), (2, 2, None));
        assert_eq!((json.rows[0].get("loss"), json.rows[0].get("validation_ibp")), (Some(0.5), None));
    }

    #[test]
    fn a_last_line_without_its_end_is_skipped_and_noted() {
        for cut in ["{\"epoch\":2,\"st", "{", json_line(2).trim_end()] {
            let history = read("metrics.jsonl", &(json_line(1) + cut)).unwrap();
            assert_eq!(history.rows.len(), 1);
            assert!(history.note.unwrap().contains("metrics.jsonl: line 2"));
        }
        let error = read("metrics.jsonl", "{\"epoch\"").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("no epoch"), "{error}");
    }

    #[test]
    fn mistakes_name_the_line() {
        let good = json_line(1);
        for (second, parts) in [
            ("{\"epoch\":2,\n", &["line 2", "JSON"][..]),
            ("[]\n", &["line 2", "JSON"]),
            ("{\"epoch\":2}\n", &["line 2", "'step'"]),
            (good.as_str(), &["line 2", "epoch 1 after epoch 1"]),
            (&json_line(2).replace("0.5", "\"low\""), &["line 2", "loss", "low"]),
            (&json_line(2).replace("\"epoch\":2", "\"epoch\":1.5"), &["line 2", "1.5"]),
        ] {
            let error = read("metrics.jsonl", &format!("{good}{second}")).unwrap_err();
            assert_eq!(error.exit_code(), 5);
            for part in parts {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
        }
        for (rows, part) in [("1,2\n", "line 2: 2 cells"), ("x,3,1,0,1,1,1,1,1,1\n", "line 2: epoch = \"x\"")] {
            let error = read("metrics.csv", &format!("{HEADER}\n{rows}")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(read("other", "").unwrap_err().to_string().contains("metrics.jsonl"));
    }
}
