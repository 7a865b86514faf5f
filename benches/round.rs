//! A round of 5,000 endpoints through `gatherd fetch`, by width of the pool and delay of the server.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;
use support::{Calm, Server, Used, gatherd, heading, measure, median, megabytes, micros_each, row, seconds};

const ENDPOINTS: usize = 5_000;
const WIDTHS: [usize; 5] = [16, 64, 256, 512, 1_024];
const REPEATS: usize = 5;
const DELAY: Duration = Duration::from_millis(100);

fn main() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut calm = Calm::default();
    println!("A round of {ENDPOINTS} endpoints, 147-byte documents, keep-alive, server on the same machine");
    println!("(medians of {REPEATS} interleaved repeats; with delay and 16 workers: one)\n");

    let measured = all_widths(folder.path(), &server.urls("healthy", ENDPOINTS), |_| REPEATS, &mut calm);
    heading("server delay 0", &["workers", "wall", "CPU", "CPU/fetch", "peak memory"]);
    for (width, used) in &measured {
        row(&columns(*width, used));
    }
    println!();

    let repeats = |width| if width == 16 { 1 } else { REPEATS };
    let measured = all_widths(folder.path(), &server.urls("delay/100", ENDPOINTS), repeats, &mut calm);
    heading(
        "server delay 100 ms (goal: within 10 % of the ideal at 256, within 25 % at 1,024)",
        &["workers", "wall", "CPU", "CPU/fetch", "peak memory", "ideal", "over it"],
    );
    for (width, used) in &measured {
        let ideal = DELAY * u32::try_from(ENDPOINTS).expect("few") / u32::try_from(*width).expect("few");
        let over = (wall(used).as_secs_f64() / ideal.as_secs_f64() - 1.0) * 100.0;
        let mut cells = columns(*width, used);
        cells.extend([seconds(ideal), format!("{over:.1} %")]);
        row(&cells);
    }
    calm.say();
}

/// The repeats go round all widths, so that what disturbs the machine for a while disturbs all.
fn all_widths(
    folder: &Path,
    urls: &[String],
    repeats: impl Fn(usize) -> usize,
    calm: &mut Calm,
) -> Vec<(usize, Vec<Used>)> {
    let list = folder.join("urls");
    fs::write(&list, urls.join("\n")).expect("the list is written");
    let mut measured: Vec<(usize, Vec<Used>)> = WIDTHS.iter().map(|&width| (width, Vec::new())).collect();
    for repeat in 0..REPEATS {
        for (width, used) in &mut measured {
            if repeat < repeats(*width) {
                calm.wait();
                used.push(fetch(folder, &list, *width));
            }
        }
    }
    measured
}

fn fetch(folder: &Path, list: &Path, width: usize) -> Used {
    let output = folder.join("vector.json");
    let workers = width.to_string();
    let arguments = ["fetch", "--workers", &workers, "--urls", list.to_str().expect("a path in UTF-8")];
    let used = measure(gatherd(&arguments).stdout(File::create(&output).expect("the output is made")));
    let text = fs::read_to_string(&output).expect("the output is there");
    let vector: Vec<Option<&RawValue>> = serde_json::from_str(&text).expect("one JSON array");
    let documents = vector.iter().flatten().count();
    assert_eq!(documents, ENDPOINTS, "some slots of a measured round failed");
    used
}

fn wall(used: &[Used]) -> Duration {
    median(used.iter().map(|used| used.wall))
}

fn columns(width: usize, used: &[Used]) -> Vec<String> {
    let cpu = median(used.iter().map(|used| used.cpu));
    let memory = megabytes(median(used.iter().map(|used| used.memory)));
    vec![width.to_string(), seconds(wall(used)), seconds(cpu), micros_each(cpu, ENDPOINTS), memory]
}
