//! How whoever waits is woken; the models in `rust-ffi/models` do it in a way of their own.

/// What is readable while something waits.
pub trait Wakeup {
    /// It is readable from now on.
    fn set(&self);
    /// It is not, until the next `set`.
    fn clear(&self);
}
