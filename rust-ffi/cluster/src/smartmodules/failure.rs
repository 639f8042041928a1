//! Why a module did not do what it was called for, in the real server's words where it has words of its own.

use wasmi::{Error, TrapCode};

use super::host::Host;

/// A failure of a module or of the data it was given; what a module says about a record is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// More memory than is allowed.
    #[error("Requested memory {requested}b exceeded max allowed {max}b")]
    Memory { requested: u64, max: u64 },
    /// A trap while it ran.
    #[error("error while executing at wasm backtrace: {0}")]
    Trap(String),
    /// It cannot be made ready.
    #[error("Failed to instantiate: {0}")]
    Instantiate(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    pub(crate) fn other(reason: impl ToString) -> Self {
        Self::Other(reason.to_string())
    }

    /// What the runtime has stopped for.
    pub(super) fn of(error: &Error, host: &mut Host) -> Self {
        if let Some((requested, max)) = host.refused.take() {
            return Self::Memory { requested, max };
        }
        Self::Trap(match error.as_trap_code() {
            Some(TrapCode::OutOfFuel) => "wasm trap: it ran for too long".to_owned(),
            Some(code) => format!("wasm trap: {code}"),
            None => error.to_string(),
        })
    }

    /// The innermost cause.
    pub(crate) fn root(&self) -> String {
        match self {
            Self::Trap(cause) | Self::Instantiate(cause) | Self::Other(cause) => cause.clone(),
            Self::Memory { .. } => self.to_string(),
        }
    }
}
