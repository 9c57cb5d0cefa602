//! Run-time choice of the instruction set for native kernels.
//!
//! The binary is built for the baseline of its architecture; a loop marked by `vectorised!` is compiled once more for
//! AVX2 and for AVX-512, and the best one that the machine has is called. NEON is part of the AArch64 baseline.

use std::sync::OnceLock;

/// Instruction sets that kernels are compiled for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every machine of the architecture has.
    Baseline,
    /// AVX2 with fused multiply-add (8 lanes, 16 registers).
    Avx2,
    /// AVX-512 F, BW, DQ, VL with fused multiply-add (16 lanes, 32 registers).
    Avx512,
}

impl Level {
    /// f32 in a vector.
    pub const fn lanes(self) -> usize {
        match self {
            Level::Baseline => 4,
            Level::Avx2 => 8,
            Level::Avx512 => 16,
        }
    }
}

/// The best level of this machine. `SMALLBOX_SIMD=baseline|avx2|avx512` asks for a weaker one, so that tests can hold
/// the levels against each other; asking for one that the machine lacks has no effect.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = detect();
        match std::env::var("SMALLBOX_SIMD").as_deref() {
            Ok("baseline") => Level::Baseline,
            Ok("avx2") => best.min(Level::Avx2),
            _ => best,
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

/// Defines a function whose body is compiled for every [`Level`] and chosen at run time. The body must be plain safe
/// code over slices; results do not depend on the level, because the compiler may neither reorder nor contract f32
/// arithmetic.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::ops::simd::level() {
                    // SAFETY: the level was detected on this machine.
                    $crate::ops::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::ops::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                    $crate::ops::simd::Level::Baseline => body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// Elements that one task of a parallel elementwise loop handles: large enough to hide the cost of a task, small enough
/// to stay in the first cache levels with several operands. Fixed, so that results never depend on the number of threads.
pub(crate) const CHUNK: usize = 16 * 1024;
