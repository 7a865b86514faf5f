//! A host that asks to be left alone, and the real daemon: every job keeps away, also after a kill.

use crate::support::daemon::Home;
use crate::support::sample_api;

#[test]
fn a_host_that_asked_for_a_pause_is_left_alone_by_every_job_also_after_a_kill() {
    let (api, other) = (sample_api(), sample_api());
    let job = |name: &str, urls: &[String]| {
        format!("[[job]]\nname = {name:?}\nevery = \"300ms\"\ndeadline = \"10s\"\nretries = 1\nendpoints = {urls:?}\n")
    };
    let asks = job("asks", &[api.url("/rate-limited?after=3600"), other.url("/healthy")]);
    let beside = job("beside", &[api.url("/null"), other.url("/null")]);
    let home = Home::new(&asks);
    let mut daemon = home.start();
    daemon.wait_for_rounds("asks", 3);
    daemon.kill();
    home.configure(&format!("{asks}{beside}"));
    let daemon = home.start();
    daemon.wait_for_rounds("asks", 1);
    daemon.wait_for_rounds("beside", 2);
    daemon.stop();

    assert_eq!(api.requests(), 1, "one request, and none after it");
    let of = |job: &str, position: u32| {
        home.rows(
            &format!(
                "SELECT DISTINCT outcome FROM observations WHERE job = '{job}' AND position = {position} ORDER BY round_id"
            ),
            |row| row.get::<_, String>(0),
        )
    };
    assert_eq!(of("asks", 0), ["http_status", "backoff"]);
    assert_eq!(of("beside", 0), ["backoff"]);
    assert_eq!((of("asks", 1), of("beside", 1)), (vec!["ok".to_owned()], vec!["ok".to_owned()]));
    let detail = "SELECT count(*) FROM observations WHERE outcome = 'backoff' AND (attempts <> 0 OR detail NOT LIKE \
                  'its host asked to be left alone until 20%Z')";
    assert_eq!(home.number(detail), 0);
}
