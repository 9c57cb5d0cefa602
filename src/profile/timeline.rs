//! Traced runs as a file for `chrome://tracing` and ui.perfetto.dev, in the Trace Event Format: complete events ("ph": "X") with times in
//! microseconds.

use serde_json::{Value, json};

use super::table::Profile;
use crate::device::{DeviceInfo, Span};

const PROCESS: u32 = 1;

/// Rows of the timeline, which the format calls threads.
#[derive(Clone, Copy)]
enum Track {
    Runs = 1,
    Host = 2,
    Kernels = 3,
}

/// The runs of `profile`: each as a whole, what the host does, and every launch with its op, its output's shape and its cost. Events of
/// one track don't overlap.
pub fn timeline(profile: &Profile, device: &DeviceInfo) -> Value {
    let mut events = vec![name("process_name", None, &format!("smallbox on {}", device.name))];
    for (track, title) in [(Track::Runs, "runs"), (Track::Host, "host"), (Track::Kernels, "kernels")] {
        events.push(name("thread_name", Some(track), title));
    }
    let runs = profile.runs();
    for (index, run) in runs.iter().enumerate() {
        let offset = (run.began - runs[0].began).as_secs_f64();
        let mut add = |track: Track, name: &str, span: Span, args: Value| {
            let [begin, end] = [span.begin, span.end].map(|seconds| nanoseconds(offset + seconds));
            // What the device has no use for has no length; a launch that the clock can't see is still one.
            if end > begin || matches!(track, Track::Kernels) {
                events.push(json!({
                    "name": name, "cat": "smallbox", "ph": "X", "ts": begin as f64 / 1e3, "dur": (end - begin) as f64 / 1e3,
                    "pid": PROCESS, "tid": track as u32, "args": args,
                }));
            }
        };
        let whole = Span { begin: 0.0, end: run.seconds() };
        add(Track::Runs, &format!("run {}", index + 1), whole, json!({}));
        add(Track::Host, "upload", run.upload, json!({}));
        add(Track::Host, "record and submit", run.record, json!({}));
        add(Track::Host, "wait", run.wait, json!({}));
        for (launch, &span) in profile.launches().iter().zip(&run.launches) {
            let args = json!({
                "op": launch.op, "output": launch.output.dims(), "flops": launch.cost.flops, "bytes": launch.cost.bytes,
            });
            add(Track::Kernels, launch.kernel, span, args);
        }
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": { "device": device, "clock": profile.clock() } })
}

/// Whole, so that an event ends exactly where the next begins.
fn nanoseconds(seconds: f64) -> u64 {
    (1e9 * seconds).round() as u64
}

fn name(what: &str, track: Option<Track>, text: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": PROCESS, "tid": track.map_or(0, |track| track as u32), "args": { "name": text } })
}
