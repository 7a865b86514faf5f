//! `gatherd run` as a service: the real binary, told and watched as systemd does it, and reloaded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::{Daemon, Home};
use crate::support::{PATIENCE, YEARLY, sample_api, until, write};
use crate::{at_start, idle, job};

/// The socket that a service manager listens on.
struct Manager(UnixDatagram);

impl Manager {
    /// Starts the daemon of `home` as a service, with these further variables.
    fn start(home: &Home, variables: &[(&str, &str)]) -> (Self, Daemon) {
        let path = home.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut command = home.command();
        command.env("NOTIFY_SOCKET", &path).envs(variables.iter().copied());
        (Self(socket), Daemon::of(command))
    }

    /// What it is told next.
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let size = self.0.recv(&mut bytes).expect("something is told");
        String::from_utf8_lossy(&bytes[..size]).into_owned()
    }

    /// What it is told from now on, up to what starts with `wanted`, which is the last.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut told = Vec::new();
        while told.last().is_none_or(|last: &String| !last.starts_with(wanted)) {
            told.push(self.next());
        }
        told
    }
}

/// The API on a port of the kernel's choice, which the log tells.
const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    ask(&mut stream, path);
    answer(&mut stream)
}

fn ask(stream: &mut TcpStream, path: &str) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
}

fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

// --- what the service manager is told ---

#[test]
fn it_is_ready_when_the_database_is_there_and_the_api_answers_and_stopping_with_its_grace_time() {
    let api = sample_api();
    let figures = at_start("figures", &[api.url("/healthy"), api.url("/html-500")]);
    let home = Home::new(&format!("grace = \"20s\"\n{SERVER}{figures}"));
    let (manager, daemon) = Manager::start(&home, &[]);
    manager.until("READY=1");
    let address = daemon.wait_for_address();
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
    assert_eq!(home.number("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'observations'"), 1);
    let told = manager.until("STATUS=1 job, last round figures 2");
    let last = told.last().expect("a status");
    assert!(last.trim_end().ends_with("Z 1/2 ok, 0 waiting"), "{last:?}");
    daemon.signal("TERM");
    let stopping = manager.until("STOPPING=1").pop().expect("told");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=35000000"), "{stopping}");
    daemon.wait();
}

#[test]
fn a_daemon_that_cannot_start_is_never_ready() {
    let home = Home::new(&format!("database = \"missing/gatherd.db\"\n{}", idle()));
    let (manager, daemon) = Manager::start(&home, &[]);
    let (status, _) = daemon.wait();
    assert!(!status.success());
    manager.0.set_nonblocking(true).expect("set");
    assert!(manager.0.recv(&mut [0; 100]).is_err(), "nothing was told");
}

#[test]
fn the_watchdog_is_fed_also_while_the_database_refuses() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"200ms\"", &[api.url("/healthy")]));
    let (manager, daemon) = Manager::start(&home, &[("WATCHDOG_USEC", "4000000")]);
    manager.until("READY=1");
    daemon.wait_for_rounds("figures", 1);
    manager.until("WATCHDOG=1");
    let lock = home.lock();
    daemon.wait_for("the database refuses, rounds wait");
    let mut last = Instant::now();
    let mut waiting = false;
    while !waiting {
        for told in manager.until("WATCHDOG=1") {
            waiting |= told.starts_with("STATUS=") && !told.contains(" 0 waiting");
        }
        assert!(last.elapsed() < Duration::from_secs(4), "in time, also while rounds wait");
        last = Instant::now();
    }
    drop(lock);
    daemon.wait_for("the database takes rounds again, nothing waits any more");
    daemon.stop();
}

#[test]
fn the_watchdog_of_another_process_is_not_fed() {
    let home = Home::new(&job("figures", "every = \"300ms\"", &["http://127.0.0.1:9/".to_owned()]));
    let (manager, daemon) = Manager::start(&home, &[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]);
    // Long enough to feed this one many times.
    let mut told = Vec::new();
    while told.iter().filter(|told: &&String| told.starts_with("STATUS=")).count() < 2 {
        told.push(manager.next());
    }
    daemon.signal("TERM");
    told.extend(manager.until("STOPPING=1"));
    assert!(told.iter().all(|told| !told.starts_with("WATCHDOG")), "{told:?}");
    daemon.wait();
}

