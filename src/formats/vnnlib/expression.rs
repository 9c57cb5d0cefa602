//! The notation: words in brackets, with comments.

/// A word, or a list in brackets, with the line where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression<'a> {
    Word(&'a str, usize),
    List(Vec<Expression<'a>>, usize),
}

/// Brackets within brackets: more are refused.
const DEEPEST: usize = 64;

impl<'a> Expression<'a> {
    /// The line where it begins, from 1.
    pub(super) fn line(&self) -> usize {
        match self {
            Expression::Word(_, line) | Expression::List(_, line) => *line,
        }
    }

    /// All expressions of a text, or a line and what is wrong there.
    pub(super) fn parse(text: &'a str) -> Result<Vec<Expression<'a>>, (usize, String)> {
        // The lists that are open, outermost first; the first one is the file.
        let mut open: Vec<(Vec<Expression<'a>>, usize)> = vec![(Vec::new(), 0)];
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.split(';').next().unwrap_or_default());
            let mut rest = line.trim_start();
            while let Some(first) = rest.chars().next() {
                let length = match first {
                    '(' | ')' => 1,
                    _ => rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(rest.len()),
                };
                let (word, after) = rest.split_at(length);
                rest = after.trim_start();
                match word {
                    "(" if open.len() > DEEPEST => return Err((number, format!("brackets deeper than {DEEPEST}"))),
                    "(" => open.push((Vec::new(), number)),
                    ")" => {
                        let (list, begun) = open.pop().expect("the file's list is never closed");
                        match open.last_mut() {
                            Some((outer, _)) => outer.push(Expression::List(list, begun)),
                            None => return Err((number, "a bracket is closed that was not opened".into())),
                        }
                    }
                    word => open.last_mut().expect("the file's list").0.push(Expression::Word(word, number)),
                }
            }
        }
        let (list, begun) = open.pop().expect("the file's list");
        match open.is_empty() {
            true => Ok(list),
            false => Err((begun, "a bracket is opened and never closed".into())),
        }
    }
}
