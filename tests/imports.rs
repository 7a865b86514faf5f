//! Who may import whom: data travels downwards through the layers, and each outside library that shapes the code
//! stays in its layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module of ours, and the ones that it may import.
const MODULES: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("schedule", &["model", "clock"]),
    ("config", &["model", "schedule"]),
    ("fetch", &["model", "config"]),
    ("store", &["model"]),
    ("actors", &["model", "clock", "schedule", "config", "fetch", "store"]),
    // Of `store` its queries, of `actors` their messages.
    ("web", &["model", "config", "store", "actors"]),
    ("systemd", &[]),
    ("app", &["model", "clock", "schedule", "config", "fetch", "store", "actors", "web", "systemd"]),
    ("sample_api", &["model"]),
    ("telemetry", &[]),
    // Of `web` the form of its answers.
    ("cli", &["app", "config", "model", "schedule", "store", "fetch", "web", "sample_api", "telemetry"]),
];

/// What stands above the layers.
const ABOVE: [&str; 2] = ["main", "lib"];

/// A library, and the modules that may use it.
const LIBRARIES: [(&str, &[&str]); 11] = [
    ("jiff", &["model"]),
    ("reqwest", &["fetch"]),
    ("hyper", &["fetch"]),
    ("h2", &["fetch"]),
    ("rusqlite", &["store"]),
    ("actix", &["actors", "web", "app"]),
    ("actix_web", &["web"]),
    ("utoipa", &["web"]),
    ("clap", &["cli", "telemetry"]),
    ("sd_notify", &["systemd"]),
    ("listenfd", &["systemd"]),
];

/// Every source file with its text.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("readable");
                files.insert(path, text);
            }
        }
    }
    files
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("in src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The words that follow `prefix` anywhere in the code of `text`; what stands in a comment does not count.
fn words_after<'t>(text: &'t str, prefix: &'t str) -> impl Iterator<Item = &'t str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(prefix).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_module_imports_only_what_stands_below_it() {
    let table = BTreeMap::from(MODULES);
    for (path, text) in sources() {
        let module = module_of(&path);
        assert!(!text.contains("crate::{"), "{}: one line for each module, as this test reads them", path.display());
        let Some(allowed) = table.get(module.as_str()) else { continue };
        for imported in words_after(&text, "crate::").filter(|word| table.contains_key(word)) {
            let fine = imported == module || allowed.contains(&imported);
            assert!(fine, "{} imports {imported}, which {module} may not", path.display());
        }
    }
}

#[test]
fn the_api_knows_of_the_store_its_questions_and_of_the_actors_their_messages() {
    for (path, text) in sources().iter().filter(|(path, _)| module_of(path) == "web") {
        for (from, allowed) in [
            ("crate::store::", vec!["read", "history", "uptime", "overview", "StoreError"]),
            ("crate::actors::", vec!["messages"]),
        ] {
            let mut imported = words_after(text, from);
            assert!(imported.all(|word| allowed.contains(&word)), "{} imports more of {from}", path.display());
        }
    }
}

#[test]
fn the_command_line_knows_of_the_api_the_form_in_which_it_tells_how_it_does() {
    for (path, text) in sources().iter().filter(|(path, _)| module_of(path) == "cli") {
        let mut imported = words_after(text, "crate::web::");
        assert!(imported.all(|word| word == "report"), "{} imports more of crate::web", path.display());
    }
}

#[test]
fn a_library_that_shapes_the_code_stays_in_its_layer() {
    for (path, text) in sources() {
        let module = module_of(&path);
        for (library, allowed) in LIBRARIES {
            let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let used = code.iter().any(|line| {
                line.match_indices(&format!("{library}::"))
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
            });
            let above = ABOVE.contains(&module.as_str()) && library == "clap";
            assert!(!used || above || allowed.contains(&module.as_str()), "{} uses {library}", path.display());
        }
    }
}

#[test]
fn the_table_names_every_module_that_there_is_and_no_other() {
    let modules: BTreeSet<String> = sources().keys().map(|path| module_of(path)).collect();
    let table = MODULES.iter().map(|(module, _)| *module).chain(ABOVE);
    assert_eq!(modules, table.map(str::to_owned).collect());
}
