//! Vectors of f32 for hand-blocked kernels, one type per instruction set.
//!
//! Plain loops are left to the compiler ([`vectorised!`](crate::ops::simd)); kernels that live from keeping a tile of
//! sums in registers are written once over [`Simd`] and entered through [`dispatch`].

use crate::ops::simd::Level;

/// Most [`Simd::LANES`].
pub(crate) const MOST_LANES: usize = 16;

/// An instruction set: vectors of [`LANES`](Simd::LANES) f32.
///
/// # Safety of the methods
/// They may only run on a machine that has the instruction set, inside [`Simd::enter`] (so that they are inlined), and
/// pointers must be valid for the lanes that are read or written. No alignment is asked for.
pub(crate) trait Simd: Copy + 'static {
    /// Register type.
    type Vector: Copy;
    /// f32 in a vector.
    const LANES: usize;
    /// Architectural vector registers: how large a tile may be.
    const REGISTERS: usize;

    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self::Vector;
    /// Reads all lanes.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Writes all lanes.
    unsafe fn store(to: *mut f32, v: Self::Vector);
    /// Reads the first `n` < LANES lanes, 0 in the others.
    unsafe fn load_first(from: *const f32, n: usize) -> Self::Vector;
    /// Writes the first `n` < LANES lanes.
    unsafe fn store_first(to: *mut f32, v: Self::Vector, n: usize);
    /// Reads the first `n` ≤ LANES lanes, 0 in the others.
    #[inline(always)]
    unsafe fn load_up_to(from: *const f32, n: usize) -> Self::Vector {
        // SAFETY: by the contract of the trait.
        unsafe { if n == Self::LANES { Self::load(from) } else { Self::load_first(from, n) } }
    }
    /// Writes the first `n` ≤ LANES lanes.
    #[inline(always)]
    unsafe fn store_up_to(to: *mut f32, v: Self::Vector, n: usize) {
        // SAFETY: by the contract of the trait.
        unsafe { if n == Self::LANES { Self::store(to, v) } else { Self::store_first(to, v, n) } }
    }
    /// a + b.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a − b.
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b.
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c, fused where the instruction set has it.
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Bits of a that are set in b, too.
    unsafe fn and(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// All bits but the sign, for absolute values by [`Simd::and`]. The compiler doesn't know what they are: of a number that is spread
    /// over the lanes it would take the absolute value before, on its way through an integer register.
    #[inline(always)]
    unsafe fn all_but_sign() -> Self::Vector {
        // SAFETY: by the contract of the trait.
        std::hint::black_box(unsafe { Self::splat(f32::from_bits(0x7fff_ffff)) })
    }
    /// max(a, 0), NaN for NaN.
    unsafe fn relu(a: Self::Vector) -> Self::Vector;
    /// a where m > 0 or m is NaN, else 0.
    unsafe fn zero_unless_positive(a: Self::Vector, m: Self::Vector) -> Self::Vector;
    /// Splits `n` words into those at even and at odd places.
    #[inline(always)]
    unsafe fn unzip(from: *const f32, n: usize, even: *mut f32, odd: *mut f32) {
        // SAFETY: by the contract of the trait.
        unsafe {
            for i in 0..n.div_ceil(2) {
                *even.add(i) = *from.add(2 * i);
            }
            for i in 0..n / 2 {
                *odd.add(i) = *from.add(2 * i + 1);
            }
        }
    }
    /// Writes those of `n` ≤ LANES words that are not 0 and, of word i, the number `first` + i · `step`, and returns how many they are. Both
    /// places have room for LANES words.
    #[inline(always)]
    unsafe fn list(
        from: *const f32,
        n: usize,
        (first, step): (u32, u32),
        values: *mut f32,
        numbers: *mut u32,
    ) -> usize {
        let mut count = 0;
        for i in 0..n {
            // SAFETY: by the contract of the trait.
            unsafe {
                let x = *from.add(i);
                (*values.add(count), *numbers.add(count)) = (x, first + i as u32 * step);
                count += usize::from(x != 0.0);
            }
        }
        count
    }
    /// Writes 2 · LANES words: lanes of `even` and of `odd` in turn.
    unsafe fn zip(even: Self::Vector, odd: Self::Vector, to: *mut f32);
    /// The columns of LANES rows of four words: lane i of vector j is word j of the row at `row(i)`.
    unsafe fn transpose(row: impl Fn(usize) -> *const f32) -> [Self::Vector; 4];
    /// Lane i is the sum of the lanes of the i-th of the first LANES vectors.
    unsafe fn add_across(v: [Self::Vector; MOST_LANES]) -> Self::Vector;
    /// Asks for the cache line at `at`, which need not be valid memory.
    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
    /// The same as far as the second-level cache.
    #[inline(always)]
    unsafe fn prefetch_second_level(at: *const f32) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
    /// Runs `work` compiled for this instruction set.
    unsafe fn enter<W: Work>(work: W);
}

