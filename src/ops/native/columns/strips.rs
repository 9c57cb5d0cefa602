//! The columns of a band of output rows, written down once for each column of taps: what a row of taps reads begins a few rows further on
//! than what the row before reads.

use crate::ops::native::band::Band;
use crate::ops::native::lanes::{Simd, Width};
use crate::ops::native::workers::{LINE, line_aligned};

/// A row of pixels for each output row of a band and for those that further rows of taps read, one after the other.
#[derive(Debug)]
struct Strip {
    /// Where the first row begins in the padded band.
    from: usize,
    /// Rows more than the band has.
    more: usize,
}

/// How the columns of a band lie in memory.
#[derive(Debug)]
pub(super) struct Strips {
    strips: Vec<Strip>,
    /// Pixels of a row, and words from a row's source to the next one's.
    width: usize,
    step: usize,
    /// Words of a strip, with a vector of zeros at the end.
    pitch: usize,
    /// Where the columns of each term begin.
    taps: Vec<u32>,
}

/// Where the terms of a sum lie: the down and right of each row and column of taps, in the order of the terms of one channel.
pub(super) struct Taps<'a> {
    pub(super) channels: usize,
    pub(super) down: &'a [usize],
    pub(super) right: &'a [usize],
    /// Input rows from one output row to the next.
    pub(super) row_step: usize,
}

impl Taps<'_> {
    /// Rows of taps whose sources are whole output rows apart share strips: those with the same first row, of which there are so many.
    fn phases(&self) -> Vec<usize> {
        let mut phases: Vec<usize> = self.down.iter().map(|down| down % self.row_step).collect();
        phases.sort_unstable();
        phases.dedup();
        phases
    }

    /// Most output rows of `width` pixels whose strips take no more than `words`, at least one.
    pub(super) fn fitting(&self, width: usize, words: usize) -> usize {
        let rows = words / (width * self.channels * self.phases().len() * self.right.len());
        rows.saturating_sub(self.down.iter().max().map_or(0, |down| down / self.row_step)).max(1)
    }
}

impl Strips {
    /// Of bands of at most `rows` output rows of `pixels` pixels.
    pub(super) fn new(taps: &Taps<'_>, band: &Band, rows: usize, pixels: usize, width: Width) -> Strips {
        let phases = taps.phases();
        let more = |phase: usize| {
            let rows = taps.down.iter().filter(|&down| down % taps.row_step == phase).map(|down| down / taps.row_step);
            rows.max().unwrap_or(0)
        };
        let most = phases.iter().map(|&phase| more(phase)).max().unwrap_or(0);
        // An odd number of lines apart, strips don't share cache sets.
        let pitch = (((rows + most) * pixels + width.lanes).div_ceil(LINE) | 1) * LINE;
        let (mut strips, mut places) = (Vec::new(), Vec::new());
        for channel in 0..taps.channels {
            let first = strips.len();
            for &phase in &phases {
                let from = |&right: &usize| Strip { from: band.offset(channel, phase, right), more: more(phase) };
                strips.extend(taps.right.iter().map(from));
            }
            for &down in taps.down {
                let phase =
                    phases.iter().position(|&phase| phase == down % taps.row_step).expect("all phases are listed");
                for right in 0..taps.right.len() {
                    let strip = first + phase * taps.right.len() + right;
                    places.push((strip * pitch + down / taps.row_step * pixels) as u32);
                }
            }
        }
        Strips { strips, width: pixels, step: taps.row_step * band.row(), pitch, taps: places }
    }

    /// Where the columns of each term begin.
    pub(super) fn taps(&self) -> &[u32] {
        &self.taps
    }

    /// Words of all strips.
    pub(super) fn words(&self) -> usize {
        line_aligned(self.strips.len() * self.pitch)
    }

    /// Writes the columns of `rows` output rows, and zeros up to a whole vector. `padded` holds what they read, and a vector more.
    ///
    /// # Safety
    /// As [`Simd`]; `padded` and `rows` are those of the band.
    #[inline(always)]
    pub(super) unsafe fn write<S: Simd>(&self, padded: &[f32], rows: usize, to: &mut [f32]) {
        assert!(to.len() >= self.words());
        for (i, strip) in self.strips.iter().enumerate() {
            let rows = rows + strip.more;
            // SAFETY: the taps of the band's outputs lie in the band, which is followed by a vector; so is a strip.
            unsafe {
                let to = to.as_mut_ptr().add(i * self.pitch);
                for row in 0..rows {
                    let from = padded.as_ptr().add(strip.from + row * self.step);
                    // What the last vector writes past the row is overwritten by the next one.
                    for j in (0..self.width).step_by(S::LANES) {
                        S::store(to.add(row * self.width + j), S::load(from.add(j)));
                    }
                }
                S::store(to.add(rows * self.width), S::splat(0.0));
            }
        }
    }
}
