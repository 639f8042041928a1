//! The calls of WASI preview 1 that modules built with the official SDK make: they have clocks, chance and a voice, and
//! nothing else: no files, no arguments, no environment.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, sync::OnceLock};

use wasmi::{Caller, Error, Extern, ExternType, FuncType, Linker, Memory, Val, ValType};

use super::host::Host;

pub(super) const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const INVALID: i32 = 28;
const NOT_SUPPORTED: i32 = 52;

/// Parts that one write may have, what is taken of them, and random bytes of one call.
const MOST_PARTS: u32 = 1024;
const MOST_SAID: usize = 64 << 10;
const MOST_RANDOM: usize = 64 << 10;

/// Fuel of a call, and bytes that are had for one more.
const CALL: u64 = 100;
const BYTES: usize = 8;

/// What there is beside the calls that do something, and what it answers.
const REFUSED: [(&str, i32); 35] = [
    ("fd_advise", BAD_DESCRIPTOR),
    ("fd_allocate", BAD_DESCRIPTOR),
    ("fd_close", BAD_DESCRIPTOR),
    ("fd_datasync", BAD_DESCRIPTOR),
    ("fd_fdstat_get", BAD_DESCRIPTOR),
    ("fd_fdstat_set_flags", BAD_DESCRIPTOR),
    ("fd_fdstat_set_rights", BAD_DESCRIPTOR),
    ("fd_filestat_get", BAD_DESCRIPTOR),
    ("fd_filestat_set_size", BAD_DESCRIPTOR),
    ("fd_filestat_set_times", BAD_DESCRIPTOR),
    ("fd_pread", BAD_DESCRIPTOR),
    ("fd_prestat_get", BAD_DESCRIPTOR),
    ("fd_prestat_dir_name", BAD_DESCRIPTOR),
    ("fd_pwrite", BAD_DESCRIPTOR),
    ("fd_readdir", BAD_DESCRIPTOR),
    ("fd_renumber", BAD_DESCRIPTOR),
    ("fd_seek", BAD_DESCRIPTOR),
    ("fd_sync", BAD_DESCRIPTOR),
    ("fd_tell", BAD_DESCRIPTOR),
    ("path_create_directory", BAD_DESCRIPTOR),
    ("path_filestat_get", BAD_DESCRIPTOR),
    ("path_filestat_set_times", BAD_DESCRIPTOR),
    ("path_link", BAD_DESCRIPTOR),
    ("path_open", BAD_DESCRIPTOR),
    ("path_readlink", BAD_DESCRIPTOR),
    ("path_remove_directory", BAD_DESCRIPTOR),
    ("path_rename", BAD_DESCRIPTOR),
    ("path_symlink", BAD_DESCRIPTOR),
    ("path_unlink_file", BAD_DESCRIPTOR),
    ("poll_oneoff", NOT_SUPPORTED),
    ("proc_raise", NOT_SUPPORTED),
    ("sock_accept", NOT_SUPPORTED),
    ("sock_recv", NOT_SUPPORTED),
    ("sock_send", NOT_SUPPORTED),
    ("sock_shutdown", NOT_SUPPORTED),
];

/// A module's memory during a call.
struct Guest<'a> {
    caller: Caller<'a, Host>,
    memory: Memory,
}

impl<'a> Guest<'a> {
    fn of(caller: Caller<'a, Host>) -> Option<Self> {
        match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Some(Self { caller, memory }),
            _ => None,
        }
    }

    /// Uses up fuel. What is not there any more is not owed.
    fn pay(&mut self, fuel: u64) -> Result<(), Error> {
        let left = self.caller.get_fuel()?.saturating_sub(fuel);
        self.caller.set_fuel(left)
    }

    fn put(&mut self, at: i32, bytes: &[u8]) -> i32 {
        let written = self.memory.write(&mut self.caller, at.cast_unsigned() as usize, bytes);
        if written.is_ok() { SUCCESS } else { FAULT }
    }

    fn put_all<const N: usize>(&mut self, words: [(i32, u32); N]) -> i32 {
        words
            .iter()
            .map(|(at, word)| self.put(*at, &word.to_le_bytes()))
            .find(|code| *code != SUCCESS)
            .unwrap_or(SUCCESS)
    }

    fn word(&self, at: u32) -> Option<u32> {
        let at = at as usize;
        let bytes = self.memory.data(&self.caller).get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(*bytes.first_chunk()?))
    }

    /// Takes the parts of a write, or the beginning of them; how many bytes it has taken.
    fn say(&mut self, parts: i32, count: i32) -> Option<usize> {
        let mut said = 0;
        let count = u32::try_from(count).ok().filter(|count| *count <= MOST_PARTS)?;
        for number in 0..count {
            let part = parts.cast_unsigned().checked_add(number * 8)?;
            let (at, length) = (self.word(part)? as usize, self.word(part.checked_add(4)?)?);
            let (data, host) = self.memory.data_and_store_mut(&mut self.caller);
            let part = data.get(at..at.checked_add(length as usize)?)?;
            let taken = part.len().min(MOST_SAID - said);
            host.say(&part[..taken]);
            said += taken;
            if taken < part.len() {
                break;
            }
        }
        self.pay(u64::from(count) + (said / BYTES) as u64).ok()?;
        Some(said)
    }
}

