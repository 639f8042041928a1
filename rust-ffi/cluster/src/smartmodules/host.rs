//! What a module has of the host: its memory within a limit, the place where it leaves its output, and a voice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmi::ResourceLimiter;
use wasmi_core::LimiterError;

use super::failure::Failure;

/// The most elements of a table.
const MOST_ELEMENTS: usize = 1 << 20;

/// Bytes of a line that a module has begun to say; the rest of a longer one is the next line.
const LINE: usize = 1 << 10;

/// Lines that one instance may say.
const MOST_LINES: u32 = 10_000;

/// Tells running modules to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_ordered(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails when it is ordered.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_ordered() { Err(Failure::other("it is not wanted any more")) } else { Ok(()) }
    }
}

/// Ends what runs for its owner when that goes.
#[derive(Debug, Default)]
pub(crate) struct StopOnDrop(Stop);

impl StopOnDrop {
    pub(crate) fn stop(&self) -> Stop {
        self.0.clone()
    }

    /// Ends it at once.
    pub(crate) fn order(&self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.order();
    }
}

/// The host's side of one instance.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) stop: Stop,
    /// Where the module has left its output, as it said: pointer and length.
    pub(super) output: Option<(i32, i32)>,
    /// A growth that was refused: bytes asked for and allowed.
    pub(super) refused: Option<(u64, u64)>,
    most_memory: usize,
    memory: usize,
    line: Vec<u8>,
    lines: u32,
}

impl Host {
    pub(super) fn new(most_memory: usize, stop: Stop) -> Self {
        Self { stop, output: None, refused: None, most_memory, memory: 0, line: Vec::new(), lines: 0 }
    }

    /// Takes what the module writes to its standard output and error.
    pub(super) fn say(&mut self, text: &[u8]) {
        for &byte in text {
            if self.lines == MOST_LINES {
                return;
            }
            if byte == b'\n' || self.line.len() == LINE {
                self.end_line();
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
    }

    /// Says what was begun.
    pub(super) fn end_line(&mut self) {
        if !self.line.is_empty() && self.lines < MOST_LINES {
            self.lines += 1;
            complain!("SmartModule: {}", String::from_utf8_lossy(&self.line));
        }
        self.line.clear();
    }
}

impl ResourceLimiter for Host {
    /// As on the real server, a growth that is refused is a trap.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        let memory = self.memory.saturating_sub(current).saturating_add(desired);
        if memory > self.most_memory {
            self.refused = Some((memory as u64, self.most_memory as u64));
            return Err(LimiterError::ResourceLimiterDeniedAllocation);
        }
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        if desired > MOST_ELEMENTS { Err(LimiterError::ResourceLimiterDeniedAllocation) } else { Ok(true) }
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        16
    }
}
