//! `migrate`, and what else can be done with an older file.

use super::*;
use crate::support::older::version_5;

#[test]
fn an_older_file_can_be_copied_and_brought_up_to_date_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "config.toml", CONFIG);
    version_5(&database(&folder));
    for command in [&["rounds"][..], &["verify"], &["prune", "--keep", "1h", "--yes"], &["history", "job", "e0"]] {
        let ran = gatherd(&folder, command);
        assert_eq!(ran.code, Some(78), "{command:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("its schema is version 5") && ran.stderr.contains("gatherd migrate"),
            "{}",
            ran.stderr
        );
    }
    assert!(answer(&folder, &["plan", "--utc"]).contains("not known before a document is stored"));
    answer(&folder, &["backup", "copy.db"]);

    let told = answer(&folder, &["migrate"]);
    assert!(told.contains("gatherd.db: from version 5 of the schema to 6; "), "{told}");
    assert!(answer(&folder, &["migrate"]).contains("gatherd.db: its schema is version 6, as it should be"));
    assert_eq!(number(&database(&folder), "SELECT count(*) FROM observations"), 4);
    let told = answer(&folder, &["migrate", "--database", "copy.db"]);
    assert!(told.starts_with("copy.db: from version 5"), "{told}");
    assert_eq!(number(&folder.path().join("copy.db"), "SELECT count(*) FROM failures"), 1);
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_migrate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = gatherd(&folder, &["migrate", "--database", "absent.db"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(!folder.path().join("absent.db").exists());
}
