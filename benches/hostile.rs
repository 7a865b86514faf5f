//! Rounds against servers that hang or never stop sending: how long, and how much memory.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use serde_json::value::RawValue;
use support::{Calm, Daemon, Server, Used, gatherd, heading, job, measure, median, megabytes, row, seconds};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const ENDPOINTS: usize = 5_000;
/// One of so many hangs.
const HANGS: usize = 20;
const WORKERS: usize = 512;
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
    let answers = ENDPOINTS - ENDPOINTS / HANGS;
    let (mut bare, mut fetched, mut first, mut second, mut memory) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..REPEATS {
        calm.wait();
        bare.push(barely(&urls, answers));
        let used = once(folder, &urls, WORKERS, answers, calm);
        fetched.push(used.wall);
        calm.wait();
        let (rounds, peak) = rounds(&urls);
        first.push(rounds[0]);
        second.push(rounds[1]);
        memory.push(used.memory.max(peak));
    }
    heading(
        "5,000 endpoints of which 5 % hang, timeout 2 s, 512 workers (goals: within 10 % of the ideal, under 120 MB)",
        &["", "wall", "over 2 s", "over bare"],
    );
    let bare = median(bare);
    for (what, walls) in
        [("bare client", vec![bare]), ("first round", first), ("second round", second), ("fetch", fetched)]
    {
        let wall = median(walls);
        let over = |ideal: Duration| format!("{:.1} %", (wall.as_secs_f64() / ideal.as_secs_f64() - 1.0) * 100.0);
        row(&[what.to_owned(), seconds(wall), over(TIMEOUT), over(bare)]);
    }
    println!(
        "\nThe bare client is the HTTP library alone; rounds are a daemon's; fetch counts from its start to its end."
    );
    println!("Peak memory {}.\n", megabytes(median(memory)));
}

/// The same requests by nothing but the HTTP library: as many at a time, in one thread, whose answers nobody keeps.
fn barely(urls: &[String], expected: usize) -> Duration {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let start = Instant::now();
    let documents = runtime.block_on(async {
        let client = Client::builder().timeout(TIMEOUT).build().expect("a client");
        let (room, mut requests) = (Arc::new(Semaphore::new(WORKERS)), JoinSet::new());
        for url in urls {
            let place = Arc::clone(&room).acquire_owned().await.expect("never closed");
            let request = client.get(url).bearer_auth("token");
            requests.spawn(async move {
                let _place = place;
                let body = request.send().await.ok()?.bytes().await.ok()?;
                serde_json::from_slice::<Box<RawValue>>(&body).ok()
            });
        }
        requests.join_all().await.into_iter().flatten().count()
    });
    let wall = start.elapsed();
    assert_eq!(documents, expected, "documents of the bare client");
    wall
}

/// The first rounds of a daemon, and the most memory that it held.
fn rounds(urls: &[String]) -> ([Duration; 2], u64) {
    let daemon = Daemon::start(&format!(
        "workers = {WORKERS}\n[server]\nlisten = false\n{}",
        job("hanging", "every = \"3s\"\ntimeout = \"2s\"\nretries = 0", urls),
    ));
    let took = "SELECT (finished_at - started_at) / 1000 FROM round ORDER BY round_id LIMIT 2";
    let rounds = loop {
        sleep(Duration::from_millis(500));
        if daemon.number("SELECT count(*) FROM round WHERE finished_at IS NOT NULL") >= 2 {
            break daemon.ask(took);
        }
    };
    let millis = |index: usize| Duration::from_millis(u64::try_from(rounds[index][0]).expect("a span"));
    ([millis(0), millis(1)], daemon.memory().1)
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
