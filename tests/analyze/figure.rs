//! Figures as files: every kind of mark, on the right place, with words that can be read.

use image::{GenericImageView, ImageFormat};
use smallbox::figure::{Axis, Chart, Dot, Figure, Mark, Scale, Series};

use crate::common::picture::{assert_readable, faults, words};

fn chart(title: &str, series: Vec<Series>) -> Chart {
    let (x, y) = (Axis::linear("radius", "pixels"), Axis::linear("share", "%"));
    Chart { title: title.into(), x, y, equal_axes: false, series }
}

fn figure(columns: usize, charts: Vec<Chart>) -> Figure {
    Figure { name: String::new(), caption: "All marks.".into(), columns, charts }
}

/// A chart for each kind of mark.
fn kinds() -> Vec<Chart> {
    let square = vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    let dot = Dot { across: Some((0.1, 0.5)), along: Some((10.0, 30.0)), note: "run 7".into(), ..Dot::at(0.3, 20.0) };
    let histogram = Mark::Histogram { edges: vec![-1.0, 0.0, 1.0, 2.0], heights: vec![3.0, 0.0, 5.0] };
    vec![
        chart("Lines", vec![Series::new("sabr", 0, Mark::Line(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]))]),
        chart("Dots", vec![Series::new("own", 1, Mark::Dots(vec![dot])), Series::new("known", 2, Mark::Level(25.0))]),
        chart("Histogram", vec![Series::new("error", 3, histogram)]),
        Chart {
            equal_axes: true,
            ..chart(
                "Plane",
                vec![
                    Series::new("image", 0, Mark::Areas(vec![square.clone()])),
                    Series::new("box", 1, Mark::Outlines(vec![square])),
                ],
            )
        },
    ]
}

#[test]
fn every_mark_can_be_read_in_every_arrangement() {
    for columns in 1..=5 {
        assert_readable(&figure(columns, kinds()));
    }
    let names = ["sabr", "own", "known", "error", "image", "box"];
    let shown = words(&figure(2, kinds()).file_svg());
    for name in names {
        assert_eq!(shown.iter().filter(|word| word.text == name).count(), 1, "{name} stands in the legend once");
    }
    let svg = figure(2, kinds()).svg();
    for said in ["run 7, radius 0.3 pixels: 20 %", "error, radius from -1 to 0: 3 %", "known: 25"] {
        assert!(svg.contains(&format!("<title>{said}</title>")), "{said}: {svg}");
    }
    assert_eq!(svg.matches("<rect").count(), 2, "no place to point at where nothing is");
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn crowded_words_are_thinned_and_long_ones_cut() {
    let long = "a title that is much longer than there is room for above a small chart in a row of four".to_string();
    let line = |x: f64| Mark::Line((0..9).map(|i| (x * f64::from(i), 12_345.0 * f64::from(i))).collect());
    let mut charts: Vec<Chart> =
        (0..8).map(|i| chart(&long, vec![Series::new(&format!("{long} {i}"), i, line(12_345.6))])).collect();
    for chart in &mut charts {
        chart.x.name = long.clone();
        chart.y = Axis { scale: Scale::Logarithmic, ..Axis::linear(&long, "") };
    }
    for columns in [1, 2, 3, 4, 8] {
        assert_eq!(faults(&figure(columns, charts.clone()).file_svg()), Vec::<String>::new(), "{columns} columns");
    }
}

#[test]
fn pixels_show_what_the_text_says() {
    let areas =
        |style| Series::new("image", style, Mark::Areas(vec![vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]]));
    let of = |style| figure(1, vec![chart("Square", vec![areas(style)])]);
    let decoded = |figure: &Figure| {
        image::load_from_memory_with_format(&figure.png().expect("a picture"), ImageFormat::Png).expect("a PNG")
    };
    let (blue, orange) = (decoded(&of(0)), decoded(&of(1)));
    // 440 × (280 + a line of legend of 18), two pixels each.
    assert_eq!(blue.dimensions(), (880, 596));
    let middle = |picture: &image::DynamicImage| picture.get_pixel(480, 260).0;
    // 30 % of #0072B2 and of #D55E00 on white.
    assert!(middle(&blue).iter().zip([179, 213, 232, 255]).all(|(&a, b)| a.abs_diff(b) <= 1), "{:?}", middle(&blue));
    assert!(
        middle(&orange).iter().zip([242, 207, 179, 255]).all(|(&a, b)| a.abs_diff(b) <= 1),
        "{:?}",
        middle(&orange)
    );
    assert_eq!(blue.get_pixel(1, 1).0, [255; 4], "paper");
    let dark = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
        x.flat_map(|x| y.clone().map(move |y| (x, y))).filter(|&(x, y)| blue.get_pixel(x, y).0[0] < 80).count()
    };
    assert!(dark(16..120, 10..40) > 50, "the title is written");
    assert_eq!(dark(500..870, 10..40), 0, "and nothing beside it");
    assert_eq!(of(0).png().expect("a picture"), of(0).png().expect("a picture"), "the same bytes");
}

#[test]
fn what_can_not_be_drawn_is_named() {
    let wrong = |series: Series, part: &str| {
        let figure = figure(1, vec![chart("Chart", vec![series])]);
        let reason = figure.check().expect_err(part);
        assert!(reason.contains(part) && reason.contains("Chart"), "{reason}");
    };
    let histogram = |edges: &[f64], heights: &[f64]| {
        Series::new("h", 0, Mark::Histogram { edges: edges.to_vec(), heights: heights.to_vec() })
    };
    wrong(histogram(&[0.0, 1.0], &[1.0, 2.0]), "one edge more");
    wrong(histogram(&[0.0, 2.0, 1.0], &[1.0, 2.0]), "must rise");
    wrong(histogram(&[0.0, 1.0], &[f64::NAN]), "without a place");
    wrong(Series::new("a", 0, Mark::Areas(vec![vec![(0.0, f64::INFINITY)]])), "corner");
    wrong(Series::new("d", 0, Mark::Dots(vec![Dot { along: Some((2.0, 1.0)), ..Dot::at(0.0, 1.5) }])), "interval");
    wrong(Series::new("l", 0, Mark::Level(f64::NAN)), "level");
    assert!(figure(0, kinds()).check().is_err() && figure(1, Vec::new()).check().is_err());
    assert_eq!(figure(3, kinds()).check(), Ok(()));
}

#[test]
fn a_figure_survives_json() {
    let figure = figure(2, kinds());
    let text = serde_json::to_string(&figure).expect("JSON");
    let read: Figure = serde_json::from_str(&text).expect("a figure");
    // Gaps are not equal to themselves; the pictures are.
    assert_eq!(read.svg(), figure.svg());
    assert_eq!(read.charts[0].x.limits, (f64::NEG_INFINITY, f64::INFINITY));
}
