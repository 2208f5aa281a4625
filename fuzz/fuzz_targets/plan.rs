#![no_main]
//! See `targets::plan`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::plan(bytes));
