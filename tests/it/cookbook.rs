//! What the pages show is what the program prints: `REGSQL_UPDATE=1 cargo test --test it` writes it
//! anew.

use crate::console;

#[test]
fn every_answer_of_the_cookbook_is_what_regsql_prints() {
    console::check("docs/cookbook.md");
}

#[test]
fn the_policies_take_of_the_sample_registry_what_their_page_shows() {
    console::check("docs/retention.md");
}

#[test]
fn the_readme_shows_what_regsql_prints() {
    console::check("README.md");
}

#[test]
fn the_cookbook_numbers_its_questions() {
    let page = include_str!("../../docs/cookbook.md");
    let numbers = page.lines().filter_map(|line| line.strip_prefix("### "));
    for (number, heading) in (1..).zip(numbers) {
        assert!(heading.starts_with(&format!("{number}. ")), "question {number}: {heading}");
    }
}
