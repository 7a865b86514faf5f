//! What `check` shows of a config that is right, and what of it is not there.

use std::time::Duration;

use gatherd::clock::{Clock, SystemClock};
use gatherd::sample_api::{SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY};
use gatherd::schedule::Cadence;

use crate::support::{gatherd, run, write};
use crate::{JOB, check_in, folder, mistakes, right};

#[test]
fn a_file_that_is_not_there_or_not_text_is_told_by_its_name() {
    let folder = folder();
    let ran = check_in(folder.path(), &["--config", "other.toml"]);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!(ran.stderr, @"other.toml: cannot read it: No such file or directory (os error 2) (gatherd init writes a new one, --config names another)");
    let ran = check_in(folder.path(), &["--config", "."]);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!(ran.stderr, @".: cannot read it: Is a directory (os error 21) (--config names another)");
    insta::assert_snapshot!(mistakes(b"# fine\n# caf\xe9\n"), @"config.toml:2: not UTF-8, as TOML has to be");
}

/// The next three dues of `cadence` as they are shown in UTC.
fn dues(cadence: &Cadence) -> String {
    let now = SystemClock::new().now().wall;
    let dues = std::iter::successors(cadence.next_after(now), |&due| cadence.next_after(due));
    let shown = dues.take(3).map(|due| due.to_string().replace('T', " ").replace(".000", ""));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_right_config_is_shown_with_its_jobs_their_endpoints_and_their_next_dues() {
    let text = r#"database = "data/gatherd.db"
workers = 8

[[job]]
name = "hourly"
every = "1h"
endpoints = [
  "https://me:s3cret@example.com/data1?api_key=s3cret&from=1",
  { name = "signups", url = "https://example.com/data2", timeout = "3s" },
]

[[job]]
name = "daily"
cron = "0 6 * * *"
timezone = "Europe/Berlin"
endpoints = ["https://example.com/"]
"#;
    let cadences = [
        Cadence::every(Duration::from_hours(1)),
        Cadence::cron("0 6 * * *", "Europe/Berlin".parse().unwrap()).unwrap(),
    ];
    let all = || cadences.each_ref().map(dues);
    // A due may pass between the two looks at the clock.
    let (shown, [hourly, daily]) = loop {
        let (before, shown, after) = (all(), right(text), all());
        if before == after {
            break (shown, after);
        }
    };
    let shown = shown.replace(&hourly, "[hourly]").replace(&daily, "[daily]");
    insta::assert_snapshot!(shown, @r#"
    config.toml: right
    database  [folder]/data/gatherd.db
      MISSING  the folder [folder]/data; gatherd run would refuse
    workers   8

    job "hourly"  every 1h, 2 endpoints
      due  [hourly]
        1  https://example.com/data1?api_key=***&from=1
        2  signups  https://example.com/data2

    job "daily"  cron 0 6 * * * (Europe/Berlin), 1 endpoint
      due  [daily]
        1  https://example.com/
    "#);
}

#[test]
fn times_are_local_unless_utc_is_asked_for() {
    let folder = folder();
    write(folder.path(), "config.toml", JOB);
    let due = |args: &[&str]| {
        let shown = check_in(folder.path(), args).stdout;
        shown.lines().find(|line| line.starts_with("  due  ")).expect("a due").to_owned()
    };
    // The tests' own zone is UTC, and said to be so in numbers.
    assert!(due(&[]).ends_with("+00:00"), "{}", due(&[]));
    assert!(due(&["--utc"]).ends_with('Z'), "{}", due(&["--utc"]));
}

#[test]
fn secrets_are_found_or_not_and_never_shown() {
    let folder = folder();
    write(folder.path(), "here", "s3cret\n");
    write(folder.path(), "empty", "\n");
    write(folder.path(), "two-lines", "s3cret\nmore\n");
    write(folder.path(), "latin-1", b"s3cret\xe9\n");
    write(folder.path(), "large", "s3cret".repeat(20_000));
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    write(&credentials, "given", "s3cret");
    let sources = [
        "{ env = \"SET\" }",
        "{ env = \"NOT_SET\" }",
        "{ env = \"EMPTY\" }",
        "{ file = \"here\" }",
        "{ file = \"missing\" }",
        "{ file = \"empty\" }",
        "{ file = \"two-lines\" }",
        "{ file = \"latin-1\" }",
        "{ file = \"large\" }",
        "{ file = \"folder\" }",
        "{ credential = \"given\" }",
        "{ credential = \"not-given\" }",
    ];
    let endpoints: Vec<String> = sources
        .iter()
        .map(|source| format!("{{ name = '{source}', url = \"https://example.com/\", token = {source} }}"))
        .collect();
    let job = JOB.replace("\"https://example.com/\"", &endpoints.join(", "));
    write(folder.path(), "config.toml", format!("[server]\ntoken = {}\n{job}", sources[0]));
    let mut command = gatherd(["check"]);
    command.current_dir(folder.path()).env("SET", "s3cret").env("EMPTY", "").env_remove("NOT_SET");
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    let ran = run(command);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(78), 6), "one for each that is WRONG: {}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("config.toml: right, but not what it names, see WRONG below\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    let told = ran.stdout.split_once("\nsecrets\n").expect("secrets").1;
    let told = told.replace(&format!("{}/", credentials.display()), "[credentials]/");
    insta::assert_snapshot!(told, @r#"
    found    the environment variable SET
    MISSING  the environment variable NOT_SET is not set (job "a", endpoint "{ env = \"NOT_SET\" }"); gatherd run would refuse
    WRONG    the environment variable EMPTY holds an empty secret (job "a", endpoint "{ env = \"EMPTY\" }"); gatherd run would refuse
    found    the file here
    MISSING  cannot read ./missing: No such file or directory (os error 2) (job "a", endpoint "{ file = \"missing\" }"); gatherd run would refuse
    WRONG    the file empty holds an empty secret (job "a", endpoint "{ file = \"empty\" }"); gatherd run would refuse
    WRONG    the file two-lines holds a control character, such as a line break, inside the secret (job "a", endpoint "{ file = \"two-lines\" }"); gatherd run would refuse
    WRONG    the file latin-1 holds what is not text in UTF-8 (job "a", endpoint "{ file = \"latin-1\" }"); gatherd run would refuse
    WRONG    ./large holds more than 64 KiB, which is no secret: the file should hold the secret and nothing else (job "a", endpoint "{ file = \"large\" }"); gatherd run would refuse
    WRONG    ./folder is a folder: a secret is read from a regular file, so write it into one (job "a", endpoint "{ file = \"folder\" }"); gatherd run would refuse
    found    the credential given
    MISSING  cannot read [credentials]/not-given: No such file or directory (os error 2) (job "a", endpoint "{ credential = \"not-given\" }"); gatherd run would refuse
    "#);
}

#[test]
fn a_secret_that_is_there_and_wrong_is_refused_by_check_as_by_run_whoever_it_is_for() {
    let hook = |keys: &str| format!("[[notify]]\nurl = \"https://hooks.example.com/\"\n{keys}\n");
    let named = "[[notify]]\nurl = { file = \"wrong\" }\n";
    let basic = hook("basic = { user = \"me\", password = { file = \"wrong\" } }");
    for (content, config, user) in [
        ("\n", format!("[server]\ntoken = {{ file = \"wrong\" }}\n{JOB}"), "[server]"),
        ("", format!("{JOB}token = {{ file = \"wrong\" }}\n"), "job \"a\""),
        ("a\tb", format!("{JOB}{}", hook("token = { file = \"wrong\" }")), "[[notify]] \"json\""),
        ("a\nb", format!("{JOB}{basic}"), "[[notify]] \"json\""),
        ("\n", format!("{JOB}{named}"), "[[notify]] \"json\""),
        ("hooks.example.com", format!("{JOB}{named}"), "[[notify]] \"json\""),
        ("ftp://example.com/", format!("{JOB}ping_url = {{ file = \"wrong\" }}\n"), "the ping_url of job \"a\""),
    ] {
        let folder = folder();
        write(folder.path(), "config.toml", &config);
        // What is not there may be there for the service.
        let missing = check_in(folder.path(), &[]);
        assert_eq!(missing.code, Some(0), "{config}: {}", missing.stdout);
        assert!(missing.stdout.contains("  MISSING  cannot read ./wrong: "), "{config}: {}", missing.stdout);
        write(folder.path(), "wrong", content);
        let checked = check_in(folder.path(), &[]);
        assert_eq!(checked.code, Some(78), "{config}: {}", checked.stdout);
        let line = checked.stdout.lines().find(|line| line.starts_with("  WRONG    ")).expect("what is wrong");
        assert!(line.ends_with(&format!(" ({user}); gatherd run would refuse")), "{line}");
        let mut daemon = gatherd(["run"]);
        daemon.current_dir(folder.path());
        assert_eq!(run(daemon).code, Some(78), "{config}");
    }
}

#[test]
fn a_folder_in_the_place_of_the_database_is_a_mistake() {
    let folder = folder();
    for (name, config) in [("data", format!("database = \"data\"\n{JOB}")), ("gatherd.db", JOB.to_owned())] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        write(folder.path(), "config.toml", config);
        let key = if name == "data" { "database: " } else { "" };
        let told =
            format!("config.toml:1: {key}./{name} is a folder; a file is needed, such as \"{name}/gatherd.db\"\n");
        for command in ["check", "run"] {
            let mut command = gatherd([command]);
            command.current_dir(folder.path());
            let ran = run(command);
            assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(78), "", told.as_str()));
        }
    }
}

