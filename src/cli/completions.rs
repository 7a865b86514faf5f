//! `gatherd completions`: what a shell sources, so that it completes commands, options, and names of jobs and endpoints.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use clap_complete::env::Shells;

/// The shells that there is a script for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// For /usr/share/bash-completion/completions/gatherd, or source it from ~/.bashrc
    Bash,
    /// For _gatherd in a folder of $fpath
    Zsh,
    /// For ~/.config/fish/completions/gatherd.fish
    Fish,
    /// For rc.elv
    Elvish,
    /// For $PROFILE
    Powershell,
}

/// `gatherd completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let (shells, value) = (Shells::builtins(), args.shell.to_possible_value());
    let shell = value.and_then(|value| shells.completer(value.get_name())).context("clap does not know this shell")?;
    // The script asks the `gatherd` of the path: it knows the jobs, and a new version has its own options.
    let mut script = Vec::new();
    shell.write_registration("COMPLETE", "gatherd", "gatherd", "gatherd", &mut script)?;
    stdout().lock().write_all(script.trim_ascii_start())?;
    Ok(ExitCode::SUCCESS)
}
