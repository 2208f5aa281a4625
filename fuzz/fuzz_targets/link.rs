#![no_main]
//! See `targets::link`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::link(bytes));
