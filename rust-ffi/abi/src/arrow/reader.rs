//! Reads what is to be sent: a table that somebody else has made, batch by batch, and of each batch the next records.

use std::ffi::c_int;
use std::ops::Range;

use fluvio_cffi_engine::{Error, Result};

use super::column::{Bytes, BytesColumn, Column, Numbers, NumbersColumn, damaged, format, text, type_name};
use super::interface::{ArrowArray, ArrowArrayStream, ArrowSchema, Owned, Structure};

/// Records that are read together, at most: a fraction of a millisecond's work.
const MOST_RECORDS: usize = 4_096;
/// Bytes of keys and values of them, at most, unless one record is larger.
const MOST_BYTES: usize = 256 << 10;
const NO_KEY: i32 = -1;
const NO_PARTITION: i32 = -1;
const NO_TIMESTAMP: i64 = i64::MIN;

/// Where batches come from.
pub(super) enum Source {
    Stream(Owned<ArrowArrayStream>),
    /// The one batch, until it is read.
    Array(Option<Owned<ArrowArray>>),
}

impl Source {
    /// The next batch; `None`: there is none.
    fn next(&mut self) -> Result<Option<Owned<ArrowArray>>> {
        let stream = match self {
            Self::Array(array) => return Ok(array.take()),
            Self::Stream(stream) => stream,
        };
        let mut array = Owned(ArrowArray::RELEASED);
        let next = stream.0.get_next.ok_or_else(|| damaged("the stream has no get_next"))?;
        // SAFETY: the stream is ours, not released, and used by this thread alone; the place takes an array.
        let code = unsafe { next(&raw mut stream.0, &raw mut array.0) };
        failed(stream, code)?;
        Ok(array.0.release.is_some().then_some(array))
    }
}

fn failed(stream: &mut Owned<ArrowArrayStream>, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the stream is ours, and has just failed, so that it may be asked why.
    let why = stream.0.get_last_error.map_or(std::ptr::null(), |why| unsafe { why(&raw mut stream.0) });
    let why = match text(why) {
        [] => std::io::Error::from_raw_os_error(code).to_string(),
        why => String::from_utf8_lossy(why).into_owned(),
    };
    Err(Error::invalid(format!("data cannot be read to its end: {why}")))
}

/// The schema of a stream.
pub(super) fn schema_of(stream: &mut Owned<ArrowArrayStream>) -> Result<Owned<ArrowSchema>> {
    let mut schema = Owned(ArrowSchema::RELEASED);
    let get = stream.0.get_schema.ok_or_else(|| damaged("the stream has no get_schema"))?;
    // SAFETY: the stream is ours, not released, and used by this thread alone; the place takes a schema.
    let code = unsafe { get(&raw mut stream.0, &raw mut schema.0) };
    failed(stream, code)?;
    Ok(schema)
}

/// The names of the columns, by what becomes of them.
pub(super) struct Names<'a> {
    pub(super) value: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) partition: Option<&'a str>,
    pub(super) timestamp: Option<&'a str>,
}

/// A column of the table: which one, and how it is read.
#[derive(Clone, Copy)]
struct Chosen<T> {
    index: usize,
    how: T,
}

/// The columns of which records are made.
struct Columns {
    value: Chosen<Bytes>,
    key: Option<Chosen<Bytes>>,
    partition: Option<Chosen<Numbers>>,
    timestamp: Option<Chosen<Numbers>>,
}

fn children<T>(pointers: *mut *mut T, count: i64) -> Result<&'static [*mut T]> {
    crate::pointer::slice(pointers.cast_const(), usize::try_from(count).unwrap_or(0), "data's columns")
}

/// The column of this name, as `how` reads it.
fn choose<T>(
    schema: &ArrowSchema,
    argument: &str,
    name: &str,
    how: impl FnOnce(&ArrowSchema) -> Option<T>,
    allowed: &str,
) -> Result<Chosen<T>> {
    let mut names = Vec::new();
    for (index, child) in children(schema.children, schema.n_children)?.iter().enumerate() {
        if child.is_null() {
            continue;
        }
        // SAFETY: not null; a schema's children are schemas that live with it.
        let child = unsafe { &**child };
        let its_name = String::from_utf8_lossy(text(child.name)).into_owned();
        if its_name == name {
            let how = how(child).ok_or_else(|| {
                let given = type_name(child);
                Error::invalid(format!("{argument} is the column \"{name}\" of type {given}: it must be {allowed}"))
            })?;
            return Ok(Chosen { index, how });
        }
        names.push(format!("\"{its_name}\""));
    }
    let columns = if names.is_empty() { "no columns".to_owned() } else { format!("the columns {}", names.join(", ")) };
    Err(Error::invalid(format!("{argument} is \"{name}\": it must be the name of a column; data has {columns}")))
}

