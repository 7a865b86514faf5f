//! The machine that the daemon runs on, as far as a test may change it: a small disk of its own, and a clock that
//! steps. What the system does not allow is said and left out.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Mounts a tmpfs of `$2` bytes at `$1`, and holds it for as long as its input is open.
const HOLD: &str = r#"mount -t tmpfs -o size="$2" tmpfs "$1" && echo ready && exec cat"#;

/// A tmpfs in a mount namespace of its own, which outlives the daemons that run in it.
pub struct Disk {
    keeper: Child,
    folder: PathBuf,
}

impl Disk {
    /// A disk of so many bytes at `folder`.
    pub fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLD, "sh"]).arg(folder);
        command.arg(bytes.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn().ok()?;
        let mut told = String::new();
        let read = BufReader::new(keeper.stdout.take()?).read_line(&mut told);
        if read.is_err() || told != "ready\n" {
            let _ = keeper.wait();
            return None;
        }
        Some(Self { keeper, folder: folder.to_owned() })
    }

    /// What runs `program` where the disk is.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = self.keeper.id().to_string();
        command.args(["--target", &keeper, "--user", "--preserve-credentials", "--mount", program]);
        command
    }

    /// The folder as it is seen from outside.
    pub fn outside(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), self.folder.display()))
    }

    /// Takes all space that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.outside().join("filler")).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives it back.
    pub fn empty(&self) {
        fs::remove_file(self.outside().join("filler")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Where distributions put the library that tells a process another time.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// How long a daemon may take to see that its clock was set.
pub const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// The daemon's wall clock, and how far it was ahead of the real one at any time. Its monotonic clock is never touched.
pub struct Clock {
    library: Option<&'static str>,
    file: PathBuf,
    /// Since when which offset, in microseconds.
    offsets: Vec<(SystemTime, i64)>,
}

impl Clock {
    pub fn new(folder: &Path) -> Self {
        let library = LIBRARIES.into_iter().find(|library| Path::new(library).exists());
        if library.is_none() {
            eprintln!("the clock does not step: libfaketime is not installed");
        }
        let clock = Self { library, file: folder.join("offset"), offsets: vec![(UNIX_EPOCH, 0)] };
        clock.write(0);
        clock
    }

    pub fn can_step(&self) -> bool {
        self.library.is_some()
    }

    /// Makes `command` see this clock.
    pub fn put_on(&self, command: &mut Command) {
        if let Some(library) = self.library {
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
            command.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DISABLE_SHM", "1");
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        }
    }

    /// Sets it by so many seconds, forward or back, and waits until that is seen.
    pub fn step(&mut self, seconds: i64) {
        let offset = self.offsets.last().map_or(0, |last| last.1) + seconds * 1_000_000;
        self.offsets.push((SystemTime::now(), offset));
        self.write(offset);
        sleep(SEEN_WITHIN);
    }

    fn write(&self, offset: i64) {
        // Renamed into place: it is read at any moment.
        let new = self.file.with_extension("new");
        let written = fs::write(&new, format!("{:+}\n", offset / 1_000_000));
        written.and_then(|()| fs::rename(&new, &self.file)).expect("the offset is written");
    }

    /// What the daemon's clock may have shown at `at`, in microseconds since the epoch: around a step, either.
    pub fn shown(&self, at: SystemTime) -> impl Iterator<Item = i64> {
        let micros = at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).expect("a time"));
        let ends = self.offsets.iter().skip(1).map(|&(since, _)| Some(since + SEEN_WITHIN)).chain([None]);
        let valid = self.offsets.iter().zip(ends);
        let valid = valid.filter(move |((since, _), end)| *since <= at && end.is_none_or(|end| at <= end));
        valid.map(move |((_, offset), _)| micros + offset)
    }

    /// All steps forward, in seconds.
    pub fn skipped_seconds(&self) -> i64 {
        self.offsets.windows(2).map(|pair| ((pair[1].1 - pair[0].1) / 1_000_000).max(0)).sum()
    }

    /// How often it was set.
    pub fn steps(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// What a process has of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub resident_kb: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count() as u64;
        Self { resident_kb: number("VmRSS:"), threads: number("Threads:"), descriptors }
    }

    /// Of each the median.
    pub fn median(all: &[Self]) -> Self {
        let median = |part: fn(&Self) -> u64| {
            let mut values: Vec<u64> = all.iter().map(part).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Self {
            resident_kb: median(|usage| usage.resident_kb),
            threads: median(|usage| usage.threads),
            descriptors: median(|usage| usage.descriptors),
        }
    }

    /// Panics when `later` is more than a steady process has: a fifth and 8 MiB of memory, which
    /// bodies that meet by chance need and an allocator keeps; 4 threads, 16 descriptors.
    pub fn assert_flat(self, later: Self) {
        eprintln!("usage after warm-up {self:?}, at the end {later:?}");
        assert!(later.resident_kb <= self.resident_kb + self.resident_kb / 5 + 8192, "memory grows");
        assert!(later.threads <= self.threads + 4, "threads grow");
        assert!(later.descriptors <= self.descriptors + 16, "descriptors grow");
    }
}
