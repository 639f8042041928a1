//! `FLV_FORMAT_PICKLE`: a chunk as a pickle stream (protocol 5) that Python's C code turns into columns.
//!
//! The stream is `(offsets, timestamps, keys, values)`. User bytes only ever follow their length, as operands; none of
//! them can be taken for an opcode.

use fluvio_cffi_engine::{ChunkEncoder, RecordRef};

const PROTO_5: [u8; 2] = [0x80, 5];
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const STOP: u8 = b'.';
const NONE: u8 = b'N';
const EMPTY_LIST: u8 = b']';
const APPENDS: u8 = b'e';
const BININT: u8 = b'J';
const BININT1: u8 = b'K';
const BININT2: u8 = b'M';
const LONG1: u8 = 0x8a;
const SHORT_BINBYTES: u8 = b'C';
const BINBYTES: u8 = b'B';

pub(super) struct Pickle;

impl ChunkEncoder for Pickle {
    fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        const MOST_AROUND_A_RECORD: usize = 2 * 5 + 2 * 10;
        let mut bytes = 0;
        let (mut keys, mut contiguous, mut one_timestamp) = (false, true, true);
        let (first_offset, first_timestamp) = records.first().map_or((0, 0), |first| (first.offset, first.timestamp));
        for (expected, record) in (first_offset..).zip(records) {
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.len();
            keys |= record.key.is_some();
            contiguous &= record.offset == expected;
            one_timestamp &= record.timestamp == first_timestamp;
        }
        let mut out = Vec::with_capacity(bytes + records.len() * MOST_AROUND_A_RECORD + 64);
        out.extend_from_slice(&PROTO_5);
        out.push(MARK);
        match contiguous {
            true => int(&mut out, first_offset),
            false => list(&mut out, records, |out, record| int(out, record.offset)),
        }
        match one_timestamp {
            true => int(&mut out, first_timestamp),
            false => list(&mut out, records, |out, record| int(out, record.timestamp)),
        }
        match keys {
            false => out.push(NONE),
            true => list(&mut out, records, |out, record| match record.key {
                None => out.push(NONE),
                Some(key) => binary(out, key),
            }),
        }
        list(&mut out, records, |out, record| binary(out, record.value));
        out.push(TUPLE);
        out.push(STOP);
        out
    }
}

fn list(out: &mut Vec<u8>, records: &[RecordRef<'_>], item: impl Fn(&mut Vec<u8>, &RecordRef<'_>)) {
    out.push(EMPTY_LIST);
    out.push(MARK);
    records.iter().for_each(|record| item(out, record));
    out.push(APPENDS);
}

fn int(out: &mut Vec<u8>, value: i64) {
    if let Ok(byte) = u8::try_from(value) {
        out.extend_from_slice(&[BININT1, byte]);
    } else if let Ok(short) = u16::try_from(value) {
        out.push(BININT2);
        out.extend_from_slice(&short.to_le_bytes());
    } else if let Ok(int) = i32::try_from(value) {
        out.push(BININT);
        out.extend_from_slice(&int.to_le_bytes());
    } else {
        out.extend_from_slice(&[LONG1, 8]);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[inline]
fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(length) => out.extend_from_slice(&[SHORT_BINBYTES, length]),
        Err(_) => {
            out.push(BINBYTES);
            // The wire format limits a value to 2 GiB.
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What Python reads from the stream, as its `repr`.
    fn read(records: &[RecordRef<'_>]) -> String {
        let mut python = Command::new("python3")
            .args(["-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer))"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&Pickle.encode(0, records)).unwrap();
        String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    fn record<'a>(offset: i64, timestamp: i64, key: Option<&'a [u8]>, value: &'a [u8]) -> RecordRef<'a> {
        RecordRef { offset, timestamp, key, value }
    }

    #[test]
    fn columns_collapse_when_they_can() {
        let records = [record(7, 1_700_000_000_000, None, b"a"), record(8, 1_700_000_000_000, None, b"")];
        assert_eq!(read(&records), "(7, 1700000000000, None, [b'a', b''])");
    }

    #[test]
    fn holes_keys_and_opcodes_in_values() {
        let records = [
            record(300, -1, Some(b""), b".Ne("),
            record(70_000, 5, None, b"\x80\x05\x00t."),
            record(i64::MAX, i64::MIN, Some(b"\n"), b"x"),
        ];
        let expected = "([300, 70000, 9223372036854775807], [-1, 5, -9223372036854775808], [b'', None, b'\\n'], \
                        [b'.Ne(', b'\\x80\\x05\\x00t.', b'x'])";
        assert_eq!(read(&records), expected);
    }

    #[test]
    fn integers_at_the_limits_of_their_opcodes() {
        let numbers =
            [0, 255, 256, 65_535, 65_536, (1 << 31) - 1, 1 << 31, -1, -(1 << 31), -(1 << 31) - 1, i64::MAX, i64::MIN];
        let records: Vec<_> = numbers.iter().map(|number| record(*number, -*number.max(&-5), None, b"")).collect();
        let negated: Vec<_> = numbers.iter().map(|number| -*number.max(&-5)).collect();
        assert_eq!(read(&records), format!("({numbers:?}, {negated:?}, None, {:?})", vec!["b''"; 12]).replace('"', ""));
    }

    #[test]
    fn no_records() {
        assert_eq!(read(&[]), "(0, 0, None, [])");
    }

    #[test]
    fn every_byte_as_a_key_and_a_value() {
        let bytes: Vec<u8> = (0..=255).collect();
        let records: Vec<_> = bytes.chunks(1).map(|byte| record(9, 9, Some(byte), &bytes)).collect();
        let mut python = Command::new("python3")
            .args(["-c", "import pickle, sys; o, t, k, v = pickle.load(sys.stdin.buffer); b = bytes(range(256)); \
                   print(o == [9] * 256, t == 9, k == [bytes([i]) for i in b], v == [b] * 256, sys.stdin.buffer.read())"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&Pickle.encode(0, &records)).unwrap();
        assert_eq!(python.wait_with_output().unwrap().stdout, b"True True True True b''\n");
    }

    #[test]
    fn long_values() {
        for length in [255, 256, 70_000] {
            let value = vec![b'v'; length];
            assert_eq!(read(&[record(0, 0, None, &value)]), format!("(0, 0, None, [b'{}'])", "v".repeat(length)));
        }
    }

    /// cargo test --release -p fluvio-cffi-abi --lib speed -- --ignored --nocapture
    #[test]
    #[ignore = "measures"]
    fn speed() {
        let bytes = vec![b'v'; 100 * 1000];
        let records: Vec<_> =
            bytes.chunks(100).enumerate().map(|(i, value)| record(5_000_000 + i as i64, 7, None, value)).collect();
        for (what, records) in [
            ("values", records.clone()),
            ("keys and values", records.iter().map(|one| RecordRef { key: Some(&one.value[..10]), ..*one }).collect()),
        ] {
            let started = std::time::Instant::now();
            for _ in 0..2000 {
                std::hint::black_box(Pickle.encode(0, std::hint::black_box(&records)));
            }
            println!("{what}: {:.1} ns a record", started.elapsed().as_nanos() as f64 / 2e6);
        }
    }
}
