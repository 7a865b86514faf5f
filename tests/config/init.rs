//! The config that `init` writes.

use crate::support::{gatherd, run, write};
use crate::{check_in, folder};

#[test]
fn init_writes_a_config_that_check_finds_right() {
    let folder = folder();
    let mut command = gatherd(["init"]);
    command.current_dir(folder.path());
    let ran = run(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ran.stderr, @"wrote config.toml: edit it, then gatherd check --config config.toml and gatherd run --config config.toml");
    let checked = check_in(folder.path(), &[]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    assert!(checked.stdout.contains("MISSING  the environment variable ANALYTICS_TOKEN"), "{}", checked.stdout);
    let written = std::fs::read(folder.path().join("config.toml")).unwrap();
    assert!(written.starts_with(b"#"), "it begins with a comment");
}

#[test]
fn init_never_writes_over_what_is_there() {
    let folder = folder();
    let path = write(folder.path(), "mine.toml", "# mine\n");
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    for taken in [path.as_str(), link.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let ran = run(gatherd(["init", taken]));
        assert_eq!(ran.code, Some(73), "{taken}");
        let expected = format!("gatherd: cannot write {taken}: it is there already, and stays as it is\n");
        assert_eq!(ran.stderr, expected);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    assert!(!folder.path().join("nowhere").exists());
    assert_eq!(run(gatherd(["init", &format!("{path}/below")])).code, Some(73));
}
