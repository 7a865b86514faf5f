//! Rounds that run together and are not stored.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gatherd::app::{Afterwards, Unstored, fetch_rounds};
use gatherd::config::Settings;

use crate::support::canned::{self, connections, head};

/// How many requests are being answered, and the most that were at the same time.
type Crowd = Arc<(Mutex<(usize, usize)>, Condvar)>;

/// Answers when another request has come, or none comes for a while.
fn answer(mut stream: TcpStream, crowd: &Crowd) {
    head(&mut stream);
    let (count, came) = (&crowd.0, &crowd.1);
    let mut present = count.lock().expect("unpoisoned");
    present.0 += 1;
    present.1 = present.1.max(present.0);
    came.notify_all();
    let wait = came.wait_timeout_while(present, Duration::from_millis(200), |(now, _)| *now < 2);
    wait.expect("unpoisoned").0.0 -= 1;
    let _ = stream.write_all(&canned::answer("200 OK", "", "1"));
}

#[test]
fn a_limit_for_a_host_holds_for_jobs_that_start_before_the_one_that_has_it() {
    let crowd = Crowd::default();
    let seen = Arc::clone(&crowd);
    let url = connections(move |_, stream| answer(stream, &seen));
    let text = format!(
        "[[job]]\nname = \"free\"\nevery = \"1m\"\nendpoints = [\"{url}1\", \"{url}2\"]\n\
         [[job]]\nname = \"sparing\"\nevery = \"1m\"\nmax_per_host = 1\nendpoints = [\"{url}3\"]\n"
    );
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    let unstored = settings.jobs.iter().map(|job| Unstored {
        job: job.name.clone(),
        endpoints: job.endpoints.clone(),
        deadline: Duration::from_secs(30),
    });
    let rounds =
        fetch_rounds(unstored.collect(), None, 8, Afterwards::CleanUp, |_| {}, std::future::pending()).expect("rounds");
    assert!(rounds.iter().flat_map(|round| &round.slots).all(|slot| slot.outcome.is_ok()));
    assert_eq!(crowd.0.lock().expect("unpoisoned").1, 1, "requests at the same time");
}
