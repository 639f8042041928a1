//! Searches all orders in which threads can do what they do. What is searched is the library's own source: each test
//! includes a file of it, which takes its locks from the module that includes it.

/// Runs `model` in every order in which its threads are not interrupted more than `preemptions` times where they could
/// go on: few suffice for nearly every mistake. `FLUVIO_CFFI_LONG` allows one more.
pub fn every_order(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let is_long = std::env::var_os("FLUVIO_CFFI_LONG").is_some_and(|it| it != "0");
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions + usize::from(is_long));
    builder.check(model);
}