impl Columns {
    fn of(schema: &ArrowSchema, names: &Names<'_>) -> Result<Self> {
        if format(schema) != b"+s" {
            let given = type_name(schema);
            return Err(Error::invalid(format!("data is an array of type {given}: it must be a table with columns")));
        }
        let bytes = |argument, name| {
            let allowed = "binary or utf8, also large, views, of a fixed size or in a dictionary";
            choose(schema, argument, name, Bytes::of, allowed)
        };
        let partition = |name| choose(schema, "partition", name, Numbers::integers, "an integer");
        let timestamp = |name| {
            let allowed = "a timestamp with a time zone, or an integer: milliseconds since the epoch";
            choose(schema, "timestamp", name, Numbers::milliseconds, allowed)
        };
        Ok(Self {
            value: bytes("value", names.value)?,
            key: names.key.map(|name| bytes("key", name)).transpose()?,
            partition: names.partition.map(partition).transpose()?,
            timestamp: names.timestamp.map(timestamp).transpose()?,
        })
    }
}

/// A batch that is being read.
struct Batch {
    array: Owned<ArrowArray>,
    rows: usize,
    next: usize,
}

impl Batch {
    fn new(array: Owned<ArrowArray>) -> Result<Self> {
        let rows = usize::try_from(array.0.length).map_err(|_| damaged("a batch has a negative length"))?;
        Ok(Self { array, rows, next: 0 })
    }

    /// The column at `index`, and how many of its rows come before those of the batch.
    fn child(&self, index: usize) -> Result<(&ArrowArray, usize)> {
        let child = children(self.array.0.children, self.array.0.n_children)?.get(index).copied();
        let child = child.filter(|child| !child.is_null());
        let child = child.ok_or_else(|| damaged("a batch has fewer columns than the schema"))?;
        // SAFETY: not null; an array's children are arrays that live with it.
        Ok((unsafe { &*child }, usize::try_from(self.array.0.offset).unwrap_or(0)))
    }

    fn bytes(&self, chosen: Chosen<Bytes>) -> Result<BytesColumn<'_>> {
        let (child, skip) = self.child(chosen.index)?;
        chosen.how.column(child, skip, self.rows)
    }

    fn numbers(&self, chosen: Chosen<Numbers>) -> Result<NumbersColumn<'_>> {
        let (child, skip) = self.child(chosen.index)?;
        chosen.how.column(child, skip, self.rows)
    }
}

/// Records in the form in which a producer takes them.
#[derive(Default)]
pub(super) struct Records {
    /// Where they are; `None`: in `data`.
    pub(super) borrowed: Option<*const u8>,
    pub(super) data: Vec<u8>,
    /// Bytes of keys and values.
    pub(super) bytes: usize,
    pub(super) value_lengths: Vec<u32>,
    pub(super) key_lengths: Vec<i32>,
    pub(super) partitions: Vec<i32>,
    pub(super) timestamps: Vec<i64>,
}

impl Records {
    fn clear(&mut self) {
        self.borrowed = None;
        self.bytes = 0;
        self.data.clear();
        self.value_lengths.clear();
        self.key_lengths.clear();
        self.partitions.clear();
        self.timestamps.clear();
    }
}

/// Reads a table.
pub(crate) struct Reader {
    source: Source,
    columns: Columns,
    value_name: String,
    batch: Option<Batch>,
    /// Rows of the batches before.
    before: usize,
    pub(super) records: Records,
}

// SAFETY: what the pointers lead to is the reader's own, and a stream or an array of the interface may be used and
// released on any thread, by one at a time.
unsafe impl Send for Reader {}

impl Reader {
    pub(super) fn new(source: Source, schema: &Owned<ArrowSchema>, names: &Names<'_>) -> Result<Self> {
        Ok(Self {
            source,
            columns: Columns::of(&schema.0, names)?,
            value_name: names.value.to_owned(),
            batch: None,
            before: 0,
            records: Records::default(),
        })
    }

