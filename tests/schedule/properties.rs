//! What holds for any cadence, moment, clock and reload.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gatherd::clock::{Clock, ManualClock};
use gatherd::model::{Cause, JobName, RoundStatus, Timestamp};
use gatherd::schedule::{Action, Cadence, Dues, Entry, Timetable};
use proptest::prelude::*;

use crate::{HOUR, at, cron, entry};

fn any_cadence() -> impl Strategy<Value = Cadence> {
    let patterns = [
        "* * * * *",
        "*/5 * * * *",
        "30 * * * *",
        "30 2 * * *",
        "0 0 * * *",
        "15,45 1-3 * * *",
        "0 */2 * * *",
        "*/20 30 2 * * *",
        "0 3 29 2 *",
        "0 12 13 * FRI",
        "59 59 23 31 12 *",
        "0 0 L * *",
    ];
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Beirut",
        "Asia/Kolkata",
    ];
    let every = (100_u64..10_000_000).prop_map(|millis| Cadence::every(Duration::from_millis(millis)));
    let cron = (proptest::sample::select(patterns.to_vec()), proptest::sample::select(zones.to_vec()))
        .prop_map(|(pattern, zone)| cron(pattern, zone));
    let shift = (0_u64..7_200_000).prop_map(Duration::from_millis);
    (prop_oneof![every, cron], shift).prop_map(|(cadence, shift)| cadence.shifted(shift))
}

