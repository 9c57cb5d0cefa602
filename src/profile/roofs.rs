//! What a device can do at most, measured on it by kernels of its own through the same instrument as what is held against it.

use std::time::Instant;

use serde::Serialize;

use crate::device::{Clock, Feed, Program, RunTrace, Session};
use crate::error::Result;
use crate::graph::{Cost, Graph, Plan};
use crate::ops;
use crate::shape::TensorType;

/// Elements and rounds that the measurement of multiply-adds begins with, and up to where they are raised fourfold: elements first, to
/// fill every lane of a large GPU.
const FEWEST: (usize, u32) = (1 << 16, 16);
const MOST: (usize, u32) = (1 << 20, 1 << 14);
/// A measurement of multiply-adds takes at least that many launches' time and that many seconds, so that starting it does not count.
/// Not much longer: of many short ones, some are not interrupted by what else the machine does.
const LONG_ENOUGH: (f64, f64) = (100.0, 2e-4);
/// Bytes that the streams move, from what a core's own cache holds to more than most last levels do.
const STREAM_BYTES: [u64; 5] = [1 << 16, 1 << 19, 1 << 22, 1 << 25, 1 << 28];
/// Launches in a row whose length is the time of one.
const CHAIN: usize = 64;
/// Seconds that one roof is measured for, beyond its fewest runs.
const SECONDS: f64 = 0.15;
const FEWEST_RUNS: usize = 5;

/// The speed of streams of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stream {
    /// Bytes read and written.
    pub bytes: u64,
    /// The better of a stream that reads and writes and one that only reads.
    pub bytes_per_second: f64,
}

/// The limits of one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roofs {
    /// Where the times of the device come from.
    pub clock: Clock,
    /// Floating-point operations per second of independent multiply-adds in registers, a multiply-add counted as two.
    pub flops_per_second: f64,
    /// Streams, by rising size: what fits in a cache is faster.
    pub streams: Vec<Stream>,
    /// Seconds from one launch of next to no work to the next.
    pub launch_seconds: f64,
}

/// What keeps a kernel from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Its arithmetic.
    Compute,
    /// Its traffic.
    Memory,
    /// Being launched at all.
    Launch,
}

impl Bound {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
            Bound::Launch => "launch",
        }
    }
}

/// The least time that work can take, in seconds, by each roof alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Least {
    /// For its arithmetic.
    pub compute: f64,
    /// For its traffic.
    pub memory: f64,
    /// For its launches.
    pub launch: f64,
}

impl Least {
    /// The roof that binds: the one that asks for most time.
    pub fn bound(self) -> Bound {
        if self.launch > self.compute.max(self.memory) {
            Bound::Launch
        } else if self.compute > self.memory {
            Bound::Compute
        } else {
            Bound::Memory
        }
    }
}

impl std::ops::AddAssign for Least {
    fn add_assign(&mut self, other: Least) {
        self.compute += other.compute;
        self.memory += other.memory;
        self.launch += other.launch;
    }
}

impl Roofs {
    /// Measures the device of `session`: seconds, and up to 400 MB of its memory meanwhile.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where it does not run.
    pub async fn measure(session: &mut dyn Session) -> Result<Roofs> {
        Roofs::measure_up_to(session, u64::MAX).await
    }

    /// [`Roofs::measure`] with no stream of more than `most` bytes but the smallest: less memory and time, but what needs the memory
    /// proper may then come out above the roof.
    ///
    /// # Errors
    /// As there.
    pub async fn measure_up_to(session: &mut dyn Session, most: u64) -> Result<Roofs> {
        let mut streams = Vec::with_capacity(STREAM_BYTES.len());
        for bytes in STREAM_BYTES.into_iter().filter(|&bytes| bytes <= most.max(STREAM_BYTES[0])) {
            streams.push(Stream { bytes, bytes_per_second: stream(session, bytes).await? });
        }
        let (launch_seconds, clock) = launch(session).await?;
        Ok(Roofs { clock, flops_per_second: peak(session, launch_seconds).await?, streams, launch_seconds })
    }

    /// Bytes per second that nothing of `bytes` bytes exceeds: the best stream of the next smaller size or any larger one.
    pub fn bytes_per_second(&self, bytes: u64) -> f64 {
        let from = self.streams.iter().rposition(|stream| stream.bytes <= bytes).unwrap_or(0);
        self.streams[from..].iter().map(|stream| stream.bytes_per_second).fold(0.0, f64::max)
    }

    /// Bytes per second of memory proper: of the largest stream.
    pub fn memory_bytes_per_second(&self) -> f64 {
        self.streams.last().map_or(0.0, |stream| stream.bytes_per_second)
    }

    /// [`Roofs::least`] where no cache holds the operands.
    pub fn least_from_memory(&self, cost: Cost) -> Least {
        Least { memory: cost.bytes as f64 / self.memory_bytes_per_second(), ..self.least(cost) }
    }

    /// The least time of one launch of `cost`.
    pub fn least(&self, cost: Cost) -> Least {
        Least {
            compute: cost.flops as f64 / self.flops_per_second,
            memory: cost.bytes as f64 / self.bytes_per_second(cost.bytes),
            launch: self.launch_seconds,
        }
    }
}

