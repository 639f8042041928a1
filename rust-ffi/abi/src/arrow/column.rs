//! The columns of a table that somebody else has made, as far as records can be made of them.

use std::ffi::{CStr, c_void};

use fluvio_cffi_engine::{Error, Result};

use super::interface::{ArrowArray, ArrowSchema};

/// Rows of a column, read by the types that a [`Reading`] says.
pub(super) struct Column<'a> {
    array: &'a ArrowArray,
    /// Where its first row is in the buffers.
    first: usize,
    rows: usize,
}

/// The error for data that is not as the interface has it.
pub(super) fn damaged(what: &str) -> Error {
    Error::invalid(format!("data is not what the Arrow interface asks for: {what}"))
}

fn count(number: i64, what: &str) -> Result<usize> {
    usize::try_from(number).map_err(|_| damaged(&format!("{what} is {number}")))
}

impl<'a> Column<'a> {
    /// The rows of an array, `skip` of which its owner has cut away. `buffers`: how many it must have.
    pub(super) fn new(array: &'a ArrowArray, skip: usize, rows: usize, buffers: usize) -> Result<Self> {
        if count(array.length, "the length")? < skip + rows {
            return Err(damaged("a column is shorter than the table"));
        }
        if count(array.n_buffers, "the number of buffers")? < buffers || (buffers > 0 && array.buffers.is_null()) {
            return Err(damaged("a column has too few buffers"));
        }
        let column = Self { array, first: count(array.offset, "the offset")? + skip, rows };
        match (1..buffers).find(|index| rows > 0 && column.buffer(*index).is_null()) {
            // A buffer of no bytes may be missing.
            Some(index) if index < 2 => Err(damaged("a column has no buffer")),
            _ => Ok(column),
        }
    }

    fn buffer(&self, index: usize) -> *const c_void {
        // SAFETY: there are as many buffers as `new` has looked for, or as the layout says.
        unsafe { *self.array.buffers.add(index) }
    }

    /// A number in a buffer.
    fn at<T: Copy>(&self, buffer: usize, index: usize) -> T {
        // SAFETY: by its owner's word, the buffer has what the column's type says for each of its rows.
        unsafe { self.buffer(buffer).cast::<T>().add(index).read_unaligned() }
    }

    /// Bytes in a buffer.
    fn slice(&self, buffer: usize, start: usize, length: usize) -> &'a [u8] {
        match length {
            0 => &[],
            // SAFETY: as above; what is lent lives as long as the array.
            _ => unsafe { std::slice::from_raw_parts(self.buffer(buffer).cast::<u8>().add(start), length) },
        }
    }

    /// Whether a row has anything.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        if self.array.null_count == 0 || self.array.n_buffers == 0 || self.buffer(0).is_null() {
            return true;
        }
        let index = self.first + row;
        self.at::<u8>(0, index / 8) >> (index % 8) & 1 == 1
    }

    /// The first row that has nothing.
    pub(super) fn first_null(&self) -> Option<usize> {
        if self.array.null_count == 0 { None } else { (0..self.rows).find(|row| !self.is_valid(*row)) }
    }
}

/// A type of numbers.
#[derive(Clone, Copy)]
pub(super) enum Integer {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
}

impl Integer {
    fn of(format: &[u8]) -> Option<Self> {
        Some(match format {
            b"c" => Self::I8,
            b"C" => Self::U8,
            b"s" => Self::I16,
            b"S" => Self::U16,
            b"i" => Self::I32,
            b"I" => Self::U32,
            b"l" => Self::I64,
            b"L" => Self::U64,
            _ => return None,
        })
    }

    fn get(self, column: &Column<'_>, row: usize) -> i128 {
        let index = column.first + row;
        match self {
            Self::I8 => column.at::<i8>(1, index).into(),
            Self::U8 => column.at::<u8>(1, index).into(),
            Self::I16 => column.at::<i16>(1, index).into(),
            Self::U16 => column.at::<u16>(1, index).into(),
            Self::I32 => column.at::<i32>(1, index).into(),
            Self::U32 => column.at::<u32>(1, index).into(),
            Self::I64 => column.at::<i64>(1, index).into(),
            Self::U64 => column.at::<u64>(1, index).into(),
        }
    }
}

/// How bytes lie in a column.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// One after the other, their ends in 32 bits.
    Short,
    /// The same in 64 bits.
    Long,
    /// Each where its view says.
    View,
    /// One after the other, all of one size.
    Fixed(usize),
}

impl Layout {
    fn of(format: &[u8]) -> Option<Self> {
        Some(match format {
            b"z" | b"u" => Self::Short,
            b"Z" | b"U" => Self::Long,
            b"vz" | b"vu" => Self::View,
            [b'w', b':', width @ ..] => Self::Fixed(std::str::from_utf8(width).ok()?.parse().ok()?),
            _ => return None,
        })
    }

