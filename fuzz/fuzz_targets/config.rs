#![no_main]
//! See `targets::config`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::config(bytes));
