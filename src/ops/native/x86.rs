//! [`Simd`] for x86-64: AVX-512, AVX2 with FMA, and the SSE2 baseline.
//!
//! Every method is `#[inline(always)]` and becomes part of [`Simd::enter`], which carries the target features.

use std::arch::x86_64::*;

use super::lanes::{MOST_LANES, Simd, Work};

/// AVX-512 F, BW, DQ, VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// The baseline of x86-64; no fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Sse2;

// SAFETY of all bodies below: by the contract of `Simd`, the instruction set is there and the pointers are valid.

impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps((1 << n) - 1, from) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: __m512, n: usize) {
        unsafe { _mm512_mask_storeu_ps(to, (1 << n) - 1, v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn and(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_and_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m512) -> __m512 {
        // Of 0 and NaN, max gives its second operand.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn zero_unless_positive(a: __m512, m: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(m, _mm512_setzero_ps()), a) }
    }
    #[inline(always)]
    unsafe fn unzip(from: *const f32, n: usize, even: *mut f32, odd: *mut f32) {
        unsafe {
            let places = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let next = _mm512_add_epi32(places, _mm512_set1_epi32(1));
            for i in (0..n).step_by(32) {
                let count = (n - i).min(32);
                let bits = u32::MAX >> (32 - count);
                let low = _mm512_maskz_loadu_ps(bits as u16, from.add(i));
                let high = _mm512_maskz_loadu_ps((bits >> 16) as u16, from.wrapping_add(i + 16));
                let evens = u16::MAX >> (16 - count.div_ceil(2));
                let odds = ((1u32 << (count / 2)) - 1) as u16;
                _mm512_mask_storeu_ps(even.add(i / 2), evens, _mm512_permutex2var_ps(low, places, high));
                _mm512_mask_storeu_ps(odd.wrapping_add(i / 2), odds, _mm512_permutex2var_ps(low, next, high));
            }
        }
    }
    #[inline(always)]
    unsafe fn list(
        from: *const f32,
        n: usize,
        (first, step): (u32, u32),
        values: *mut f32,
        numbers: *mut u32,
    ) -> usize {
        unsafe {
            let v = Self::load_up_to(from, n);
            let places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let of_words = _mm512_mullo_epi32(places, _mm512_set1_epi32(step as i32));
            let of_words = _mm512_add_epi32(of_words, _mm512_set1_epi32(first as i32));
            // Lanes past the n-th hold 0.
            let mask = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(v, _mm512_setzero_ps());
            _mm512_storeu_ps(values, _mm512_maskz_compress_ps(mask, v));
            _mm512_storeu_epi32(numbers.cast(), _mm512_maskz_compress_epi32(mask, of_words));
            mask.count_ones() as usize
        }
    }
    #[inline(always)]
    unsafe fn zip(even: __m512, odd: __m512, to: *mut f32) {
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            _mm512_storeu_ps(to, _mm512_permutex2var_ps(even, low, odd));
            _mm512_storeu_ps(to.add(16), _mm512_permutex2var_ps(even, high, odd));
        }
    }
    #[inline(always)]
    unsafe fn transpose(row: impl Fn(usize) -> *const f32) -> [__m512; 4] {
        unsafe {
            // Quarter q of vector i holds row 4q + i: what shuffles within quarters can't do is done by the loads.
            let [a, b, c, d]: [__m512; 4] = std::array::from_fn(|i| {
                let quarter = |q: usize| _mm_loadu_ps(row(4 * q + i));
                let v = _mm512_castps128_ps512(quarter(0));
                let v = _mm512_insertf32x4::<1>(v, quarter(1));
                let v = _mm512_insertf32x4::<2>(v, quarter(2));
                _mm512_insertf32x4::<3>(v, quarter(3))
            });
            let pair = |a, b| [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)].map(|v| _mm512_castps_pd(v));
            let (ab, cd) = (pair(a, b), pair(c, d));
            std::array::from_fn(|j| {
                let (ab, cd) = (ab[j / 2], cd[j / 2]);
                _mm512_castpd_ps(if j % 2 == 0 { _mm512_unpacklo_pd(ab, cd) } else { _mm512_unpackhi_pd(ab, cd) })
            })
        }
    }
    #[inline(always)]
    unsafe fn add_across(v: [__m512; MOST_LANES]) -> __m512 {
        // Functions, not closures: those are not inlined where the instruction set is.
        #[inline(always)]
        unsafe fn pairs(a: __m512, b: __m512) -> __m512d {
            unsafe { _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))) }
        }
        /// Of four vectors, in each quarter the sums of that quarter.
        #[inline(always)]
        unsafe fn quarters(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
            unsafe {
                let (ab, cd) = (pairs(a, b), pairs(c, d));
                let (even, odd) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
                _mm512_add_ps(_mm512_castpd_ps(even), _mm512_castpd_ps(odd))
            }
        }
        #[inline(always)]
        unsafe fn halves(a: __m512, b: __m512) -> __m512 {
            unsafe {
                let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
                _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b))
            }
        }
        unsafe {
            let a = halves(quarters(v[0], v[1], v[2], v[3]), quarters(v[4], v[5], v[6], v[7]));
            let b = halves(quarters(v[8], v[9], v[10], v[11]), quarters(v[12], v[13], v[14], v[15]));
            let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
            _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
        }
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    unsafe fn enter<W: Work>(work: W) {
        unsafe { work.run::<Self>() }
    }
}

