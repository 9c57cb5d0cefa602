//! Documents of scaling: every point in table, rows, sheet and picture; verdicts that follow the numbers.

use smallbox::analyze::scaling::{Axis, Point, Scaling, Series, document, sheet};
use smallbox::figure::Mark;

use crate::common::picture::{assert_readable, words};

/// Points at `places` that take `milliseconds(x)`, all bound by compute but the first.
fn series(axis: Axis, places: &[f64], milliseconds: impl Fn(f64) -> f64) -> Series {
    let point = |(i, &at): (usize, &f64)| {
        let seconds = 1e-3 * milliseconds(at);
        let images = if axis == Axis::Batch { at as usize } else { 32 };
        let flops = if axis == Axis::Width { (1e9 * at * at) as u64 } else { 1_000_000_000 };
        let compute_share = if i == 0 && axis != Axis::Threads { 0.85 } else { 0.95 };
        Point { at, images, flops, bytes: 1_000_000, median: seconds, best: 0.9 * seconds, compute_share }
    };
    Series { axis, points: places.iter().enumerate().map(point).collect() }
}

fn scaling(batch: impl Fn(f64) -> f64) -> Scaling {
    Scaling {
        device: "cpu".into(),
        device_name: "4 threads".into(),
        method: "sabr".into(),
        arch: "cnn3".into(),
        batch: 32,
        threads: 4,
        steps: 5,
        passes: 2,
        series: vec![
            series(Axis::Batch, &[8.0, 16.0, 32.0, 64.0, 128.0], batch),
            series(Axis::Width, &[0.5, 1.0, 2.0], |x| 40.0 * x * x),
            series(Axis::Threads, &[1.0, 2.0, 3.0, 4.0], |x| 160.0 / x),
        ],
    }
}

#[test]
fn every_point_is_in_table_rows_sheet_and_picture() {
    let scaling = scaling(|x| 2.0 * x);
    let document = document(&scaling);
    document.check().unwrap();
    let rows = document.data["rows"].as_array().unwrap();
    let counts = [5, 3, 4];
    assert_eq!((rows.len(), sheet(&scaling).rows.len()), (12, 12));
    assert_eq!(document.tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), counts);
    assert_eq!((document.figures.len(), document.findings.len()), (3, 3));
    let names: Vec<&str> = document.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["batch", "width", "threads"]);
    for (figure, count) in document.figures.iter().zip(counts) {
        assert_readable(figure);
        for chart in &figure.charts {
            let dots = chart.series.iter().map(|series| match &series.mark {
                Mark::Dots(dots) => dots.len(),
                _ => 0,
            });
            assert_eq!(dots.sum::<usize>(), count, "{}", chart.title);
        }
        let shown = words(&figure.file_svg());
        for name in ["measured, compute-bound", "in proportion", "limits"] {
            assert_eq!(shown.iter().filter(|word| word.text == name).count(), 1, "{name} stands in the legend once");
        }
    }
    // Each axis rises.
    for axis in ["batch", "width", "threads"] {
        let at: Vec<f64> =
            rows.iter().filter(|row| row["axis"] == axis).map(|row| row["at"].as_f64().unwrap()).collect();
        assert!(at.len() >= 3 && at.windows(2).all(|pair| pair[0] < pair[1]), "{axis}: {at:?}");
    }
    assert_eq!(rows[1]["name"], "scaling/sabr/cnn3/batch/16");
    assert!(rows.iter().all(|row| row["linear"] != false && row["deviation"].as_f64().unwrap().abs() < 1e-9));
    assert!(rows[0]["linear"].is_null() && rows[1]["linear"] == true, "only what is bound by compute is judged");
    assert!(document.findings[0].starts_with("Over batch sizes, 4 of 5 points are bound by compute; 4 of these lie"));
}

#[test]
fn a_series_that_is_not_linear_is_reported() {
    // The negative control: time in proportion to the square.
    let document = document(&scaling(|x| x * x / 16.0));
    let rows = document.data["rows"].as_array().unwrap();
    let verdicts: Vec<&serde_json::Value> = rows[..5].iter().map(|row| &row["linear"]).collect();
    assert!(verdicts[0].is_null() && verdicts[1..].iter().all(|&linear| linear == false), "{verdicts:?}");
    assert!(document.findings[0].contains("0 of these lie within 10 % of linear"), "{}", document.findings[0]);
    assert!(document.findings[0].contains("the farthest at batch 128 (+166.7 %)"), "{}", document.findings[0]);
    assert!(document.tables[0].rows.iter().filter(|row| row.last().is_some_and(|cell| cell == "no")).count() == 4);
    assert!(document.findings[1].contains("2 of these lie"), "{}", document.findings[1]);
}
