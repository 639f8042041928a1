//! What `fuzz/` gives bytes of any kind, and what holds for all of them. In builds for fuzzing, and in the tests, which
//! go through all that is kept of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;

use crate::{BatchBuilder, Codec, FrameBuffer, RawBatch, RecordView, Records, Remainder, split_batches};
use crate::{WireError, split_made_batches};

pub type Target = fn(&[u8]);

/// The targets, by their names.
pub const TARGETS: [(&str, Target); 4] =
    [("frames", frames), ("batches", batches), ("records", records), ("codecs", codecs)];

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn codec(number: u8) -> Codec {
    CODECS[usize::from(number) % CODECS.len()]
}

/// A stream of bytes that arrives in pieces is cut into the frames that are in it, and no length makes room for more
/// than has come.
pub fn frames(data: &[u8]) {
    const LIMIT: usize = 1 << 16;
    const ROOM: usize = 4 << 20;
    let Some((&step, stream)) = data.split_first() else { return };
    let mut buffer = FrameBuffer::new(LIMIT);
    let mut rest = stream;
    for piece in stream.chunks(usize::from(step).max(1)) {
        buffer.space().extend_from_slice(piece);
        loop {
            let begun = buffer.begun().map(|(length, _)| length);
            match buffer.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let size = 4 + usize::try_from(begun.unwrap()).unwrap();
                    assert_eq!(frame, rest[4..size]);
                    rest = &rest[size..];
                }
                Err(_) => {
                    assert!(usize::try_from(begun.unwrap()).is_ok_and(|length| length > LIMIT) || begun < Some(0));
                    return;
                }
            }
        }
        assert!(buffer.space().capacity() <= ROOM);
    }
    assert_eq!(buffer.arrived(), rest);
}

/// Any bytes are whole batches, one that is cut, or an error; and so is what is in a batch.
pub fn batches(data: &[u8]) {
    const UNPACKED: usize = 1 << 20;
    let bytes = Bytes::copy_from_slice(data);
    for split in [split_batches, split_made_batches] {
        let mut found = Vec::new();
        let remainder = split(&bytes, &mut found);
        let left = data.len() - found.iter().map(RawBatch::size).sum::<usize>();
        match remainder {
            Ok(Remainder::None) => assert_eq!(left, 0),
            Ok(Remainder::Unknown) => assert!(left > 0),
            Ok(Remainder::Cut(total)) => assert!(total > left && left > 0),
            Err(_) => assert!(left >= 12),
        }
        for batch in &found {
            let _ = (batch.check_crc(), batch.header.next_offset());
            let Ok(body) = batch.body(UNPACKED) else { continue };
            if let Ok(records) = batch.records(&body) {
                read(records, body.len());
            }
        }
    }
}

/// What the records of a body are, up to the first that is damaged.
fn read(records: Records<'_>, size: usize) -> Vec<RecordView<'_>> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for record in records {
        let Ok(record) = record else { break };
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.len();
        found.push(record);
    }
    assert!(bytes <= size && found.len() <= size);
    found
}

/// Records that were read are written, with every codec, and read again.
pub fn records(data: &[u8]) {
    let Some((&[number, last], body)) = data.split_first_chunk() else { return };
    let Ok(made) = Records::made(body) else { return };
    let mut next = made.clone();
    while next.next_attributes().is_some() && next.next().is_some() {}
    if let Ok(within) = Records::new(body, last.into()) {
        let within = read(within, body.len());
        assert!(within.iter().all(|record| (0..=i64::from(last)).contains(&record.offset_delta)));
    }
    let made = read(made, body.len());
    if made.is_empty() {
        return;
    }
    let mut builder = BatchBuilder::with_capacity(0);
    let mut first = None;
    let mut written = Vec::new();
    for record in made {
        if !builder.takes_timestamp(record.timestamp_delta) {
            continue;
        }
        let before = builder.len();
        let cost = builder.cost(record.timestamp_delta, record.key, record.value);
        builder.push(record.timestamp_delta, record.key, record.value);
        assert_eq!(builder.len(), before + cost);
        let timestamp_delta = record.timestamp_delta - *first.get_or_insert(record.timestamp_delta);
        written.push(RecordView { offset_delta: written.len() as i64, timestamp_delta, ..record });
    }
    let bytes = builder.finish(codec(number)).unwrap();
    let mut found = Vec::new();
    assert_eq!(split_batches(&bytes, &mut found), Ok(Remainder::None));
    let [batch] = &found[..] else { panic!("{} batches", found.len()) };
    batch.check_crc().unwrap();
    let body = batch.body(data.len() * 4 + 1024).unwrap();
    let again: Result<Vec<_>, WireError> = batch.records(&body).unwrap().collect();
    assert_eq!(again.unwrap(), written);
}

/// What is unpacked is within the limit, and is the same once it was packed again.
pub fn codecs(data: &[u8]) {
    const LIMIT: usize = 1 << 16;
    let Some((&number, bytes)) = data.split_first() else { return };
    let codec = codec(number);
    let round = |bytes: &[u8]| {
        let mut packed = Vec::new();
        codec.compress(bytes, &mut packed).unwrap();
        assert_eq!(codec.decompress(&packed, bytes.len()).unwrap(), bytes, "{}", codec.name());
        if codec != Codec::None && !bytes.is_empty() {
            assert!(codec.decompress(&packed, bytes.len() - 1).is_err(), "{} goes beyond its limit", codec.name());
        }
    };
    round(bytes);
    if let Ok(unpacked) = codec.decompress(bytes, LIMIT) {
        assert!(unpacked.len() <= LIMIT || codec == Codec::None);
        round(&unpacked);
    }
}

#[cfg(test)]
#[path = "../../fuzz/kept.rs"]
mod kept;

#[cfg(test)]
#[test]
fn what_is_kept_of_fuzzing_does_no_harm() {
    kept::does_no_harm(&TARGETS);
}
