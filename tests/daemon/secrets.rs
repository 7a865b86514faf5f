//! Secrets: followed when their files change, and in nothing that the daemon leaves behind, while servers echo them.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gatherd::sample_api::{SAMPLE_CLIENT_ID, SampleApi};

use crate::job;
use crate::support::canned::{self, Canned};
use crate::support::daemon::{Daemon, Home};
use crate::support::{OFTEN, gatherd, run, sample_api, until, write};

/// One of each kind. Each has signs that are encoded in URLs, JSON and HTML.
const TOKEN: &str = "t0ken/with+odd&\"signs\"=<1%>";
const PASSWORD: &str = "p4ssword=with odd%signs";
const CLIENT_SECRET: &str = "cl1ent-secret:odd?signs";
const HEADER: &str = "h3ader-secret\\odd'signs";
const PARAMETER: &str = "par4meter-secret~odd";
const IN_URL: &str = "us3rinfo-secret!odd";
const IN_QUERY: &str = "qu3ry-secret*odd";
const IN_BODY: &str = "b0dy-secret{odd}";
const IN_COOKIE: &str = "c00kie-secret_odd";

const ALL: [&str; 9] = [IN_COOKIE, TOKEN, PASSWORD, CLIENT_SECRET, HEADER, PARAMETER, IN_URL, IN_QUERY, IN_BODY];

fn config(api: &SampleApi, mirror: &Canned, folder: &Path) -> String {
    let file = |name: &str, secret: &str| write(folder, name, secret);
    let (token, password) = (file("token", TOKEN), file("password", PASSWORD));
    let client_secret = file("client-secret", CLIENT_SECRET);
    let echo = |number: u32| api.url(&format!("/secret-echo-everywhere/{number}?api_key={PARAMETER}&z=1"));
    let userinfo = api.url("/secret-echo-everywhere/userinfo").replace("http://", &format!("http://me:{IN_URL}@"));
    let oauth2 = format!(
        "{{ token_url = {:?}, client_id = {SAMPLE_CLIENT_ID:?}, client_secret = {{ file = {client_secret:?} }} }}",
        api.url("/secret-echo-everywhere/token")
    );
    format!(
        r#"
[[job]]
name = "job"
every = "1s"
timeout = "700ms"
retries = 0
headers = {{ X-Api-Secret = {HEADER:?}, Cookie = "session={IN_COOKIE}" }}
endpoints = [
  {{ name = "token", url = {:?}, token = {{ file = {token:?} }} }},
  {{ name = "own header", url = {:?}, token = {{ file = {token:?} }}, token_header = "X-API-Key" }},
  {{ name = "parameter", url = {:?}, token = {{ file = {token:?} }}, token_query = "q" }},
  {{ name = "mirrored", url = {:?}, token = {{ file = {token:?} }}, token_query = "q" }},
  {{ name = "led away", url = {:?}, token = {{ file = {token:?} }}, token_query = "appid", redirects = 2 }},
  {{ name = "named", url = {:?}, token = {{ file = {token:?} }}, token_query = "q" }},
  {{ name = "basic", url = {:?}, basic = {{ user = "me", password = {{ file = {password:?} }} }} }},
  {{ name = "oauth2", url = {:?}, oauth2 = {oauth2} }},
  {{ name = "userinfo", url = {userinfo:?} }},
  {{ name = "query and body", url = {:?}, query = {{ access_token = {IN_QUERY:?} }}, json = {{ from = "{{{{ due }}}}", login = {{ password = {IN_BODY:?} }} }} }},
  {{ name = "hangs", url = {:?}, token = {{ file = {token:?} }} }},
  {{ name = "refused", url = "http://127.0.0.1:1/?token={PARAMETER}", token = {{ file = {token:?} }} }},
  {{ name = "parameter, hangs", url = {:?}, token = {{ file = {token:?} }}, token_query = "q" }},
  {{ name = "parameter, refused", url = "http://127.0.0.1:1/", token = {{ file = {token:?} }}, token_query = "q" }},
]
"#,
        echo(1),
        echo(2),
        echo(3),
        mirror.url("/mirrored"),
        mirror.url("/loop"),
        mirror.url("/named"),
        echo(4),
        echo(5),
        echo(6),
        api.url("/hang"),
        api.url("/hang/parameter"),
    )
}

/// The names of the endpoints.
const ENDPOINTS: [&str; 14] = [
    "token",
    "own header",
    "parameter",
    "mirrored",
    "led away",
    "named",
    "basic",
    "oauth2",
    "userinfo",
    "query and body",
    "hangs",
    "refused",
    "parameter, hangs",
    "parameter, refused",
];

/// A server that leads on to the URL that it was asked by, or answers with a document whose version it names so.
fn mirror() -> Canned {
    canned::canned(|request| {
        let target = request.split(' ').nth(1).expect("a target");
        let echo = format!("Location: {target}\r\nETag: \"{target}\"\r\nLink: <{target}>; rel=\"next\"\r\n");
        if target.starts_with("/named") {
            return canned::answer("200 OK", &echo, "{}");
        }
        canned::answer("302 Found", &echo, format!("<a href=\"{target}\">Found</a>"))
    })
}

