#![no_main]
//! See `targets::digest`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::digest(bytes));
