//! `completions`: a script that asks regsql itself what a word may become, so that it knows the
//! names of reports and what is in the database.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::{self, CompleteEnv, EnvCompleter, Shells};

use super::{Context, command_line};
use crate::commands::error::{Error, Outcome, Result};

/// Set by the script to the shell's name: regsql then completes a word instead of running.
const VARIABLE: &str = "REGSQL_COMPLETE";

const SHELLS: Shells<'static> =
    Shells(&[&Bash, &env::Elvish, &env::Fish, &env::Powershell, &env::Zsh]);

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = "For bash: source <(regsql completions bash)\n\
    For zsh: source <(regsql completions zsh)\n\
    For fish: regsql completions fish | source")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(context: &Context, args: &CompletionsArgs) -> Result {
    let name = args.shell.to_string();
    let shell = SHELLS
        .completer(&name)
        .ok_or_else(|| Error::new(format!("there are no completions for {name}")))?;
    let mut out = context.printer.out();
    shell.write_registration(VARIABLE, "regsql", "regsql", "regsql", &mut out)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Whether a shell asked for completions, and got them.
pub fn complete() -> clap::error::Result<bool> {
    CompleteEnv::with_factory(command_line)
        .var(VARIABLE)
        .shells(SHELLS)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
}

/// Bash breaks words at `:` and `=`, which stand in image names and parameters. So this script
/// splits the line itself, and gives bash only what stands behind the last of them.
struct Bash;

const BASH: &str = r#"_regsql() {
    local line="${COMP_LINE:0:COMP_POINT}" words=() prefix=""
    IFS=$' \t\n' read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local last=$((${#words[@]} - 1))
    COMPREPLY=()
    IFS=$'\013' read -r -d '' -a COMPREPLY < <(
        _CLAP_IFS=$'\013' _CLAP_COMPLETE_INDEX=$last VARIABLE=bash \
            COMPLETER -- "${words[@]}" 2>/dev/null
    )
    local word="${words[last]}"
    if [[ $word == *[:=]* && $COMP_WORDBREAKS == *:* && $COMP_WORDBREAKS == *=* ]]; then
        prefix="${word%"${word##*[:=]}"}"
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -F _regsql NAME
"#;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        env::Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Bash.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        _name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let script = BASH.replace("VARIABLE", variable).replace("COMPLETER", completer);
        out.write_all(script.replace("NAME", program).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<std::ffi::OsString>,
        directory: Option<&Path>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        env::Bash.write_complete(command, words, directory, out)
    }
}
