//! Names that the shell completes: of jobs and endpoints, from the database that the command line means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use crate::config::Settings;
use crate::store::read::Reader;

/// Longer than that nobody waits for a completion.
const PATIENCE: Duration = Duration::from_secs(1);

/// The jobs that the config has and those that ever ran.
pub fn jobs() -> Vec<CompletionCandidate> {
    let words = words();
    let configured = settings(&words).map(|settings| settings.jobs).unwrap_or_default();
    let mut names: Vec<String> = configured.iter().map(|job| job.name.as_str().to_owned()).collect();
    names.extend(reader(&words).and_then(|reader| reader.jobs().ok()).unwrap_or_default());
    candidates(names)
}

/// The endpoints that the job before them on the command line has in the config, or ever had.
pub fn endpoints() -> Vec<CompletionCandidate> {
    let words = words();
    let configured = settings(&words).map(|settings| settings.jobs).unwrap_or_default();
    let reader = reader(&words);
    let mut names = Vec::new();
    // Which word is the job is not known here; it is one that has endpoints.
    for word in &words {
        let of_job = configured.iter().filter(|job| job.name.as_str() == word).flat_map(|job| &job.endpoints);
        names.extend(of_job.map(|endpoint| endpoint.label.name.clone()));
        names.extend(reader.as_ref().and_then(|reader| reader.endpoints(word).ok()).unwrap_or_default());
    }
    candidates(names)
}

fn candidates(mut names: Vec<String>) -> Vec<CompletionCandidate> {
    names.sort();
    names.dedup();
    let typed = |name: String| if for_bash() { escaped(&name) } else { name };
    names.into_iter().map(|name| CompletionCandidate::new(typed(name))).collect()
}

/// The words of the line that is completed: the shell hands them over behind `--`.
fn words() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words = words.skip_while(|word| word != "--").skip(1);
    if for_bash() { words.map(|word| meant(&word)).collect() } else { words.collect() }
}

/// Bash hands words over as they were typed, and inserts what it gets as it is. The other shells quote by themselves.
/// The name of the shell has been taken out of the environment by now; only the script for bash sets this one.
fn for_bash() -> bool {
    std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some()
}

/// `name` as it is typed in bash: what ends a word or means something there (as `:` does to its completion) stands
/// behind a backslash.
fn escaped(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./,+@%".contains(c);
    name.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// What a word means that was typed in bash, without its quotes and backslashes.
fn meant(typed: &str) -> String {
    let (mut word, mut quote) = (String::new(), None);
    let mut rest = typed.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.extend(rest.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => word.push(c),
        }
    }
    word
}

fn value_of(words: &[String], name: &str) -> Option<PathBuf> {
    let long = format!("--{name}");
    let apart = words.windows(2).find(|pair| pair[0] == long).map(|pair| pair[1].as_str());
    let joined = words.iter().find_map(|word| word.strip_prefix(&long)?.strip_prefix('='));
    apart.or(joined).map(PathBuf::from)
}

fn settings(words: &[String]) -> Option<Settings> {
    let config = value_of(words, "config").unwrap_or_else(|| PathBuf::from("config.toml"));
    Settings::load(&config).ok()
}

fn reader(words: &[String]) -> Option<Reader> {
    let open = |path: &Path| Reader::open(path, PATIENCE).ok();
    match value_of(words, "database") {
        Some(path) => open(&path),
        None => open(&settings(words)?.database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_in_bash_means_the_name_whatever_stands_in_it() {
        for name in ["sales", "bad job ü", "https://a.example/?b=$c&d", "it's \"so\"", "back\\slash", "*"] {
            assert_eq!(meant(&escaped(name)), name);
        }
        assert_eq!(escaped("bad job ü"), "bad\\ job\\ ü");
        assert_eq!(meant("\"bad job\"' ü'"), "bad job ü");
    }
}