/// The forms of `secret` in which people would know it again, and whether large and small letters are one in them.
fn forms(secret: &str) -> Vec<(String, bool)> {
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).expect("a string").trim_matches('"').to_owned();
    let basic = BASE64_STANDARD.encode(format!("me:{secret}"));
    let plain = BASE64_STANDARD.encode(secret);
    vec![(secret.to_owned(), true), (percent, true), (json, true), (plain, false), (basic, true)]
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    for secret in ALL {
        for (form, any_case) in forms(secret) {
            let (form_bytes, same) = (form.as_bytes(), u8::eq_ignore_ascii_case);
            let is_it = |window: &[u8]| {
                window == form_bytes
                    || (any_case && window.iter().zip(form_bytes).all(|(byte, wanted)| same(byte, wanted)))
            };
            let found = bytes.windows(form.len()).any(is_it);
            assert!(!found, "{what} holds {form:?}");
        }
    }
}

#[test]
fn no_secret_is_in_anything_that_is_left_behind_while_servers_echo_them() {
    let api = sample_api();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mirror = mirror();
    let home = Home::new(&config(&api, &mirror, folder.path()));
    let mut command = home.command();
    command.env("RUST_LOG", "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace");
    let daemon = Daemon::of(command);
    let mut log = daemon.wait_for_rounds("job", 2);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).expect("readable");
    // While the daemon runs, what it wrote last is in the log beside the file.
    for name in ["gatherd.db", "gatherd.db-wal"] {
        assert_clean(name, &std::fs::read(home.folder.path().join(name)).expect("readable"));
    }
    log.extend(daemon.stop());
    assert_clean("the log", serde_json::to_string(&log).expect("JSON").as_bytes());
    assert_clean("the arguments", &arguments);

    let echoed = home.number("SELECT count(*) FROM evidence WHERE body LIKE '%***%'");
    assert!(echoed >= 4, "the echoes are kept, without the secrets: {echoed}");
    let database = home.database().display().to_string();
    let config = home.folder.path().join("config.toml").display().to_string();
    let mut questions = vec![
        vec!["rounds", "--vectors", "--database", &database],
        vec!["latest", "--json", "--database", &database],
        vec!["sql", "SELECT * FROM failures", "--database", &database],
        vec!["sql", "SELECT * FROM sent", "--database", &database],
        vec!["check", "--config", &config],
    ];
    for endpoint in ENDPOINTS {
        questions.push(vec!["why", "job", endpoint, "--database", &database]);
        questions.push(vec!["why", "job", endpoint, "--json", "--database", &database]);
    }
    for question in questions {
        let ran = run(gatherd(&question));
        assert_eq!(ran.code, Some(0), "{question:?}: {}", ran.stderr);
        assert_clean(&format!("{question:?}"), format!("{}{}", ran.stdout, ran.stderr).as_bytes());
    }
    let why = run(gatherd(["why", "job", "token", "--database", &database]));
    assert!(why.stdout.contains("authorization: Bearer ***"), "what was sent is shown: {}", why.stdout);
    let why = run(gatherd(["why", "job", "mirrored", "--database", &database]));
    let (sent, led) = (mirror.url("/mirrored?q=***"), "location: /mirrored?q=***");
    assert!(why.stdout.contains(&sent) && why.stdout.contains(led), "{}", why.stdout);
}

#[test]
fn fetch_with_why_shows_no_token_that_a_server_echoes() {
    let api = sample_api();
    let mut command = gatherd(["fetch", "--why", "--token-env", "TOKEN"]);
    command.args([api.url("/secret-echo-everywhere"), api.url("/secret-echo")]).env("TOKEN", TOKEN);
    let ran = run(command);
    assert_eq!(ran.code, Some(0));
    assert_clean("fetch --why", format!("{}{}", ran.stdout, ran.stderr).as_bytes());
}

#[test]
fn a_token_whose_file_changes_is_sent_from_the_next_round_on() {
    let api = sample_api();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", "first");
    let keys = format!("{OFTEN}\ntoken = {{ file = {token:?} }}");
    let home = Home::new(&job("job", &keys, &[api.url("/echo")]));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    // What a round sends that begins after now: a further one may be on its way already.
    let sent = || {
        let round = home.number("SELECT max(round_id) FROM round") + 2;
        let header = format!(
            "SELECT body ->> '$.headers.authorization' FROM observations
             WHERE round_id >= {round} AND outcome = 'ok' ORDER BY round_id LIMIT 1"
        );
        let mut sent = Vec::new();
        until("another round", || {
            sent = home.rows(&header, |row| row.get::<_, String>(0));
            !sent.is_empty()
        });
        sent.remove(0)
    };
    assert_eq!(sent(), "Bearer first");
    write(folder.path(), "token", "second\n");
    assert_eq!(sent(), "Bearer second");
    write(folder.path(), "token", "");
    assert_eq!(sent(), "Bearer second", "an empty file is no token");
    std::fs::rename(write(folder.path(), "next", "third"), &token).expect("replaced");
    assert_eq!(sent(), "Bearer third");
    let complaint = "the secret cannot be read again, the last one stays in use";
    assert!(daemon.stop().iter().any(|line| line["message"] == complaint), "the empty file");
}
