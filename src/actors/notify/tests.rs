use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::health::{Degraded, State};
use super::incidents::{GATHER, Incidents, Rule, Watched};
use super::notice::{News, Notice, Place};
use crate::clock::{Clock, ManualClock};
use crate::model::{
    ClosedRound, EndpointLabel, IncidentMemory, JobName, Layout, Outcome, RoundBegin, RoundId, RoundStatus, Slot,
    Timestamp,
};

/// Four endpoints of two hosts, a round a minute.
const HOSTS: [&str; 4] = ["a:443", "a:443", "b:443", "b:443"];
const MINUTE: Duration = Duration::from_mins(1);

struct Bench {
    clock: ManualClock,
    rule: Rule,
    memory: IncidentMemory,
    incidents: Incidents,
}

fn name(position: usize) -> String {
    format!("e{position}")
}

fn watched(hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Watched {
    let job = JobName::new("job");
    let endpoints = hosts.into_iter().enumerate().map(|(position, host)| {
        let (endpoint, url): (Arc<str>, _) = (name(position).into(), String::new());
        let place =
            Place { job: job.clone(), position, endpoint: Arc::clone(&endpoint), url, host: host.as_ref().into() };
        (endpoint, Arc::new(place))
    });
    HashMap::from([(job.clone(), endpoints.collect())])
}

impl Bench {
    fn new(after: u32, pause: Duration) -> Self {
        let rule = Rule { after, pause };
        let incidents = Incidents::new("ops", rule, watched(HOSTS), &IncidentMemory::default());
        let clock = ManualClock::at(Timestamp::from_micros(1_767_225_600_000_000));
        Self { clock, rule, memory: IncidentMemory::default(), incidents }
    }

    /// A round whose slots ended so, and what is told in the minute after it.
    fn round(&mut self, outcomes: &[Outcome]) -> Vec<String> {
        self.round_of(outcomes, RoundStatus::Complete);
        self.wait(MINUTE)
    }

    fn round_of(&mut self, outcomes: &[Outcome], status: RoundStatus) {
        let due = self.clock.now().wall;
        let label = |position| EndpointLabel { name: name(position), url: "https://a/".to_owned() };
        let layout = Layout { job: JobName::new("job"), endpoints: (0..outcomes.len()).map(label).collect() };
        let begin = RoundBegin { id: RoundId(1), due, started: due, layout: layout.into() };
        let slots = outcomes.iter().map(|&outcome| Slot::untried(outcome, "", due)).collect();
        self.incidents.observe(&ClosedRound { begin, finished: due, status, cause: None, slots });
    }

    fn wait(&mut self, span: Duration) -> Vec<String> {
        self.wait_as(span, State::Well)
    }

    fn wait_as(&mut self, span: Duration, state: State<'_>) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..span.as_secs() {
            self.clock.advance(Duration::from_secs(1));
            let notices = self.incidents.notices(state, self.clock.now());
            told.extend(notices.iter().map(shown));
            self.memory.merge(self.incidents.take_changes());
        }
        told
    }

    /// All but what was remembered is lost.
    fn restart(&mut self, endpoints: usize) {
        self.memory.merge(self.incidents.take_changes());
        self.incidents = Incidents::new("ops", self.rule, watched(&HOSTS[..endpoints]), &self.memory);
        self.memory.merge(self.incidents.take_changes());
    }

    fn is_forgotten(&self) -> bool {
        self.memory.incidents.values().all(Option::is_none)
    }
}

fn shown(notice: &Notice) -> String {
    match &notice.news {
        News::Failing(list) => {
            let list: Vec<String> = list.iter().map(|it| format!("{}×{}", it.place.endpoint, it.rounds)).collect();
            format!("failing {}", list.join(" "))
        }
        News::Recovered(list) => {
            let list = list.iter().map(|it| format!("{} {}s", it.place.endpoint, it.until.since(it.since).as_secs()));
            format!("recovered {}", list.collect::<Vec<_>>().join(" "))
        }
        News::Degraded(_) => "degraded".to_owned(),
        News::Well { .. } => "well".to_owned(),
        News::Test => "test".to_owned(),
    }
}

use Outcome::{Cancelled, Ok as Fine, Timeout};

#[test]
fn the_failures_of_one_host_are_one_message_after_so_many_rounds_and_so_are_the_recoveries() {
    let mut bench = Bench::new(3, MINUTE * 60);
    let bad = [Timeout, Timeout, Fine, Fine];
    assert_eq!(bench.round(&bad), [""; 0]);
    assert_eq!(bench.round(&bad), [""; 0]);
    assert_eq!(bench.round(&bad), ["failing e0×3 e1×3"]);
    assert_eq!(bench.round(&bad), [""; 0], "once");
    assert_eq!(bench.round(&[Fine; 4]), ["recovered e0 240s e1 240s"]);
    assert!(bench.is_forgotten());
}

