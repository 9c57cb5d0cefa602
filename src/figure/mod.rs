//! Charts as SVG text and as pixels: plain data in, text out. Nothing here knows where the numbers come from.
//!
//! The text stands alone as a file and within a page: it has no identifiers, no style sheet and no script, and takes the colour
//! of axes and words from where it stands (`currentColor`), so that it suits light and dark pages. Series differ by colour (the
//! palette of Okabe and Ito 2008, made for colour-blind readers) and by dashes; every point says its value when pointed at.

mod chart;
mod marks;
mod number;
mod palette;
mod panels;
mod plane;
mod svg;
mod text;
mod ticks;

pub use chart::{Axis, Chart, Dot, Figure, Mark, Point, Scale, Series};
pub use number::number;
pub use palette::sample;
pub use text::escape;
