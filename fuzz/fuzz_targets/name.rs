#![no_main]
//! See `targets::name`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::name(bytes));
