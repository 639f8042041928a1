"""The native library: the only place that knows the binding. The other layers get `ffi` and `lib` from here."""