/// Work written over any instruction set. `run` must be `#[inline(always)]`, so that it becomes part of
/// [`Simd::enter`], the function compiled for the instruction set.
pub(crate) trait Work {
    /// # Safety
    /// As [`Simd`]; and whatever the implementation's pointers need.
    unsafe fn run<S: Simd>(self);
}

/// Runs `work` on an instruction set.
///
/// # Safety
/// The machine has `level` (see [`level`](crate::ops::simd::level)), and whatever the pointers in `work` need.
pub(crate) unsafe fn dispatch<W: Work>(level: Level, work: W) {
    // SAFETY: the caller's duty.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => super::x86::Avx512::enter(work),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => super::x86::Avx2::enter(work),
            _ => Baseline::enter(work),
        }
    }
}

/// What blocking needs to know about an instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    pub(crate) level: Level,
    /// [`Simd::LANES`].
    pub(crate) lanes: usize,
    /// [`Simd::REGISTERS`].
    pub(crate) registers: usize,
}

impl Width {
    /// The width of `level`, which the machine must have.
    pub(crate) fn of(level: Level) -> Width {
        fn width<S: Simd>(level: Level) -> Width {
            assert_eq!(S::LANES, level.lanes(), "{level:?} has one width");
            Width { level, lanes: S::LANES, registers: S::REGISTERS }
        }
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => width::<super::x86::Avx512>(level),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => width::<super::x86::Avx2>(level),
            _ => width::<Baseline>(level),
        }
    }
}

#[cfg(target_arch = "x86_64")]
type Baseline = super::x86::Sse2;
#[cfg(target_arch = "aarch64")]
type Baseline = super::neon::Neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Baseline = Portable;

/// Four lanes in plain Rust, for architectures without an implementation of their own.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl Simd for Portable {
    type Vector = [f32; 4];
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        // SAFETY: by the contract of the trait.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: [f32; 4]) {
        // SAFETY: by the contract of the trait.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> [f32; 4] {
        // SAFETY: by the contract of the trait.
        std::array::from_fn(|i| if i < n { unsafe { *from.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: [f32; 4], n: usize) {
        for (i, x) in v.into_iter().enumerate().take(n) {
            // SAFETY: by the contract of the trait.
            unsafe { *to.add(i) = x };
        }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn and(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| f32::from_bits(a[i].to_bits() & b[i].to_bits()))
    }
    #[inline(always)]
    unsafe fn relu(a: [f32; 4]) -> [f32; 4] {
        a.map(|a| if a < 0.0 { 0.0 } else { a })
    }
    #[inline(always)]
    unsafe fn zero_unless_positive(a: [f32; 4], m: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if m[i] <= 0.0 { 0.0 } else { a[i] })
    }
    #[inline(always)]
    unsafe fn zip(even: [f32; 4], odd: [f32; 4], to: *mut f32) {
        for (i, (a, b)) in even.into_iter().zip(odd).enumerate() {
            // SAFETY: by the contract of the trait.
            unsafe { to.add(2 * i).cast::<[f32; 2]>().write_unaligned([a, b]) };
        }
    }
    #[inline(always)]
    unsafe fn transpose(row: impl Fn(usize) -> *const f32) -> [[f32; 4]; 4] {
        // SAFETY: by the contract of the trait.
        std::array::from_fn(|j| std::array::from_fn(|i| unsafe { *row(i).add(j) }))
    }
    #[inline(always)]
    unsafe fn add_across(v: [[f32; 4]; MOST_LANES]) -> [f32; 4] {
        std::array::from_fn(|i| (v[i][0] + v[i][2]) + (v[i][1] + v[i][3]))
    }
    unsafe fn enter<W: Work>(work: W) {
        // SAFETY: plain Rust runs everywhere; the rest is the caller's duty.
        unsafe { work.run::<Self>() }
    }
}
