//! `gatherd export`: every slot in each format, and nothing written where it should not be.

use std::path::Path;

use serde_json::Value;

use crate::history::{ask, asked, document, small};
use crate::support::rounds::{closed, database, layout};
use crate::support::{gatherd, until};

#[test]
fn an_export_has_every_slot_in_each_format() {
    let (folder, path) = small();
    let file = |name: &str| folder.path().join(name);
    let export = |name: &str, more: &[&str]| {
        let to = file(name).display().to_string();
        asked(&path, &[&["export", "-o", &to][..], more].concat());
        std::fs::read(file(name)).expect("a file")
    };
    let csv = String::from_utf8(export("all.csv", &[])).expect("UTF-8");
    assert_eq!(csv.split("\r\n").count(), 1 + 10 + 1, "{csv}");
    insta::assert_snapshot!("export_csv", csv.replace('\r', ""));
    let fields = ["--field", "users=/users", "--field", "plan=.plan // 0"];
    let ndjson = String::from_utf8(export("fields.ndjson", &fields)).expect("UTF-8");
    insta::assert_snapshot!("export_ndjson", ndjson);
    let to_stdout = asked(&path, &[&["export", "job", "--format", "ndjson", "-o", "-"][..], &fields].concat());
    assert_eq!(to_stdout, ndjson);
    assert_eq!(&export("all.parquet", &[])[..4], b"PAR1");
    export("fields.parquet", &[&fields[..], &["--since", "2026-01-31 13:03", "--utc"]].concat());
    assert_eq!(parquet(&file("all.parquet")).len(), 10);
    let rows = parquet(&file("fields.parquet"));
    assert_eq!(rows.len(), 6);
    assert_eq!((&rows[0]["users"], &rows[0]["plan"]), (&9.0.into(), &"p3".into()));
    assert_eq!((&rows[1]["users"], &rows[1]["endpoint"]), (&Value::Null, &"b".into()));
    let left = std::fs::read_dir(folder.path()).expect("a folder").filter_map(Result::ok);
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".gatherd-export")));
}

#[test]
fn a_parquet_column_is_of_numbers_only_where_no_digit_is_lost() {
    let (folder, path) = small();
    let to = folder.path().join("x.parquet");
    let fields = ["--field", "users=/users", "--field", "big=/big", "--field", "k=/k"];
    asked(&path, &[&["export", "-o", &to.display().to_string()][..], &fields].concat());
    let rows = parquet(&to);
    assert_eq!((&rows[0]["users"], &rows[0]["big"]), (&1.0.into(), &"9007199254740993".into()));
    assert_eq!(rows[7]["k"], Value::from("1e400"), "a double has no such number");
}

#[test]
fn an_integer_beyond_128_bits_is_a_number_only_where_a_double_is_that_one() {
    let (folder, path, mut writer) = database();
    let text = r#"{"off":170141183460469231731687303715884105727,"on":170141183460469231731687303715884105728,
        "far":1361129467683753853853498429727072845824,"further":1361129467683753853853498429727072845825}"#;
    writer.close(&closed(1, &layout(&["a"]), vec![document(1, text)])).expect("stored");
    let to = folder.path().join("x.parquet");
    let fields = ["off", "on", "far", "further"].map(|name| format!("{name}=/{name}"));
    let fields: Vec<&str> = fields.iter().flat_map(|field| ["--field", field]).collect();
    asked(&path, &[&["export", "-o", &to.display().to_string()][..], &fields].concat());
    let row = &parquet(&to)[0];
    assert_eq!(row["off"], Value::from("170141183460469231731687303715884105727"));
    assert_eq!(row["on"], Value::from(2_f64.powi(127)));
    assert_eq!(row["far"], Value::from(2_f64.powi(130)));
    assert_eq!(row["further"], Value::from("1361129467683753853853498429727072845825"));
}

