#![no_main]
//! See `targets::manifest`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::manifest(bytes));