    fn buffers(self) -> usize {
        match self {
            Self::Short | Self::Long => 3,
            // The views, and the sizes of the buffers into which they lead.
            Self::View => 3,
            Self::Fixed(_) => 2,
        }
    }
}

/// How a column of bytes is read.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    layout: Layout,
    /// The column has numbers of entries in a dictionary of bytes.
    codes: Option<Integer>,
}

impl Bytes {
    pub(super) fn of(schema: &ArrowSchema) -> Option<Self> {
        if schema.dictionary.is_null() {
            return Some(Self { layout: Layout::of(format(schema))?, codes: None });
        }
        // SAFETY: not null; a schema's dictionary is a schema that lives with it.
        let entries = unsafe { &*schema.dictionary };
        Some(Self { layout: Layout::of(format(entries))?, codes: Some(Integer::of(format(schema))?) })
    }

    pub(super) fn column<'a>(&self, array: &'a ArrowArray, skip: usize, rows: usize) -> Result<BytesColumn<'a>> {
        let Some(codes) = self.codes else {
            let column = Column::new(array, skip, rows, self.layout.buffers())?;
            return Ok(BytesColumn { codes: None, column, layout: self.layout });
        };
        let numbers = Column::new(array, skip, rows, 2)?;
        if array.dictionary.is_null() {
            return Err(damaged("a column has no dictionary"));
        }
        // SAFETY: not null; an array's dictionary is an array that lives with it.
        let entries = unsafe { &*array.dictionary };
        let size = count(entries.length, "the length of a dictionary")?;
        let column = Column::new(entries, 0, size, self.layout.buffers())?;
        Ok(BytesColumn { codes: Some((codes, numbers)), column, layout: self.layout })
    }
}

/// A column of bytes.
pub(super) struct BytesColumn<'a> {
    codes: Option<(Integer, Column<'a>)>,
    column: Column<'a>,
    layout: Layout,
}

impl<'a> BytesColumn<'a> {
    /// The bytes of a row; `None`: it has none.
    pub(super) fn get(&self, row: usize) -> Result<Option<&'a [u8]>> {
        let row = match &self.codes {
            None => row,
            Some((_, numbers)) if !numbers.is_valid(row) => return Ok(None),
            Some((codes, numbers)) => match usize::try_from(codes.get(numbers, row)) {
                Ok(code) if code < self.column.rows => code,
                _ => return Err(damaged("a row is not in the dictionary")),
            },
        };
        if !self.column.is_valid(row) {
            return Ok(None);
        }
        let (buffer, start, length) = self.place(row)?;
        Ok(Some(self.column.slice(buffer, start, length)))
    }

    /// Where the bytes of a row are; where [`Self::is_joined`] says so, those of the rows after it follow. A slice of
    /// the row would not do: it may be used for its own bytes alone.
    pub(super) fn pointer(&self, row: usize) -> Result<*const u8> {
        let (buffer, start, _) = self.place(row)?;
        Ok(self.column.buffer(buffer).cast::<u8>().wrapping_add(start))
    }

    /// The first row that has no bytes.
    pub(super) fn first_null(&self) -> Option<usize> {
        match &self.codes {
            None => self.column.first_null(),
            Some((_, numbers)) if self.column.first_null().is_none() => numbers.first_null(),
            Some((_, numbers)) => (0..numbers.rows).find(|row| matches!(self.get(*row), Ok(None))),
        }
    }

    /// Whether bytes of neighbours lie one after the other.
    pub(super) fn is_joined(&self) -> bool {
        self.codes.is_none() && !matches!(self.layout, Layout::View)
    }

    /// In which buffer the bytes of a row are, where they begin, and how many they are.
    fn place(&self, row: usize) -> Result<(usize, usize, usize)> {
        const INLINE: usize = 12;
        const VIEW: usize = 16;
        let (column, index) = (&self.column, self.column.first + row);
        let (buffer, start, length) = match self.layout {
            Layout::Fixed(width) => (1, (index * width) as i64, width as i64),
            Layout::Short => {
                let (start, end) = (column.at::<i32>(1, index), column.at::<i32>(1, index + 1));
                (2, i64::from(start), i64::from(end) - i64::from(start))
            }
            Layout::Long => {
                let (start, end) = (column.at::<i64>(1, index), column.at::<i64>(1, index + 1));
                (2, start, end.saturating_sub(start))
            }
            Layout::View => {
                let words = column.at::<[i32; 4]>(1, index);
                match usize::try_from(words[0]) {
                    Ok(length) if length <= INLINE => (1, (index * VIEW + 4) as i64, length as i64),
                    _ => (view_buffer(column, words)?, i64::from(words[3]), i64::from(words[0])),
                }
            }
        };
        match (usize::try_from(start), u32::try_from(length)) {
            (Ok(start), Ok(length)) => Ok((buffer, start, length as usize)),
            _ => Err(damaged("the bytes of a row have no place, or 4 GiB or more")),
        }
    }
}