/// The least that `seconds` makes of several runs, after one that does not count.
async fn best(
    session: &mut dyn Session,
    program: Program,
    feeds: &[Feed<'_>],
    seconds: impl Fn(&RunTrace) -> f64,
) -> Result<f64> {
    session.run_traced(program, feeds).await?;
    let (begun, mut least) = (Instant::now(), f64::INFINITY);
    let mut runs = 0;
    while runs < FEWEST_RUNS || begun.elapsed().as_secs_f64() < SECONDS {
        least = least.min(seconds(&session.run_traced(program, feeds).await?));
        runs += 1;
    }
    Ok(least)
}

/// Which of a program's launches work for `op`.
fn places(session: &dyn Session, program: Program, op: &str) -> Vec<usize> {
    let launches = session.program_info(program).launches;
    (0..launches.len()).filter(|&i| launches[i].op == op).collect()
}

/// Seconds in those launches.
fn seconds_at(trace: &RunTrace, places: &[usize]) -> f64 {
    places.iter().map(|&i| trace.launches[i].seconds()).sum()
}

/// FLOP/s of as many multiply-adds as take long enough for a device that takes `launch` seconds to launch a kernel.
async fn peak(session: &mut dyn Session, launch: f64) -> Result<f64> {
    let (launches, seconds) = LONG_ENOUGH;
    let long_enough = seconds.max(launches * launch);
    let (mut elements, mut rounds) = FEWEST;
    loop {
        let mut g = Graph::new();
        let x = ops::fill(&mut g, 1.0, [elements])?;
        let y = ops::multiply_adds(&mut g, x, rounds)?;
        g.output("y", y);
        let program = session.compile(&Plan::new(g)?)?;
        let launches = session.program_info(program).launches;
        let at = places(session, program, "multiply_adds");
        let flops: u64 = at.iter().map(|&i| launches[i].cost.flops).sum();
        let seconds = best(session, program, &[], |trace| seconds_at(trace, &at)).await?;
        session.release(program);
        if seconds >= long_enough || rounds >= MOST.1 {
            return Ok(flops as f64 / seconds);
        }
        if elements < MOST.0 { elements *= 4 } else { rounds *= 4 }
    }
}

/// Bytes per second of the better of y = x / 2 and Σ x, with `bytes` bytes read and written by the first.
async fn stream(session: &mut dyn Session, bytes: u64) -> Result<f64> {
    let mut g = Graph::new();
    let x = ops::fill(&mut g, 1.0, [bytes as usize / 8])?;
    let y = ops::scale(&mut g, x, 0.5)?;
    // Of other words: two that read the same would become one pass.
    let z = ops::fill(&mut g, 1.0, [bytes as usize / 8])?;
    let sum = ops::sum_all(&mut g, z)?;
    g.output("y", y);
    g.output("sum", sum);
    let program = session.compile(&Plan::new(g)?)?;
    let (copying, reading) = (places(session, program, "unary"), places(session, program, "reduce"));
    let copied = best(session, program, &[], |trace| seconds_at(trace, &copying)).await?;
    let read = best(session, program, &[], |trace| seconds_at(trace, &reading)).await?;
    session.release(program);
    Ok((bytes as f64 / copied).max(bytes as f64 / 2.0 / read))
}

/// Seconds per launch of kernels over 64 words, one after the other, and by which clock.
async fn launch(session: &mut dyn Session) -> Result<(f64, Clock)> {
    let mut g = Graph::new();
    let mut x = g.input("x", TensorType::f32([8, 8]))?;
    let y = g.input("y", TensorType::f32([8, 8]))?;
    for i in 0..CHAIN {
        // Two kernels in turn: neighbours differ in pipeline and bindings, and nothing fuses.
        x = if i % 2 == 0 { ops::maximum(&mut g, x, y)? } else { ops::transpose(&mut g, x, &[1, 0])? };
    }
    g.output("x", x);
    let program = session.compile(&Plan::new(g)?)?;
    let words = [0.5f32; 64];
    let feeds: [Feed<'_>; 2] = [("x", bytemuck::cast_slice(&words)), ("y", bytemuck::cast_slice(&words))];
    let seconds = best(session, program, &feeds, |trace| trace.busy() + trace.gaps()).await?;
    let clock = session.run_traced(program, &feeds).await?.clock;
    session.release(program);
    Ok((seconds / CHAIN as f64, clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roofs() -> Roofs {
        let stream = |bytes, bytes_per_second| Stream { bytes, bytes_per_second };
        Roofs {
            clock: Clock::Host,
            flops_per_second: 1e9,
            streams: vec![stream(1_000, 5e9), stream(1_000_000, 8e9), stream(1_000_000_000, 2e9)],
            launch_seconds: 1e-6,
        }
    }

    #[test]
    fn a_stream_bounds_all_from_its_size_on() {
        let of = |bytes| roofs().bytes_per_second(bytes);
        // A larger stream that was faster bounds the smaller ones too.
        assert_eq!([10, 999_999, 1_000_000, 999_999_999, 1_000_000_000].map(of), [8e9, 8e9, 8e9, 8e9, 2e9]);
        assert_eq!(roofs().memory_bytes_per_second(), 2e9);
    }

    #[test]
    fn the_roof_that_asks_for_most_time_binds() {
        let bound = |flops, bytes| roofs().least(Cost { flops, bytes }).bound();
        assert_eq!(bound(1_000_000, 1_000), Bound::Compute);
        assert_eq!(bound(1_000, 100_000_000), Bound::Memory);
        assert_eq!(bound(100, 100), Bound::Launch);
        let least = roofs().least(Cost { flops: 1_000, bytes: 4_000_000_000 });
        assert_eq!(least, Least { compute: 1e-6, memory: 2.0, launch: 1e-6 });
    }
}
