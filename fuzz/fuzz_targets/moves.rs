#![no_main]
//! See `targets::moves`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| regsql_fuzz::targets::moves(bytes));
