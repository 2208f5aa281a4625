//! The pictures in the docs are what a real run in tmux shows: `REGSQL_UPDATE=1` draws them anew.

use std::path::Path;

use anstyle_svg::Term;

use super::real::Tmux;
use crate::console::Demo;

#[test]
fn the_pictures_show_what_browse_draws() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 112, 30);
    tmux.shell("clear; regsql browse");
    tmux.wait(|screen| screen.contains("all repositories") && !screen.contains('≥'), "all figures");
    tmux.wait_for("deleting it whole frees");
    compare("docs/pictures/browse.svg", &tmux);
    tmux.send(&["Enter", "j", "d", "d", "m"]);
    tmux.wait_for("2 marks: deleting all together frees 1.348 GiB");
    tmux.wait(|screen| screen.matches("1.348 GiB ml/embeddings").count() == 2, "what each adds");
    compare("docs/pictures/browse-marks.svg", &tmux);
    tmux.send(&["m", "2", "Enter"]);
    tmux.wait_for("holders of sha256:");
    tmux.wait_for("Deleting this tag alone frees");
    compare("docs/pictures/browse-layers.svg", &tmux);
    tmux.send(&["q", "q"]);
}

fn compare(path: &str, tmux: &Tmux<'_>) {
    tmux.wait(|screen| !screen.contains("│…"), "what the pane has to say");
    let screen = tmux.colored();
    let screen = screen.trim_end_matches('\n');
    let fresh = Term::new().min_width_px(760).render_svg(screen);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("REGSQL_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &fresh).unwrap();
    } else {
        let drawn = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            drawn == fresh,
            "{path} is stale: run `REGSQL_UPDATE=1 cargo test --test it pictures`"
        );
    }
}
