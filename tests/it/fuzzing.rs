//! The fuzz targets as ordinary tests: the corpus, and some thousand changes of it that are the
//! same each time. `fuzz/README.md` says how to let libFuzzer look for more.

mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use regsql::sample::Random;
use targets::{TARGETS, Target};

/// Changes of the corpus for each target; `REGSQL_LONG_TESTS` makes it a hundred times as many.
const CHANGES: u64 = 4_000;

/// Inputs grow no longer than this.
const MAX_BYTES: usize = 8 << 10;

/// What parsers look for, and what breaks them.
const WORDS: &[&[u8]] = &[
    b"sha256:",
    b"sha512:",
    b"\"digest\":",
    b"\"mediaType\":",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[[[[[[[[[",
    b"\\u0000",
    b"\\ud800",
    b"\\x5c",
    b"\\xff",
    b"\0",
    b"\n",
    b"\r\n",
    b" -- ",
    b"--",
    b":",
    b"@",
    b"/",
    b"../",
    b"\xff\xfe",
    b"\xc5\xbf",
    b"\x1b[31m",
    b"\xe2\x80\xae",
    b"#",
    b"00000000000000000000",
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs of one target, by file name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = fuzz().join("corpus").join(name);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("corpus of {name}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "the corpus of {name} is none");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn run((name, target): &Target, input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(result.is_ok(), "target {name} fails with {:?}", String::from_utf8_lossy(input));
}

/// One to four changes of an input.
fn changed(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len() as u64) as usize].clone();
    for _ in 0..=random.below(4) {
        let length = input.len() as u64;
        let at = random.below(length + 1) as usize;
        let until = (at + random.below(24) as usize).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next_u64() as u8,
            2 => drop(input.drain(at..until)),
            3 => {
                let again = input[at..until].to_vec();
                drop(input.splice(at..at, again));
            }
            4 => input.truncate(at),
            5 => {
                let other = &corpus[random.below(corpus.len() as u64) as usize];
                let from = random.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                let byte = random.next_u64() as u8;
                let count = random.below(300) as usize;
                drop(input.splice(at..at, std::iter::repeat_n(byte, count)));
            }
            _ => {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                drop(input.splice(at..at, word.iter().copied()));
            }
        }
    }
    input.truncate(MAX_BYTES);
    input
}

#[test]
fn every_parser_keeps_its_promises_on_the_corpus_and_on_changes_of_it() {
    let factor = if std::env::var_os("REGSQL_LONG_TESTS").is_some() { 100 } else { 1 };
    for target in TARGETS {
        let corpus = corpus(target.0);
        run(target, b"");
        for input in &corpus {
            run(target, input);
        }
        let mut random = Random::named(target.0);
        for _ in 0..CHANGES * factor {
            run(target, &changed(&mut random, &corpus));
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program_for_libfuzzer() {
    let names_in = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz().join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path());
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names_in("corpus"), names);
    assert_eq!(names_in("fuzz_targets"), names);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml lacks {name}");
    }
}
