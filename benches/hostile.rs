//! Rounds against servers that hang or never stop sending, through `gatherd fetch`: how long, and how much memory.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Calm, Server, Used, gatherd, heading, measure, median, megabytes, row, seconds};

const ENDPOINTS: usize = 5_000;
/// One of so many hangs.
const HANGS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(2);
const ENDLESS: usize = 200;
const MAX_BODY: u64 = 1024 * 1024;
const REPEATS: usize = 5;

fn main() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut calm = Calm::default();
    hanging(&server, folder.path(), &mut calm);
    endless(&server, folder.path(), &mut calm);
    calm.say();
}

fn hanging(server: &Server, folder: &Path, calm: &mut Calm) {
    let healthy = server.urls("healthy", ENDPOINTS);
    let mut urls = healthy.clone();
    for (url, hang) in urls.iter_mut().step_by(HANGS).zip(server.urls("hang", ENDPOINTS / HANGS)) {
        *url = hang;
    }
    let (mut used, mut calmly) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        used.push(once(folder, &urls, 512, ENDPOINTS - ENDPOINTS / HANGS, calm));
        calmly.push(once(folder, &healthy, 512, ENDPOINTS, calm).wall);
    }
    heading(
        "5,000 endpoints of which 5 % hang, timeout 2 s, 512 workers (goals: within 10 % of the ideal, under 120 MB)",
        &["wall", "over 2 s", "all healthy", "over 2 s and that", "peak memory"],
    );
    let (wall, healthy) = (median(used.iter().map(|used| used.wall)), median(calmly));
    // Nobody knows beforehand what hangs: the last of it is asked behind the healthy ones.
    let over = |ideal: Duration| format!("{:.1} %", (wall.as_secs_f64() / ideal.as_secs_f64() - 1.0) * 100.0);
    let memory = megabytes(median(used.iter().map(|used| used.memory)));
    row(&[seconds(wall), over(TIMEOUT), seconds(healthy), over(TIMEOUT + healthy), memory]);
    println!();
}

fn endless(server: &Server, folder: &Path, calm: &mut Calm) {
    heading(
        "200 endpoints that each send an endless body, max_body 1 MiB (goal: base + workers × 3 × max_body)",
        &["workers", "wall", "base", "peak memory", "bound"],
    );
    for workers in [16, 64, 200] {
        let base = repeated(folder, &server.urls("healthy", ENDLESS), workers, ENDLESS, calm);
        let used = repeated(folder, &server.urls("infinite", ENDLESS), workers, 0, calm);
        let base = median(base.iter().map(|used| used.memory));
        let bound = base + u64::try_from(workers).expect("few") * 3 * MAX_BODY;
        row(&[
            workers.to_string(),
            seconds(median(used.iter().map(|used| used.wall))),
            megabytes(base),
            megabytes(median(used.iter().map(|used| used.memory))),
            megabytes(bound),
        ]);
    }
}

/// Several rounds over `urls`, each with as many documents as expected.
fn repeated(folder: &Path, urls: &[String], workers: usize, expected: usize, calm: &mut Calm) -> Vec<Used> {
    (0..REPEATS).map(|_| once(folder, urls, workers, expected, calm)).collect()
}

/// A round over `urls`.
fn once(folder: &Path, urls: &[String], workers: usize, expected: usize, calm: &mut Calm) -> Used {
    let (list, output) = (folder.join("urls"), folder.join("vector.json"));
    fs::write(&list, urls.join("\n")).expect("the list is written");
    let (workers, list) = (workers.to_string(), list.to_str().expect("a path in UTF-8"));
    let arguments = ["fetch", "--timeout", "2s", "--workers", &workers, "--urls", list];
    calm.wait();
    let used = measure(gatherd(&arguments).stdout(File::create(&output).expect("the output is made")));
    let text = fs::read_to_string(&output).expect("the output is there");
    let vector: Vec<Value> = serde_json::from_str(&text).expect("one JSON array");
    assert_eq!(vector.iter().filter(|slot| !slot.is_null()).count(), expected, "documents of a measured round");
    used
}
