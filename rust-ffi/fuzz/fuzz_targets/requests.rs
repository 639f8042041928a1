#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fluvio_cffi_cluster::fuzzing::requests(data));
