//! The docs hang together: every link leads somewhere, and the book lists every page.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the repository that people read.
fn pages() -> Vec<PathBuf> {
    let in_directory = |directory: &str| {
        fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path())
    };
    let all = in_directory("").chain(in_directory("docs"));
    let mut pages: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    assert!(pages.len() > 20);
    pages
}

/// Targets of links in a page, without code.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Every second part is code.
        let plain: String = line.split('`').step_by(2).collect();
        links.extend(
            plain.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())),
        );
    }
    links
}

/// The anchor of a heading, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept =
        kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn every_link_of_the_docs_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = target.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&target).unwrap().lines().any(|line| {
                        line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading
                    }));
            if !is_there {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// The book has the pages of docs/ alone, and a link out of it leads nowhere.
#[test]
fn no_page_of_the_book_leads_out_of_it() {
    for page in pages().iter().filter(|page| page.parent().unwrap().ends_with("docs")) {
        for link in links(&fs::read_to_string(page).unwrap()) {
            assert!(!link.starts_with("../"), "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_book_lists_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = links(&summary);
    for page in pages().iter().filter(|page| page.parent().unwrap().ends_with("docs")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || listed.iter().any(|link| link == name),
            "docs/SUMMARY.md lacks {name}"
        );
    }
}