/// Masks for the first n lanes are read from here, at 8 − n.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn first8(n: usize) -> __m256i {
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - n).cast()) }
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(from, first8(n)) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: __m256, n: usize) {
        unsafe { _mm256_maskstore_ps(to, first8(n), v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn and(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_and_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m256) -> __m256 {
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn zero_unless_positive(a: __m256, m: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(m, _mm256_setzero_ps()), a) }
    }
    #[inline(always)]
    unsafe fn unzip(from: *const f32, n: usize, even: *mut f32, odd: *mut f32) {
        unsafe {
            for i in (0..n).step_by(16) {
                let count = (n - i).min(16);
                let part = |skip: usize| match count.saturating_sub(skip) {
                    0 => _mm256_setzero_ps(),
                    rest if rest < 8 => Self::load_first(from.add(i + skip), rest),
                    _ => Self::load(from.add(i + skip)),
                };
                let (low, high) = (part(0), part(8));
                // Halves of the lanes are shuffled each by itself: words 0, 2, 8, 10 and 4, 6, 12, 14.
                let order = |v: __m256| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(v)));
                let evens = order(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
                let odds = order(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
                if count == 16 {
                    Self::store(even.add(i / 2), evens);
                    Self::store(odd.wrapping_add(i / 2), odds);
                } else {
                    Self::store_first(even.add(i / 2), evens, count.div_ceil(2));
                    Self::store_first(odd.wrapping_add(i / 2), odds, count / 2);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn zip(even: __m256, odd: __m256, to: *mut f32) {
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
            _mm256_storeu_ps(to, _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(to.add(8), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
    #[inline(always)]
    unsafe fn transpose(row: impl Fn(usize) -> *const f32) -> [__m256; 4] {
        unsafe {
            // Half h of vector i holds row 4h + i.
            let [a, b, c, d]: [__m256; 4] = std::array::from_fn(|i| {
                let v = _mm256_castps128_ps256(_mm_loadu_ps(row(i)));
                _mm256_insertf128_ps::<1>(v, _mm_loadu_ps(row(4 + i)))
            });
            let pair = |a, b| [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)].map(|v| _mm256_castps_pd(v));
            let (ab, cd) = (pair(a, b), pair(c, d));
            std::array::from_fn(|j| {
                let (ab, cd) = (ab[j / 2], cd[j / 2]);
                _mm256_castpd_ps(if j % 2 == 0 { _mm256_unpacklo_pd(ab, cd) } else { _mm256_unpackhi_pd(ab, cd) })
            })
        }
    }
    #[inline(always)]
    unsafe fn add_across(v: [__m256; MOST_LANES]) -> __m256 {
        #[inline(always)]
        unsafe fn pairs(a: __m256, b: __m256) -> __m256d {
            unsafe { _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))) }
        }
        /// Of four vectors, in each half the sums of that half.
        #[inline(always)]
        unsafe fn halves(a: __m256, b: __m256, c: __m256, d: __m256) -> __m256 {
            unsafe {
                let (ab, cd) = (pairs(a, b), pairs(c, d));
                let (even, odd) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
                _mm256_add_ps(_mm256_castpd_ps(even), _mm256_castpd_ps(odd))
            }
        }
        unsafe {
            let (a, b) = (halves(v[0], v[1], v[2], v[3]), halves(v[4], v[5], v[6], v[7]));
            _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
        }
    }
    #[target_feature(enable = "avx2,fma")]
    unsafe fn enter<W: Work>(work: W) {
        unsafe { work.run::<Self>() }
    }
}

impl Simd for Sse2 {
    type Vector = __m128;
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m128 {
        unsafe { _mm_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m128 {
        unsafe { _mm_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m128) {
        unsafe { _mm_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m128 {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            *lane = unsafe { *from.add(i) };
        }
        unsafe { _mm_loadu_ps(lanes.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: __m128, n: usize) {
        let mut lanes = [0.0; 4];
        unsafe { _mm_storeu_ps(lanes.as_mut_ptr(), v) };
        for (i, lane) in lanes.into_iter().enumerate().take(n) {
            unsafe { *to.add(i) = lane };
        }
    }
    #[inline(always)]
    unsafe fn add(a: __m128, b: __m128) -> __m128 {
        unsafe { _mm_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m128, b: __m128) -> __m128 {
        unsafe { _mm_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m128, b: __m128) -> __m128 {
        unsafe { _mm_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m128, b: __m128, c: __m128) -> __m128 {
        unsafe { _mm_add_ps(_mm_mul_ps(a, b), c) }
    }
    #[inline(always)]
    unsafe fn and(a: __m128, b: __m128) -> __m128 {
        unsafe { _mm_and_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m128) -> __m128 {
        unsafe { _mm_max_ps(_mm_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn zero_unless_positive(a: __m128, m: __m128) -> __m128 {
        unsafe { _mm_and_ps(_mm_cmpnle_ps(m, _mm_setzero_ps()), a) }
    }
    #[inline(always)]
    unsafe fn zip(even: __m128, odd: __m128, to: *mut f32) {
        unsafe {
            _mm_storeu_ps(to, _mm_unpacklo_ps(even, odd));
            _mm_storeu_ps(to.add(4), _mm_unpackhi_ps(even, odd));
        }
    }
    #[inline(always)]
    unsafe fn transpose(row: impl Fn(usize) -> *const f32) -> [__m128; 4] {
        unsafe {
            let [mut a, mut b, mut c, mut d]: [__m128; 4] = std::array::from_fn(|i| _mm_loadu_ps(row(i)));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            [a, b, c, d]
        }
    }
    #[inline(always)]
    unsafe fn add_across(v: [__m128; MOST_LANES]) -> __m128 {
        unsafe {
            let ab = _mm_add_ps(_mm_unpacklo_ps(v[0], v[1]), _mm_unpackhi_ps(v[0], v[1]));
            let cd = _mm_add_ps(_mm_unpacklo_ps(v[2], v[3]), _mm_unpackhi_ps(v[2], v[3]));
            _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))
        }
    }
    unsafe fn enter<W: Work>(work: W) {
        unsafe { work.run::<Self>() }
    }
}