/// In which buffer a view leads, that it is long enough.
fn view_buffer(column: &Column<'_>, words: [i32; 4]) -> Result<usize> {
    let buffers = column.array.n_buffers as usize;
    match usize::try_from(words[2]) {
        Ok(index) if index + 3 < buffers => {
            let size = column.at::<i64>(buffers - 1, index);
            let end = i64::from(words[3]) + i64::from(words[0]);
            if end <= size { Ok(index + 2) } else { Err(damaged("a view leads beyond its buffer")) }
        }
        _ => Err(damaged("a view leads to no buffer")),
    }
}

/// How a column of numbers is read: as what is multiplied, or divided.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    integer: Integer,
    times: i128,
    over: i128,
}

impl Numbers {
    pub(super) fn integers(schema: &ArrowSchema) -> Option<Self> {
        let plain = schema.dictionary.is_null().then(|| Integer::of(format(schema))).flatten();
        plain.map(|integer| Self { integer, times: 1, over: 1 })
    }

    /// Milliseconds: of times with a zone, or of integers, which are such.
    pub(super) fn milliseconds(schema: &ArrowSchema) -> Option<Self> {
        let (times, over) = match format(schema) {
            [b't', b's', unit, b':', _, ..] if schema.dictionary.is_null() => match unit {
                b's' => (1_000, 1),
                b'm' => (1, 1),
                b'u' => (1, 1_000),
                b'n' => (1, 1_000_000),
                _ => return None,
            },
            _ => return Self::integers(schema),
        };
        Some(Self { integer: Integer::I64, times, over })
    }

    pub(super) fn column<'a>(&self, array: &'a ArrowArray, skip: usize, rows: usize) -> Result<NumbersColumn<'a>> {
        Ok(NumbersColumn { numbers: *self, column: Column::new(array, skip, rows, 2)? })
    }
}

/// A column of numbers.
pub(super) struct NumbersColumn<'a> {
    numbers: Numbers,
    column: Column<'a>,
}

impl NumbersColumn<'_> {
    /// The number of a row; `None`: it has none.
    pub(super) fn get(&self, row: usize) -> Option<i128> {
        let Numbers { integer, times, over } = self.numbers;
        self.column.is_valid(row).then(|| (integer.get(&self.column, row) * times).div_euclid(over))
    }
}

/// A schema's type, in the letters of the interface.
pub(super) fn format(schema: &ArrowSchema) -> &[u8] {
    text(schema.format)
}

/// A text of the interface; empty where there is none.
pub(super) fn text<'a>(text: *const std::ffi::c_char) -> &'a [u8] {
    match text.is_null() {
        true => &[],
        // SAFETY: not null; the interface has texts end with a 0 byte, and live with their schema.
        false => unsafe { CStr::from_ptr(text) }.to_bytes(),
    }
}

/// What users call a type.
pub(super) fn type_name(schema: &ArrowSchema) -> String {
    let letters = String::from_utf8_lossy(format(schema)).into_owned();
    if !schema.dictionary.is_null() {
        // SAFETY: not null; a schema's dictionary is a schema that lives with it.
        return format!("dictionary of {}", type_name(unsafe { &*schema.dictionary }));
    }
    let known = match letters.as_str() {
        "n" => "null",
        "b" => "bool",
        "c" => "int8",
        "C" => "uint8",
        "s" => "int16",
        "S" => "uint16",
        "i" => "int32",
        "I" => "uint32",
        "l" => "int64",
        "L" => "uint64",
        "e" => "float16",
        "f" => "float32",
        "g" => "float64",
        "z" => "binary",
        "Z" => "large_binary",
        "vz" => "binary_view",
        "u" => "utf8",
        "U" => "large_utf8",
        "vu" => "utf8_view",
        "+l" | "+L" | "+vl" | "+vL" => "list",
        "+s" => "struct",
        "+m" => "map",
        "+r" => "run_end_encoded",
        _ => match letters.as_bytes() {
            [b'w', ..] => "fixed_size_binary",
            [b'd', ..] => "decimal",
            [b't', b's', _, b':'] => "timestamp without a time zone",
            [b't', b's', ..] => "timestamp",
            [b't', b'd', ..] => "date",
            [b't', ..] => "time",
            [b'+', b'w', ..] => "fixed_size_list",
            [b'+', b'u', ..] => "union",
            _ => return format!("\"{letters}\""),
        },
    };
    known.to_owned()
}