#[test]
fn one_good_round_begins_the_count_anew_and_what_was_cancelled_or_interrupted_does_not_count() {
    let mut bench = Bench::new(2, MINUTE);
    for outcomes in [[Timeout, Fine, Fine, Fine], [Fine; 4], [Timeout, Fine, Fine, Fine], [Cancelled; 4]] {
        assert_eq!(bench.round(&outcomes), [""; 0]);
    }
    bench.round_of(&[Timeout; 4], RoundStatus::Interrupted);
    assert_eq!(bench.wait(MINUTE), [""; 0]);
    assert_eq!(bench.round(&[Timeout, Fine, Fine, Fine]), ["failing e0×2"]);
    assert_eq!(bench.round(&[Cancelled; 4]), [""; 0], "no recovery either");
}

#[test]
fn a_host_that_fails_again_within_the_pause_is_told_when_it_is_over_and_recoveries_at_once() {
    let mut bench = Bench::new(1, MINUTE * 10);
    let (first, second) = ([Timeout, Fine, Fine, Fine], [Fine, Timeout, Fine, Fine]);
    assert_eq!(bench.round(&first), ["failing e0×1"]);
    assert_eq!(bench.round(&second), ["recovered e0 60s"]);
    for _ in 2..10 {
        assert_eq!(bench.round(&second), [""; 0]);
    }
    assert_eq!(bench.round(&second), ["failing e1×10"]);
    assert_eq!(bench.round(&[Fine; 4]), ["recovered e1 600s"]);
}

#[test]
fn a_clock_that_is_set_back_does_not_lengthen_the_pause_beyond_itself() {
    let mut bench = Bench::new(1, MINUTE * 2);
    assert_eq!(bench.round(&[Timeout, Fine, Fine, Fine]), ["failing e0×1"]);
    assert_eq!(bench.round(&[Fine; 4]).len(), 1);
    bench.clock.step_back(MINUTE * 60 * 24);
    assert_eq!(bench.round(&[Timeout, Fine, Fine, Fine]), ["failing e0×1"]);
}

#[test]
fn news_of_many_hosts_are_one_message() {
    let watched = watched((0..20).map(|number| format!("h{number}:443")));
    let mut bench = Bench::new(1, MINUTE);
    bench.incidents = Incidents::new("ops", bench.rule, watched, &IncidentMemory::default());
    let told = bench.round(&[Timeout; 20]);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("e0×1") && told[0].contains("e19×1"), "{told:?}");
    assert_eq!(bench.round(&[Fine; 20]).len(), 1);
}

#[test]
fn a_restart_neither_repeats_a_message_nor_forgets_a_count_a_recovery_or_the_pause() {
    let mut bench = Bench::new(2, MINUTE * 30);
    let bad = [Timeout, Fine, Fine, Fine];
    assert_eq!(bench.round(&bad), [""; 0]);
    bench.restart(4);
    assert_eq!(bench.round(&bad), ["failing e0×2"]);
    bench.restart(4);
    assert_eq!(bench.round(&bad), [""; 0]);
    // The recovery was seen, and the daemon ended before it was told.
    bench.round_of(&[Fine; 4], RoundStatus::Complete);
    bench.restart(4);
    assert_eq!(bench.wait(MINUTE), [""; 0]);
    assert_eq!(bench.round(&[Fine; 4]), ["recovered e0 240s"]);
    bench.restart(4);
    assert_eq!(bench.round(&bad), [""; 0]);
    assert_eq!(bench.round(&bad), [""; 0], "the pause goes on");
}

#[test]
fn an_endpoint_that_is_no_longer_there_is_forgotten_without_a_word() {
    let mut bench = Bench::new(1, MINUTE);
    assert_eq!(bench.round(&[Fine, Fine, Fine, Timeout]), ["failing e3×1"]);
    bench.restart(3);
    assert!(bench.is_forgotten());
    assert_eq!(bench.round(&[Fine; 4]), [""; 0]);
}