// --- a listening socket from outside ---

#[test]
fn the_api_answers_on_a_socket_that_was_given_and_nobody_is_turned_away_during_a_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let given = || listener.try_clone().expect("a copy");
    let home = Home::new(&format!("{SERVER}{}", idle()));
    let daemon = Daemon::of(home.command_at(given()));
    daemon.wait_for_start("listening");
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
    daemon.stop();
    let mut early = TcpStream::connect(address).expect("the socket is still there");
    ask(&mut early, "/healthz");
    let daemon = Daemon::of(home.command_at(given()));
    assert!(answer(&mut early).starts_with("HTTP/1.1 200"), "it was only late");
    daemon.stop();
}

#[test]
fn a_socket_that_can_be_reached_from_elsewhere_needs_a_token() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a socket");
    let home = Home::new(&format!("{SERVER}{}", idle()));
    let (status, lines) = Daemon::of(home.command_at(listener)).wait();
    assert_eq!(status.code(), Some(78));
    assert!(lines.iter().any(|line| line.to_string().contains("`token` is required")), "{lines:?}");
}

// --- reload ---

#[test]
fn a_good_config_takes_the_place_of_the_one_in_use() {
    let api = sample_api();
    let stays = job("stays", "every = \"300ms\"", &[api.url("/healthy")]);
    let changes = |keys: &str| job("changes", keys, &[api.url("/healthy")]);
    let home = Home::new(&format!(
        "{SERVER}{stays}{}{}",
        changes(YEARLY),
        job("goes", "every = \"300ms\"", &[api.url("/healthy")])
    ));
    let (manager, daemon) = Manager::start(&home, &[]);
    manager.until("READY=1");
    let address = daemon.wait_for_address();
    daemon.wait_for_rounds("goes", 1);
    let comes = job("comes", "every = \"300ms\"\nrun_on_start = true", &[api.url("/healthy"), api.url("/null")]);
    home.configure(&format!(
        "workers = 8\n{SERVER}hosts = [\"other.example\"]\n{comes}{}{stays}",
        changes("every = \"300ms\"")
    ));
    daemon.signal("HUP");
    let reloading = manager.until("RELOADING=1").pop().expect("told");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.until("READY=1");
    let line = daemon.wait_for("config reloaded");
    let told = ["jobs", "added", "removed", "changed"].map(|key| line[key].clone());
    assert_eq!(told, [Value::from(3), "comes".into(), "goes".into(), "changes".into()]);
    let line = daemon.wait_for("these changes take effect with a restart only");
    assert_eq!(line["keys"], "workers, [server]");
    for name in ["stays", "changes", "comes"] {
        daemon.wait_for_rounds(name, 2);
    }
    let jobs = get(address, "/api/v1/jobs");
    assert!(jobs.contains("\"comes\"") && jobs.matches("every 300ms").count() == 3, "{jobs}");
    assert!(get(address, "/metrics").contains("gatherd_config_reloads_total{result=\"ok\"} 1"));
    let rounds = "SELECT count(*) FROM rounds WHERE job = 'goes'";
    let gone = home.number(rounds);
    daemon.wait_for_rounds("stays", 3);
    daemon.stop();
    assert_eq!(home.number(rounds), gone);
}

#[test]
fn a_bad_config_changes_nothing_says_each_mistake_with_its_line_and_is_counted() {
    let api = sample_api();
    let good = format!("{SERVER}{}", job("figures", "every = \"300ms\"", &[api.url("/healthy")]));
    let home = Home::new(&good);
    let daemon = home.start();
    let address = daemon.wait_for_address();
    daemon.wait_for_rounds("figures", 1);
    home.configure(&good.replace("every", "evry").replace("/healthy", "/{{ nonsense"));
    daemon.signal("HUP");
    let mistakes = [daemon.wait_for("the config is wrong"), daemon.wait_for("the config is wrong")];
    assert!(
        mistakes.iter().all(|mistake| mistake["line"].is_number() && mistake["problem"].is_string()),
        "{mistakes:?}"
    );
    assert_eq!((&mistakes[0]["line"], &mistakes[0]["file"]), (&Value::from(5), &"config.toml".into()), "{mistakes:?}");
    daemon.wait_for("config not reloaded, the one in use stays");
    daemon.wait_for_rounds("figures", 2);
    let metrics = get(address, "/metrics");
    assert!(metrics.contains("gatherd_config_reloads_total{result=\"failed\"} 1"), "{metrics}");
    assert!(metrics.contains("gatherd_config_last_reload_successful 0"), "{metrics}");
    home.configure(&good.replace("retries = 0", "retries = 0\ntoken = { env = \"NOT_SET_ANYWHERE\" }"));
    daemon.signal("HUP");
    let line = daemon.wait_for("config not reloaded, the one in use stays");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("NOT_SET_ANYWHERE")), "{line}");
    home.configure(&good);
    daemon.signal("HUP");
    daemon.wait_for("config reloaded");
    daemon.wait_for_rounds("figures", 1);
    assert!(get(address, "/metrics").contains("gatherd_config_last_reload_successful 1"));
    daemon.stop();
}