#[test]
fn an_export_is_written_into_a_pipe_and_through_a_link_and_replaces_neither() {
    use std::os::unix::fs::FileTypeExt;
    let (folder, path) = small();
    let file = |name: &str| folder.path().join(name);
    let pipe = file("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    let reading = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).expect("read")
    });
    asked(&path, &["export", "--format", "parquet", "-o", &pipe.display().to_string()]);
    assert_eq!(&reading.join().expect("read")[..4], b"PAR1");
    assert!(std::fs::metadata(&pipe).expect("there").file_type().is_fifo());
    std::fs::write(file("target.csv"), "old").expect("written");
    std::os::unix::fs::symlink(file("target.csv"), file("link.csv")).expect("a link");
    asked(&path, &["export", "-o", &file("link.csv").display().to_string()]);
    assert!(std::fs::symlink_metadata(file("link.csv")).expect("there").is_symlink());
    assert!(std::fs::read_to_string(file("target.csv")).expect("read").starts_with("job,endpoint"));
}

#[test]
fn nothing_is_written_over_the_database_by_whatever_name() {
    let (folder, path) = small();
    let before = std::fs::read(&path).expect("read");
    let link = folder.path().join("another.svg");
    std::fs::hard_link(&path, &link).expect("a link");
    for name in [&path, &link].map(|path| path.display().to_string()) {
        let picture = ["history", "job", "a", "--field", "/users", "--svg", &name];
        for arguments in [&["export", "--format", "csv", "-o", &name][..], &picture] {
            let ran = ask(&path, arguments);
            assert_eq!(ran.code, Some(73), "{arguments:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("the database itself"), "{}", ran.stderr);
        }
    }
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

/// Whether a thread of the process has this name.
fn has_thread(process: u32, name: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks
        .map(|task| task.path().join("comm"))
        .any(|comm| std::fs::read_to_string(comm).is_ok_and(|comm| comm.trim() == name))
}

#[test]
fn an_export_that_is_interrupted_leaves_nothing_behind() {
    let (folder, path) = small();
    let to = folder.path().join("new/x.csv").display().to_string();
    std::fs::create_dir(folder.path().join("new")).expect("a folder");
    // It takes half a second a document, which is as long as an expression may take.
    let slow = "x=[limit(900000; repeat(1))] | length";
    let database = path.display().to_string();
    let mut export = gatherd(["export", "-o", &to, "--field", slow, "--database", &database]).spawn().expect("started");
    until("it listens", || has_thread(export.id(), "interrupt"));
    let id = rustix::process::Pid::from_child(&export);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("sent");
    assert_eq!(export.wait().expect("ended").code(), Some(130));
    assert_eq!(std::fs::read_dir(folder.path().join("new")).expect("a folder").count(), 0);
}

fn parquet(path: &Path) -> Vec<Value> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let reader = SerializedFileReader::new(std::fs::File::open(path).expect("a file")).expect("parquet");
    let due = reader.metadata().file_metadata().schema_descr().column(4);
    let due = format!("{:?}", due.logical_type_ref());
    assert!(due.contains("is_adjusted_to_u_t_c: true, unit: MICROS"), "{due}");
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Str(text) => text.as_str().into(),
        Field::Double(number) => (*number).into(),
        other => other.to_string().into(),
    };
    let rows = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row"));
    rows.map(|row| row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()).collect()
}

#[test]
fn a_file_that_cannot_be_written_is_said_and_nothing_is_left() {
    let (folder, path) = small();
    let there = || {
        let entries =
            std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("readable").file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    // No folder, and a file that is a folder.
    std::fs::create_dir(folder.path().join("taken.csv")).expect("made");
    ask(&path, &["latest"]);
    let before = there();
    for name in ["absent/x.csv", "taken.csv"] {
        let ran = ask(&path, &["export", "-o", &folder.path().join(name).display().to_string()]);
        assert_eq!(ran.code, Some(74), "{}", ran.stderr);
        assert!(ran.stderr.contains("cannot be written"), "{}", ran.stderr);
    }
    assert_eq!(there(), before);
}
