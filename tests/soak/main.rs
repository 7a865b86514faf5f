//! A soak: 500 endpoints each second for as long as `GATHERD_SOAK` says (`2m` without it), while the daemon is killed,
//! told to reload, its clock set and its disk filled. At the end the server's own record agrees with the database slot
//! by slot, and memory, threads and descriptors are what they were after the warm-up.
//!
//! `GATHERD_SOAK=1h cargo test --release --test soak -- --ignored --nocapture`

mod agreement;
mod machine;
mod plan;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gatherd::sample_api::SampleApi;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use agreement::Record;
use machine::{Clock, Disk, Usage};
use plan::Plan;
use server::Ledger;
use support::daemon::{Daemon, RUN};
use support::{PATIENCE, same_everywhere};

/// How long after the last event a daemon is steady again.
const SETTLED: Duration = Duration::from_secs(5);

/// What the log may call an error: the test made it so.
const EXPECTED_ERRORS: [&str; 2] = ["the config is wrong", "config not reloaded, the one in use stays"];

struct Soak {
    folder: TempDir,
    disk: Option<Disk>,
    clock: Clock,
    plan: Plan,
    ledger: Arc<Ledger>,
    /// From when to when the daemon was dead, by its own clock.
    downs: Vec<(i64, i64)>,
    stored: HashSet<i64>,
    /// The config that was given last.
    variant: usize,
}

/// What systemd sets for the daemon.
fn environment_of_the_unit() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../deploy/gatherd.service").lines();
    lines.filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}

/// Something that happens to a running daemon.
#[derive(Clone, Copy, Debug)]
enum Event {
    Reload,
    BadReload,
    StepForward,
    StepBack,
    FullDisk,
}

