//! The gradient with respect to a bias, Σ grad_y over all but the feature, while the weights' gradient has grad_y close.

use std::ops::Range;

use super::lanes::{MOST_LANES, Simd};
use super::workers::{Shared, aligned};
use crate::kernel::Layout;

/// The sums, and what they are added up in.
pub(crate) struct BiasGradient<'a> {
    pub(crate) db: &'a mut [f32],
    /// As many words as the weights' gradient asks for.
    pub(crate) scratch: &'a mut [f32],
}

/// The sums of all groups of images, which tasks add to in parallel.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    sums: Shared,
    /// Words of a group: `[feature][lane]`.
    words: usize,
}

/// Words of the sums of `groups` groups.
pub(super) fn words(groups: usize, features: usize) -> usize {
    groups * features * MOST_LANES
}

impl BiasGradient<'_> {
    /// The sums of `groups` groups.
    pub(super) fn groups(&mut self, groups: usize) -> Groups {
        let sums = aligned(self.scratch, words(groups, self.db.len()));
        Groups { sums: Shared::new(sums), words: words(1, self.db.len()) }
    }

    /// Adds up the groups in order, and then the lanes.
    pub(super) fn finish(self, groups: usize) {
        let sums = &*aligned(self.scratch, words(groups, self.db.len()));
        let group_words = words(1, self.db.len());
        for (feature, db) in self.db.iter_mut().enumerate() {
            let mut lanes = [0.0; MOST_LANES];
            for group in sums.chunks_exact(group_words) {
                for (lane, sum) in lanes.iter_mut().zip(&group[feature * MOST_LANES..]) {
                    *lane += sum;
                }
            }
            *db = lanes.iter().sum();
        }
    }
}

impl Groups {
    /// The sums of one group, from 0.
    ///
    /// # Safety
    /// The buffers of the gradient are still there, and nobody else uses this group's.
    pub(super) unsafe fn begin<'a>(self, group: usize) -> &'a mut [f32] {
        // SAFETY: the caller's duty.
        let sums = unsafe { std::slice::from_raw_parts_mut(self.sums.at(group * self.words), self.words) };
        sums.fill(0.0);
        sums
    }
}

/// Adds `pixels` of each feature of an image, whose features have `plane` pixels, to a group's sums.
///
/// # Safety
/// As [`Simd`]; `image` holds all features' pixels.
#[inline(always)]
pub(super) unsafe fn add<S: Simd>(
    layout: Layout,
    sums: &mut [f32],
    image: *const f32,
    plane: usize,
    pixels: Range<usize>,
) {
    let (first, n) = (pixels.start, pixels.len());
    // SAFETY: the caller's duty.
    unsafe {
        match layout {
            Layout::Planes => {
                for (feature, sums) in sums.chunks_exact_mut(MOST_LANES).enumerate() {
                    add_plane::<S>(sums, image.add(feature * plane + first), n);
                }
            }
            Layout::Blocks => {
                for (block, sums) in sums.chunks_exact_mut(S::LANES * MOST_LANES).enumerate() {
                    add_block::<S>(sums, image.add((block * plane + first) * S::LANES), n);
                }
            }
        }
    }
}

/// `n` pixels of one feature.
#[inline(always)]
unsafe fn add_plane<S: Simd>(sums: &mut [f32], from: *const f32, n: usize) {
    // SAFETY: the caller's duty.
    unsafe {
        // Two chains: an addition waits for the one before it.
        let (mut even, mut odd) = (S::load(sums.as_ptr()), S::splat(0.0));
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(2 * S::LANES) {
            even = S::add(even, S::load(from.add(i)));
            if i + S::LANES < whole {
                odd = S::add(odd, S::load(from.add(i + S::LANES)));
            }
        }
        if whole < n {
            odd = S::add(odd, S::load_first(from.add(whole), n - whole));
        }
        S::store(sums.as_mut_ptr(), S::add(even, odd));
    }
}

/// `n` pixels of the features of a block.
#[inline(always)]
unsafe fn add_block<S: Simd>(sums: &mut [f32], from: *const f32, n: usize) {
    let mut total = [0.0; MOST_LANES];
    // SAFETY: the caller's duty.
    unsafe {
        let mut chains = [S::splat(0.0); 4];
        let whole = n / 4 * 4;
        for i in (0..whole).step_by(4) {
            for (j, chain) in chains.iter_mut().enumerate() {
                *chain = S::add(*chain, S::load(from.add((i + j) * S::LANES)));
            }
        }
        for i in whole..n {
            chains[0] = S::add(chains[0], S::load(from.add(i * S::LANES)));
        }
        let [a, b, c, d] = chains;
        S::store(total.as_mut_ptr(), S::add(S::add(a, b), S::add(c, d)));
    }
    for (sums, total) in sums.chunks_exact_mut(MOST_LANES).zip(total) {
        sums[0] += total;
    }
}