    /// Puts the next records into `records`; false: there are no more. Of a batch in which a row has no value, nothing.
    pub(super) fn next(&mut self) -> Result<bool> {
        loop {
            if let Some(batch) = self.batch.as_mut().filter(|batch| batch.next < batch.rows) {
                let read = fill(batch, &self.columns, self.before, &mut self.records)?;
                batch.next += read;
                return Ok(true);
            }
            self.before += self.batch.take().map_or(0, |batch| batch.rows);
            let Some(array) = self.source.next()? else { return Ok(false) };
            let batch = Batch::new(array)?;
            self.check(&batch)?;
            self.batch = Some(batch);
        }
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let rows = Column::new(&batch.array.0, 0, batch.rows, 0)?;
        let null = rows.first_null().or(batch.bytes(self.columns.value)?.first_null());
        null.map_or(Ok(()), |row| {
            let (name, row) = (&self.value_name, self.before + row);
            Err(Error::invalid(format!("the column \"{name}\" has no value in row {row}: each record must have one")))
        })
    }
}

/// Fills in the next records of a batch; how many. It fails if the first of them cannot be sent.
fn fill(batch: &Batch, columns: &Columns, before: usize, records: &mut Records) -> Result<usize> {
    records.clear();
    let values = batch.bytes(columns.value)?;
    let keys = columns.key.map(|chosen| batch.bytes(chosen)).transpose()?;
    let partitions = columns.partition.map(|chosen| batch.numbers(chosen)).transpose()?;
    let timestamps = columns.timestamp.map(|chosen| batch.numbers(chosen)).transpose()?;
    let is_borrowed = keys.is_none() && values.is_joined();
    let rows = batch.next..batch.rows.min(batch.next + MOST_RECORDS);
    for row in rows.clone() {
        let line = before + row;
        let one = One::of(row, line, &values, keys.as_ref(), partitions.as_ref(), timestamps.as_ref());
        match one {
            Err(error) if row == rows.start => return Err(error),
            Ok(one) if row == rows.start || records.bytes + one.size() <= MOST_BYTES => {
                one.push(records, is_borrowed, [keys.is_some(), partitions.is_some(), timestamps.is_some()]);
            }
            // It is the first of the next ones.
            _ => break,
        }
    }
    if is_borrowed && records.bytes > 0 {
        records.borrowed = Some(values.pointer(rows.start)?);
    }
    Ok(records.value_lengths.len())
}

/// A record that is to be sent.
struct One<'a> {
    key: Option<&'a [u8]>,
    value: &'a [u8],
    partition: i32,
    timestamp: i64,
}

impl<'a> One<'a> {
    fn of(
        row: usize,
        line: usize,
        values: &BytesColumn<'a>,
        keys: Option<&BytesColumn<'a>>,
        partitions: Option<&NumbersColumn<'_>>,
        timestamps: Option<&NumbersColumn<'_>>,
    ) -> Result<Self> {
        let within = |name: &str, number: Option<i128>, range: Range<i128>, none: i64| match number {
            None => Ok(none),
            Some(number) if range.contains(&number) => Ok(number as i64),
            Some(number) => {
                let most = range.end - 1;
                Err(Error::invalid(format!("the {name} in row {line} is {number}: it must be from 0 to {most}")))
            }
        };
        let partition = partitions.and_then(|column| column.get(row));
        let timestamp = timestamps.and_then(|column| column.get(row));
        Ok(Self {
            key: keys.map(|keys| keys.get(row)).transpose()?.flatten(),
            value: values.get(row)?.unwrap_or_default(),
            partition: within("partition", partition, 0..1 << 31, NO_PARTITION.into())? as i32,
            timestamp: within("timestamp", timestamp, 0..1 << 63, NO_TIMESTAMP)?,
        })
    }

    fn size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.len()
    }

    fn push(&self, records: &mut Records, is_borrowed: bool, [keys, partitions, timestamps]: [bool; 3]) {
        if !is_borrowed {
            records.data.extend_from_slice(self.key.unwrap_or_default());
            records.data.extend_from_slice(self.value);
        }
        records.bytes += self.size();
        records.value_lengths.push(self.value.len() as u32);
        if keys {
            records.key_lengths.push(self.key.map_or(NO_KEY, |key| key.len() as i32));
        }
        if partitions {
            records.partitions.push(self.partition);
        }
        if timestamps {
            records.timestamps.push(self.timestamp);
        }
    }
}
