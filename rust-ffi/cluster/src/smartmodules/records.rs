//! Records as SmartModules take and give them, read and written as the real server's host does, which spoils varints
//! that do not fit into 32 bits.

use std::io::{self, ErrorKind};

fn cut(message: &'static str) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

/// Reads what a module has written. Whatever that is, nothing is allocated for it, and the end is an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, message: &'static str) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(|| cut(message))?;
        self.0 = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize, message: &'static str) -> io::Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| cut(message))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn i8(&mut self) -> io::Result<i8> {
        self.array("not enough buf for i8").map(i8::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> io::Result<i32> {
        self.array("can't read i32").map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> io::Result<i64> {
        self.array("can't read i64").map(i64::from_be_bytes)
    }

    pub(super) fn bool(&mut self) -> io::Result<bool> {
        match self.array("not enough buf for bool")? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "not valid bool value")),
        }
    }

    fn varint(&mut self) -> io::Result<i64> {
        let mut number = 0_i64;
        for shift in (0..i64::BITS).step_by(7) {
            let [byte] = self.array("varint decoding no more bytes left")?;
            number |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) ^ -(number & 1));
            }
        }
        Err(io::Error::new(ErrorKind::InvalidData, "varint of more than 64 bits"))
    }

    /// Bytes behind their length as a varint.
    pub(super) fn data(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| cut("negative length of record data"))?;
        self.take(length, "varint decoding no more bytes left")
    }

    pub(super) fn optional_data(&mut self) -> io::Result<Option<&'a [u8]>> {
        if self.bool()? { self.data().map(Some) } else { Ok(None) }
    }

    /// Bytes behind their length as an i32.
    pub(super) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.take(length, "bytes shorter than their length")
    }

    pub(super) fn string(&mut self) -> io::Result<String> {
        let length = i16::from_be_bytes(self.array("can't read string length")?);
        let bytes = self.take(usize::try_from(length).unwrap_or(0), "not enough string")?;
        let text = std::str::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(text.to_owned())
    }

    /// The records of a block, each given to `each`. How many there are.
    pub(super) fn block(&mut self, mut each: impl FnMut(&Record<'a>)) -> io::Result<usize> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        for _ in 0..count {
            each(&self.record()?);
        }
        Ok(count)
    }

    fn record(&mut self) -> io::Result<Record<'a>> {
        let length = self.varint()?;
        if length > i64::try_from(self.0.len()).unwrap_or(i64::MAX) {
            return Err(cut("not enough for record"));
        }
        Ok(Record {
            attributes: self.i8()?,
            time_delta: self.varint()?,
            offset_delta: self.varint()?,
            key: self.optional_data()?,
            value: self.data()?,
            headers: self.varint()?,
        })
    }
}

/// A record where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    attributes: i8,
    pub(crate) time_delta: i64,
    pub(crate) offset_delta: i64,
    key: Option<&'a [u8]>,
    value: &'a [u8],
    headers: i64,
}

/// What the real server makes of a number before it cuts it into sevens: right for those of 32 bits.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 31)).cast_unsigned()
}

/// Whether there is more than the last seven bits; it looks no further than to the 32nd.
fn has_more(rest: u64) -> bool {
    rest & 0xffff_ff80 != 0
}

/// Appends a number as the official crate does. Where that goes on for ever, which it does from 2^62 on, this ends.
fn put_varint(target: &mut Vec<u8>, number: i64) {
    let mut rest = zigzag(number);
    while has_more(rest) {
        target.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    target.push(rest as u8);
}

fn varint_size(number: i64) -> usize {
    let mut rest = zigzag(number);
    let mut size = 1;
    while has_more(rest) {
        size += 1;
        rest >>= 7;
    }
    size
}

fn data_size(data: &[u8]) -> usize {
    varint_size(data.len() as i64) + data.len()
}

fn put_data(target: &mut Vec<u8>, data: &[u8]) {
    put_varint(target, data.len() as i64);
    target.extend_from_slice(data);
}

impl Record<'_> {
    /// Appends the record, its offset delta raised by `shift`.
    pub(crate) fn write(&self, target: &mut Vec<u8>, shift: i64) {
        let offset_delta = self.offset_delta.wrapping_add(shift);
        let size = 2
            + varint_size(self.time_delta)
            + varint_size(offset_delta)
            + self.key.map_or(0, data_size)
            + data_size(self.value)
            + varint_size(self.headers);
        put_varint(target, size as i64);
        target.push(self.attributes.cast_unsigned());
        put_varint(target, self.time_delta);
        put_varint(target, offset_delta);
        target.push(u8::from(self.key.is_some()));
        if let Some(key) = self.key {
            put_data(target, key);
        }
        put_data(target, self.value);
        put_varint(target, self.headers);
    }
}

/// Records one after another, with their number before them.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    count: usize,
}

/// Bytes of the number of records.
pub(crate) const COUNT: usize = 4;

impl Block {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; COUNT], count: 0 }
    }

    pub(crate) fn push(&mut self, record: &Record<'_>, shift: i64) {
        record.write(&mut self.bytes, shift);
        self.count += 1;
    }

    /// Where the next record would begin, and how many there are before it.
    pub(crate) fn mark(&self) -> (usize, usize) {
        (self.bytes.len(), self.count)
    }

    /// Takes what was pushed after a mark.
    pub(crate) fn split_off(&mut self, (length, count): (usize, usize)) -> Self {
        let mut taken = Self::new();
        taken.bytes.extend(self.bytes.drain(length..));
        taken.count = std::mem::replace(&mut self.count, count) - count;
        taken
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The block as it is on the wire.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        if let Some(head) = self.bytes.first_chunk_mut() {
            *head = count.to_be_bytes();
        }
        &self.bytes
    }
}

/// The records of a block, each given to `each`.
pub(crate) fn read_block<'a>(block: &'a [u8], each: impl FnMut(&Record<'a>)) -> io::Result<usize> {
    Reader(block).block(each)
}
