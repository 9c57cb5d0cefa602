//! The settings of runs side by side.

use std::collections::BTreeMap;

use super::run::ReportedRun;

/// Every setting that was made, by its key; those of a table within are `table.key`.
pub(super) fn of(run: &ReportedRun) -> Vec<(String, String)> {
    let table: toml::Table = toml::from_str(&run.config.to_toml()).expect("a configuration is TOML");
    let mut settings = Vec::new();
    flatten("", &table, &mut settings);
    settings
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{key}."), inner, settings),
            toml::Value::String(text) => settings.push((key, text.clone())),
            other => settings.push((key, other.to_string())),
        }
    }
}

/// The keys in which `runs` differ, each with the value in every run; `None` where a run leaves it open.
pub(super) fn differences(runs: &[ReportedRun]) -> Vec<(String, Vec<Option<String>>)> {
    let all: Vec<Vec<(String, String)>> = runs.iter().map(of).collect();
    // In the order in which the keys first come up.
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in all.iter().flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let tables: Vec<BTreeMap<&String, &String>> =
        all.iter().map(|settings| settings.iter().map(|(key, value)| (key, value)).collect()).collect();
    let row = |key: &String| tables.iter().map(|table| table.get(key).map(|value| value.to_string())).collect();
    let rows = keys.into_iter().map(|key| (key.clone(), row(key)));
    rows.filter(|(_, values): &(String, Vec<_>)| values.windows(2).any(|pair| pair[0] != pair[1])).collect()
}
