//! Each mistake with its file, line and key, and what would be right.

use crate::{JOB, mistakes, right};

#[test]
fn every_mistake_is_told_at_once_with_its_line_its_key_and_what_would_be_right() {
    let text = r#"databse = "x.db"
workers = 0
grace = "ten seconds"

[server]
listen = "0.0.0.0:8787"

[defaults]
timout = "10s"
connect_timeout = 3
retries = 99
max_body = "1 zillion"
user_agent = "a\nb"

[[job]]
name = "analytics"
every = "10ms"
cron = "* * *"
timezone = "Europe/Berln"
token = "s3cret"
headers = { "bad name" = "x", User-Agent = "y", Host = 1 }
run_on_start = "yes"
endpoints = [
  "ftp://me:s3cret@example.com/x",
  { name = "a", url = "https://example.com/a", tiemout = "3s" },
  { name = "a", url = "https://me:s3cret@exa mple.com/" },
  { url = 5 },
  { name = "nowhere" },
  7,
  "example.com/data",
]

[[job]]
name = "analytics"
cron = "61 * * * *"
timezone = "Mars/Base"
endpoints = "https://example.com/"

[[job]]
endpoints = []

[[job]]
name = "leap"
cron = "0 0 30 2 *"
token = { env = "A", file = "B" }
endpoints = ["https://example.com/"]

[[job]]
name = " "
every = "1m"
offset = "2m"
jitter = "1m"
timezone = "UTC"
headers = { Authorization = "s3cret", Content-Length = "1" }
token = { env = "A" }
endpoints = ["https://example.com/"]
"#;
    let told = mistakes(text);
    assert!(!told.contains("s3cret"), "{told}");
    insta::assert_snapshot!(told, @r#"
    config.toml:1: databse: unknown key; did you mean `database`?
    config.toml:2: workers: from 1 to 8192, not 0
    config.toml:3: grace: "ten seconds" is not a duration; write a duration like "500ms", "10s", "5m" or "1h 30m"
    config.toml:6: server.listen: elsewhere than on loopback a `token` is required beside `listen`
    config.toml:9: defaults.timout: unknown key; did you mean `timeout`?
    config.toml:10: defaults.connect_timeout: write a duration like "500ms", "10s", "5m" or "1h 30m", in quotes, instead of the number 3
    config.toml:11: defaults.retries: from 0 to 20, not 99
    config.toml:12: defaults.max_body: "1 zillion" is not a size; write a size like "64KiB", "1MiB" or "500kB"
    config.toml:13: defaults.user_agent: a header's value is one line of printable text
    config.toml:17: job "analytics": every: from 100ms to 366 days
    config.toml:18: job "analytics": cron: a cron pattern has 5 fields (minute hour day month weekday) or 6 (second first), this one has 3; right would be "*/5 * * * *"
    config.toml:18: job "analytics": cron: a job has `every` or `cron`, not both
    config.toml:19: job "analytics": timezone: "Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?
    config.toml:20: job "analytics": token: a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }
    config.toml:21: job "analytics": headers.Host: expected text in quotes
    config.toml:21: job "analytics": headers.User-Agent: write it as the key `user_agent`
    config.toml:21: job "analytics": headers.bad name: "bad name" is not a header name
    config.toml:22: job "analytics": run_on_start: expected true or false, found the text "yes"
    config.toml:24: job "analytics": endpoints[1]: the scheme `ftp` is not http or https; right would be "https://host/path"
    config.toml:25: job "analytics": endpoints[2].tiemout: unknown key; did you mean `timeout`?
    config.toml:26: job "analytics": endpoints[3].name: another endpoint of this job is called "a"
    config.toml:26: job "analytics": endpoints[3].url: not a URL: invalid international domain name; right would be "https://host/path"
    config.toml:27: job "analytics": endpoints[4].url: expected text in quotes, found the number 5
    config.toml:28: job "analytics": endpoints[5]: an endpoint needs a `url`
    config.toml:29: job "analytics": endpoints[6]: expected a URL in quotes or { name = "…", url = "…" }
    config.toml:30: job "analytics": endpoints[7]: not a URL: it has to begin with http:// or https://; right would be "https://host/path"
    config.toml:34: job "analytics": name: a job of this name stands on line 16 already
    config.toml:35: job "analytics": cron: "61" is no minute of a cron pattern: 0 to 59, * for all, and combined with `,` `-` `/`; right would be "*/5 * * * *"
    config.toml:36: job "analytics": timezone: "Mars/Base" is not a time zone of the IANA database, such as "Europe/Berlin"
    config.toml:37: job "analytics": endpoints: expected a list of URLs, each in quotes or as { name = "…", url = "…" }
    config.toml:39: job[3]: `name` is missing: its history is kept under it
    config.toml:39: job[3]: when is it due? every = "1m", or cron = "*/5 * * * *"
    config.toml:40: job[3].endpoints: at least one endpoint is needed
    config.toml:44: job "leap": cron: no date ever matches this cron pattern; right would be "*/5 * * * *"
    config.toml:45: job "leap": token: a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }
    config.toml:49: job " ": name: a name is one line of 1 to 200 bytes
    config.toml:51: job " ": offset: has to be shorter than `every`
    config.toml:52: job " ": jitter: has to be shorter than `every`
    config.toml:53: job " ": timezone: goes with `cron`; `every` is aligned to UTC
    config.toml:54: job " ": headers.Authorization: `token`, `basic` or `oauth2` sets this header already: keep one of the two
    config.toml:54: job " ": headers.Content-Length: this header is set by gatherd itself
    "#);
}

