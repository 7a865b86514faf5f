//! What holds for any cadence, moment, clock and reload.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gatherd::clock::{Clock, ManualClock};
use gatherd::model::{Cause, JobName, RoundStatus, Timestamp};
use gatherd::schedule::{Action, Cadence, Entry, Timetable};
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

/// `count` dues from `first` on.
fn dues_from(cadence: &Cadence, first: Timestamp, count: u64) -> impl Iterator<Item = Timestamp> {
    let all = std::iter::successors(Some(first), |&due| cadence.next_after(due));
    all.take(usize::try_from(count).expect("few"))
}

/// What happens to a timetable: of which kind, and how large.
type Step = (u8, u64);

fn tells_each_due_once(cadence: &Cadence, start: Timestamp, steps: &[Step]) -> Result<(), TestCaseError> {
    let clock = ManualClock::at(start);
    let (mut table, _) = Timetable::start(vec![entry("job", cadence.clone())], clock.now(), |_| None);
    let mut seen = HashSet::new();
    for &(kind, size) in steps {
        let mut actions = Vec::new();
        match kind {
            0 | 1 => clock.advance(Duration::from_secs(size)),
            2 => clock.jump(Duration::from_secs(size * 30)),
            3 => clock.step_back(Duration::from_secs(size * 10)),
            4 => clock.advance(Duration::from_millis(size)),
            _ => actions.extend(table.closed(0, clock.now())),
        }
        actions.extend(table.tick(clock.now()));
        for action in actions {
            match action {
                Action::Start { due, .. } => prop_assert!(seen.insert(due), "{} twice", due),
                Action::Ledger { dues, status, cause, .. } => {
                    let (skipped, missed) =
                        ((RoundStatus::Skipped, Cause::Overlap), (RoundStatus::Missed, Cause::Asleep));
                    prop_assert!([skipped, missed].contains(&(status, cause)));
                    for due in dues_from(cadence, dues.first, dues.count).take(2_000) {
                        prop_assert!(seen.insert(due), "{} twice", due);
                    }
                }
            }
        }
    }
    Ok(())
}

/// The dues that a timetable told of jobs that stay.
struct Told {
    cadences: HashMap<JobName, Cadence>,
    dues: HashMap<JobName, Vec<Timestamp>>,
}

impl Told {
    /// Notes `actions`, which speak of `jobs` by their positions.
    fn note(&mut self, jobs: &[JobName], actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            let (job, first, count) = match action {
                Action::Start { job, due, .. } => (job, due, 1),
                Action::Ledger { job, dues, .. } => (job, dues.first, dues.count),
            };
            if let Some(cadence) = self.cadences.get(&jobs[job]) {
                self.dues.entry(jobs[job].clone()).or_default().extend(dues_from(cadence, first, count));
            }
        }
    }
}

fn jobs(table: &Timetable) -> Vec<JobName> {
    table.next_dues().map(|(job, _)| job.clone()).collect()
}

fn close_all(table: &mut Timetable, told: &mut Told, clock: &ManualClock) {
    for job in 0..table.phases().count() {
        let action = table.closed(job, clock.now());
        told.note(&jobs(table), action);
    }
}

/// Which further jobs a reload has, and whether in the other order.
type Reload = (Vec<bool>, bool);

fn reloads_keep_dues(cadences: &[Cadence], start: Timestamp, steps: &[(Step, Reload)]) -> Result<(), TestCaseError> {
    let clock = ManualClock::at(start);
    let named = cadences.iter().zip(["a", "b", "c"]);
    let stays: Vec<Entry> = named.map(|(cadence, name)| entry(name, cadence.clone())).collect();
    let cadences = stays.iter().map(|entry| (entry.job.clone(), entry.cadence.clone())).collect();
    let mut told = Told { cadences, dues: HashMap::new() };
    let (mut table, _) = Timetable::start(stays.clone(), clock.now(), |_| None);
    for ((kind, size), (guests, turned)) in steps {
        match kind {
            0 => clock.advance(Duration::from_secs(*size)),
            1 => clock.advance(Duration::from_millis(*size)),
            2 => close_all(&mut table, &mut told, &clock),
            _ => {
                let mut entries = stays.clone();
                let visitors = ["x", "y", "z"].iter().zip(guests).filter(|(_, is_there)| **is_there);
                entries.extend(visitors.map(|(name, _)| entry(name, Cadence::every(Duration::from_secs(*size)))));
                if *turned {
                    entries.reverse();
                }
                // Its actions speak of the positions before.
                let before = jobs(&table);
                told.note(&before, table.reload(entries, clock.now()));
                prop_assert!(table.next_dues().all(|(_, next)| next.is_none_or(|due| due > clock.now().wall)));
                continue;
            }
        }
        let actions = table.tick(clock.now());
        told.note(&jobs(&table), actions);
    }
    close_all(&mut table, &mut told, &clock);
    let next_dues: HashMap<&JobName, Option<Timestamp>> = table.next_dues().collect();
    for entry in &stays {
        let next = next_dues[&entry.job];
        let all = std::iter::successors(entry.cadence.next_after(start), |&due| entry.cadence.next_after(due));
        let expected: Vec<Timestamp> = all.take_while(|&due| next.is_none_or(|next| due < next)).collect();
        let mut answered = told.dues.remove(&entry.job).unwrap_or_default();
        answered.sort_unstable();
        prop_assert_eq!(answered, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dues_strictly_increase_and_asking_between_two_of_them_finds_the_second(
        cadence in any_cadence(),
        start in any_moment(),
    ) {
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
    fn dues_between_counts_what_next_after_walks(
        cadence in any_cadence(),
        start in any_moment(),
        hours in 0_u64..1_000,
    ) {
        let until = start.plus(HOUR * u32::try_from(hours).expect("few"));
        let walked: Vec<_> = std::iter::successors(cadence.next_after(start), |&due| cadence.next_after(due))
            .take_while(|&due| due <= until)
            .take(20_000)
            .collect();
        prop_assume!(walked.len() < 20_000);
        let counted = cadence.dues_between(start, until).map(|dues| (dues.first, dues.last, dues.count));
        prop_assert_eq!(counted, walked.first().map(|&first| (first, walked[walked.len() - 1], walked.len() as u64)));
    }

    #[test]
    fn no_due_ever_starts_or_is_told_twice_whatever_the_clock_does(
        cadence in any_cadence(),
        start in any_moment(),
        steps in prop::collection::vec((0_u8..6, 1_u64..400), 1..60),
    ) {
        tells_each_due_once(&cadence, start, &steps)?;
    }

    #[test]
    fn reloads_lose_and_double_no_due_of_jobs_that_do_not_change(
        cadences in prop::collection::vec(any_cadence(), 2..4),
        start in any_moment(),
        steps in prop::collection::vec(
            ((0_u8..4, 1_u64..400), (prop::collection::vec(any::<bool>(), 3), any::<bool>())),
            1..60,
        ),
    ) {
        reloads_keep_dues(&cadences, start, &steps)?;
    }
}
