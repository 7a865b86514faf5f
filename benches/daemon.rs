//! What the daemon costs: processor time for each stored observation, memory, threads, descriptors; and at rest.

mod support;

use std::thread::sleep;
use std::time::Duration;

use support::{Calm, Daemon, Server, heading, job, megabytes, micros_each, row, sleep_until_phase};

const ENDPOINTS: usize = 2_000;
const PERIOD: Duration = Duration::from_secs(2);
/// Where in its period no round runs any more.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(1_500);
const ROUNDS: u32 = 10;
const REPEATS: usize = 2;

const SLOTS: &str = "SELECT count(*) FROM slot";

fn main() {
    let server = Server::start();
    let mut calm = Calm::default();
    heading(
        &format!(
            "{ENDPOINTS} endpoints each {PERIOD:?}, 64 workers, {ROUNDS} rounds (goals: 50 µs all in, 40 MB resident)"
        ),
        &["observations", "not ok", "CPU each", "resident", "peak", "threads", "descriptors"],
    );
    for _ in 0..REPEATS {
        calm.wait();
        busy(&server);
    }
    println!();
    heading(
        "at rest: one job of one endpoint each hour, 64 workers (goal: 15 MB resident)",
        &["resident", "peak", "CPU µs/s", "wakes/s", "threads", "descriptors"],
    );
    calm.wait();
    at_rest(&server);
    calm.say();
}

fn busy(server: &Server) {
    let urls = server.urls("healthy", ENDPOINTS);
    let daemon = Daemon::start(&format!("workers = 64\n{}", job("figures", "every = \"2s\"", &urls)));
    // The first round opens the connections.
    sleep_until_phase(PERIOD, BETWEEN_ROUNDS);
    sleep(PERIOD);
    sleep_until_phase(PERIOD, BETWEEN_ROUNDS);
    let (cpu, slots) = (daemon.cpu(), daemon.number(SLOTS));
    sleep(PERIOD * (ROUNDS - 1));
    sleep_until_phase(PERIOD, BETWEEN_ROUNDS);
    let (cpu, slots) = (daemon.cpu().saturating_sub(cpu), daemon.number(SLOTS) - slots);
    let not_ok = daemon.number("SELECT count(*) FROM slot WHERE outcome <> 'ok'");
    let (resident, peak) = daemon.memory();
    let slots = usize::try_from(slots).expect("rounds were stored");
    assert!(slots >= ENDPOINTS * (ROUNDS as usize - 1), "rounds are missing: only {slots} observations");
    row(&[
        slots.to_string(),
        not_ok.to_string(),
        micros_each(cpu, slots),
        megabytes(resident),
        megabytes(peak),
        daemon.threads().to_string(),
        daemon.descriptors().to_string(),
    ]);
}

fn at_rest(server: &Server) {
    let urls = server.urls("healthy", 1);
    let daemon = Daemon::start(&format!("workers = 64\n{}", job("hourly", "every = \"1h\"", &urls)));
    sleep(Duration::from_secs(3));
    let (cpu, wakes) = (daemon.exact_cpu(), daemon.wakes());
    sleep(Duration::from_secs(10));
    let (cpu, wakes) = (daemon.exact_cpu().saturating_sub(cpu), daemon.wakes() - wakes);
    let (resident, peak) = daemon.memory();
    row(&[
        megabytes(resident),
        megabytes(peak),
        (cpu.as_micros() / 10).to_string(),
        (wakes / 10).to_string(),
        daemon.threads().to_string(),
        daemon.descriptors().to_string(),
    ]);
}
