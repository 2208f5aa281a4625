//! docs/operations.md holds only commands that exist and scripts that bash can read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use clap::Parser as _;
use regsql::commands::Cli;

const PAGE: &str = include_str!("../../docs/operations.md");

/// The contents of fenced blocks in one of `languages`.
fn blocks(languages: &[&str]) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if languages.contains(&language) {
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

#[test]
fn every_script_can_be_read_by_bash() {
    let scripts = blocks(&["sh", "bash"]);
    assert!(scripts.len() > 8, "{}", scripts.len());
    for script in scripts {
        let mut bash = Command::new("bash");
        let mut child = bash
            .args(["-n", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{error}\n{script}");
    }
}

#[test]
fn every_command_of_regsql_is_one_that_it_knows() {
    let scripts = blocks(&["sh", "bash"]).join("\n").replace("\\\n", " ");
    let in_scripts = scripts.lines().map(str::trim).filter(|line| line.starts_with("regsql "));
    let in_text =
        PAGE.split('`').filter(|text| text.starts_with("regsql ") && !text.contains('\n'));
    let commands: Vec<&str> = in_scripts.chain(in_text).collect();
    assert!(commands.len() > 20, "{commands:#?}");
    for command in commands {
        if let Err(error) = Cli::try_parse_from(words(command)) {
            panic!("{command}\n{error}");
        }
    }
}

#[test]
fn every_look_at_a_registry_takes_one_that_asks_who_one_is_for_ready() {
    let scripts = blocks(&["sh", "bash"]);
    let looks: Vec<_> = scripts.iter().filter(|script| script.contains("/v2/")).collect();
    assert_eq!(looks.len(), 2);
    for script in looks {
        assert!(script.contains("401") && !script.contains("curl --fail"), "{script}");
    }
}

/// The words of a simple command, up to a redirection or an operator. Variables stay as they are.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in command.chars() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '>' | ';' | '&') => break,
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}
