//! Work that may block: files, names of hosts.
//!
//! It gets a thread of its own, as there is little of it. The runtime's pool panics where the system has no more
//! threads.

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// What `work`, which does `what`, comes to. Given up it goes on, and nobody hears of it.
pub(crate) async fn run<T: Send + 'static>(what: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("fluvio-cffi-io".to_owned())
        .spawn(move || drop(tell.send(work())))
        .map_err(|cause| Error::no_thread(what, &cause))?;
    // It goes without a word only when it panicked.
    told.await.unwrap_or_else(|_| Err(Error::internal(format!("{what} has panicked"))))
}
