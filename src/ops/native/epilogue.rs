//! What happens to a sum before it is written.

use super::box_relu::BoxRelu;
use super::lanes::Simd;

/// Summand, ReLU and mask, in this order, and then, when all of a task's sums are written, the ReLU of boxes whose radii they are. NaN passes ReLU, and a NaN in the mask doesn't hide the sum.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// One summand per output channel or feature.
    pub(crate) bias: Option<&'a [f32]>,
    /// 0 for negative values.
    pub(crate) relu: bool,
    /// 0 where the mask, of the output's shape, is ≤ 0.
    pub(crate) mask: Option<&'a [f32]>,
    /// What is done in place at the end. Whoever writes radii has written the centers of the same places before.
    pub(crate) joined: Option<BoxRelu<'a>>,
}

impl Epilogue<'_> {
    /// What the sums of neighbouring channels, in the lanes of a vector, go through before the mask: of `count` from `first` on.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(crate) unsafe fn lanes<S: Simd>(&self, first: usize, count: usize) -> LaneEpilogue<S> {
        // SAFETY: the bias holds all channels.
        let bias = self.bias.map(|b| unsafe { S::load_up_to(b[first..first + count].as_ptr(), count) });
        LaneEpilogue { bias, relu: self.relu }
    }

    /// Whether sums stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.bias.is_none() && !self.relu && self.mask.is_none()
    }

    /// Ends with `n` neighbouring elements from element `at` of the output on, which `written` holds.
    ///
    /// # Safety
    /// As [`BoxRelu::run`].
    #[inline(always)]
    pub(crate) unsafe fn finish<S: Simd>(&self, written: *mut f32, at: usize, n: usize) {
        if let Some(joined) = &self.joined {
            // SAFETY: the caller's duty.
            unsafe { joined.run::<S>(written, at, n) }
        }
    }

    /// The mask from element `at` on.
    pub(crate) fn mask_from(&self, at: usize) -> Option<*const f32> {
        self.mask.map(|mask| mask[at..].as_ptr())
    }

    /// Writes `n` neighbouring elements of one channel, the first being element `at` of the mask.
    ///
    /// # Safety
    /// As [`Simd`]; `sums` and `to` hold `n` elements and are the same or don't overlap.
    #[inline(always)]
    pub(crate) unsafe fn write<S: Simd>(&self, channel: usize, at: usize, sums: *const f32, to: *mut f32, n: usize) {
        // SAFETY: the caller's duty.
        unsafe {
            let bias = self.bias.map(|b| S::splat(b[channel]));
            self.each::<S>(at, sums, to, n, |_, _| bias);
        }
    }

    /// Writes the first `n` ≤ LANES sums of a vector of neighbouring elements of one channel, the first being element `at` of the mask.
    ///
    /// # Safety
    /// As [`Simd`]; `to` holds `n` elements.
    #[inline(always)]
    pub(crate) unsafe fn write_vector<S: Simd>(
        &self,
        channel: usize,
        at: usize,
        sums: S::Vector,
        to: *mut f32,
        n: usize,
    ) {
        // SAFETY: the caller's duty.
        unsafe {
            let bias = self.bias.map(|b| S::splat(b[channel]));
            let mut y = LaneEpilogue::<S> { bias, relu: self.relu }.apply(sums);
            if let Some(mask) = self.mask {
                y = S::zero_unless_positive(y, S::load_up_to(mask[at..at + n].as_ptr(), n));
            }
            S::store_up_to(to, y, n);
        }
    }

    /// Writes `n` neighbouring features of one sample, from feature `first`; the first is element `at` of the mask.
    ///
    /// # Safety
    /// As [`Epilogue::write`].
    #[inline(always)]
    pub(crate) unsafe fn write_features<S: Simd>(
        &self,
        first: usize,
        at: usize,
        sums: *const f32,
        to: *mut f32,
        n: usize,
    ) {
        let bias = self.bias.map(|b| b[first..first + n].as_ptr());
        // SAFETY: `bias` holds n elements; the rest is the caller's duty.
        unsafe { self.each::<S>(at, sums, to, n, |i, count| bias.map(|b| S::load_up_to(b.add(i), count))) };
    }

    /// `bias(i, count)`: summands of `count` elements from the i-th.
    #[inline(always)]
    unsafe fn each<S: Simd>(
        &self,
        at: usize,
        sums: *const f32,
        to: *mut f32,
        n: usize,
        bias: impl Fn(usize, usize) -> Option<S::Vector>,
    ) {
        let mask = self.mask.map(|m| m[at..at + n].as_ptr());
        for i in (0..n).step_by(S::LANES) {
            let count = S::LANES.min(n - i);
            // SAFETY: i + count ≤ n.
            unsafe {
                let mut y = S::load_up_to(sums.add(i), count);
                if let Some(bias) = bias(i, count) {
                    y = S::add(y, bias);
                }
                if self.relu {
                    y = S::relu(y);
                }
                if let Some(mask) = mask {
                    y = S::zero_unless_positive(y, S::load_up_to(mask.add(i), count));
                }
                S::store_up_to(to.add(i), y, count);
            }
        }
    }
}

/// Summand and ReLU of a vector whose lanes are channels.
#[derive(Clone, Copy)]
pub(crate) struct LaneEpilogue<S: Simd> {
    bias: Option<S::Vector>,
    relu: bool,
}

impl<S: Simd> LaneEpilogue<S> {
    /// Whether sums stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.bias.is_none() && !self.relu
    }

    /// Carries it out.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(crate) unsafe fn apply(&self, sum: S::Vector) -> S::Vector {
        // SAFETY: the caller's duty.
        unsafe {
            let sum = self.bias.map_or(sum, |bias| S::add(sum, bias));
            if self.relu { S::relu(sum) } else { sum }
        }
    }
}
