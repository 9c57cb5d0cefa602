//! Writing them.

use std::fmt::Write;

/// "Every point of the box has the label": as a file it asks for a point that does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Lines for people at the head of the file.
    pub comments: Vec<String>,
    /// Lower end of each input, in the network's order.
    pub lower: Vec<f32>,
    /// Upper end of each input.
    pub upper: Vec<f32>,
    /// Number of outputs.
    pub classes: usize,
    /// The label.
    pub label: usize,
}

impl Property {
    /// The text. An input's end is written as the shortest decimal that is read as that same number in f64, and so in f32:
    /// whatever a reader computes in, it has the box that was meant.
    ///
    /// A tie with the label counts as a counter-example.
    ///
    /// # Panics
    /// If lower and upper ends differ in number or the label is no class.
    pub fn text(&self) -> String {
        assert_eq!(self.lower.len(), self.upper.len(), "two ends for every input");
        assert!(self.label < self.classes, "label {} of {} classes", self.label, self.classes);
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes any text");
        for comment in &self.comments {
            line(format_args!("; {comment}"));
        }
        line(format_args!(""));
        for i in 0..self.lower.len() {
            line(format_args!("(declare-const X_{i} Real)"));
        }
        line(format_args!(""));
        for k in 0..self.classes {
            line(format_args!("(declare-const Y_{k} Real)"));
        }
        line(format_args!(""));
        for (i, (&lower, &upper)) in self.lower.iter().zip(&self.upper).enumerate() {
            line(format_args!("(assert (>= X_{i} {}))", decimal(lower)));
            line(format_args!("(assert (<= X_{i} {}))", decimal(upper)));
        }
        line(format_args!(""));
        line(format_args!("(assert (or"));
        for k in (0..self.classes).filter(|&k| k != self.label) {
            line(format_args!("    (and (>= Y_{k} Y_{}))", self.label));
        }
        line(format_args!("))"));
        text
    }
}

/// The shortest decimal that f64 reads as `value`, with a point and without an exponent, as VNN-LIB's reals are written.
fn decimal(value: f32) -> String {
    let text = f64::from(value).to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// A line of `instances.csv`: a network, a property and the seconds that a verifier has for it. Paths are relative to the list.
///
/// # Panics
/// If a path has a comma, a quote or a line break, which the list has no way to write.
pub fn instance(network: &str, property: &str, seconds: usize) -> String {
    for path in [network, property] {
        assert!(!path.contains([',', '"', '\n', '\r']), "'{path}' in a list separated by commas");
    }
    format!("{network},{property},{seconds}\n")
}
