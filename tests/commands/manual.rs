//! The manual and the completions are made from the command line's own definitions, so they never lag behind it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use gatherd::cli::Args;

use crate::support::{self, gatherd, run};

/// The pages, by name, in a new folder.
fn pages(folder: &Path) -> Vec<(String, String)> {
    let folder = folder.join("new/man1");
    let mut command = gatherd([Path::new("man"), &folder]);
    command.env("SOURCE_DATE_EPOCH", "1767225600");
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let entries = fs::read_dir(&folder).expect("the folder was made").map(|entry| entry.expect("readable").path());
    let page = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("readable"))
    };
    entries.map(page).collect()
}

/// A page without roff's escapes of hyphens, apostrophes and fonts.
fn unescaped(page: &str) -> String {
    page.replace("\\*(Aq", "'").replace('\\', "")
}

/// What `shell` says to `script`, or nothing where it is not installed.
fn shell(shell: &str, arguments: &[&str], folder: &Path) -> Option<Output> {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    let output = command.args(arguments).current_dir(folder).env("PATH", path).stdin(Stdio::null()).output();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{shell} is not installed: its completions are not tried");
            None
        }
        output => Some(output.expect("the shell runs")),
    }
}

fn completions(shell: &str) -> String {
    let ran = run(gatherd(["completions", shell]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

#[test]
fn every_command_has_a_page_that_says_what_it_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = pages(folder.path());
    let commands = Args::command();
    for command in commands.get_subcommands() {
        let name = format!("gatherd-{}.1", command.get_name());
        let (_, page) = pages.iter().find(|(page, _)| *page == name).unwrap_or_else(|| panic!("no {name}"));
        let about = command.get_about().expect("every command says what it does").to_string();
        let text = unescaped(page);
        assert!(text.contains(&about), "{name} lacks {about:?}");
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(text.contains(&format!("--{option}")), "{name} lacks --{option}");
        }
    }
    assert_eq!(pages.len(), commands.get_subcommands().count() + 1, "and gatherd(1) itself");
}

#[test]
fn the_main_page_tells_of_every_exit_code_of_files_and_of_examples() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = pages(folder.path());
    let (_, page) = pages.iter().find(|(name, _)| name == "gatherd.1").expect("a main page");
    for section in ["NAME", "SYNOPSIS", "OPTIONS", "SUBCOMMANDS", "\"EXIT STATUS\"", "FILES", "EXAMPLES"] {
        assert!(page.contains(&format!(".SH {section}\n")), "no {section}");
    }
    assert!(page.contains(" 2026-01-01 "), "the day that the build calls today");
    for (code, meaning) in gatherd::cli::exit::MEANINGS {
        let text = unescaped(page);
        assert!(text.contains(&format!("fB{code}fR")) && text.contains(meaning), "no {code}");
    }
}

#[test]
fn bash_loads_the_script_and_completes_commands_and_names_by_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    support::write(folder.path(), "gatherd.bash", completions("bash"));
    let Some(syntax) = shell("bash", &["-n", "gatherd.bash"], folder.path()) else { return };
    assert!(syntax.status.success() && syntax.stderr.is_empty(), "{syntax:?}");

    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gatherd"), folder.path().join("gatherd")).expect("a link");
    let job = "[[job]]\nname = \"figures\"\nevery = \"1m\"\nendpoints = [\"http://127.0.0.1:9/\"]\n";
    support::write(folder.path(), "config.toml", job);
    let ask = |line: &str| {
        let words = line.split(' ').count();
        let script = format!(
            "source gatherd.bash && complete -p gatherd >&2 && COMP_WORDS=({line} '') COMP_CWORD={words} \
             && _clap_complete_gatherd gatherd '' && printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = shell("bash", &["--norc", "-c", &script], folder.path()).expect("bash is installed");
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("_clap_complete_gatherd gatherd"), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let commands = ask("gatherd");
    assert!(commands.lines().any(|line| line == "rounds") && commands.lines().any(|line| line == "man"), "{commands}");
    assert_eq!(ask("gatherd latest").lines().next(), Some("figures"));
}

#[test]
fn every_other_shell_takes_its_script_where_it_is_installed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["zsh", "fish"] {
        support::write(folder.path(), "script", completions(name));
        let Some(syntax) = shell(name, &["-n", "script"], folder.path()) else { continue };
        assert!(syntax.status.success() && syntax.stderr.is_empty(), "{name}: {syntax:?}");
    }
    assert!(completions("zsh").starts_with("#compdef gatherd\n"), "zsh looks for it in the first line");
    for name in ["elvish", "powershell"] {
        assert!(completions(name).contains("gatherd"));
    }
}
