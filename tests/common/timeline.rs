//! What a timeline file must be.

use std::collections::BTreeMap;

use serde_json::Value;

/// Checks a document against the Trace Event Format as far as smallbox uses it: names for the process and every track, complete events
/// with times, none of which begins before the one in front of it on its track has ended. Returns the events of each named track.
pub fn check(document: &Value) -> Result<BTreeMap<String, Vec<Value>>, String> {
    let events = document["traceEvents"].as_array().ok_or("no traceEvents")?;
    let mut names = BTreeMap::new();
    let mut tracks: BTreeMap<(u64, u64), Vec<Value>> = BTreeMap::new();
    for event in events {
        let number = |key: &str| event[key].as_u64().ok_or(format!("no {key}: {event}"));
        let place = (number("pid")?, number("tid")?);
        match event["ph"].as_str() {
            Some("M") => {
                let name = event["args"]["name"].as_str().ok_or(format!("no name: {event}"))?;
                names.insert((event["name"].as_str().unwrap_or_default().to_string(), place), name.to_string());
            }
            Some("X") => tracks.entry(place).or_default().push(event.clone()),
            _ => return Err(format!("neither a complete event nor a name: {event}")),
        }
    }
    if !names.keys().any(|(what, _)| what == "process_name") {
        return Err("the process has no name".into());
    }
    let mut named = BTreeMap::new();
    for (place, mut events) in tracks {
        let title = names.get(&("thread_name".to_string(), place)).ok_or(format!("track {place:?} has no name"))?;
        let time = |event: &Value, key: &str| {
            event[key].as_f64().filter(|t| *t >= 0.0).ok_or(format!("{key} of {event}: expected a time"))
        };
        for event in &events {
            for key in ["ts", "dur"] {
                time(event, key)?;
            }
            event["name"].as_str().filter(|name| !name.is_empty()).ok_or(format!("no name: {event}"))?;
        }
        events.sort_by(|a, b| a["ts"].as_f64().unwrap_or(0.0).total_cmp(&b["ts"].as_f64().unwrap_or(0.0)));
        for pair in events.windows(2) {
            let end = time(&pair[0], "ts")? + time(&pair[0], "dur")?;
            // Times are whole nanoseconds, in microseconds.
            if time(&pair[1], "ts")? < end - 5e-4 {
                return Err(format!("{} begins before {} ends", pair[1], pair[0]));
            }
        }
        named.insert(title.clone(), events);
    }
    Ok(named)
}
