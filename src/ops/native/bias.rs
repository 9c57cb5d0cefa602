//! The gradient with respect to a bias, Σ grad_y over all but the feature, while the weights' gradient has grad_y close.

use super::lanes::{MOST_LANES, Simd};

/// The sums, and what they are added up in.
pub(crate) struct BiasGradient<'a> {
    pub(crate) db: &'a mut [f32],
    /// As many words as the weights' gradient asks for.
    pub(crate) scratch: &'a mut [f32],
}

/// Words of a group of images: `[feature][lane]`.
pub(super) fn group_words(features: usize) -> usize {
    features * MOST_LANES
}

/// Adds `n` neighbouring pixels of each feature, from `grad_y` on, whose planes are `plane` words apart, to a group's sums.
///
/// # Safety
/// As [`Simd`]; all planes hold the pixels.
#[inline(always)]
pub(super) unsafe fn add<S: Simd>(sums: &mut [f32], grad_y: *const f32, plane: usize, n: usize) {
    for (feature, sums) in sums.chunks_exact_mut(MOST_LANES).enumerate() {
        // SAFETY: the caller's duty.
        unsafe {
            let from = grad_y.add(feature * plane);
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
}

/// Adds up the groups in order, and then the lanes.
pub(super) fn finish(groups: &[f32], db: &mut [f32]) {
    let words = group_words(db.len());
    for (feature, db) in db.iter_mut().enumerate() {
        let mut lanes = [0.0; MOST_LANES];
        for group in groups.chunks_exact(words) {
            for (lane, sum) in lanes.iter_mut().zip(&group[feature * MOST_LANES..]) {
                *lane += sum;
            }
        }
        *db = lanes.iter().sum();
    }
}
