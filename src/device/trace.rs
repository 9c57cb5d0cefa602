//! What the time of one run went to: the instrument of profiles.

use std::time::Instant;

/// What the times of launches are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The host's clock around each call: the host is the device.
    Host,
    /// Timestamps that the device writes as it begins and ends each launch, every one in a compute pass of its own.
    Timestamps,
    /// The host's clock around each launch, which is submitted alone and waited for, because the device writes no timestamps. The
    /// way to the device and back is part of every launch.
    Waits,
}

impl Clock {
    /// What it measures, in words.
    pub fn words(self) -> &'static str {
        match self {
            Clock::Host => "times by the host's clock around each call",
            Clock::Timestamps => "times by the device's timestamps, one compute pass per launch",
            Clock::Waits => {
                "this device writes no timestamps: times by the host's clock, each launch submitted alone and waited for"
            }
        }
    }
}

/// A stretch of time in seconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// First instant.
    pub begin: f64,
    /// Last instant, not before the first.
    pub end: f64,
}

impl Span {
    /// Length in seconds.
    pub fn seconds(self) -> f64 {
        self.end - self.begin
    }
}

/// One run with its times.
#[derive(Clone, Debug)]
pub struct RunTrace {
    /// When the run began.
    pub began: Instant,
    /// Where the times of `launches` come from.
    pub clock: Clock,
    /// The host hands over the inputs.
    pub upload: Span,
    /// The host records and submits the launches; of no length where it makes them itself.
    pub record: Span,
    /// The host waits for the device; of no length where the host is the device.
    pub wait: Span,
    /// Each launch, in the order of [`super::ProgramInfo::launches`]. They don't overlap: a launch that the device began before the
    /// one in front of it ended counts from that end on. Timestamps have a zero of their own; the last launch is taken to end with
    /// the wait.
    pub launches: Vec<Span>,
}

impl RunTrace {
    /// Seconds from the beginning to the end of the run.
    pub fn seconds(&self) -> f64 {
        let launches = self.launches.last().map_or(0.0, |span| span.end);
        launches.max(self.wait.end).max(self.record.end).max(self.upload.end)
    }

    /// Seconds in launches.
    pub fn busy(&self) -> f64 {
        self.launches.iter().map(|span| span.seconds()).sum()
    }

    /// Seconds between the first launch and the last in which none ran.
    pub fn gaps(&self) -> f64 {
        let ends = self.launches.first().zip(self.launches.last());
        ends.map_or(0.0, |(first, last)| (last.end - first.begin - self.busy()).max(0.0))
    }
}

/// Launches from their ticks (begin, end), so placed that the last ends at `end` seconds.
pub(super) fn from_ticks(ticks: &[(u64, u64)], seconds_per_tick: f64, end: f64) -> Vec<Span> {
    let Some(&(first, _)) = ticks.first() else { return Vec::new() };
    let mut free = first;
    let mut spans = Vec::with_capacity(ticks.len());
    for &(begin, end) in ticks {
        let begin = begin.max(free);
        free = end.max(begin);
        spans.push((begin, free));
    }
    let seconds = |tick: u64| end - (free - tick) as f64 * seconds_per_tick;
    spans.into_iter().map(|(begin, end)| Span { begin: seconds(begin), end: seconds(end) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_spans_that_follow_each_other() {
        // The second begins before the first ends; the fourth's clock stood still.
        let spans = from_ticks(&[(100, 200), (150, 300), (350, 400), (390, 380)], 0.01, 10.0);
        let ends: Vec<(f64, f64)> = spans.iter().map(|s| (s.begin, s.end)).collect();
        assert_eq!(ends, [(7.0, 8.0), (8.0, 9.0), (9.5, 10.0), (10.0, 10.0)]);
        assert!(from_ticks(&[], 1.0, 0.0).is_empty());
        let trace = RunTrace {
            began: Instant::now(),
            clock: Clock::Timestamps,
            upload: Span::default(),
            record: Span::default(),
            wait: Span { begin: 1.0, end: 10.5 },
            launches: spans,
        };
        assert_eq!((trace.seconds(), trace.busy(), trace.gaps()), (10.5, 2.5, 0.5));
    }
}
