#![no_main]
//! See `targets::reference`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::reference(bytes));
