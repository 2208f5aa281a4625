//! temporary
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let o = regsql::snapshot::ScanOptions {
        storage: a[1].clone().into(),
        database: a[2].clone().into(),
        io_threads: a.get(3).and_then(|x| x.parse().ok()),
        is_full: false,
    };
    let t = std::time::Instant::now();
    match regsql::snapshot::scan(&o, &regsql::progress::Hidden) {
        Ok(s) => eprintln!("{s:?}"),
        Err(e) => eprintln!("{e}: {:?}", e.hint()),
    }
    eprintln!("{:?}", t.elapsed());
}
