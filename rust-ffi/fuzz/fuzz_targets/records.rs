#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fluvio_cffi_wire::fuzzing::records(data));
