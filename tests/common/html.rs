//! A small checker of HTML: every element is closed where it should be, quotes and characters are in order.

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "br", "hr"];
/// References that the pages may use.
const REFERENCES: [&str; 5] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];

/// The names of all elements in the order in which they begin; else what is wrong.
pub fn elements(html: &str) -> Result<Vec<String>, String> {
    let (mut open, mut seen): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&', '>']) {
        let (text, here) = rest.split_at(at);
        let context = || format!("at {:?} after {:?}", here.chars().take(40).collect::<String>(), text);
        rest = match here.as_bytes()[0] {
            b'&' => {
                let reference = REFERENCES.iter().find(|reference| here.starts_with(**reference));
                &here[reference.ok_or_else(|| format!("a bare & {}", context()))?.len()..]
            }
            // Within the style sheet only: `a > b`.
            b'>' => return Err(format!("a bare > {}", context())),
            _ => {
                let end = tag_end(here).ok_or_else(|| format!("a tag without its end {}", context()))?;
                let (tag, after) = (&here[1..end], &here[end + 1..]);
                let name = |text: &str| text.split([' ', '\n', '/']).next().unwrap_or("").to_string();
                if let Some(closing) = tag.strip_prefix('/') {
                    let expected = open.pop().ok_or_else(|| format!("nothing is open {}", context()))?;
                    if expected != closing {
                        return Err(format!("</{closing}> where <{expected}> is open, {}", context()));
                    }
                } else if !tag.starts_with('!') {
                    seen.push(name(tag));
                    if !tag.ends_with('/') && !VOID.contains(&name(tag).as_str()) {
                        open.push(name(tag));
                    }
                }
                after
            }
        };
        if open.last().is_some_and(|name| name == "style") {
            rest = &rest[rest.find("</style").ok_or("a style sheet without its end")?..];
        }
    }
    match open.last() {
        Some(name) => Err(format!("<{name}> is never closed")),
        None => Ok(seen),
    }
}

/// Where the tag at the beginning of `text` ends; a quote may hold anything but `<`.
fn tag_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' => quoted = !quoted,
            '<' => return None,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let good = "<!DOCTYPE html><html><meta a=\"b\"><style>a > b {}</style><p class=\"x > y\">1 &lt; 2<i/></p></html>";
    assert_eq!(elements(good).expect("well-formed"), ["html", "meta", "style", "p", "i"]);
    for wrong in [
        "<p>",
        "</p>",
        "<p><b></p></b>",
        "<p>a & b</p>",
        "<p>a > b</p>",
        "<p a=\"b></p>",
        "<p><</p>",
        "<p a=\"<\"></p>",
    ] {
        assert!(elements(wrong).is_err(), "{wrong}");
    }
}