#[test]
fn a_reload_keeps_what_is_known_by_another_rule_and_forgets_what_is_gone_without_a_word() {
    let mut bench = Bench::new(2, MINUTE * 30);
    assert_eq!(bench.round(&[Timeout, Timeout, Fine, Timeout]), [""; 0]);
    assert_eq!(bench.round(&[Timeout, Timeout, Timeout, Timeout]), ["failing e0×2 e1×2", "failing e3×2"]);
    // The recovery was seen and not told yet.
    bench.round_of(&[Fine, Timeout, Timeout, Timeout], RoundStatus::Complete);
    bench.incidents.change(Rule { after: 3, pause: Duration::ZERO }, watched(&HOSTS[..3]));
    assert_eq!(bench.wait(MINUTE), ["recovered e0 120s"]);
    assert_eq!(bench.round(&[Fine, Timeout, Timeout]), ["failing e2×3"], "the pause is another");
    assert_eq!(bench.round(&[Fine; 3]), ["recovered e1 240s", "recovered e2 180s"]);
    assert!(bench.is_forgotten());
    bench.memory.merge(bench.incidents.forget());
    assert!(bench.memory.told.values().all(Option::is_none), "nobody is told any more");
}

#[test]
fn trouble_of_the_daemon_is_told_once_and_so_is_its_end_also_after_a_restart() {
    let mut bench = Bench::new(1, MINUTE * 10);
    let trouble = Degraded { since: Timestamp::default(), waiting: 3, dropped: 0, panics: 0 };
    assert_eq!(bench.wait_as(MINUTE, State::Degraded(&trouble)), ["degraded"]);
    bench.restart(4);
    assert_eq!(bench.wait_as(MINUTE, State::Unknown), [""; 0]);
    assert_eq!(bench.wait_as(MINUTE, State::Degraded(&trouble)), [""; 0]);
    assert_eq!(bench.wait(MINUTE), ["well"]);
    assert_eq!(bench.wait_as(MINUTE, State::Degraded(&trouble)), [""; 0], "within the pause");
    assert_eq!(bench.wait_as(MINUTE * 6, State::Degraded(&trouble)), ["degraded"]);
}

/// What a naive reader of the rounds finds: how many rounds each endpoint failed in a row.
#[derive(Default)]
struct Naive {
    streak: HashMap<usize, u32>,
    told: HashSet<usize>,
    last: HashMap<&'static str, Timestamp>,
}

proptest! {
    #[test]
    fn no_host_fails_twice_within_the_pause_and_each_told_failure_has_one_recovery(
        rounds in prop::collection::vec((prop::array::uniform4(0..3_u8), 0..8_u8), 1..60),
        after in 1..4_u32,
        pause in 0..6_u32,
    ) {
        let mut bench = Bench::new(after, MINUTE * pause);
        let mut naive = Naive::default();
        for (outcomes, restart) in rounds.into_iter().chain(std::iter::repeat_n(([0; 4], 1), 2)) {
            if restart == 0 {
                bench.restart(4);
            }
            let outcomes = outcomes.map(|outcome| [Fine, Timeout, Cancelled][usize::from(outcome)]);
            for (position, outcome) in outcomes.iter().enumerate() {
                let streak = naive.streak.entry(position).or_default();
                *streak = match outcome { Fine => 0, Cancelled => *streak, _ => *streak + 1 };
            }
            bench.round_of(&outcomes, RoundStatus::Complete);
            for _ in 0..60 {
                bench.clock.advance(Duration::from_secs(1));
                let now = bench.clock.now();
                for notice in bench.incidents.notices(State::Well, now) {
                    match notice.news {
                        News::Failing(list) => {
                            let host = HOSTS[list[0].place.position];
                            prop_assert!(list.iter().all(|it| *it.place.host == *host));
                            let before = naive.last.insert(host, now.wall);
                            prop_assert!(before.is_none_or(|before| now.wall.since(before) >= MINUTE * pause));
                            for it in list {
                                prop_assert!(naive.streak[&it.place.position] >= after);
                                prop_assert!(naive.told.insert(it.place.position), "told twice");
                            }
                        }
                        News::Recovered(list) => for it in list {
                            prop_assert_eq!(naive.streak[&it.place.position], 0);
                            prop_assert!(naive.told.remove(&it.place.position), "never told as failing");
                        },
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                bench.memory.merge(bench.incidents.take_changes());
            }
            for (&position, &streak) in &naive.streak {
                let blocked = naive.last.get(HOSTS[position]).is_some_and(|last| {
                    bench.clock.now().wall.since(*last) < MINUTE * pause + GATHER * 2
                });
                prop_assert!(streak < after || naive.told.contains(&position) || blocked || outcomes[position] == Cancelled);
            }
        }
        prop_assert!(naive.told.is_empty(), "all work in the end, and all is told: {:?}", naive.told);
        prop_assert!(bench.is_forgotten());
    }
}
