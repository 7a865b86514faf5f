//! The page that people read.

use std::sync::Arc;
use std::time::Duration;

use gatherd::model::{Answer, Evidence, HostPause, Outcome, Phase, Phases, Slot, Timestamp};

use super::{filled, walled, why};
use crate::support::rounds::{closed, due, failed, layout, ok};

#[test]
fn a_failure_is_told_with_since_when_how_far_what_came_back_and_what_to_try() {
    let names = layout(&["signups"]);
    let folder = filled(|writer| {
        for round in 1..=4 {
            let slot = if round == 1 { ok(round) } else { walled(round) };
            writer.close(&closed(round, &names, vec![slot])).expect("stored");
        }
    });
    insta::assert_snapshot!(why(&folder, &["signups"]), @r#"
    job "job", endpoint "signups"
    https://api.example.com/signups

      outcome   http_status: 403 Forbidden
      round     4, due 2026-01-31 14:04:00+01:00
      took      700.4 ms, 1 attempt
      failing   since 2026-01-31 14:02:00+01:00 (2m, 3 rounds in a row)
      last ok   2026-01-31 14:01:00+01:00, round 1

    How far it came
      dns          1.5 ms
      connect           -   not needed, or not seen
      tls         41.0 ms
      headers    655.0 ms   <- ended here
      body              -   not reached

    What was sent
      GET https://api.example.com/signups HTTP/1.1
      accept: application/json, */*;q=0.5
      accept-encoding: gzip, deflate, br, zstd
      authorization: Bearer ***
      user-agent: gatherd/0.1

    What came back
      (first seen 2026-01-31 14:02:00+01:00; only numbers and dates differ since)
      status 403
      date: Sat, 31 Jan 2026 13:05:01 GMT
      content-type: text/html; charset=UTF-8
      server: cloudflare
      cf-ray: 9c1f22aa01b3-FRA

      <!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title>
      </head>
      … (the body went on, its beginning is kept)

    It looks like a bot wall

    What to try
      - This is a wall against scripts, not the API. Say who you are:
        `user_agent = "name (you@example.com)"`.
      - Ask the provider for the host that is meant for programs, or to let this
        machine's address through.
    "#);
}

#[test]
fn an_endpoint_that_is_well_is_told_with_its_last_failure() {
    let names = layout(&["figures", "others"]);
    let folder = filled(|writer| {
        for round in 1..=5 {
            let [dns, connect] = [1, 3_001].map(|millis| Some(Duration::from_millis(millis)));
            let late = Slot {
                elapsed: Duration::from_millis(12_345),
                phases: Some(Phases { dns, connect, ..Phases::until(Phase::Connect) }.into()),
                ..failed(round, Outcome::Timeout, "connect")
            };
            let figures = if round == 2 { late } else { ok(round) };
            writer.close(&closed(round, &names, vec![figures, ok(round)])).expect("stored");
        }
    });
    insta::assert_snapshot!(why(&folder, &["figures", "--utc"]), @r#"
    job "job", endpoint "figures"
    https://api.example.com/figures

      outcome   ok (status 200)
      round     5, due 2026-01-31 13:05:00Z
      took      250.0 ms, 1 attempt
      ok        since 2026-01-31 13:03:00Z (2m, 3 rounds in a row)
      failed    last in round 2, due 2026-01-31 13:02:00Z
                timeout: connect

    How far it came
      dns          1.0 ms
      connect      3.00 s   <- ended here
      tls               -   not reached
      headers           -   not reached
      body              -   not reached

    What to try should it fail again
      - Nothing at api.example.com answers, as when a firewall drops packets or the
        machine is off.
      - Check the port, and whether this machine's address is allowed there. If the
        way out is a proxy: `proxy`.
      - If it is merely far away: a longer `connect_timeout`.
    "#);
    insta::assert_snapshot!(why(&folder, &["others", "--utc"]), @r#"
    job "job", endpoint "others"
    https://api.example.com/others

      outcome   ok (status 200)
      round     5, due 2026-01-31 13:05:00Z
      took      250.0 ms, 1 attempt
      ok        since 2026-01-31 13:01:00Z (4m, 5 rounds in a row)
    "#);
    let then = "2026-01-31 14:02";
    assert!(why(&folder, &["figures", "--at", then]).contains("outcome   timeout: connect\n"));
    assert!(why(&folder, &["figures", "--at", then, "--utc"]).contains("outcome   ok (status 200)\n"));
    assert!(why(&folder, &["figures", "--at", "2026-01-31T13:02:59Z"]).contains("took      12.35 s, 3 attempts\n"));
}

#[test]
fn what_strangers_sent_is_cut_and_made_harmless() {
    let names = layout(&["odd"]);
    let headers: Vec<String> = (0..30).map(|number| format!("x-{number}: {}", "v".repeat(90 / (1 + number)))).collect();
    let body = format!("\u{1B}[31mred\r\n\u{202E}backwards\n\n\n{}\n{}", "w".repeat(200), "line\n".repeat(30));
    let answer = Answer { status: 200, headers: headers.join("\n"), body, cut: true };
    let evidence = Evidence { sent: "GET http://127.0.0.1/odd".to_owned(), answer: Some(answer), guess: None };
    let folder = filled(|writer| {
        let slot = failed(1, Outcome::NotJson, "expected value at line 1 column 1");
        let slot = Slot { http_status: Some(200), evidence: Some(Arc::new(evidence)), ..slot };
        writer.close(&closed(1, &names, vec![slot])).expect("stored");
    });
    let text = why(&folder, &["odd"]);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202E}'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text, @r#"
    job "job", endpoint "odd"
    https://api.example.com/odd

      outcome   not_json (status 200): expected value at line 1 column 1
      round     1, due 2026-01-31 14:01:00+01:00
      took      700.4 ms, 3 attempts
      failing   since 2026-01-31 14:01:00+01:00 (1 round)
      last ok   never

    What was sent
      GET http://127.0.0.1/odd

    What came back
      status 200
      x-0: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv…
      x-1: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv
      x-2: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv
      x-3: vvvvvvvvvvvvvvvvvvvvvv
      x-4: vvvvvvvvvvvvvvvvvv
      x-5: vvvvvvvvvvvvvvv
      x-6: vvvvvvvvvvvv
      x-7: vvvvvvvvvvv
      x-8: vvvvvvvvvv
      x-9: vvvvvvvvv
      x-10: vvvvvvvv
      x-11: vvvvvvv
      x-12: vvvvvv
      x-13: vvvvvv
      x-14: vvvvvv
      x-15: vvvvv
      x-16: vvvvv
      x-17: vvvvv
      x-18: vvvv
      x-19: vvvv
      … (10 more, see --json)

      \u{1b}[31mred
      \u{202e}backwards
      wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww
      wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww
      wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww
      line
      line
      line
      line
      line
      line
      line
      … (23 more, see --json)

    What to try
      - What came is not JSON as RFC 8259 has it (NaN, comments and callbacks are
        not). See what came back.
      - Some servers choose by what is asked for:
        `headers = { Accept = "application/json" }`, or a format in `query`.
    "#);
}

#[test]
fn what_stopped_left_the_config_or_is_paused_is_said_so() {
    let (both, one) = (layout(&["gone", "paused"]), layout(&["paused"]));
    let later = Timestamp::from_micros(4_102_444_800_000_000);
    let folder = filled(|writer| {
        let expired = "invalid peer certificate: certificate expired: verification time 1769864460 (UNIX), but \
                       certificate is not valid after 1769000000 (864460 seconds ago)";
        let tls = Slot { phases: Some(Phases::until(Phase::Tls).into()), ..failed(1, Outcome::Tls, expired) };
        writer.close(&closed(1, &both, vec![tls, ok(1)])).expect("stored");
        let waits = Slot::untried(Outcome::Backoff, "until 2100-01-01T00:00:00Z", due(2));
        writer.close(&closed(2, &one, vec![waits])).expect("stored");
        writer.pause(&HostPause { host: "api.example.com:443".to_owned(), until: later }).expect("paused");
    });
    insta::assert_snapshot!(why(&folder, &["gone", "--utc"]), @r#"
    job "job", endpoint "gone"
    https://api.example.com/gone

      outcome   tls: invalid peer certificate: certificate expired: verification
                time 1769864460 (UNIX), but certificate is not valid after
                1769000000 (864460 seconds ago)
      round     1, due 2026-01-31 13:01:00Z
      took      700.4 ms, 3 attempts
      failing   since 2026-01-31 13:01:00Z (1 round)
      last ok   never
      paused    until 2100-01-01 00:00:00Z: the host asked to be left alone
      removed   not in the job any more: its round 2, due 2026-01-31 13:02:00Z, is
                without it

    How far it came
      dns               -   not needed, or not seen
      connect           -   not needed, or not seen
      tls               -   <- ended here
      headers           -   not reached
      body              -   not reached

    What to try
      - The server's certificate has expired. Its operator has to renew it; gatherd
        has no switch to look away.
      - If browsers accept it, this machine's clock is ahead. Check it with `date`.
    "#);
    insta::assert_snapshot!(why(&folder, &["paused", "--utc"]), @r#"
    job "job", endpoint "paused"
    https://api.example.com/paused

      outcome   backoff: until 2100-01-01T00:00:00Z
      round     2, due 2026-01-31 13:02:00Z
      failing   since 2026-01-31 13:02:00Z (1 round)
      last ok   2026-01-31 13:01:00Z, round 1
      paused    until 2100-01-01 00:00:00Z: the host asked to be left alone

    What to try
      - api.example.com asked to be left alone for a while; gatherd asks again by
        itself afterwards.
      - Ask less often: a longer `every`, a lower `rate`, or `max_per_host = 1`
        where many endpoints share the host.
      - A limit counts a token or an address: does something else use the same one?
    "#);
}
