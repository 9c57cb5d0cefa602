//! Where in memory the rows of images lie that tiles read and write, to be asked for while the products before run.

use std::ops::Range;

use super::tiling::{Band, Frame, Tiling};
use crate::kernel::Layout;

/// Images under the outputs of tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Images {
    pub(super) frame: Frame,
    /// Rows past the outputs of a tile that it reads.
    pub(super) reach: usize,
    pub(super) channels: usize,
    pub(super) layout: Layout,
    pub(super) lanes: usize,
}

impl Images {
    /// The rows of some units: the first element of the array, and how many follow. None of images in planes, whose rows are so short that
    /// to ask for them costs more than it brings.
    pub(super) fn areas(
        self,
        tiling: &Tiling,
        units: Range<usize>,
    ) -> impl Iterator<Item = (usize, usize)> + Clone + use<'_> {
        let [height, width] = self.frame.image;
        let units = if self.layout == Layout::Blocks { units } else { 0..0 };
        let of_band = move |(band, channel): (Band, usize)| {
            (0..band.images).map(move |i| {
                let plane = (band.image + i) * self.channels + channel;
                (plane * height * width + band.row * width * self.lanes, band.rows * width * self.lanes)
            })
        };
        units.flat_map(move |unit| {
            let bands = tiling.bands(unit, self.frame, self.reach);
            let channels = move |i| (0..self.channels).step_by(self.lanes).map(move |channel| (bands[i], channel));
            (0..bands.len()).flat_map(channels).flat_map(of_band)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiling::Sizes;
    use super::*;

    #[test]
    fn areas_are_all_elements_of_the_rows_that_units_touch() {
        let [channels, extent, lanes] = [8, 14, 4];
        for (reach, before) in [(0, 0), (2, 1)] {
            let frame = Frame { scale: 1, before: [before; 2], image: [extent; 2] };
            let images = Images { frame, reach, channels, layout: Layout::Blocks, lanes };
            let pitch = frame.pitch([extent; 2], 3);
            let of_images = std::iter::once(Tiling::new(6, [extent; 2], 3));
            for tiling in of_images.chain(Tiling::of_sheets(6, [extent; 2], pitch, Sizes::mixed(3))) {
                let mut times = vec![0; 6 * channels * extent * extent];
                for (at, words) in images.areas(&tiling, 0..tiling.units()) {
                    times[at..at + words].iter_mut().for_each(|n| *n += 1);
                }
                // Rows that tiles reach over are touched by two units.
                assert!(times.iter().all(|&n| (1..=1 + reach.min(1)).contains(&n)), "{images:?} {tiling:?}");
                let some = images.areas(&tiling, 1..2).map(|(_, words)| words).sum::<usize>();
                let rows = tiling.bands(1, frame, reach).iter().map(|band| band.rows * band.images).sum::<usize>();
                assert_eq!(some, rows * extent * channels);
                assert_eq!(Images { layout: Layout::Planes, ..images }.areas(&tiling, 0..2).count(), 0);
            }
        }
    }
}
