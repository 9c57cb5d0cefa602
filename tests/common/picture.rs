//! Pictures looked at: which words stand where, as the fonts of the program draw them.

use std::sync::Arc;

use resvg::usvg;
use smallbox::figure::Figure;

/// Words of a picture and their place: left, top, right, bottom.
pub struct Words {
    pub text: String,
    pub place: [f32; 4],
}

fn tree(svg: &str) -> usvg::Tree {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options { fontdb: Arc::new(fonts), ..usvg::Options::default() };
    usvg::Tree::from_str(svg, &options).unwrap_or_else(|error| panic!("{error}: {svg}"))
}

fn collect(group: &usvg::Group, words: &mut Vec<Words>) {
    for node in group.children() {
        match node {
            usvg::Node::Group(group) => collect(group, words),
            usvg::Node::Text(text) => {
                let place = node.abs_bounding_box();
                let content: String = text.chunks().iter().map(|chunk| chunk.text()).collect();
                words.push(Words { text: content, place: [place.left(), place.top(), place.right(), place.bottom()] });
            }
            _ => {}
        }
    }
}

/// All words of a picture.
pub fn words(svg: &str) -> Vec<Words> {
    let mut words = Vec::new();
    collect(tree(svg).root(), &mut words);
    words
}

/// Words that stand on other words, or reach out of the picture.
pub fn faults(svg: &str) -> Vec<String> {
    let size = tree(svg).size();
    let words = words(svg);
    let mut faults = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let [left, top, right, bottom] = word.place;
        if left < -0.5 || top < -0.5 || right > size.width() + 0.5 || bottom > size.height() + 0.5 {
            faults.push(format!("'{}' reaches out of the picture: {:?}", word.text, word.place));
        }
        for other in &words[..i] {
            let [l, t, r, b] = other.place;
            if left.max(l) + 0.5 < right.min(r) && top.max(t) + 0.5 < bottom.min(b) {
                faults.push(format!("'{}' stands on '{}'", word.text, other.text));
            }
        }
    }
    faults
}

/// Holds a figure to what all must be: it can be drawn, has words on its axes, names every series in its legend, and no words stand
/// on others.
pub fn assert_readable(figure: &Figure) {
    figure.check().unwrap_or_else(|reason| panic!("{}: {reason}", figure.caption));
    assert!(!figure.caption.is_empty());
    let svg = figure.file_svg();
    let words = words(&svg);
    let stands =
        |text: &str| words.iter().any(|word| word.text == text || text.starts_with(word.text.trim_end_matches('…')));
    for chart in &figure.charts {
        assert!(!chart.x.name.is_empty() && !chart.y.name.is_empty(), "{}: an axis without a name", chart.title);
        assert!(!chart.series.is_empty(), "{}: nothing is drawn", chart.title);
        for text in chart.series.iter().map(|s| &s.name).chain([&chart.title, &chart.x.name, &chart.y.name]) {
            assert!(
                stands(text) || words.iter().any(|w| w.text.starts_with(text.as_str())),
                "'{text}' is not in the picture"
            );
        }
    }
    let faults = faults(&svg);
    assert!(faults.is_empty(), "{}: {faults:?}", figure.caption);
}

#[test]
fn the_reader_sees_words_on_words_and_words_outside() {
    let picture = |x: f32, y: f32| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 50\" font-family=\"sans-serif\" font-size=\"12\"><text x=\"5\" y=\"20\">first</text>\
             <g transform=\"translate({x} {y})\"><text>second</text></g></svg>"
        )
    };
    assert_eq!(faults(&picture(40.0, 20.0)), Vec::<String>::new());
    assert_eq!(faults(&picture(20.0, 20.0)).len(), 1);
    assert_eq!(faults(&picture(20.0, 24.0)).len(), 1);
    assert_eq!(faults(&picture(80.0, 40.0)).len(), 1);
    assert_eq!(words(&picture(0.0, 40.0)).iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}
