//! The descriptor of a queue.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use fluvio_cffi_engine::descriptors;

use super::Wakeup;
#[cfg(target_os = "linux")]
use super::watched::{Epoll, SIGNAL};

/// A descriptor that is readable while it was signalled. On Linux it is an epoll instance, in which connections are
/// watched as well.
pub(crate) struct Signal {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
    #[cfg(target_os = "linux")]
    pub(super) epoll: Epoll,
}

impl Signal {
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> std::io::Result<Self> {
        // SAFETY: no memory is involved.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: just made, and owned by nobody else.
        let read = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let epoll = Epoll::new()?;
        epoll.add(descriptor, SIGNAL)?;
        descriptors::register(descriptor);
        Ok(Self { read, epoll })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: room for both ends.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        for end in ends {
            // SAFETY: a descriptor of ours, no memory is involved.
            unsafe {
                libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            descriptors::register(end);
        }
        // SAFETY: just made, and owned by nobody else.
        Ok(unsafe { Self { read: OwnedFd::from_raw_fd(ends[0]), write: OwnedFd::from_raw_fd(ends[1]) } })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        #[cfg(target_os = "linux")]
        return self.epoll.descriptor();
        #[cfg(not(target_os = "linux"))]
        return self.read.as_raw_fd();
    }
}

impl Wakeup for Signal {
    fn set(&self) {
        let one = 1_u64.to_ne_bytes();
        #[cfg(target_os = "linux")]
        let write = &self.read;
        #[cfg(not(target_os = "linux"))]
        let write = &self.write;
        // SAFETY: eight readable bytes. Can only fail when it is readable already.
        unsafe { libc::write(write.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn clear(&self) {
        let mut bytes = [0_u8; 8];
        // SAFETY: eight writable bytes. Fails when a `set` is still to come, which then makes a spurious wake-up.
        unsafe { libc::read(self.read.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        descriptors::unregister(self.read.as_raw_fd());
        #[cfg(not(target_os = "linux"))]
        descriptors::unregister(self.write.as_raw_fd());
    }
}
