//! What the benches share: the server and the daemon as processes of their own, what a process has used, medians,
//! and tables.

#![allow(dead_code, reason = "each bench uses a part of it")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatherd::store::read::{Reader, Value};
use tempfile::TempDir;
use wait4::Wait4;

/// The optimized binary that cargo built beside this bench.
const GATHERD: &str = env!("CARGO_BIN_EXE_gatherd");

/// `/proc/…/stat` counts in hundredths of a second, on every Linux since 2.6.
const TICK: Duration = Duration::from_millis(10);

/// At most so much of the machine may be in use by others when a measurement starts.
const CALM: f64 = 0.10;

/// So long in all a bench waits for others to finish, before it measures beside them and says so.
const PATIENCE: Duration = Duration::from_secs(20);

/// `gatherd` with `arguments`, and as many file descriptors as the system allows it.
pub fn gatherd(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $(ulimit -H -n) && exec \"$0\" \"$@\"", GATHERD]).args(arguments);
    command
}

/// The sample API in a process of its own, killed at the end.
pub struct Server {
    child: Child,
    /// Where it listens, with a slash at the end.
    pub url: String,
}

impl Server {
    /// Starts it on a free port of the loopback.
    pub fn start() -> Self {
        let mut command = gatherd(&["sample-api", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the sample API starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut url).expect("the sample API prints its URL");
        url.truncate(url.trim_end().len());
        Self { child, url }
    }

    /// `count` different URLs of the endpoint `path`.
    pub fn urls(&self, path: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{}{path}/{number}", self.url)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// What a command has used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// From its start to its end.
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it held, in bytes.
    pub memory: u64,
}

/// Runs `command` to its end, which has to be a success.
pub fn measure(command: &mut Command) -> Used {
    let start = Instant::now();
    let child = command.spawn().expect("the command starts");
    let used = child.wait4().expect("the command ends");
    let wall = start.elapsed();
    assert!(used.status.success(), "{command:?}: {}", used.status);
    Used { wall, cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss }
}

/// The daemon with a config and a database of its own, killed at the end.
pub struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts it with `config`, which names no database.
    pub fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, config).expect("the config is written");
        let log = File::create(folder.path().join("log")).expect("the log is made");
        let mut command = gatherd(&["run", "--config", path.to_str().expect("a path in UTF-8")]);
        let child = command.stderr(log).env_remove("RUST_LOG").spawn().expect("the daemon starts");
        Self { child, folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("gatherd.db")
    }

    /// The rows that a question to the database answers, all of them whole numbers.
    pub fn ask(&self, sql: &str) -> Vec<Vec<i64>> {
        let reader = Reader::open(&self.database(), Duration::from_mins(1)).expect("the database opens");
        let answer = reader.sql(sql).expect("the database answers");
        let number = |value| match value {
            Value::Integer(number) => number,
            other => panic!("{sql}: not a whole number: {other:?}"),
        };
        answer.rows.into_iter().map(|row| row.into_iter().map(number).collect()).collect()
    }

    /// The one whole number that a question to the database answers.
    pub fn number(&self, sql: &str) -> i64 {
        self.ask(sql)[0][0]
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// User and system time of all its threads so far. In steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("the daemon runs");
        // The name, in brackets, may hold anything. What follows starts with field 3; utime is 14, stime 15.
        let (_, fields) = stat.rsplit_once(") ").expect("the fields of stat");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("ticks"));
        TICK * ticks.sum::<u32>()
    }

    /// The time that the threads alive now have been on a processor. Exact.
    pub fn exact_cpu(&self) -> Duration {
        let threads = fs::read_dir(self.proc("task")).expect("the daemon runs");
        let on_cpu = |path: PathBuf| -> Option<u64> {
            fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(threads.flatten().filter_map(|thread| on_cpu(thread.path())).sum())
    }

    /// Times that its threads gave up the processor so far, which is about how often they woke.
    pub fn wakes(&self) -> u64 {
        let threads = fs::read_dir(self.proc("task")).expect("the daemon runs");
        threads.flatten().map(|thread| status(&thread.path().join("status"))["voluntary_ctxt_switches"]).sum()
    }

    /// Memory in bytes: resident now, and the most so far.
    pub fn memory(&self) -> (u64, u64) {
        let status = status(&self.proc("status"));
        (status["VmRSS"] * 1024, status["VmHWM"] * 1024)
    }

    /// Threads now.
    pub fn threads(&self) -> u64 {
        status(&self.proc("status"))["Threads"]
    }

    /// Open file descriptors now.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("the daemon runs").count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.folder.path().join("log"))
        {
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the daemon's last lines:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// The numbers of a `/proc/…/status`.
fn status(path: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let number = |value: &str| value.split_whitespace().next().and_then(|number| number.parse().ok());
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(key, value)| Some((key.to_owned(), number(value)?)))
        .collect()
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// A job of a config.
pub fn job(name: &str, keys: &str, urls: &[String]) -> String {
    let list = urls.join("\",\n  \"");
    format!("\n[[job]]\nname = \"{name}\"\n{keys}\nendpoints = [\n  \"{list}\",\n]\n")
}

/// Sleeps until the wall clock is `after` behind a multiple of `period`.
pub fn sleep_until_phase(period: Duration, after: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let left = (period + after).as_nanos() - now.as_nanos() % period.as_nanos();
    sleep(Duration::from_nanos(u64::try_from(left % period.as_nanos()).expect("less than a period")));
}

/// Waits until nothing else keeps the machine busy, and counts the times that it did not come to that.
#[derive(Default)]
pub struct Calm {
    waited: Duration,
    busy: usize,
}

impl Calm {
    /// Before each measurement.
    pub fn wait(&mut self) {
        loop {
            let start = Instant::now();
            if busy_part() < CALM {
                return;
            }
            self.waited += start.elapsed();
            if self.waited > PATIENCE {
                self.busy += 1;
                return;
            }
        }
    }

    /// At the end: says when figures are worth less.
    pub fn say(&self) {
        if self.busy > 0 {
            println!("NOTE: the machine was busy with other things at the start of {} measurements", self.busy);
        }
        println!();
    }
}

fn busy_part() -> f64 {
    let (busy, total) = processor_time();
    sleep(Duration::from_millis(250));
    let (busy_now, total_now) = processor_time();
    (busy_now - busy) as f64 / (total_now - total).max(1) as f64
}

/// The ticks that all processors were busy, and all their ticks.
fn processor_time() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").expect("/proc is there");
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let total: u64 = ticks.iter().sum();
    (total - ticks[3] - ticks[4], total)
}

/// The value that half of `values` are below.
pub fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("comparable figures"));
    values[values.len() / 2]
}

/// The value that `part` of the sorted `values` are not above.
pub fn percentile(values: &[i64], part: f64) -> i64 {
    let rank = (part * values.len() as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the values")]
    values[(rank as usize).min(values.len()) - 1]
}

/// A title and the names of the columns.
pub fn heading(title: &str, columns: &[&str]) {
    println!("{title}");
    row(columns);
}

/// A row, its cells to the right.
pub fn row(cells: &[impl Display]) {
    let line: Vec<String> = cells.iter().map(|cell| format!("{cell:>12}")).collect();
    println!("{}", line.join(" "));
}

/// Seconds with three digits.
pub fn seconds(span: Duration) -> String {
    format!("{:.3} s", span.as_secs_f64())
}

/// Microseconds for each of `count`.
pub fn micros_each(span: Duration, count: usize) -> String {
    format!("{:.1} µs", span.as_secs_f64() * 1e6 / count as f64)
}

/// Millions of bytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