#[test]
fn a_credential_without_systemd_is_told_where_it_would_come_from() {
    let shown = right(&format!("{JOB}token = {{ credential = \"api\" }}\n"));
    assert!(shown.contains("\n  MISSING  the credential \"api\" "), "{shown}");
    assert!(shown.contains("LoadCredential="), "{shown}");
}

#[test]
fn certificate_files_are_found_or_not_and_run_refuses_a_config_that_names_none() {
    let folder = folder();
    write(folder.path(), "config.toml", format!("{JOB}ca_file = \"absent.pem\"\n"));
    let checked = check_in(folder.path(), &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("files\n  MISSING  absent.pem: "), "{}", checked.stdout);
    let mut daemon = gatherd(["run"]);
    daemon.current_dir(folder.path());
    let ran = run(daemon);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(ran.stderr.contains("job \"a\", endpoint \"https://example.com/\": "), "{}", ran.stderr);
    assert!(ran.stderr.contains("absent.pem"), "{}", ran.stderr);
}

#[test]
fn check_says_what_uses_a_secret_that_is_missing_and_that_there_is_no_folder_for_the_database() {
    let endpoints = r#"["https://example.com/1", { url = "https://example.com/2", token = { env = "NOT_SET_1" } }]"#;
    let job = JOB.replace("[\"https://example.com/\"]", endpoints);
    let other = JOB.replace("\"a\"", "\"b\"");
    let top = "database = \"nowhere/gatherd.db\"\n[defaults]\ntoken = { env = \"NOT_SET_2\" }\n";
    let shown = right(&format!("{top}{job}{other}"));
    for told in [
        "NOT_SET_1 is not set (job \"a\", endpoint \"https://example.com/2\"); gatherd",
        "NOT_SET_2 is not set (job \"a\", endpoint \"https://example.com/1\", and 1 more); gatherd",
        "\n  MISSING  the folder ",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(!right(JOB).contains("MISSING"));
}

#[test]
fn a_rate_that_rounds_are_too_short_for_is_told_by_check_and_plan() {
    let job = |rate: &str| {
        format!("[[job]]\nname = \"a\"\nevery = \"1h\"\nrate = {rate:?}\nendpoints = {:?}\n", ["http://a.example/"; 10])
    };
    let told = "TOO SLOW  10 requests to a.example:80 take 25m 55s by its `rate`, a round has 10m: the rest ends as";
    assert!(right(&job("500/d")).contains(told), "{}", right(&job("500/d")));
    assert!(!right(&job("60/m")).contains("TOO SLOW"));
}

#[test]
fn what_a_terminal_would_obey_in_a_name_is_shown_escaped() {
    let shown =
        right(&JOB.replace("\"https://example.com/\"", r#"{ name = "a\u202Eb\u200B", url = "https://example.com/" }"#));
    assert!(shown.contains(r"a\u{202e}b\u{200b}  https://example.com/"), "{shown}");
}

#[test]
fn certificates_and_keys_are_tried_as_run_tries_them() {
    let identity = "client_cert = \"client.pem\"\nclient_key = \"client.key\"\n";
    let other = include_str!("../../src/sample_api/certificates/server-key.pem");
    let encrypted = SAMPLE_CLIENT_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let unknown = "-----BEGIN CERTIFICATE-----\nMAAwAA==\n-----END CERTIFICATE-----\n";
    let cut = &SAMPLE_CA[..SAMPLE_CA.len() / 2];
    let (ca, certificate, key) = (SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY);
    for (ca, certificate, key, wrong) in [
        (ca, certificate, key, None),
        ("# none\n", certificate, key, Some("./ca.pem does not hold PEM certificates: there is none in it")),
        (unknown, certificate, key, Some("./ca.pem does not hold certificates of authorities: ")),
        (cut, certificate, key, Some("./ca.pem does not hold PEM certificates: a section has no END line")),
        (ca, certificate, &encrypted, Some("./client.key does not hold a private key in PEM: ")),
        (ca, certificate, other, Some("./client.pem does not go with its key: ")),
    ] {
        let folder = folder();
        for (name, text) in [("ca.pem", ca), ("client.pem", certificate), ("client.key", key)] {
            write(folder.path(), name, text);
        }
        write(folder.path(), "config.toml", format!("{JOB}ca_file = \"ca.pem\"\n{identity}"));
        let checked = check_in(folder.path(), &[]);
        let files = checked.stdout.split_once("\nfiles\n").expect("files").1;
        let Some(wrong) = wrong else {
            assert_eq!((checked.code, files.matches("  found    ").count()), (Some(0), 3), "{files}");
            continue;
        };
        assert_eq!((checked.code, files.matches("  found    ").count()), (Some(78), 2), "{files}");
        let line = files.lines().find(|line| line.starts_with("  WRONG    ")).expect("what is wrong");
        assert!(line.contains(wrong) && line.ends_with("; gatherd run would refuse"), "{line}");
        assert!(!checked.stdout.starts_with("config.toml: right\n"), "{}", checked.stdout);
        let mut daemon = gatherd(["run"]);
        daemon.current_dir(folder.path());
        assert_eq!(run(daemon).code, Some(78), "{wrong}");
    }
}

#[test]
fn a_proxy_that_is_never_connected_to_is_wrong_and_a_unit_is_told_why_on_standard_error() {
    let folder = folder();
    write(folder.path(), "empty", "");
    let keys = "proxy = \"http://2852039166:80\"\ntoken = { file = \"empty\" }\n";
    write(folder.path(), "config.toml", format!("{JOB}{keys}"));
    let checked = check_in(folder.path(), &[]);
    assert_eq!(checked.code, Some(78), "{}", checked.stderr);
    let wrong = "proxy names a proxy that cannot be used: 169.254.169.254 is an address that is never connected to";
    assert!(
        checked.stdout.contains(&format!("\n  WRONG    {wrong}; gatherd run would refuse\n")),
        "{}",
        checked.stdout
    );
    assert_eq!(checked.stderr, format!("gatherd: the file empty holds an empty secret\ngatherd: {wrong}\n"));
}
