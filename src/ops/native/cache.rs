//! How large a core's own cache is. What is decided by it may change how fast a kernel is, never what it computes: results are the
//! same on every machine.

use std::sync::OnceLock;

/// Words of the second-level cache where it can't be found out: 1 MiB.
const USUAL_WORDS: usize = 256 * 1024;

/// Words of a core's second-level cache.
pub(crate) fn second_level_words() -> usize {
    static WORDS: OnceLock<usize> = OnceLock::new();
    *WORDS.get_or_init(|| detect().map_or(USUAL_WORDS, |bytes| bytes / 4))
}

/// Bytes, as the processor describes its caches: leaf 4 of `cpuid` (Intel), or the same at leaf 0x8000001D (AMD).
#[cfg(target_arch = "x86_64")]
fn detect() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    [(0x8000_0000, 0x8000_001d), (0, 4)].into_iter().filter(|&(base, leaf)| __cpuid(base).eax >= leaf).find_map(
        |(_, leaf)| {
            // Levels follow each other; a type of 0 ends them.
            let caches = (0..16).map(|i| __cpuid_count(leaf, i)).take_while(|cache| cache.eax & 0x1f != 0);
            let of_data = |cache: &std::arch::x86_64::CpuidResult| cache.eax & 0x1f != 2 && cache.eax >> 5 & 7 == 2;
            let second = caches.into_iter().find(of_data)?;
            let part = |bits: u32, count: u32| (second.ebx >> bits & ((1 << count) - 1)) as usize + 1;
            // Line size, partitions, ways, sets.
            Some(part(0, 12) * part(12, 10) * part(22, 10) * (second.ecx as usize + 1))
        },
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_level_is_as_large_as_the_system_says() {
        let words = second_level_words();
        assert!((16 * 1024..64 * 1024 * 1024).contains(&words), "{words}");
        // Linux has asked the processors, which need not be all alike.
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let processors = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
        let caches = processors.flat_map(|cpu| (0..8).map(move |i| cpu.path().join(format!("cache/index{i}"))));
        let second = caches.filter(|cache| read(cache.join("level")).trim() == "2");
        let kib =
            second.filter_map(|cache| read(cache.join("size")).trim().trim_end_matches('K').parse::<usize>().ok());
        let kib: Vec<usize> = kib.collect();
        assert!(kib.is_empty() || !cfg!(target_arch = "x86_64") || kib.contains(&(words / 256)), "{words} of {kib:?}");
    }
}