impl Soak {
    fn new(seed: u64, length: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).expect("made");
        // Half a megabyte a second is far more than is written.
        let disk = Disk::mount(&disk, 64 * 1024 * 1024 + length.as_secs() * 512 * 1024);
        if disk.is_none() {
            eprintln!("the disk is not filled: this system does not let the test mount one");
        }
        let api = SampleApi::start(([127, 0, 0, 1], 0).into()).expect("the sample API starts");
        let (server, ledger) = server::serve(seed).expect("the server starts");
        let clock = Clock::new(folder.path());
        let (downs, stored) = (Vec::new(), HashSet::new());
        let soak = Self { folder, disk, clock, plan: Plan { api, server }, ledger, downs, stored, variant: 0 };
        soak.configure(&soak.plan.config(0));
        soak
    }

    fn configure(&self, config: &str) {
        std::fs::write(self.folder.path().join("config.toml"), config).expect("the config is written");
    }

    /// `gatherd` with `args`, where the disk is.
    fn command(&self, args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_gatherd");
        let mut command = self.disk.as_ref().map_or_else(|| Command::new(program), |disk| disk.command(program));
        command.args(args).arg("--config").arg(self.folder.path().join("config.toml"));
        same_everywhere(&mut command);
        command
    }

    fn start(&mut self) -> Daemon {
        let mut command = self.command(&RUN);
        command.envs(environment_of_the_unit());
        self.clock.put_on(&mut command);
        let daemon = Daemon::of(command);
        self.wait_for(&daemon, "started");
        let alive = self.clock.shown(SystemTime::now()).max().expect("a time");
        if let Some(down) = self.downs.last_mut() {
            down.1 = alive;
        }
        daemon
    }

    fn kill(&mut self, mut daemon: Daemon) {
        let dead = self.clock.shown(SystemTime::now()).min().expect("a time");
        self.downs.push((dead, dead));
        daemon.kill();
        while let Some(line) = daemon.line_within(PATIENCE) {
            self.note(&line);
        }
    }

    fn note(&mut self, line: &serde_json::Value) {
        let message = line["message"].as_str().unwrap_or_default();
        if message == "round stored" {
            self.stored.insert(line["round"].as_i64().expect("a round's number"));
        }
        assert!(line["level"] != "ERROR" || EXPECTED_ERRORS.contains(&message), "{line}");
    }

    /// Reads the log for so long.
    fn live(&mut self, daemon: &Daemon, time: Duration) {
        let until = Instant::now() + time;
        while let Some(patience) = until.checked_duration_since(Instant::now()) {
            if let Some(line) = daemon.line_within(patience) {
                self.note(&line);
            }
        }
    }

    fn wait_for(&mut self, daemon: &Daemon, message: &str) {
        let until = Instant::now() + PATIENCE;
        while let Some(line) = daemon.line_within(until.saturating_duration_since(Instant::now())) {
            self.note(&line);
            if line["message"] == message {
                return;
            }
        }
        panic!("waited in vain for {message:?}");
    }

    fn happen(&mut self, daemon: &Daemon, event: Event) {
        match event {
            Event::Reload => {
                self.variant += 1;
                self.configure(&self.plan.config(self.variant));
                daemon.signal("HUP");
                self.wait_for(daemon, "config reloaded");
            }
            Event::BadReload => {
                self.configure(&self.plan.bad_config(self.variant + fastrand::usize(0..3)));
                daemon.signal("HUP");
                self.wait_for(daemon, "config not reloaded, the one in use stays");
                self.configure(&self.plan.config(self.variant));
            }
            Event::StepForward if self.clock.can_step() => self.clock.step(fastrand::i64(2..20)),
            Event::StepBack if self.clock.can_step() => {
                let seconds = fastrand::u64(1..4);
                self.clock.step(-seconds.cast_signed());
                // Nothing is due until the clock has caught up.
                self.live(daemon, Duration::from_secs(seconds));
            }
            Event::FullDisk if self.disk.is_some() => {
                self.disk.as_ref().expect("a disk").fill();
                self.wait_for(daemon, "the database refuses, rounds wait");
                self.live(daemon, Duration::from_secs(fastrand::u64(1..4)));
                self.disk.as_ref().expect("a disk").empty();
                self.wait_for(daemon, "the database takes rounds again, nothing waits any more");
            }
            Event::StepForward | Event::StepBack | Event::FullDisk => {}
        }
    }

    /// Kills daemon after daemon, each in the middle of something, until `end`. Answers how many.
    fn lives(&mut self, end: Instant) -> usize {
        let mut kills = 0;
        while Instant::now() < end {
            let daemon = self.start();
            self.live(&daemon, Duration::from_millis(fastrand::u64(1_500..4_000)));
            let events = [Event::Reload, Event::BadReload, Event::StepForward, Event::StepBack];
            self.happen(&daemon, events[kills % events.len()]);
            self.live(&daemon, Duration::from_millis(fastrand::u64(0..2_500)));
            self.kill(daemon);
            std::thread::sleep(Duration::from_millis(fastrand::u64(0..2_000)));
            kills += 1;
        }
        kills
    }

    /// What the daemon uses while nothing happens but rounds.
    fn usage(&mut self, daemon: &Daemon, time: Duration) -> Usage {
        let (until, mut all) = (Instant::now() + time, Vec::new());
        while Instant::now() < until {
            self.live(daemon, Duration::from_millis(200));
            all.push(Usage::of(daemon.pid()));
        }
        Usage::median(&all)
    }

    /// One life to the end. To warm up everything but a kill happens once: what a reload or a full disk once needed, an
    /// allocator keeps. Then it goes on happening. Answers what the daemon used before that and after.
    fn last_life(&mut self, length: Duration) -> [Usage; 2] {
        let daemon = self.start();
        let events = [Event::FullDisk, Event::Reload, Event::StepForward, Event::BadReload, Event::StepBack];
        for event in events {
            self.happen(&daemon, event);
        }
        self.live(&daemon, SETTLED + length / 4);
        let early = self.usage(&daemon, length / 8);
        let (end, mut turn) = (Instant::now() + length * 3 / 8, 0);
        while Instant::now() < end || turn < events.len() {
            self.happen(&daemon, events[turn % events.len()]);
            self.live(&daemon, Duration::from_millis(fastrand::u64(500..3_000)));
            turn += 1;
        }
        eprintln!("{turn} events in the last life, after one of each");
        self.live(&daemon, SETTLED);
        let late = self.usage(&daemon, length / 8);
        for line in daemon.stop() {
            self.note(&line);
        }
        [early, late]
    }

    /// The database, out of the small disk: SQLite follows links, which lead out of its namespace. The daemon that was
    /// stopped has folded its log.
    fn database(&self) -> Connection {
        let folder = self.disk.as_ref().map_or_else(|| self.folder.path().join("disk"), Disk::outside);
        let copy = self.folder.path().join("copy.db");
        std::fs::copy(folder.join("gatherd.db"), &copy).expect("copied");
        Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the database opens")
    }
}

#[test]
#[ignore = "takes minutes to hours: GATHERD_SOAK=2m cargo test --release --test soak -- --ignored --nocapture"]
fn after_kills_reloads_clock_steps_and_a_full_disk_every_slot_is_what_the_server_sent() {
    let length = std::env::var("GATHERD_SOAK").unwrap_or("2m".to_owned());
    let length = humantime::parse_duration(&length).expect("a duration, such as 2m or 1h");
    let seed =
        std::env::var("GATHERD_SOAK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    eprintln!("{length:?}; the same choices again with GATHERD_SOAK_SEED={seed}");
    fastrand::seed(seed);
    let mut soak = Soak::new(seed, length);
    let kills = soak.lives(Instant::now() + length / 3);
    let [early, late] = soak.last_life(length / 3 * 2);

    let verified = soak.command(&["verify"]).output().expect("gatherd runs");
    let told = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{told}");
    let record = Record { ledger: &soak.ledger, clock: &soak.clock, downs: &soak.downs, stored: &soak.stored };
    let found = record.compare(&soak.database());
    let (sent, steps) = (soak.ledger.sent().len(), soak.clock.steps());
    eprintln!("{kills} kills, {steps} clock steps, {sent} answers sent: {found:?}");
    early.assert_flat(late);
    assert!(found.complete > 10 && kills > 0, "a soak of nothing proves nothing");
}