/// Nanoseconds of one of the clocks.
fn clock(id: i32) -> Option<u64> {
    static START: OnceLock<Instant> = OnceLock::new();
    let time = match id {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
        1..=3 => START.get_or_init(Instant::now).elapsed(),
        _ => return None,
    };
    u64::try_from(time.as_nanos()).ok()
}

fn random(length: i32) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MOST_RANDOM)?;
    let mut bytes = vec![0; length];
    fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).ok()?;
    Some(bytes)
}

/// Makes a call with so many bytes, unless it is not wanted any more.
fn with_guest(caller: Caller<'_, Host>, bytes: usize, call: impl FnOnce(&mut Guest<'_>) -> i32) -> Result<i32, Error> {
    caller.data().stop.check().map_err(|failure| Error::new(failure.to_string()))?;
    let Some(mut guest) = Guest::of(caller) else { return Ok(FAULT) };
    guest.pay(CALL + (bytes / BYTES) as u64)?;
    Ok(call(&mut guest))
}

type Here<'a> = Caller<'a, Host>;

/// Defines what the module imports of WASI. What is not known stays undefined.
pub(super) fn define<'a>(
    linker: &mut Linker<Host>,
    imports: impl Iterator<Item = (&'a str, &'a ExternType)>,
) -> Result<(), Error> {
    linker
        .func_wrap(MODULE, "args_sizes_get", |it: Here<'_>, count: i32, size: i32| {
            with_guest(it, 0, |guest| guest.put_all([(count, 0), (size, 0)]))
        })?
        .func_wrap(MODULE, "args_get", |_: i32, _: i32| SUCCESS)?
        .func_wrap(MODULE, "environ_sizes_get", |it: Here<'_>, count: i32, size: i32| {
            with_guest(it, 0, |guest| guest.put_all([(count, 0), (size, 0)]))
        })?
        .func_wrap(MODULE, "environ_get", |_: i32, _: i32| SUCCESS)?
        .func_wrap(MODULE, "clock_res_get", |it: Here<'_>, id: i32, at: i32| {
            with_guest(it, 0, |guest| clock(id).map_or(INVALID, |_| guest.put(at, &1_u64.to_le_bytes())))
        })?
        .func_wrap(MODULE, "clock_time_get", |it: Here<'_>, id: i32, _precision: i64, at: i32| {
            with_guest(it, 0, |guest| clock(id).map_or(INVALID, |time| guest.put(at, &time.to_le_bytes())))
        })?
        .func_wrap(MODULE, "random_get", |it: Here<'_>, at: i32, length: i32| {
            let bytes = usize::try_from(length).unwrap_or(0).min(MOST_RANDOM);
            with_guest(it, bytes, |guest| random(length).map_or(INVALID, |bytes| guest.put(at, &bytes)))
        })?
        .func_wrap(MODULE, "fd_write", |it: Here<'_>, fd: i32, parts: i32, count: i32, size: i32| match fd {
            1 | 2 => with_guest(it, 0, |guest| match guest.say(parts, count) {
                Some(said) => guest.put_all([(size, said as u32)]),
                None => FAULT,
            }),
            _ => Ok(BAD_DESCRIPTOR),
        })?
        .func_wrap(MODULE, "fd_read", |it: Here<'_>, fd: i32, _parts: i32, _count: i32, size: i32| match fd {
            // Its standard input is at its end.
            0 => with_guest(it, 0, |guest| guest.put_all([(size, 0)])),
            _ => Ok(BAD_DESCRIPTOR),
        })?
        .func_wrap(MODULE, "sched_yield", || SUCCESS)?
        .func_wrap(MODULE, "proc_exit", |code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) })?;
    for (name, ty) in imports {
        if let (Some((_, code)), ExternType::Func(ty)) = (REFUSED.iter().find(|(it, _)| *it == name), ty) {
            refuse(linker, name, ty, *code)?;
        }
    }
    Ok(())
}

/// A call that only answers an error, of the type that the module wants it to be.
fn refuse(linker: &mut Linker<Host>, name: &str, ty: &FuncType, code: i32) -> Result<(), Error> {
    if ty.results() == [ValType::I32] {
        linker.func_new(MODULE, name, ty.clone(), move |_, _, results| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(code);
            }
            Ok(())
        })?;
    }
    Ok(())
}
