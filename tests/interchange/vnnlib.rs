//! VNN-LIB text as a verifier reads it.

use smallbox::export::ball;
use smallbox::formats::vnnlib::{Property, instance};

/// A decimal as written: digits over a power of ten.
#[derive(Clone, Debug, PartialEq)]
struct Decimal {
    digits: i128,
    places: u32,
    text: String,
}

impl Decimal {
    fn parse(text: &str) -> Decimal {
        let (whole, part) = text.split_once('.').unwrap_or_else(|| panic!("{text} without a point"));
        let digits = format!("{whole}{part}").parse().unwrap_or_else(|_| panic!("{text} is no decimal"));
        Decimal { digits, places: part.len() as u32, text: text.into() }
    }

    /// Sign of this number minus n/d, exactly.
    fn compare(&self, n: i128, d: i128) -> std::cmp::Ordering {
        let one = 10i128.checked_pow(self.places).expect("a few digits");
        self.digits.checked_mul(d).expect("small").cmp(&n.checked_mul(one).expect("small"))
    }
}

/// What a file says.
#[derive(Debug, PartialEq)]
struct Parsed {
    lower: Vec<Decimal>,
    upper: Vec<Decimal>,
    outputs: usize,
    /// Pairs (i, j) of the disjunction of Y_i ≥ Y_j.
    violations: Vec<(usize, usize)>,
}

/// Parentheses and words, without comments.
fn tokens(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split(';').next().unwrap_or(""));
    let spaced = lines.collect::<Vec<_>>().join(" ").replace('(', " ( ").replace(')', " ) ");
    spaced.split_whitespace().map(String::from).collect()
}

fn index(word: &str, letter: char) -> usize {
    let number = word.strip_prefix(letter).and_then(|rest| rest.strip_prefix('_'));
    number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{word} is no {letter}"))
}

/// Reads the form of VNN-COMP's robustness properties; anything else is a panic.
fn parse(text: &str) -> Parsed {
    let words = tokens(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut parsed = Parsed { lower: vec![], upper: vec![], outputs: 0, violations: vec![] };
    let (mut rest, mut inputs) = (&words[..], 0);
    while !rest.is_empty() {
        rest = match rest {
            ["(", "declare-const", name, "Real", ")", rest @ ..] => {
                let (letter, count) =
                    if name.starts_with('X') { ('X', &mut inputs) } else { ('Y', &mut parsed.outputs) };
                assert_eq!(index(name, letter), *count, "declared in order");
                *count += 1;
                rest
            }
            ["(", "assert", "(", relation @ (">=" | "<="), x, end, ")", ")", rest @ ..] => {
                let ends = if *relation == ">=" { &mut parsed.lower } else { &mut parsed.upper };
                assert_eq!(index(x, 'X'), ends.len(), "ends in order");
                ends.push(Decimal::parse(end));
                rest
            }
            ["(", "assert", "(", "or", rest @ ..] => {
                let mut rest = rest;
                while let ["(", "and", "(", ">=", i, j, ")", ")", more @ ..] = rest {
                    parsed.violations.push((index(i, 'Y'), index(j, 'Y')));
                    rest = more;
                }
                let [")", ")", more @ ..] = rest else { panic!("unexpected {:?}", &rest[..4.min(rest.len())]) };
                more
            }
            _ => panic!("unexpected {:?}", &rest[..8.min(rest.len())]),
        };
    }
    assert_eq!((parsed.lower.len(), parsed.upper.len()), (inputs, inputs));
    parsed
}

/// The first pixel whose interval does not contain the ball of radius p/q, in real numbers, or is not the same in f32 and f64.
fn outside(image: &[u8], (p, q): (i128, i128), parsed: &Parsed) -> Option<usize> {
    (0..image.len()).find(|&i| {
        let ends = [-1, 1].map(|sign| (i128::from(image[i]) * q + sign * p * 255).clamp(0, 255 * q));
        let same = |d: &Decimal| d.text.parse::<f32>().map(f64::from) == Ok(d.text.parse::<f64>().expect("a number"));
        parsed.lower[i].compare(ends[0], 255 * q).is_gt()
            || parsed.upper[i].compare(ends[1], 255 * q).is_lt()
            || !same(&parsed.lower[i])
            || !same(&parsed.upper[i])
    })
}

fn property(image: &[u8], (p, q): (i128, i128), label: usize) -> Property {
    let (lower, upper) = ball(image, p as f64 / q as f64);
    Property { comments: vec!["image 3 (of ten)".into()], lower, upper, classes: 10, label }
}

#[test]
fn the_box_contains_the_ball_as_text_too() {
    let image: Vec<u8> = (0..=255).collect();
    for radius in [(0, 1), (1, 255), (2, 255), (8, 255), (1, 10), (3, 10), (1, 1)] {
        let parsed = parse(&property(&image, radius, 7).text());
        assert_eq!((parsed.lower.len(), parsed.outputs), (256, 10));
        assert_eq!(outside(&image, radius, &parsed), None, "{radius:?}");
    }
}

#[test]
fn every_other_class_violates() {
    for label in [0, 4, 9] {
        let parsed = parse(&property(&[0, 255], (1, 10), label).text());
        let others: Vec<(usize, usize)> = (0..10).filter(|&k| k != label).map(|k| (k, label)).collect();
        assert_eq!(parsed.violations, others);
    }
}

#[test]
fn a_box_that_is_too_small_is_noticed() {
    let image: Vec<u8> = (0..=255).collect();
    let whole = property(&image, (1, 10), 7);
    for i in [100, 128, 200] {
        let (mut above, mut below) = (whole.clone(), whole.clone());
        above.lower[i] = above.lower[i].next_up();
        below.upper[i] = below.upper[i].next_down();
        assert_eq!(outside(&image, (1, 10), &parse(&above.text())), Some(i), "lower end {i}");
        assert_eq!(outside(&image, (1, 10), &parse(&below.text())), Some(i), "upper end {i}");
    }
    // The ends as the nearest f32.
    let nearest = |end: f64| end.clamp(0.0, 1.0) as f32;
    let plain = Property {
        lower: image.iter().map(|&p| nearest(f64::from(p) / 255.0 - 0.1)).collect(),
        upper: image.iter().map(|&p| nearest(f64::from(p) / 255.0 + 0.1)).collect(),
        ..whole
    };
    assert!(outside(&image, (1, 10), &parse(&plain.text())).is_some());
}

/// The properties of another program that lie with the PyTorch vectors have the same form.
#[test]
fn the_form_is_that_of_other_writers() {
    let Some(folder) = std::env::var_os("SMALLBOX_GOLDEN_DIR") else {
        println!("skipped: SMALLBOX_GOLDEN_DIR is not set");
        return;
    };
    let entries = std::fs::read_dir(std::path::Path::new(&folder).join("crown_vnn")).expect("the folder of properties");
    let paths = entries.map(|e| e.expect("readable").path()).filter(|p| p.extension().is_some_and(|e| e == "vnnlib"));
    let mut seen = 0;
    for path in paths {
        let parsed = parse(&std::fs::read_to_string(&path).expect("readable"));
        let label = parsed.violations[0].1;
        let others: Vec<(usize, usize)> = (0..parsed.outputs).filter(|&k| k != label).map(|k| (k, label)).collect();
        assert_eq!((parsed.lower.len(), parsed.violations), (784, others), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0, "no property");
}

#[test]
fn a_line_of_instances() {
    assert_eq!(instance("onnx/a.onnx", "vnnlib/b.vnnlib", 60), "onnx/a.onnx,vnnlib/b.vnnlib,60\n");
}