#[test]
fn a_round_that_runs_during_a_reload_ends_as_it_began_and_the_next_has_the_new_endpoints() {
    let api = sample_api();
    let keys = "every = \"1s\"\ndeadline = \"3s\"\ntimeout = \"10s\"\nrun_on_start = true";
    let home = Home::new(&job("figures", keys, &[api.url("/healthy/1"), api.url("/hang"), api.url("/healthy/2")]));
    let daemon = home.start();
    until("the round runs", || api.requests_to("/hang") > 0);
    home.configure(&job("figures", "every = \"1s\"", &[api.url("/healthy/2"), api.url("/healthy/1")]));
    daemon.signal("HUP");
    daemon.wait_for("config reloaded");
    let rounds = daemon.wait_for_rounds("figures", 3);
    daemon.stop();
    assert_eq!((&rounds[0]["ok"], &rounds[0]["failed"]), (&Value::from(2), &Value::from(1)));
    assert!(rounds[1..].iter().all(|round| round["ok"] == 2 && round["failed"] == 0), "{rounds:?}");
    let endpoints = |round: &Value| {
        let sql = format!("SELECT endpoint FROM observations WHERE round_id = {} ORDER BY position", round["round"]);
        home.rows(&sql, |row| row.get::<_, String>(0))
    };
    assert_eq!(endpoints(&rounds[0]), [api.url("/healthy/1"), api.url("/hang"), api.url("/healthy/2")]);
    assert_eq!(endpoints(&rounds[2]), [api.url("/healthy/2"), api.url("/healthy/1")]);
}

#[test]
fn reloads_under_load_lose_and_double_no_due_of_a_job_that_stays() {
    let api = sample_api();
    let stays = job("stays", "every = \"200ms\"", &[api.url("/healthy/1"), api.url("/healthy/2")]);
    let wide: Vec<String> = (0..50).map(|number| api.url(&format!("/slow/{number}"))).collect();
    let config = |turn: usize| {
        let other = if turn.is_multiple_of(2) { "x" } else { "y" };
        let wide = job("wide", "every = \"500ms\"", &wide[turn % 5..]);
        format!("{wide}{}{stays}", job(other, "every = \"100ms\"", &[api.url("/healthy/3")]))
    };
    let home = Home::new(&config(0));
    let daemon = home.start();
    daemon.wait_for_rounds("stays", 1);
    for turn in 1..15 {
        home.configure(&config(turn));
        daemon.signal("HUP");
        daemon.wait_for("config reloaded");
    }
    daemon.wait_for_rounds("stays", 3);
    daemon.stop();
    let of = "FROM round JOIN job USING (job_id) WHERE name = 'stays'";
    assert_eq!(home.number(&format!("SELECT count(*) - count(DISTINCT due_at) {of}")), 0, "no due twice");
    let last = "max(CASE status WHEN 'missed' THEN finished_at ELSE due_at END)";
    let gaps = &format!("SELECT ({last} - min(due_at)) / 200000 + 1 - sum(covers) {of}");
    assert_eq!(home.number(gaps), 0, "no due lost");
}

