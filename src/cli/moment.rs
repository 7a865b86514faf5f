//! A moment as people write it.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::exit::usage;
use crate::config::parse_duration;
use crate::model::Timestamp;
use crate::store::history::Zone;

/// The moment that the value of an argument means; `zone` says how a time without one is read.
pub fn moment(argument: &str, text: &str, zone: Zone) -> anyhow::Result<Timestamp> {
    parse(text, zone, Utc::now()).map_err(|problem| usage(format!("{argument}: {problem}")))
}

/// The moment that `text` means: RFC 3339, a time in `zone` such as `2026-01-31 14:00`, a date, which is its first moment
/// there, as are `today` and `yesterday`, a time such as `14:00`, which is when the clock last showed it, or an age such as
/// `2h`. Of a time that the clock shows twice, it is the later one.
fn parse(text: &str, zone: Zone, now: DateTime<Utc>) -> Result<Timestamp, String> {
    let text = text.trim();
    // As the tables show it, too, with a space before the time.
    if let Ok(moment) = text.parse::<DateTime<FixedOffset>>() {
        return Ok(moment.to_utc().into());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return zone.begin_of(day).ok_or_else(|| format!("{text} is not in the calendar here"));
    }
    if let Some(calendar) = calendar(text) {
        let gap = || format!("{text} is not on the clock here: it was set forward over it");
        return zone.moments(calendar).latest().ok_or_else(gap);
    }
    if let Some(moment) = lately(text, zone, now.into()) {
        return Ok(moment);
    }
    let age: Option<Duration> = parse_duration(text.trim_end_matches("ago"));
    let ago = |age| Timestamp::from(now).minus(age);
    age.map(ago).ok_or_else(|| {
        "write it like 2026-01-31, \"2026-01-31 14:00\", 2026-01-31T14:00:00Z, 14:00, today, yesterday, or 2h for two \
         hours ago"
            .to_owned()
    })
}

/// What is said of today and yesterday.
fn lately(text: &str, zone: Zone, now: Timestamp) -> Option<Timestamp> {
    let today = zone.calendar(now)?.date();
    let yesterday = today.pred_opt()?;
    match text {
        "today" => return zone.begin_of(today),
        "yesterday" => return zone.begin_of(yesterday),
        _ => {}
    }
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    let shown = [today, yesterday].map(|day| zone.moments(day.and_time(time)));
    shown.into_iter().flat_map(|shown| [shown.latest(), shown.earliest()]).flatten().find(|moment| *moment <= now)
}

fn calendar(text: &str) -> Option<NaiveDateTime> {
    const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];
    FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_with_its_zone_a_calendar_time_or_an_age() {
        let now = "2026-01-31T14:00:00Z".parse().expect("a moment");
        let parsed = |text| parse(text, Zone::Utc, now).map(|moment| moment.to_string());
        for same in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31 13:00:00+01:00",
            "2026-01-31 12:00:00Z",
            "2026-01-31 12:00",
            "2026-01-31T12:00",
            "2026-01-31 12:00:00.000",
            "2h",
            "2h ago",
            "1h 60m",
        ] {
            assert_eq!(parsed(same).as_deref(), Ok("2026-01-31T12:00:00.000Z"), "{same}");
        }
        assert_eq!(parsed("2026-01-30").as_deref(), Ok("2026-01-30T00:00:00.000Z"));
        for (text, moment) in [
            ("today", "2026-01-31T00:00:00.000Z"),
            ("yesterday", "2026-01-30T00:00:00.000Z"),
            ("13:59", "2026-01-31T13:59:00.000Z"),
            ("14:00:00", "2026-01-31T14:00:00.000Z"),
            ("14:01", "2026-01-30T14:01:00.000Z"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(moment), "{text}");
        }
        for wrong in ["", "2026-02-30", "2026-01", "tomorrow", "25:00", "2026-13-01 00:00", "2", "-2h"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_date_begins_with_its_first_moment_however_the_clock_is_set_at_midnight() {
        let now = "2026-11-01T14:00:00Z".parse().expect("a moment");
        let parsed = |zone, text| parse(text, Zone::Named(zone), now).map(|moment| moment.to_string());
        let (forward, back) =
            ("America/Sao_Paulo".parse().expect("a zone"), "Atlantic/Azores".parse().expect("a zone"));
        assert_eq!(parsed(forward, "2018-11-04").as_deref(), Ok("2018-11-04T03:00:00.000Z"), "there was no midnight");
        assert!(parsed(forward, "2018-11-04 00:30").is_err_and(|problem| problem.contains("not on the clock")));
        assert_eq!(parsed(back, "2026-10-25").as_deref(), Ok("2026-10-25T00:00:00.000Z"), "it came twice");
        let just_before = "2026-10-25T01:10:00Z".parse().expect("a moment");
        let last = parse("00:30", Zone::Named(back), just_before).map(|moment| moment.to_string());
        assert_eq!(last.as_deref(), Ok("2026-10-25T00:30:00.000Z"), "the later one is still to come");
        assert_eq!(parsed(back, "2026-10-25 00:30").as_deref(), Ok("2026-10-25T01:30:00.000Z"), "the later one");
    }
}
