//! Lists `queries/*.sql` so that a new report needs no Rust: each file becomes a row of a table
//! that `report::catalog` includes; those in `queries/fleet` one of `lake::fleet`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[expect(clippy::disallowed_macros, reason = "this is how cargo is told")]
fn main() {
    println!("cargo::rerun-if-changed=queries");
    println!("cargo::rerun-if-changed=build.rs");
    list("queries", "reports.rs");
    list("queries/fleet", "fleet.rs");
}

/// Writes a table of the `.sql` files in a directory below the root.
fn list(below: &str, table_name: &str) {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let mut files: Vec<_> = fs::read_dir(Path::new(&root).join(below))
        .expect("queries/ can be listed")
        .map(|entry| entry.expect("queries/ can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let mut table = String::from("&[\n");
    for path in files {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8");
        // No path of this machine: the same source is to give the same program.
        let _infallible = writeln!(
            table,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{below}/{name}.sql\"))),"
        );
    }
    table.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join(table_name), table).expect("OUT_DIR can be written");
}