#[test]
fn a_config_that_is_watched_is_read_again_when_it_is_written_or_replaced() {
    let api = sample_api();
    let jobs = |path: &str| job("figures", "every = \"300ms\"", &[api.url(path)]);
    let home = Home::new(&jobs("/healthy/1"));
    let mut command = home.command();
    command.arg("--watch-config");
    let daemon = Daemon::of(command);
    daemon.wait_for_rounds("figures", 1);
    home.configure(&jobs("/healthy/2"));
    assert_eq!(daemon.wait_for("config reloaded")["changed"], "figures");
    let (new, old) = (home.folder.path().join("new"), home.folder.path().join("config.toml"));
    let text = std::fs::read_to_string(&old).expect("readable").replace("/healthy/2", "/healthy/3");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &old)).expect("replaced");
    daemon.wait_for("config reloaded");
    std::fs::rename(&old, &new).expect("moved away");
    let gone = "the config is gone, the one in use stays";
    daemon.wait_for(gone);
    let mut left: Vec<Value> = Vec::new();
    while left.last().is_none_or(|line| line["message"] != "config reloaded") {
        left.push(daemon.line_within(PATIENCE).expect("it is read when it is back"));
        // That many rounds later it was looked for again.
        if left.len() == 8 {
            std::fs::rename(&new, &old).expect("moved back");
        }
    }
    assert!(left.iter().all(|line| line["message"] != gone), "once: {left:#?}");
    daemon.stop();
    assert!(api.requests_to("/healthy/3") > 0);
}

#[test]
fn a_config_that_became_a_pipe_is_refused_and_not_waited_for() {
    let home = Home::new(&idle());
    let config = home.folder.path().join("config.toml");
    let good = std::fs::read_to_string(&config).expect("read");
    let daemon = home.start();
    daemon.wait_for("started");
    std::fs::remove_file(&config).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &config, rustix::fs::Mode::RUSR).expect("a pipe");
    daemon.signal("HUP");
    let line = daemon.wait_for("config not reloaded, the one in use stays");
    assert!(line.to_string().contains("not a file"), "{line}");
    std::fs::remove_file(&config).expect("removed");
    std::fs::write(&config, good).expect("written");
    daemon.signal("HUP");
    daemon.wait_for("config reloaded");
    daemon.stop();
}

#[test]
fn a_daemon_that_has_no_descriptors_for_its_api_does_not_say_that_it_is_ready() {
    // With so few it gets as far as to listen.
    for limit in [30, 32] {
        let home = Home::new(&format!("workers = 8\n{SERVER}{}", idle()));
        let given = home.command();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
        command.arg(given.get_program()).args(given.get_args()).current_dir(home.folder.path());
        let (status, lines) = Daemon::of(command).wait();
        assert_eq!(status.code(), Some(71), "{limit}: {lines:?}");
        assert!(lines.iter().any(|line| line.to_string().contains("does not answer")), "{lines:?}");
    }
}

#[test]
fn a_machine_without_authorities_is_told_of_at_the_start_where_somebody_is_asked_by_https() {
    let oauth2 =
        "oauth2 = { token_url = \"https://127.0.0.1:9/\", client_id = \"a\", client_secret = { env = \"HOME\" } }";
    let config = |keys: &str, url: &str| job("figures", &format!("{YEARLY}\n{keys}"), &[url.to_owned()]);
    let two = "\"https://127.0.0.1:9/1\", { url = \"https://127.0.0.1:9/2\", headers = { a = \"b\" } }";
    for (config, told) in [
        (idle(), 0),
        (config("", "https://127.0.0.1:9/"), 1),
        (config(oauth2, "http://127.0.0.1:9/"), 1),
        (config("proxy = \"https://127.0.0.1:9/\"", "http://example.com/"), 1),
        (config("proxy = \"https://127.0.0.1:9/\"", "https://127.0.0.1:9/"), 1),
        (idle().replace("\"http://127.0.0.1:9/\"", two), 1),
    ] {
        let home = Home::new(&config);
        let mut command = home.command();
        let none = write(home.folder.path(), "none.pem", "");
        command.env("SSL_CERT_FILE", none).env("SSL_CERT_DIR", "").env("HOME", "secret");
        let daemon = Daemon::of(command);
        let mut lines: Vec<Value> = Vec::new();
        while lines.last().is_none_or(|line| line["message"] != "started") {
            lines.push(daemon.line_within(PATIENCE).expect("it starts"));
        }
        let warned =
            |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("install ca-certificates"));
        assert_eq!(lines.iter().filter(|line| warned(line)).count(), told, "{config}: {lines:#?}");
    }
}