#[test]
fn what_was_not_understood_is_not_also_called_missing() {
    let told = mistakes("[[job]]\nnmae = \"a\"\nevrey = \"1m\"\nendpionts = [\"https://example.com/\"]\n");
    insta::assert_snapshot!(told, @r"
    config.toml:2: job[1].nmae: unknown key; did you mean `name`?
    config.toml:3: job[1].evrey: unknown key; did you mean `every`?
    config.toml:4: job[1].endpionts: unknown key; did you mean `endpoints`?
    ");
}

#[test]
fn a_syntax_error_is_told_with_its_line_and_without_what_follows_from_it() {
    let bracket = mistakes("database = \"x\"\n[[job]\nname = \"a\"\nevery = \"1m\"\n");
    insta::assert_snapshot!(bracket, @"config.toml:2: not TOML: unclosed array table, expected `]`");
    let quote = mistakes(format!("{JOB}timeout = \"5s\n"));
    insta::assert_snapshot!(quote, @r#"config.toml:5: not TOML: invalid basic string, expected `"`"#);
    let nothing = mistakes("database =\n");
    insta::assert_snapshot!(nothing, @"config.toml:1: not TOML: string values must be quoted, expected literal string");
    let twice = mistakes(format!("database = \"x\"\ndatabase = \"y\"\n{JOB}"));
    insta::assert_snapshot!(twice, @"config.toml:2: not TOML: duplicate key");
}

#[test]
fn one_pair_of_brackets_is_too_few_for_a_job() {
    let told = mistakes(JOB.replace("[[job]]", "[job]"));
    insta::assert_snapshot!(told, @"config.toml:1: job: expected [[job]], with two brackets, before each job");
}

#[test]
fn a_config_without_a_job_or_with_a_bare_one_is_told_what_is_needed() {
    insta::assert_snapshot!(mistakes(""), @"config.toml:1: no [[job]]: at least one is needed");
    insta::assert_snapshot!(mistakes("[[job]]\n"), @r#"
    config.toml:1: job[1]: `endpoints` is missing: endpoints = ["https://…"]
    config.toml:1: job[1]: `name` is missing: its history is kept under it
    config.toml:1: job[1]: when is it due? every = "1m", or cron = "*/5 * * * *"
    "#);
}

#[test]
fn values_of_the_wrong_type_are_answered_with_the_right_one() {
    let told = mistakes(
        r#"database = 5
workers = "64"
grace = 10
server = "127.0.0.1:8787"

[[job]]
name = ["a"]
every = 60
timeout = 1.5
retries = -1
max_body = 1000
token = { env = 5 }
headers = "Accept: text/html"
run_on_start = 1
endpoints = { url = "https://example.com/" }
"#,
    );
    insta::assert_snapshot!(told, @r#"
    config.toml:1: database: expected text in quotes, found the number 5
    config.toml:2: workers: expected a whole number that is not negative, found the text "64"
    config.toml:3: grace: write a duration like "500ms", "10s", "5m" or "1h 30m", in quotes, instead of the number 10
    config.toml:4: server: expected a table, such as { key = "value" }
    config.toml:7: job[1].name: expected text in quotes, found a list
    config.toml:8: job[1].every: write a duration like "500ms", "10s", "5m" or "1h 30m", in quotes, instead of the number 60
    config.toml:9: job[1].timeout: write a duration like "500ms", "10s", "5m" or "1h 30m", in quotes, instead of the number 1.5
    config.toml:10: job[1].retries: expected a whole number that is not negative, found the number -1
    config.toml:11: job[1].max_body: write a size like "64KiB", "1MiB" or "500kB", in quotes, instead of the number 1000
    config.toml:12: job[1].token: a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }
    config.toml:13: job[1].headers: expected a table, such as { key = "value" }
    config.toml:14: job[1].run_on_start: expected true or false, found the number 1
    config.toml:15: job[1].endpoints: expected a list of URLs, each in quotes or as { name = "…", url = "…" }
    "#);
}

#[test]
fn names_are_unique_among_jobs_and_within_a_job() {
    let two = r#"{ name = "x", url = "https://example.com/1" }, { name = "x", url = "https://example.com/2" }"#;
    let job = JOB.replace("\"https://example.com/\"", two);
    let told = mistakes(format!("{job}{}", JOB.replace("https://example.com/", "https://example.com/3")));
    insta::assert_snapshot!(told, @r#"
    config.toml:4: job "a": endpoints[2].name: another endpoint of this job is called "x"
    config.toml:6: job "a": name: a job of this name stands on line 2 already
    "#);
    // The same name in another job is another endpoint, and URLs without a name are numbered.
    let one = r#"{ name = "x", url = "https://example.com/1" }, "https://example.com/2", "https://example.com/2""#;
    let job = JOB.replace("\"https://example.com/\"", one);
    let shown = right(&format!("{job}{}", job.replace("\"a\"", "\"b\"")));
    assert_eq!(shown.matches("  3  https://example.com/2 #2  https://example.com/2\n").count(), 2, "{shown}");
}

#[test]
fn a_cron_pattern_and_its_zone_have_to_make_sense() {
    let with = |cadence: &str| mistakes(JOB.replace("every = \"1m\"", cadence));
    let told = [
        with("cron = \"* * * *\""),
        with("cron = \"0 0 12 * * * 2026\""),
        with("cron = \"0 25 * * *\""),
        with("cron = \"every minute of the day\""),
        with("cron = \"0 0 31 4 *\""),
        with("cron = \"0 6 * * *\"\ntimezone = \"europe/berlin\""),
        with("cron = \"0 6 * * *\"\ntimezone = \"CEST\""),
    ];
    insta::assert_snapshot!(told.concat(), @r#"
    config.toml:3: job "a": cron: a cron pattern has 5 fields (minute hour day month weekday) or 6 (second first), this one has 4; right would be "*/5 * * * *"
    config.toml:3: job "a": cron: a cron pattern has 5 fields (minute hour day month weekday) or 6 (second first), this one has 7; right would be "*/5 * * * *"
    config.toml:3: job "a": cron: "25" is no hour of a cron pattern: 0 to 23, * for all, and combined with `,` `-` `/`; right would be "*/5 * * * *"
    config.toml:3: job "a": cron: "every" is no minute of a cron pattern: 0 to 59, * for all, and combined with `,` `-` `/`; right would be "*/5 * * * *"
    config.toml:3: job "a": cron: no date ever matches this cron pattern; right would be "*/5 * * * *"
    config.toml:4: job "a": timezone: "europe/berlin" is not a time zone; did you mean "Europe/Berlin"?
    config.toml:4: job "a": timezone: "CEST" is not a time zone; did you mean "CET"?
    "#);
}

#[test]
fn listening_elsewhere_than_on_loopback_takes_a_token() {
    let with = |server: &str| format!("[server]\n{server}\n{JOB}");
    for listen in ["0.0.0.0:8787", "[::]:8787", "192.168.1.2:80"] {
        let told = mistakes(with(&format!("listen = \"{listen}\"")));
        assert!(told.starts_with("config.toml:2: server.listen: "), "{told}");
        assert!(told.contains("`token`"), "{told}");
        right(&with(&format!("listen = \"{listen}\"\ntoken = {{ env = \"API_TOKEN\" }}")));
    }
    for listen in ["127.0.0.1:8787", "127.0.0.9:0", "[::1]:8787"] {
        right(&with(&format!("listen = \"{listen}\"")));
    }
    for listen in ["localhost:8787", "127.0.0.1", ":8787", "8787"] {
        let told = mistakes(with(&format!("listen = \"{listen}\"")));
        assert!(told.contains("such as \"127.0.0.1:8787\""), "{told}");
    }
}

#[test]
fn the_api_is_turned_off_by_false_and_called_by_names_without_a_port() {
    let with = |server: &str| format!("[server]\n{server}\n{JOB}");
    right(&with("listen = false"));
    right(&with("hosts = [\"gatherd.example.com\", \"192.0.2.1\", \"[2001:db8::1]\"]"));
    for listen in ["true", "8787"] {
        let told = mistakes(with(&format!("listen = {listen}")));
        assert!(told.contains("`false` turns it off"), "{told}");
    }
    for host in ["gatherd.example.com:443", "https://gatherd.example.com", "*.example.com", "a b", "a@b", ""] {
        let told = mistakes(with(&format!("hosts = [{host:?}]")));
        assert!(told.starts_with("config.toml:2: server.hosts: "), "{told}");
    }
}

#[test]
fn a_key_on_the_wrong_level_is_told_where_it_belongs() {
    let told = mistakes(format!("timeout = \"5s\"\n[defaults]\nevery = \"1m\"\n{JOB}workers = 3\n"));
    for (line, place) in [(1, "[defaults], a [[job]] or an endpoint"), (3, "a [[job]]"), (8, "the top of the file")] {
        assert!(
            told.contains(&format!("config.toml:{line}: ")) && told.contains(&format!("it belongs in {place}")),
            "{told}"
        );
    }
    let told = mistakes(JOB.replace("\"https://example.com/\"", "{ url = \"https://example.com/\", max_pages = 3 }"));
    assert!(told.contains("max_pages: unknown key; it belongs in `pages = { … }`"), "{told}");
}

#[test]
fn a_block_stands_behind_the_host_and_is_closed() {
    let with = |url: &str| JOB.replace("\"https://example.com/\"", &format!("'{url}'"));
    for (url, problem) in [
        ("http://{{ due }}.example/", "a block may stand in the path and in the parameters"),
        ("http://me:{{ due }}@a.example/", "a block may stand in the path and in the parameters"),
        ("http://a.example/{{ due", "{{"),
        ("http://a.example/due }}", "there is a }} without a {{"),
        ("http://a.example/{{ deu }}", "deu"),
        ("http://a.example/{{ due - 5 }}", "5"),
        ("http://a.example/{{ last_ok }}", "{{ last_ok | default(due - 1d) }}"),
    ] {
        let told = mistakes(with(url));
        assert!(told.contains("config.toml:4: ") && told.contains(problem), "{url}: {told}");
        assert!(!told.contains("right would be \"https://host/path\""), "{url}: {told}");
    }
    right(&with("http://a.example/{{ due }}?{{ now | unix }}#x"));
}

#[test]
fn two_ways_to_the_next_page_and_names_of_other_programs_are_told_apart() {
    let with = |keys: &str| mistakes(format!("{JOB}{keys}\n"));
    let told = [
        with("pages = { link = true, url = \"/next\" }"),
        with("pages = { link = true, cursor = \"/c\", parameter = \"c\", counter = \"page\", items = \"\" }"),
        with("pages = { counter = \"page\", items = \"\", step = 0 }"),
        with("pages = { url = \"next\" }"),
        with("error_if = { pointer = \"/a~2\" }"),
        with("token = { enf = \"X\" }"),
        with("token = { vault = \"X\" }"),
        with("retry = 3"),
        mistakes(JOB.replace("every", "interval")),
        mistakes(format!("threads = 3\n{JOB}")),
    ];
    insta::assert_snapshot!(told.concat(), @r#"
    config.toml:5: job "a": pages: `link` and `url` exclude each other: keep the one that leads to the next page
    config.toml:5: job "a": pages: `link`, `cursor` and `counter` exclude each other: keep the one that leads to the next page
    config.toml:5: job "a": pages.step: at least 1: with 0 each page would be the first
    config.toml:5: job "a": pages.url: "next" is no JSON pointer: it begins with / (RFC 6901)
    config.toml:5: job "a": error_if: "/a~2" is no JSON pointer: in it ~ stands as ~0 and / as ~1 (RFC 6901)
    config.toml:5: job "a": token: `enf` is none of `env`, `file` and `credential`; did you mean `env`?
    config.toml:5: job "a": token: `vault` is none of `env`, `file` and `credential`
    config.toml:5: job "a": retry: unknown key; did you mean `retries`?
    config.toml:3: job "a": interval: unknown key; did you mean `every`?
    config.toml:1: threads: unknown key; did you mean `workers`?
    "#);
}
