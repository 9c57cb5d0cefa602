//! TensorBoard event files: TFRecord framing around protobuf messages.
//!
//! A record is its length (u64), the masked CRC-32C of those 8 bytes, the data, the masked CRC-32C of the data, all little
//! endian (tensorflow/core/lib/io/record_writer). Field numbers are those of tensorflow's event.proto and summary.proto.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use prost::Message;

use crate::error::{Error, Result};

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Appends scalars of one step to an event file, which is begun if it doesn't exist.
pub fn append_scalars(path: &Path, wall_time: f64, step: u64, scalars: &[(String, f64)]) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
    let mut bytes = Vec::new();
    if file.metadata().map_err(Error::io(path))?.len() == 0 {
        let version = Event { wall_time, file_version: Some("brain.Event:2".into()), ..Event::default() };
        record(&version.encode_to_vec(), &mut bytes);
    }
    let value = |(tag, v): &(String, f64)| SummaryValue { tag: tag.clone(), simple_value: Some(*v as f32) };
    let summary = Summary { value: scalars.iter().map(value).collect() };
    let event = Event { wall_time, step: step as i64, summary: Some(summary), ..Event::default() };
    record(&event.encode_to_vec(), &mut bytes);
    file.write_all(&bytes).map_err(Error::io(path))
}

fn record(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
}

/// CRC-32C, rotated and offset so that the CRC of data that holds CRCs stays meaningful.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into its records, checking lengths and both checksums.
    fn records(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at_checked(8)?;
            let (length_crc, rest) = rest.split_at_checked(4)?;
            let n = u64::from_le_bytes(length.try_into().ok()?) as usize;
            let (data, rest) = rest.split_at_checked(n)?;
            let (data_crc, rest) = rest.split_at_checked(4)?;
            if masked_crc(length).to_le_bytes() != length_crc || masked_crc(data).to_le_bytes() != data_crc {
                return None;
            }
            found.push(data.to_vec());
            bytes = rest;
        }
        Some(found)
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // CRC-32C check value of "123456789" (RFC 3720 appendix B.4 uses the same polynomial).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    /// What TensorBoard 2.21's own `RecordWriter` writes for these 8 bytes.
    #[test]
    fn a_record_is_what_tensorboard_writes() {
        let mut ours = Vec::new();
        record(b"smallbox", &mut ours);
        let theirs =
            [&8u64.to_le_bytes()[..], &[0xff, 0x86, 0x24, 0x0f], b"smallbox", &[0x30, 0xbd, 0x2f, 0x5d]].concat();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn scalars_come_back_and_a_flipped_bit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.1.smallbox");
        append_scalars(&path, 1.0, 7, &[("loss".into(), 0.5)]).unwrap();
        append_scalars(&path, 2.0, 8, &[("loss".into(), 0.25), ("lr".into(), 1e-3)]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let events: Vec<Event> =
            records(&bytes).unwrap().iter().map(|r| Event::decode(r.as_slice()).unwrap()).collect();
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(events[2].step, 8);
        let values = &events[2].summary.as_ref().unwrap().value;
        assert_eq!((values[0].tag.as_str(), values[0].simple_value), ("loss", Some(0.25)));
        assert_eq!((values[1].tag.as_str(), values[1].simple_value), ("lr", Some(1e-3)));
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
        assert!(records(&bytes).is_none());
    }
}
