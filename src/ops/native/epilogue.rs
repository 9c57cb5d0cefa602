//! What happens to a sum before it is written.

/// Summand, ReLU and mask, in this order. NaN passes ReLU, and a NaN in the mask doesn't hide the sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue<'a> {
    /// One summand per output channel or feature.
    pub(crate) bias: Option<&'a [f32]>,
    /// 0 for negative values.
    pub(crate) relu: bool,
    /// 0 where the mask, of the output's shape, is ≤ 0.
    pub(crate) mask: Option<&'a [f32]>,
}

impl Epilogue<'_> {
    /// Applies it in place to contiguous elements of one channel, the first being element `at` of the mask.
    #[inline(always)]
    pub(crate) fn apply(&self, channel: usize, at: usize, out: &mut [f32]) {
        match (self.bias, self.relu) {
            (Some(bias), true) => out.iter_mut().for_each(|y| *y = relu(*y + bias[channel])),
            (Some(bias), false) => out.iter_mut().for_each(|y| *y += bias[channel]),
            (None, true) => out.iter_mut().for_each(|y| *y = relu(*y)),
            (None, false) => {}
        }
        if let Some(mask) = self.mask {
            for (y, &m) in out.iter_mut().zip(&mask[at..]) {
                *y = if m <= 0.0 { 0.0 } else { *y };
            }
        }
    }
}

#[inline(always)]
fn relu(y: f32) -> f32 {
    if y < 0.0 { 0.0 } else { y }
}