/// 2010 to 2040, often near a change of Berlin's offset.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    let anywhere = 1_262_304_000_000_000_i64..2_208_988_800_000_000;
    let near =
        |change: &'static str| (-7_200_000_000_i64..7_200_000_000).prop_map(move |by| at(change).as_micros() + by);
    prop_oneof![anywhere, near("2026-03-29T01:00:00Z"), near("2026-10-25T01:00:00Z"), near("2011-12-30T10:00:00Z")]
        .prop_map(Timestamp::from_micros)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dues_strictly_increase_and_asking_between_two_of_them_finds_the_second(cadence in any_cadence(), start in any_moment()) {
        let mut last = start;
        for _ in 0..20 {
            let due = cadence.next_after(last).expect("another due");
            prop_assert!(due > last);
            let between = Timestamp::from_micros(last.as_micros() + (due.as_micros() - last.as_micros()) / 2);
            prop_assert_eq!(cadence.next_after(between), Some(due));
            last = due;
        }
    }

    #[test]
    fn dues_between_counts_what_next_after_walks(cadence in any_cadence(), start in any_moment(), hours in 0_u64..1_000) {
        let until = start.plus(HOUR * u32::try_from(hours).expect("few"));
        let walked: Vec<_> = std::iter::successors(cadence.next_after(start), |&due| cadence.next_after(due))
            .take_while(|&due| due <= until).take(20_000).collect();
        prop_assume!(walked.len() < 20_000);
        let counted = cadence.dues_between(start, until);
        prop_assert_eq!(counted.map(|dues| (dues.first, dues.last, dues.count)),
            walked.first().map(|&first| (first, walked[walked.len() - 1], walked.len() as u64)));
    }

    #[test]
    fn no_due_ever_starts_or_is_told_twice_whatever_the_clock_does(
        cadence in any_cadence(),
        start in any_moment(),
        steps in prop::collection::vec((0_u8..6, 1_u64..400), 1..60),
    ) {
        let clock = ManualClock::at(start);
        let (mut table, _) = Timetable::start(vec![entry("job", cadence.clone())], clock.now(), |_| None);
        let mut seen = HashSet::new();
        for (kind, size) in steps {
            match kind {
                0 | 1 => clock.advance(Duration::from_secs(size)),
                2 => clock.jump(Duration::from_secs(size * 30)),
                3 => clock.step_back(Duration::from_secs(size * 10)),
                4 => clock.advance(Duration::from_millis(size)),
                _ => match table.closed(0, clock.now()) {
                    Some(Action::Start { due, .. } | Action::Ledger { dues: Dues { first: due, .. }, .. }) => {
                        prop_assert!(seen.insert(due), "{} twice", due);
                    }
                    None => {}
                },
            }
            for action in table.tick(clock.now()) {
                match action {
                    Action::Start { due, .. } => prop_assert!(seen.insert(due), "{} twice", due),
                    Action::Ledger { dues, status, cause, .. } => {
                        prop_assert!(matches!((status, cause), (RoundStatus::Skipped, Cause::Overlap) | (RoundStatus::Missed, Cause::Asleep)));
                        let all = std::iter::successors(Some(dues.first), |&due| cadence.next_after(due)).take(usize::try_from(dues.count).expect("few"));
                        for due in all.take(2_000) {
                            prop_assert!(seen.insert(due), "{} twice", due);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn reloads_lose_and_double_no_due_of_jobs_that_do_not_change(
        cadences in prop::collection::vec(any_cadence(), 2..4),
        start in any_moment(),
        steps in prop::collection::vec((0_u8..4, 1_u64..400, prop::collection::vec(any::<bool>(), 3), any::<bool>()), 1..60),
    ) {
        let clock = ManualClock::at(start);
        // Two that stay, and some that come and go.
        let stays: Vec<Entry> = cadences.iter().zip(["a", "b", "c"]).map(|(cadence, name)| entry(name, cadence.clone())).collect();
        let (mut table, _) = Timetable::start(stays.clone(), clock.now(), |_| None);
        let mut told: HashMap<JobName, Vec<Timestamp>> = HashMap::new();
        for (kind, size, guests, turned) in steps {
            let mut note = |table: &Timetable, actions: &[Action], cadence_of: &HashMap<JobName, Cadence>| {
                for action in actions {
                    let (job, first, count) = match action {
                        Action::Start { job, due, .. } => (job, *due, 1),
                        Action::Ledger { job, dues, .. } => (job, dues.first, dues.count),
                    };
                    let job = table.next_dues().nth(*job).expect("a job").0.clone();
                    let Some(cadence) = cadence_of.get(&job) else { continue };
                    let all = std::iter::successors(Some(first), |&due| cadence.next_after(due));
                    told.entry(job).or_default().extend(all.take(usize::try_from(count).expect("few")));
                }
            };
            let cadence_of = stays.iter().map(|entry| (entry.job.clone(), entry.cadence.clone())).collect();
            match kind {
                0 => clock.advance(Duration::from_secs(size)),
                1 => clock.advance(Duration::from_millis(size)),
                2 => for job in 0..table.phases().count() {
                    let action = table.closed(job, clock.now());
                    note(&table, action.as_slice(), &cadence_of);
                },
                _ => {
                    let mut entries = stays.clone();
                    let names = ["x", "y", "z"].iter().zip(&guests).filter(|(_, is_there)| **is_there);
                    entries.extend(names.map(|(name, _)| entry(name, Cadence::every(Duration::from_secs(size)))));
                    if turned {
                        entries.reverse();
                    }
                    // Its actions speak of the positions before.
                    let before: Vec<JobName> = table.next_dues().map(|(job, _)| job.clone()).collect();
                    let actions = table.reload(entries, clock.now());
                    let (old, _) = Timetable::start(before.iter().map(|job| entry(job.as_str(), Cadence::every(HOUR))).collect(), clock.now(), |_| None);
                    note(&old, &actions, &cadence_of);
                    for (_, next) in table.next_dues() {
                        prop_assert!(next.is_none_or(|due| due > clock.now().wall));
                    }
                    continue;
                }
            }
            let actions = table.tick(clock.now());
            note(&table, &actions, &cadence_of);
        }
        for job in 0..table.phases().count() {
            let due = match table.closed(job, clock.now()) {
                Some(Action::Start { due, .. }) => due,
                Some(Action::Ledger { dues, .. }) => dues.first,
                None => continue,
            };
            told.entry(table.next_dues().nth(job).expect("a job").0.clone()).or_default().push(due);
        }
        let last_tick = table.next_dues().map(|(job, next)| (job.clone(), next)).collect::<HashMap<_, _>>();
        for entry in &stays {
            let next = last_tick[&entry.job];
            let expected: Vec<Timestamp> = std::iter::successors(entry.cadence.next_after(start), |&due| entry.cadence.next_after(due))
                .take_while(|&due| next.is_none_or(|next| due < next)).collect();
            let mut answered = told.remove(&entry.job).unwrap_or_default();
            answered.sort_unstable();
            prop_assert_eq!(answered, expected);
        }
    }
}
