//! The page itself.

use std::time::Duration;

use super::analyses::ReportedAnalysis;
use super::figures::charts;
use super::html::{Cell, figure, figure_with, markup, none, table, words};
use super::run::ReportedRun;
use super::section::section;
use super::settings;
use crate::figure::{escape, sample};
use crate::numbers::{bytes, count, duration};
use crate::train::{MethodKind, Rate};

/// The style sheet, which stands within the page.
const STYLE: &str = include_str!("style.css");

/// `93.12 %`.
fn percent(rate: f64) -> String {
    format!("{:.2} %", 100.0 * rate)
}

/// The HTML page that compares `runs` and shows `analyses`, of which there may be none; the same ones give the same text.
pub fn page(runs: &[ReportedRun], analyses: &[ReportedAnalysis]) -> String {
    let title = escape(&title(runs, analyses));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    if analyses.len() > usize::from(runs.is_empty()) {
        html += &contents(runs, analyses);
    }
    if !runs.is_empty() {
        html += &self::runs(runs);
    }
    for (i, analysis) in analyses.iter().enumerate() {
        html += &section(&analysis_id(i), analysis);
    }
    html += &format!(
        "<p class=\"faint\">This page was made by smallbox {}.</p>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    html
}

/// Headings of the part about runs, with what the table of contents points at.
const RUN_PARTS: [(&str, &str); 4] = [
    ("accuracies", "Accuracies on the test split"),
    ("runs", "Runs"),
    ("epochs", "Over the epochs"),
    ("settings", "Settings"),
];

fn run_heading(id: &str) -> String {
    let heading = RUN_PARTS.iter().find(|(part, _)| *part == id).map_or("", |(_, heading)| heading);
    format!("<h2 id=\"{id}\">{heading}</h2>\n")
}

fn analysis_id(index: usize) -> String {
    format!("analysis-{}", index + 1)
}

fn contents(runs: &[ReportedRun], analyses: &[ReportedAnalysis]) -> String {
    let mut html = "<nav aria-label=\"Contents\">\n<ul>\n".to_string();
    let mut entry = |id: &str, text: &str| html += &format!("<li><a href=\"#{id}\">{}</a></li>\n", escape(text));
    if !runs.is_empty() {
        RUN_PARTS.iter().for_each(|(id, heading)| entry(id, heading));
    }
    for (i, analysis) in analyses.iter().enumerate() {
        entry(&analysis_id(i), &analysis.title);
    }
    html + "</ul>\n</nav>\n"
}

/// The part about runs.
fn runs(runs: &[ReportedRun]) -> String {
    let mut html = introduction(runs);
    html += &run_heading("accuracies");
    html += &accuracies(runs);
    html += &run_heading("runs");
    html += &costs(runs);
    html += &run_heading("epochs");
    html += "<p class=\"faint\">Rates here are those of the first images of each split (up to \
             1 000), under the attack of the training, at the full ε. Point at a value to read it.</p>\n<div class=\"charts\">\n";
    for chart in charts(runs) {
        html += &chart.svg();
    }
    html += "</div>\n";
    html += &run_heading("settings");
    html += &differences(runs);
    for run in runs {
        html += &all_settings(run);
    }
    html
}

/// The different texts in `of`, in the order they come, with commas.
fn distinct(runs: &[ReportedRun], of: impl Fn(&ReportedRun) -> String) -> String {
    let mut seen: Vec<String> = Vec::new();
    for text in runs.iter().map(of) {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen.join(", ")
}

fn title(runs: &[ReportedRun], analyses: &[ReportedAnalysis]) -> String {
    if runs.is_empty() {
        return match analyses {
            [alone] => format!("smallbox: {}", alone.title),
            _ => format!("smallbox: {} analyses", analyses.len()),
        };
    }
    let number = if runs.len() == 1 { "1 run".into() } else { format!("{} runs", runs.len()) };
    let methods = distinct(runs, |run| run.config.method.name().into());
    format!("smallbox: {number} on {}: {methods}", distinct(runs, |run| run.config.dataset.clone()))
}

fn introduction(runs: &[ReportedRun]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.label.clone()).collect();
    let mut html = format!("<p>Compared: {}.</p>\n", escape(&names.join(", ")));
    let incomplete: Vec<&ReportedRun> = runs.iter().filter(|run| !run.complete()).collect();
    for run in incomplete {
        html += &format!("<p class=\"warn\">{}: {}.</p>\n", escape(&run.label), escape(&run.status()));
    }
    html + "<p class=\"faint\">Certified means: by interval bounds in f32, an estimate and not yet a proof. Small figures are \
           95 % intervals (Wilson). Test figures are those of the last epoch; the best epoch is chosen on the validation split \
           and is not what was tested.</p>\n"
}

/// The name of a run with its look in the charts, and what is missing of it.
fn name(index: usize, run: &ReportedRun) -> Cell {
    let status =
        if run.complete() { String::new() } else { format!("<small class=\"warn\">{}</small>", escape(&run.status())) };
    markup(format!("{}{}{status}", sample(index), escape(&run.label)))
}

/// The method with the parameters that it has.
fn method(run: &ReportedRun) -> Cell {
    let parameter = run.parameter().map_or(String::new(), |parameter| format!(", {parameter}"));
    words(&format!("{}{parameter}", run.config.method.name()))
}

fn rate(rate: &Rate) -> Cell {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    figure_with(&self::percent(rate.rate), &format!("{}–{}", percent(rate.low), percent(rate.high)))
}

fn accuracies(runs: &[ReportedRun]) -> String {
    let published = runs.iter().any(|run| run.result.as_ref().is_some_and(|result| result.published.is_some()));
    let best = runs.iter().any(|run| run.result.as_ref().is_some_and(|result| result.best.is_some()));
    let steps = distinct(runs, |run| run.config.eval_attack_steps.to_string());
    let mut head = vec![
        words("run"),
        words("method"),
        figure("ε"),
        figure("images"),
        figure("natural"),
        figure(&format!("adversarial (PGD-{})", steps.replace(", ", "/"))),
        figure("IBP-certified"),
    ];
    if best {
        head.push(figure_with("best epoch", "chosen by, on validation"));
    }
    if published {
        head.push(figure_with("published natural", "by others"));
        head.push(figure_with("published certified", "by another verifier"));
        head.push(words("their verifier and source"));
    }
    let row = |(index, run): (usize, &ReportedRun)| {
        let mut row = vec![name(index, run), method(run), figure(&run.config.epsilon.to_string())];
        match &run.result {
            Some(result) => row.extend([
                figure(&count(result.test.images as u64)),
                rate(&result.test.natural),
                rate(&result.test.adversarial),
                rate(&result.test.ibp),
            ]),
            None => row.extend([none(), none(), none(), none()]),
        }
        if best {
            row.push(run.result.as_ref().and_then(|result| result.best.as_ref()).map_or_else(none, |best| {
                let (word, rate) = match run.config.method {
                    MethodKind::Std | MethodKind::Pgd => ("adversarial", best.validation.adversarial),
                    _ => ("IBP", best.validation.ibp),
                };
                figure_with(&best.epoch.to_string(), &format!("{word} {}", percent(rate.rate)))
            }));
        }
        if published {
            let theirs = run.result.as_ref().and_then(|result| result.published.as_ref());
            let share = |rate: Option<f64>| rate.map_or_else(none, |rate| figure(&percent(rate)));
            row.push(share(theirs.and_then(|theirs| theirs.natural)));
            row.push(share(theirs.and_then(|theirs| theirs.certified)));
            let whence = theirs.map(|theirs| [&theirs.verifier, &theirs.source].into_iter().flatten());
            let whence = whence.map(|parts| parts.cloned().collect::<Vec<_>>().join("; "));
            row.push(whence.filter(|text| !text.is_empty()).map_or_else(none, |text| words(&text)));
        }
        row
    };
    let rows: Vec<_> = runs.iter().enumerate().map(row).collect();
    let note = if published {
        "Published figures were measured by others, with another verifier: a stronger one certifies more of the same network."
    } else {
        ""
    };
    table(note, &head, &rows)
}

fn costs(runs: &[ReportedRun]) -> String {
    let head = [
        words("run"),
        words("state"),
        words("network"),
        words("dataset"),
        figure("epochs"),
        figure("batch"),
        figure("seed"),
        words("device"),
        figure("time"),
        figure("samples/s"),
        figure("peak memory"),
    ];
    let row = |(index, run): (usize, &ReportedRun)| {
        let c = &run.config;
        let device =
            c.run.as_ref().map_or_else(none, |record| words(&format!("{}: {}", record.device.id, record.device.name)));
        let time = run.seconds().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let state = if run.complete() { words("complete") } else { words("incomplete") };
        vec![
            markup(format!("{}{}", sample(index), escape(&run.label))),
            state,
            words(&c.arch),
            words(&c.dataset),
            figure(&format!("{} of {}", run.epochs(), c.epochs)),
            figure(&c.batch.to_string()),
            figure(&c.seed.to_string()),
            device,
            time.map_or_else(none, |time| figure(&duration(time))),
            run.samples_per_second().map_or_else(none, |speed| figure(&count(speed.round() as u64))),
            run.result.as_ref().map_or_else(none, |result| figure(&bytes(result.peak_bytes))),
        ]
    };
    table("", &head, &runs.iter().enumerate().map(row).collect::<Vec<_>>())
}

fn differences(runs: &[ReportedRun]) -> String {
    if runs.len() == 1 {
        return String::new();
    }
    let differing = settings::differences(runs);
    if differing.is_empty() {
        return "<p>The runs have the same settings.</p>\n".into();
    }
    let mut head = vec![words("setting")];
    head.extend(runs.iter().enumerate().map(|(i, run)| markup(format!("{}{}", sample(i), escape(&run.label)))));
    let row = |(key, values): &(String, Vec<Option<String>>)| {
        let value = |value: &Option<String>| value.as_deref().map_or_else(none, words);
        std::iter::once(words(key)).chain(values.iter().map(value)).collect()
    };
    table("Settings in which the runs differ", &head, &differing.iter().map(row).collect::<Vec<_>>())
}

fn all_settings(run: &ReportedRun) -> String {
    let rows: Vec<_> = settings::of(run).iter().map(|(key, value)| vec![words(key), words(value)]).collect();
    let (label, path) = (escape(&run.label), escape(&run.path.display().to_string()));
    let table = table("", &[words("setting"), words("value")], &rows);
    format!("<details><summary>All settings of {label} <small>({path})</small></summary>\n{table}</details>\n")
}
