//! Results against an independent computation: intervals, what belongs on which chart, what the sentences claim.

use smallbox::analyze::results::{Measured, Results, Verifier};
use smallbox::certify::record::{Counts, Record};
use smallbox::figure::{Chart, Dot, Mark};
use smallbox::train::Rate;
use smallbox::train::published::published_for;

use crate::common::picture::assert_readable;

const IMAGES: usize = 10_000;

fn measured(network: &str, method: &str, epsilon: f64, natural: usize, certified: usize) -> Measured {
    Measured {
        network: network.into(),
        method: method.into(),
        arch: "cnn3".into(),
        incomplete: None,
        dataset: "mnist".into(),
        epsilon,
        images: IMAGES,
        natural: Rate::wilson(natural, IMAGES),
        certified: Rate::wilson(certified, IMAGES),
        verifier: Verifier::Intervals,
    }
}

fn four() -> Vec<Measured> {
    vec![
        measured("mnist-std", "std", 0.1, 9910, 0),
        measured("mnist-pgd", "pgd", 0.1, 9890, 0),
        measured("mnist-sabr", "sabr", 0.1, 9794, 9269),
        measured("mnist-ibp", "ibp", 0.1, 9702, 9320),
    ]
}

/// Records of a certification of `images`: each tenth misclassified, of the others each third open, each sixth by branch-and-bound.
fn records(images: usize, timeout: f64) -> Vec<Record> {
    let record = |index: usize| {
        let (verdict, stage) = match index {
            i if i % 10 == 0 => ("falsified", "natural"),
            i if i % 6 == 1 => ("certified", "bab"),
            i if i % 3 == 0 => ("timeout", "bab"),
            _ => ("certified", "ibp"),
        };
        let job = format!(
            "{{\"model\":\"m\",\"dataset\":\"mnist\",\"split\":\"test\",\"epsilon\":0.1,\"method\":\"bab\",\"timeout\":{timeout:?},\
             \"attack\":\"none\"}}"
        );
        let line = format!(
            "{{\"index\":{index},\"label\":0,\"verdict\":\"{verdict}\",\"stage\":\"{stage}\",\"seconds\":0.1,\"domains\":0,\"depth\":0,\
             \"adapter\":\"cpu\",\"job\":{job}}}"
        );
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    (0..images).map(record).collect()
}

/// The ends of the 95 % interval: the shares p with |count/n − p| = z √(p (1 − p)/n), by bisection.
fn wilson(count: usize, images: usize) -> (f64, f64) {
    let (n, share) = (images as f64, count as f64 / images as f64);
    let outside = |p: f64| (share - p).abs() > 1.959_963_984_540_054 * (p * (1.0 - p) / n).sqrt();
    let edge = |mut inside: f64, mut out: f64| {
        for _ in 0..200 {
            let middle = 0.5 * (inside + out);
            *(if outside(middle) { &mut out } else { &mut inside }) = middle;
        }
        inside
    };
    (edge(share, 0.0), edge(share, 1.0))
}

fn dots(chart: &Chart, name: &str) -> Vec<Dot> {
    let series = chart.series.iter().find(|series| series.name == name).unwrap_or_else(|| panic!("no {name}"));
    match &series.mark {
        Mark::Dots(dots) => dots.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn levels(chart: &Chart) -> Vec<f64> {
    let level = |mark: &Mark| if let Mark::Level(level) = mark { Some(*level) } else { None };
    chart.series.iter().filter_map(|series| level(&series.mark)).collect()
}

#[test]
fn dots_have_the_intervals_of_their_counts() {
    let document = Results::new(four()).document();
    let [figure] = &document.figures[..] else { panic!("{} figures", document.figures.len()) };
    let [chart, upper] = &figure.charts[..] else { panic!("{} charts", figure.charts.len()) };
    assert_readable(figure);
    assert_eq!((chart.x.name.as_str(), chart.y.name.as_str()), ("natural accuracy", "certified accuracy"));
    assert_eq!((chart.x.unit.as_str(), chart.y.limits), ("%", (0.0, 100.0)));
    assert_eq!((figure.name.as_str(), chart.title.as_str()), ("", "mnist, ε = 0.1"));
    // A bisection of doubles ends within a few units of the last place; the closed form has a dozen roundings.
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    for of in four() {
        let [dot] = &dots(chart, &format!("{}: IBP", of.network))[..] else { panic!("one dot") };
        assert!(close(dot.at.0, of.natural.count as f64 / 100.0) && close(dot.at.1, of.certified.count as f64 / 100.0));
        for (ends, rate) in [(dot.across, &of.natural), (dot.along, &of.certified)] {
            let ((low, high), (expected_low, expected_high)) = (ends.expect("a bar"), wilson(rate.count, IMAGES));
            assert!(close(low / 100.0, expected_low) && close(high / 100.0, expected_high), "{dot:?}: {rate:?}");
            // The interval of the normal approximation is another one.
            let half = 1.96 * (rate.rate * (1.0 - rate.rate) / IMAGES as f64).sqrt();
            assert!(!close(high / 100.0, rate.rate + half), "{rate:?}");
        }
    }
    // A colour for each network; what is published has that of its method.
    let colours = |chart: &Chart| chart.series.iter().map(|series| series.style % 7).collect::<Vec<_>>();
    assert_eq!(colours(chart), [0, 1, 2, 3, 2, 3]);
    // The two that certify nothing are not in the upper part, and the others have the same look there.
    assert_eq!(upper.series, chart.series[2..]);
    let certifying = Results::new(four()[2..].to_vec()).document();
    assert_eq!(certifying.figures[0].charts.len(), 1, "no upper part where nothing is far below");
}

#[test]
fn published_figures_are_those_of_the_one_list() {
    for (dataset, epsilon, points) in
        [("mnist", 0.1, 0), ("mnist", 0.3, 0), ("cifar10", 2.0 / 255.0, 3), ("cifar10", 8.0 / 255.0, 2)]
    {
        let own = Measured { dataset: dataset.into(), ..measured("run", "sabr", epsilon, 7000, 5000) };
        let document = Results::new(vec![own]).document();
        assert_readable(&document.figures[0]);
        let chart = &document.figures[0].charts[0];
        let theirs: Vec<_> = published_for(dataset, epsilon).collect();
        assert!(!theirs.is_empty());
        assert_eq!(chart.series.len(), 1 + theirs.len());
        let expected = |natural: bool| theirs.iter().filter(move |p| p.natural.is_some() == natural);
        assert_eq!(expected(true).count(), points);
        assert_eq!(levels(chart), expected(false).map(|p| 100.0 * p.certified).collect::<Vec<_>>());
        for published in expected(true) {
            let name = format!("{}, {} ({})", published.method, published.verifier, published.source);
            let [dot] = &dots(chart, &name)[..] else { panic!("one dot") };
            assert_eq!(dot.at, (100.0 * published.natural.unwrap(), 100.0 * published.certified));
            assert_eq!((dot.across, dot.along), (None, None), "no interval was published");
        }
        let rows: Vec<_> = document.tables[0].rows.iter().filter(|row| row[0] == "published").collect();
        assert_eq!(rows.len(), theirs.len());
        for (row, published) in rows.iter().zip(&theirs) {
            assert_eq!(row[3], format!("{:.2}", 100.0 * published.certified));
            assert_eq!((row[6].as_str(), row[7].as_str()), (published.verifier, published.source));
        }
        assert!(document.explanation.iter().any(|text| text.contains("second source")));
        let looks: Vec<String> =
            chart.series.iter().map(|s| format!("{} {}", s.style, matches!(s.mark, Mark::Level(_)))).collect();
        assert!((1..looks.len()).all(|i| !looks[..i].contains(&looks[i])), "{looks:?}");
    }
}

#[test]
fn another_radius_or_dataset_is_another_chart() {
    let mut all = four();
    all.push(measured("mnist-wide", "sabr", 0.2, 9600, 9000));
    all.push(Measured { dataset: "fashion-mnist".into(), ..measured("fashion", "ibp", 0.1, 8000, 7000) });
    // As a command rounds it.
    all.push(measured("mnist-rounded", "ibp", 0.100001, 9500, 9100));
    let results = Results::new(all);
    let names: Vec<Vec<&str>> =
        results.settings.iter().map(|s| s.measured.iter().map(|m| m.network.as_str()).collect()).collect();
    let first = vec!["mnist-std", "mnist-pgd", "mnist-sabr", "mnist-ibp", "mnist-rounded"];
    assert_eq!(names, [first, vec!["mnist-wide"], vec!["fashion"]]);
    let document = results.document();
    assert_eq!(
        document.figures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["mnist-0.1", "mnist-0.2", "fashion-mnist-0.1"]
    );
    assert_eq!(document.figures.iter().map(|f| levels(&f.charts[0]).len()).collect::<Vec<_>>(), [2, 0, 0]);
    assert_eq!(document.figures[1].charts[0].series.len(), 1);
    document.figures.iter().for_each(assert_readable);
    assert!(!document.figures[1].caption.contains("published"));
}

#[test]
fn a_certification_is_a_point_of_its_own() {
    let counts = Counts::of(&records(60, 30.0));
    let own = measured("mnist-sabr", "sabr", 0.1, 9794, 9269);
    let job = records(1, 30.0)[0].job.clone();
    let proved = own.certified(&job, &counts);
    let (mut natural, mut certified, mut ibp, mut open) = (0, 0, 0, 0);
    for i in 0..60_usize {
        let right = i % 10 != 0;
        natural += usize::from(right);
        certified += usize::from(right && (i % 6 == 1 || i % 3 != 0));
        ibp += usize::from(right && i % 6 != 1 && i % 3 != 0);
        open += usize::from(right && i % 6 != 1 && i % 3 == 0);
    }
    assert_eq!((proved.images, proved.natural.count, proved.certified.count), (60, natural, certified));
    assert_eq!(
        (proved.certified.low, proved.certified.high),
        (Rate::wilson(certified, 60).low, Rate::wilson(certified, 60).high)
    );
    let Verifier::Cascade { method, timeout, ibp: by_intervals, open: left } = &proved.verifier else {
        panic!("{proved:?}")
    };
    assert_eq!((method.as_str(), *timeout, by_intervals.count, *left), ("bab", 30.0, ibp, open));

    let document = Results::new(vec![own, proved]).document();
    let chart = &document.figures[0].charts[0];
    assert_readable(&document.figures[0]);
    let [by_ibp, by_bab] = ["mnist-sabr: IBP", "mnist-sabr: bab"].map(|name| {
        let series = chart.series.iter().find(|series| series.name == name).unwrap_or_else(|| panic!("no {name}"));
        (series.style % 7, series.style % 4)
    });
    assert_eq!((by_ibp.0, by_ibp.1 == by_bab.1), (by_bab.0, false), "one network: one colour, two markers");
    let [dot] = &dots(chart, "mnist-sabr: bab")[..] else { panic!("one dot") };
    assert!(dot.note.contains("bab, 30 s an image, 60 images"), "{}", dot.note);
    let said = document.findings.iter().find(|f| f.contains("proves")).expect("a finding");
    let share = |n: usize| format!("{:.2} %", 100.0 * n as f64 / 60.0);
    for part in [&share(certified), &share(ibp), &format!("{open} are open")] {
        assert!(said.contains(part.as_str()), "{part}: {said}");
    }
}

#[test]
fn sentences_are_true_of_the_numbers() {
    let document = Results::new(four()).document();
    let all = document.findings.join("\n");
    for part in [
        "of 4 networks under interval bounds, mnist-std has the highest natural accuracy, 99.10 %",
        "mnist-ibp the highest certified accuracy, 93.20 % (92.69 to 93.68); mnist-pgd is surpassed in both by another",
        "the highest own certified accuracy by sabr is 92.69 %",
        "published for cnn7: 98.22 % by Müller et al. 2023 (MN-BaB), 5.53 points above it.",
        "published for cnn7: 97.95 % by Shi et al. 2021 (IBP), 4.75 points above it.",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert_eq!(document.findings.len(), 3);
    // Other numbers, other sentences.
    let mut others = four();
    others[1] = measured("mnist-pgd", "pgd", 0.1, 9890, 10);
    others[2] = measured("mnist-sabr", "sabr", 0.1, 9900, 9820);
    others[3] = measured("mnist-ibp", "ibp", 0.1, 9950, 9850);
    let all = Results::new(others).document().findings.join("\n");
    assert!(all.contains("mnist-std, mnist-pgd, mnist-sabr are surpassed in both by another"), "{all}");
    assert!(all.contains("98.22 % by Müller et al. 2023 (MN-BaB), within its interval"), "{all}");
    assert!(all.contains("97.95 % by Shi et al. 2021 (IBP), 0.55 points below it"), "{all}");
    // One network surpasses nothing.
    assert!(!Results::new(four()[..1].to_vec()).document().findings.join("\n").contains("surpassed"));
}

#[test]
fn the_sheet_has_every_number() {
    let results = Results::new(four());
    let sheet = results.sheet();
    assert_eq!(sheet.rows.len(), 4 + 2);
    let cell = |row: usize, name: &str| {
        let column = sheet.head.iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"));
        sheet.rows[row][column].as_str()
    };
    assert!(sheet.rows.iter().all(|row| row.len() == sheet.head.len()));
    assert_eq!((cell(2, "network"), cell(2, "certified")), ("mnist-sabr", "0.9269"));
    assert_eq!(cell(2, "natural_low").parse::<f64>().unwrap(), Rate::wilson(9794, IMAGES).low);
    assert_eq!((cell(4, "source"), cell(4, "certified"), cell(4, "natural")), ("Müller et al. 2023", "0.9822", ""));
    assert_eq!(serde_json::to_value(&results).unwrap(), results.document().data);
}
