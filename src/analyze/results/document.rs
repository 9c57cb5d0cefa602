//! Results in words and pictures.

use super::{Measured, Results, Setting, Verifier};
use crate::analyze::{Document, Table};
use crate::figure::{Axis, Chart, Dot, Figure, Mark, Series};
use crate::numbers::{count, radius};
use crate::train::Rate;
use crate::train::published::Published;

/// Numbers of the markers: a disc, a square, a triangle, a diamond.
const ESTIMATED: usize = 0;
const COMPLETE: usize = 1;
const PROVED: usize = 2;
const PUBLISHED: usize = 3;

/// The look with this colour and this marker, whatever the dashes.
fn look(colour: usize, marker: usize) -> usize {
    // Colours repeat after 7, markers after 4, which have no divisor in common.
    (0..28).find(|style| style % 7 == colour % 7 && style % 4 == marker).unwrap_or(colour)
}

/// The look of a dashed line with this colour: 5 is the number of dashes, of which number 0 is solid.
fn dashed(colour: usize) -> usize {
    (0..35).find(|style| style % 7 == colour % 7 && style % 5 == 1).unwrap_or(colour)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// `93.12 % (92.60 to 93.60)`.
fn with_interval(rate: &Rate) -> String {
    format!("{} ({:.2} to {:.2})", percent(rate.rate), 100.0 * rate.low, 100.0 * rate.high)
}

impl Verifier {
    /// In a legend.
    fn name(&self) -> &str {
        match self {
            Verifier::Intervals => "IBP",
            Verifier::Cascade { method, .. } => method,
        }
    }

    /// In a table.
    fn words(&self) -> String {
        match self {
            Verifier::Intervals => "IBP in f32".into(),
            Verifier::Cascade { method, timeout, .. } => format!("{method}, {timeout} s an image"),
        }
    }

    fn marker(&self) -> usize {
        match self {
            Verifier::Intervals => ESTIMATED,
            Verifier::Cascade { method, .. } if method == "bab" => COMPLETE,
            Verifier::Cascade { .. } => PROVED,
        }
    }
}

impl Setting {
    fn title(&self) -> String {
        format!("{}, ε = {}", self.dataset, radius(self.epsilon))
    }

    /// As a part of a file's name.
    fn stem(&self) -> String {
        format!("{}-{}", self.dataset, radius(self.epsilon).replace('/', "_"))
    }

    /// The colour of a published result: that of the first own network by the same method, else one that no network has.
    fn colour(&self, published: &Published, networks: &[String]) -> usize {
        let own = self.measured.iter().find(|measured| measured.method == published.method);
        own.map_or_else(
            || {
                let mut methods: Vec<&str> = Vec::new();
                for method in self.published.iter().map(|published| published.method) {
                    let is_own = self.measured.iter().any(|measured| measured.method == method);
                    if !is_own && !methods.contains(&method) {
                        methods.push(method);
                    }
                }
                networks.len() + methods.iter().position(|method| *method == published.method).unwrap_or(methods.len())
            },
            |measured| colour(measured, networks),
        )
    }

    /// The results with at least this share certified.
    fn chart(&self, title: String, least: f64, networks: &[String]) -> Chart {
        let rates = |name: &str| Axis::linear(name, "%").within(0.0, 100.0);
        let measured = self.measured.iter().filter(|measured| measured.certified.rate >= least);
        let mut series: Vec<Series> = measured.map(|measured| own(measured, networks)).collect();
        for published in self.published.iter().filter(|published| published.certified >= least) {
            let (name, colour) = (legend(published), self.colour(published, networks));
            let certified = 100.0 * published.certified;
            series.push(match published.natural {
                Some(natural) => {
                    let dot = Dot { note: format!("published, {name}"), ..Dot::at(100.0 * natural, certified) };
                    Series::new(&name, look(colour, PUBLISHED), Mark::Dots(vec![dot]))
                }
                None => Series::new(&name, dashed(colour), Mark::Level(certified)),
            });
        }
        Chart { title, x: rates("natural accuracy"), y: rates("certified accuracy"), equal_axes: false, series }
    }

    /// All results, and, where some of them are so low that the others are crowded at the top, these once more.
    fn figure(&self, networks: &[String], name: String) -> Figure {
        let own = || self.measured.iter().map(|measured| measured.certified.rate);
        let all = || own().chain(self.published.iter().map(|published| published.certified));
        let upper = 0.5 * all().fold(0.0, f64::max);
        let mut charts = vec![self.chart(self.title(), 0.0, networks)];
        let mut more = String::new();
        if own().any(|rate| rate < upper) && own().any(|rate| rate >= upper) {
            charts.push(self.chart(format!("{}, the upper part", self.title()), upper, networks));
            more += " On the right those that have at least half of the highest certified accuracy once more.";
        }
        if !self.published.is_empty() {
            more += " Diamonds and dashed lines are published results.";
        }
        let caption = format!(
            "Natural against certified accuracy on the test images of {} within ε = {}: up and to the right is better. Bars are 95 % \
             intervals.{more}",
            self.dataset,
            radius(self.epsilon)
        );
        Figure { name, caption, columns: 2, charts }
    }

    fn table(&self) -> Table {
        let caption = format!("{}: rates in % with their 95 % intervals (Wilson)", self.title());
        let head = ["network", "method", "natural", "certified", "images", "open", "certified by", "source"];
        let mut table = Table::new(&caption, &head);
        let rate = |rate: &Rate| format!("{:.2} ({:.2}–{:.2})", 100.0 * rate.rate, 100.0 * rate.low, 100.0 * rate.high);
        for measured in &self.measured {
            let state = measured.incomplete.as_ref().map_or(String::new(), |state| format!(" ({state})"));
            table.rows.push(vec![
                format!("{}{state}", measured.network),
                measured.method.clone(),
                rate(&measured.natural),
                rate(&measured.certified),
                count(measured.images as u64),
                match &measured.verifier {
                    Verifier::Intervals => "–".into(),
                    Verifier::Cascade { open, .. } => count(*open as u64),
                },
                measured.verifier.words(),
                "own run".into(),
            ]);
        }
        for published in &self.published {
            let share = |share: f64| format!("{:.2}", 100.0 * share);
            table.rows.push(vec![
                "published".into(),
                published.method.into(),
                published.natural.map_or("–".into(), share),
                share(published.certified),
                "–".into(),
                "–".into(),
                published.verifier.into(),
                published.source.into(),
            ]);
        }
        table
    }

    /// The measurements by interval bounds, which are comparable: all test images, one verifier.
    fn estimates(&self) -> Vec<&Measured> {
        self.measured.iter().filter(|measured| measured.verifier == Verifier::Intervals).collect()
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        findings.extend(self.best());
        findings.extend(self.measured.iter().filter_map(gain));
        let mut methods: Vec<&str> = Vec::new();
        for published in &self.published {
            if !methods.contains(&published.method) {
                methods.push(published.method);
            }
        }
        findings.extend(methods.into_iter().filter_map(|method| self.against(method)));
        findings.iter().map(|finding| format!("{}: {finding}", self.title())).collect()
    }

    /// Which networks are the best in one accuracy, and which are surpassed in both.
    fn best(&self) -> Option<String> {
        let estimates = self.estimates();
        if estimates.len() < 2 {
            return None;
        }
        let best = |of: fn(&Measured) -> f64| {
            estimates.iter().copied().reduce(|best, other| if of(other) > of(best) { other } else { best })
        };
        let (natural, certified) = (best(|m| m.natural.rate)?, best(|m| m.certified.rate)?);
        let surpassed: Vec<&str> =
            estimates.iter().filter(|a| is_surpassed(a, &estimates)).map(|m| m.network.as_str()).collect();
        let surpassed = match surpassed.len() {
            0 => "none is surpassed in both by another".to_string(),
            1 => format!("{} is surpassed in both by another", surpassed[0]),
            _ => format!("{} are surpassed in both by another", surpassed.join(", ")),
        };
        Some(format!(
            "of {} networks under interval bounds, {} has the highest natural accuracy, {}, and {} the highest certified accuracy, {}; \
             {surpassed}.",
            estimates.len(),
            natural.network,
            with_interval(&natural.natural),
            certified.network,
            with_interval(&certified.certified),
        ))
    }

    /// What was published for a method against the best own network by it.
    fn against(&self, method: &str) -> Option<String> {
        let own = self.measured.iter().filter(|measured| measured.method == method);
        let own = own.reduce(|best, other| if other.certified.rate > best.certified.rate { other } else { best })?;
        let theirs = |published: &Published| {
            let points = 100.0 * (published.certified - own.certified.rate);
            let place = match published.certified {
                theirs if theirs > own.certified.high => format!("{points:.2} points above it"),
                theirs if theirs < own.certified.low => format!("{:.2} points below it", -points),
                _ => "within its interval".into(),
            };
            let (certified, verifier, source) = (percent(published.certified), published.verifier, published.source);
            format!("{certified} by {source} ({verifier}), {place}")
        };
        let published = self.published.iter().filter(|published| published.method == method);
        Some(format!(
            "the highest own certified accuracy by {method} is {}, of {} ({}, {}, {} images); published for cnn7: {}.",
            with_interval(&own.certified),
            own.network,
            own.arch,
            own.verifier.words(),
            count(own.images as u64),
            published.map(theirs).collect::<Vec<_>>().join("; "),
        ))
    }
}

/// Whether one of `others` is at least as good in both accuracies and better in one.
fn is_surpassed(measured: &Measured, others: &[&Measured]) -> bool {
    let of = |m: &Measured| (m.natural.rate, m.certified.rate);
    let (natural, certified) = of(measured);
    others.iter().map(|other| of(other)).any(|(n, c)| n >= natural && c >= certified && (n > natural || c > certified))
}

/// What the cascade proved beyond intervals.
fn gain(measured: &Measured) -> Option<String> {
    let Verifier::Cascade { method, timeout, ibp, open } = &measured.verifier else { return None };
    if method == "ibp" {
        return None;
    }
    let open = match open {
        0 => "none is".to_string(),
        1 => "1 is".to_string(),
        more => format!("{} are", count(*more as u64)),
    };
    Some(format!(
        "of {} images, {method} ({timeout} s an image) proves {} of {}, intervals alone {}: {:.2} points more; {open} open.",
        count(measured.images as u64),
        with_interval(&measured.certified),
        measured.network,
        percent(ibp.rate),
        100.0 * (measured.certified.rate - ibp.rate),
    ))
}

fn colour(measured: &Measured, networks: &[String]) -> usize {
    networks.iter().position(|network| *network == measured.network).unwrap_or(networks.len())
}

fn own(measured: &Measured, networks: &[String]) -> Series {
    let name = format!("{}: {}", measured.network, measured.verifier.name());
    let ends = |rate: &Rate| Some((100.0 * rate.low, 100.0 * rate.high));
    let dot = Dot {
        at: (100.0 * measured.natural.rate, 100.0 * measured.certified.rate),
        across: ends(&measured.natural),
        along: ends(&measured.certified),
        note: format!(
            "{} ({}), {}, {} images",
            measured.network,
            measured.method,
            measured.verifier.words(),
            count(measured.images as u64)
        ),
    };
    Series::new(&name, look(colour(measured, networks), measured.verifier.marker()), Mark::Dots(vec![dot]))
}

/// `sabr, MN-BaB (Müller et al. 2023)`.
fn legend(published: &Published) -> String {
    format!("{}, {} ({})", published.method, published.verifier, published.source)
}

impl Results {
    /// All settings in words, tables and one figure each.
    pub fn document(&self) -> Document {
        let data = serde_json::to_value(self).expect("numbers and texts are JSON");
        let mut document = Document::new("results", "Natural against certified accuracy", data);
        document.explanation = self.explanation();
        let alone = self.settings.len() == 1;
        for setting in &self.settings {
            document.findings.extend(setting.findings());
            document.tables.push(setting.table());
            let name = if alone { String::new() } else { setting.stem() };
            document.figures.push(setting.figure(&self.networks, name));
        }
        document
    }

    fn explanation(&self) -> Vec<String> {
        let all = || self.settings.iter().flat_map(|setting| &setting.measured);
        let mut explanation = vec![
            "Natural accuracy is the share of the test images that a network classifies correctly. Certified accuracy is the share \
             of which it is shown that the network also classifies every other image correctly that differs from the test image by \
             no more than ε in any pixel. Training for one usually costs some of the other: a point further up and to the right \
             is the better network. The bars are 95 % intervals (Wilson) for the number of images that were looked at."
                .to_string(),
        ];
        let mut how = Vec::new();
        if all().any(|m| m.verifier == Verifier::Intervals) {
            how.push(
                "A disc is what interval bound propagation (IBP) in f32 shows on all test images: the cheapest bound, an estimate and \
                 no proof.",
            );
        }
        if all().any(|m| m.verifier.marker() == COMPLETE) {
            how.push(
                "A square is what branch-and-bound (bab) proved of the images that it was given, in arithmetic that accounts for \
                 every rounding; images that are still open when the time is over count as not certified. Where it was given fewer images, its \
                 rates are those of these images, which may be easier or harder than the rest.",
            );
        }
        if all().any(|m| m.verifier.marker() == PROVED) {
            how.push("A triangle is what was proved by bounds alone, without branch-and-bound.");
        }
        if all().any(|m| m.verifier != Verifier::Intervals) {
            how.push("Points of one colour are one network: a better verifier proves more of it, and does not make it better.");
        }
        explanation.push(how.join(" "));
        let published = || self.settings.iter().flat_map(|setting| &setting.published);
        if published().next().is_some() {
            let mut text = "Published results are those of a network of seven layers at full width (cnn7), proved by the authors' \
                            verifier, in the colour of the first own network by the same method; they have no bars because none were \
                            published. Only figures that a second source confirms are here."
                .to_string();
            if published().any(|published| published.natural.is_none()) {
                text += " A dashed line is a certified accuracy whose natural accuracy is not among them.";
            }
            explanation.push(text);
        }
        explanation
    }
}
