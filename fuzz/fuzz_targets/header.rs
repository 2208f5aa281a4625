#![no_main]
//! See `targets::header`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::header(bytes));
