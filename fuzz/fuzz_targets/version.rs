#![no_main]
//! See `targets::version`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::version(bytes));
