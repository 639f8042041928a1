//! The executor that the `fluvio` crate runs its tasks on: two threads that outlive every runtime of ours.
//!
//! By itself it starts with the first task, panics where it cannot, and is useless from then on. So it is started here,
//! in steps each of which can be tried again.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use async_global_executor::GlobalExecutorConfig;

use crate::error::{Error, Result};
use crate::guard::panic_error;

/// How far it has come.
#[derive(PartialEq, Eq)]
enum State {
    Unused,
    /// It takes itself for started, and has no thread.
    Threadless,
    Running,
}

static STATE: Mutex<State> = Mutex::new(State::Unused);

/// Starts it, unless it runs. To be called in a runtime of ours, which it would otherwise bring one of its own for.
pub(crate) fn start() -> Result<()> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if *state == State::Running {
        return Ok(());
    }
    // First of all what waits for timers and descriptors: it panics once where it cannot be had, but the executor would
    // twice.
    let timer = || {
        let sleep = pin!(fluvio_future::timer::sleep(Duration::from_secs(1)));
        let _ = sleep.poll(&mut Context::from_waker(Waker::noop()));
    };
    attempt(timer)?;
    if *state == State::Unused {
        *state = State::Threadless;
        // One thread is enough for the few tasks of a connection to the SC.
        let config = GlobalExecutorConfig::default().with_min_threads(1);
        attempt(|| async_global_executor::init_with_config(config))?;
    } else {
        let spawned = async_global_executor::block_on(async_global_executor::spawn_more_threads(1));
        spawned.map_err(|cause| Error::no_thread("the library cannot be started", &cause))?;
    }
    *state = State::Running;
    Ok(())
}

fn attempt(step: impl FnOnce()) -> Result<()> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|payload| panic_error(&*payload))
}
