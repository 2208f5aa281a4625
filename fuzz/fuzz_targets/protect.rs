#![no_main]
//! See `targets::protect`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::protect(bytes));
