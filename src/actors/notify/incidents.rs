//! Who fails, since when, and what one `[[notify]]` is to be told about it now. Pure: rounds and moments in, notices out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::health::{Degraded, State};
use super::notice::{Failing, News, Notice, Place, Recovered};
use crate::clock::Moment;
use crate::model::{
    ClosedRound, Incident, IncidentKey, IncidentMemory, JobName, Outcome, RoundStatus, Slot, Timestamp, Told, ToldKey,
};

/// So long after the first news of a host, what else there is of it goes into the same message.
pub const GATHER: Duration = Duration::from_secs(2);

/// News of more hosts than this at the same time are one message: it is probably our own network.
const MOST_MESSAGES: usize = 5;

/// When something is told.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// So many rounds have to fail in a row, at least 1.
    pub after: u32,
    /// The least time between two messages that endpoints of one host fail, or that the daemon is in trouble. The end
    /// of what was told is told at once.
    pub pause: Duration,
}

/// The endpoints that are watched, by job and name.
pub type Watched = HashMap<JobName, HashMap<Arc<str>, Arc<Place>>>;

/// What one `[[notify]]` knows.
#[derive(Debug)]
pub struct Incidents {
    target: Arc<str>,
    rule: Rule,
    watched: Watched,
    /// The endpoints that fail, or did and whose recovery is not told yet.
    open: HashMap<JobName, HashMap<Arc<str>, Live>>,
    /// When each host's failures were told last.
    hosts: HashMap<Arc<str>, Timestamp>,
    /// Until when (monotonic) news of a host are gathered.
    gathering: HashMap<Arc<str>, Duration>,
    /// The daemon's own trouble, when it was told last.
    daemon: Option<Told>,
    changes: IncidentMemory,
}

#[derive(Debug)]
struct Live {
    incident: Incident,
    place: Arc<Place>,
    /// How the last round ended; nothing until one was seen in this run.
    last: Option<(Outcome, Option<u16>, String)>,
    /// The due of the round in which it recovered.
    recovered: Option<Timestamp>,
}

impl Incidents {
    /// Goes on from what is `remembered`; what is not watched any more is forgotten without a word.
    #[must_use]
    pub fn new(target: &str, rule: Rule, watched: Watched, remembered: &IncidentMemory) -> Self {
        let mut incidents = Self {
            target: target.into(),
            rule,
            watched,
            open: HashMap::new(),
            hosts: HashMap::new(),
            gathering: HashMap::new(),
            daemon: None,
            changes: IncidentMemory::default(),
        };
        for (key, incident) in remembered.incidents.iter().filter(|(key, _)| *key.target == *target) {
            match (incidents.place(&key.job, &key.endpoint), incident) {
                (Some(place), Some(incident)) => {
                    let live = Live { incident: *incident, place, last: None, recovered: None };
                    incidents.open.entry(key.job.clone()).or_default().insert(Arc::clone(&key.endpoint), live);
                }
                _ => drop(incidents.changes.incidents.insert(key.clone(), None)),
            }
        }
        let hosts = incidents.watched_hosts();
        for (key, told) in remembered.told.iter().filter(|(key, _)| *key.target == *target) {
            match told {
                told if key.subject.is_empty() => incidents.daemon = *told,
                Some(told) if hosts.contains(&key.subject) => {
                    incidents.hosts.insert(Arc::clone(&key.subject), told.at);
                }
                _ => drop(incidents.changes.told.insert(key.clone(), None)),
            }
        }
        incidents
    }

    /// The name of the one that is told.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Goes on by another rule and with other endpoints; what is not watched any more is forgotten without a word.
    pub fn change(&mut self, rule: Rule, watched: Watched) {
        (self.rule, self.watched) = (rule, watched);
        for (job, of_job) in &mut self.open {
            let watched = self.watched.get(job);
            of_job.retain(|endpoint, live| {
                if let Some(place) = watched.and_then(|of_job| of_job.get(endpoint)) {
                    live.place = Arc::clone(place);
                    return true;
                }
                self.changes.incidents.insert(live.place.key(&self.target), None);
                false
            });
        }
        let watched = self.watched_hosts();
        for (host, _) in self.hosts.extract_if(|host, _| !watched.contains(host)) {
            self.changes.told.insert(ToldKey { target: Arc::clone(&self.target), subject: host }, None);
        }
    }

    /// What is to be remembered when this one is not told any more: nothing.
    #[must_use]
    pub fn forget(mut self) -> IncidentMemory {
        self.change(self.rule, Watched::new());
        if self.daemon.is_some() {
            self.changes.told.insert(ToldKey { target: self.target, subject: "".into() }, None);
        }
        self.changes
    }

    /// Takes note of a stored round. One that is not complete says nothing, and neither does a slot that was cancelled.
    pub fn observe(&mut self, round: &ClosedRound) {
        let layout = &round.begin.layout;
        if round.status != RoundStatus::Complete || !self.watched.contains_key(&layout.job) {
            return;
        }
        for (endpoint, slot) in layout.endpoints.iter().zip(&round.slots) {
            match slot.outcome {
                Outcome::Cancelled => {}
                Outcome::Ok => self.succeeded(&layout.job, &endpoint.name, round.begin.due),
                _ => {
                    if let Some(place) = self.place(&layout.job, &endpoint.name) {
                        self.failed(place, slot, round.begin.due);
                    }
                }
            }
        }
    }

    fn failed(&mut self, place: Arc<Place>, slot: &Slot, due: Timestamp) {
        let of_job = self.open.entry(place.job.clone()).or_default();
        let began = Incident { rounds: 0, since: due, told: false };
        let live = of_job.entry(Arc::clone(&place.endpoint)).or_insert_with(|| Live {
            incident: began,
            place,
            last: None,
            recovered: None,
        });
        let detail = slot.detail.as_ref().map(ToString::to_string).unwrap_or_default();
        live.last = Some((slot.outcome, slot.http_status, detail));
        // It failed again before its recovery was told: nobody has to know.
        live.recovered = None;
        if !live.incident.told {
            live.incident.rounds = live.incident.rounds.saturating_add(1);
            // Beyond that the number is of no use, and not worth a write in each round.
            if live.incident.rounds <= self.rule.after {
                let key = live.place.key(&self.target);
                self.changes.incidents.insert(key, Some(live.incident));
            }
        }
    }

    fn succeeded(&mut self, job: &JobName, endpoint: &str, due: Timestamp) {
        let Some(of_job) = self.open.get_mut(job) else { return };
        let Some(live) = of_job.get_mut(endpoint) else { return };
        if live.incident.told {
            live.recovered.get_or_insert(due);
        } else {
            self.changes.incidents.insert(live.place.key(&self.target), None);
            of_job.remove(endpoint);
        }
    }

    /// What is to be told now; `daemon` is how the daemon itself is. What is answered counts as told.
    pub fn notices(&mut self, daemon: State<'_>, now: Moment) -> Vec<Notice> {
        let ready = self.ready(now);
        let mut groups: Vec<Vec<Arc<str>>> = ready.into_iter().map(|host| vec![host]).collect();
        if groups.len() > MOST_MESSAGES {
            groups = vec![groups.concat()];
        }
        let mut news = Vec::new();
        for hosts in groups {
            news.extend(self.recoveries(&hosts).map(News::Recovered));
            news.extend(self.failures(&hosts, now).map(News::Failing));
        }
        news.extend(self.of_daemon(daemon, now));
        news.into_iter().map(|news| Notice { at: now.wall, news }).collect()
    }

    /// The hosts whose news were gathered for long enough.
    fn ready(&mut self, now: Moment) -> Vec<Arc<str>> {
        let mut with_news: BTreeSet<Arc<str>> = BTreeSet::new();
        for live in self.open.values().flat_map(HashMap::values) {
            if live.recovered.is_some() || (self.is_failure(live) && self.may_tell(&live.place.host, now)) {
                with_news.insert(Arc::clone(&live.place.host));
            }
        }
        self.gathering.retain(|host, _| with_news.contains(host));
        let mut ready = Vec::new();
        for host in with_news {
            let until = *self.gathering.entry(Arc::clone(&host)).or_insert(now.monotonic + GATHER);
            if until <= now.monotonic {
                self.gathering.remove(&host);
                ready.push(host);
            }
        }
        ready
    }

    fn is_failure(&self, live: &Live) -> bool {
        let incident = &live.incident;
        incident.rounds >= self.rule.after && !incident.told && live.last.is_some()
    }

    fn may_tell(&self, host: &Arc<str>, now: Moment) -> bool {
        self.hosts.get(host).is_none_or(|&told| is_over(told, self.rule.pause, now.wall))
    }

    fn recoveries(&mut self, hosts: &[Arc<str>]) -> Option<Vec<Recovered>> {
        let mut recovered = Vec::new();
        for of_job in self.open.values_mut() {
            of_job.retain(|_, live| {
                let Some(until) = live.recovered.filter(|_| hosts.contains(&live.place.host)) else { return true };
                self.changes.incidents.insert(live.place.key(&self.target), None);
                recovered.push(Recovered { place: Arc::clone(&live.place), since: live.incident.since, until });
                false
            });
        }
        recovered.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        Some(recovered).filter(|recovered| !recovered.is_empty())
    }

    fn failures(&mut self, hosts: &[Arc<str>], now: Moment) -> Option<Vec<Failing>> {
        let hosts: Vec<Arc<str>> = hosts.iter().filter(|host| self.may_tell(host, now)).cloned().collect();
        let mut failing = Vec::new();
        for live in self.open.values_mut().flat_map(HashMap::values_mut) {
            let Live { incident, place, last: Some((outcome, http_status, detail)), .. } = live else { continue };
            let due = incident.rounds >= self.rule.after && !incident.told;
            if !due || !hosts.contains(&place.host) {
                continue;
            }
            incident.told = true;
            self.changes.incidents.insert(place.key(&self.target), Some(*incident));
            self.hosts.insert(Arc::clone(&place.host), now.wall);
            let key = ToldKey { target: Arc::clone(&self.target), subject: Arc::clone(&place.host) };
            self.changes.told.insert(key, Some(Told { at: now.wall, open: false }));
            failing.push(Failing {
                place: Arc::clone(place),
                since: incident.since,
                rounds: incident.rounds,
                outcome: *outcome,
                http_status: *http_status,
                detail: detail.clone(),
            });
        }
        failing.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        Some(failing).filter(|failing| !failing.is_empty())
    }

    fn of_daemon(&mut self, state: State<'_>, now: Moment) -> Option<News> {
        let open = self.daemon.filter(|told| told.open);
        let (told, news) = match (state, open) {
            (State::Degraded(degraded), None) => {
                let waits = self.daemon.is_some_and(|told| !is_over(told.at, self.rule.pause, now.wall));
                if waits {
                    return None;
                }
                (Told { at: now.wall, open: true }, News::Degraded(Degraded::clone(degraded)))
            }
            (State::Well, Some(told)) => (Told { open: false, ..told }, News::Well { since: told.at }),
            _ => return None,
        };
        self.daemon = Some(told);
        let key = ToldKey { target: Arc::clone(&self.target), subject: "".into() };
        self.changes.told.insert(key, Some(told));
        Some(news)
    }

    /// What changed by `notice`, to be remembered once it is told.
    pub fn take_changes_of(&mut self, notice: &Notice) -> IncidentMemory {
        let (mut endpoints, mut subjects): (Vec<&Arc<Place>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        match &notice.news {
            News::Failing(failing) => {
                endpoints.extend(failing.iter().map(|failing| &failing.place));
                subjects.extend(failing.iter().map(|failing| Arc::clone(&failing.place.host)));
            }
            News::Recovered(recovered) => endpoints.extend(recovered.iter().map(|recovered| &recovered.place)),
            News::Degraded(_) | News::Well { .. } => subjects.push("".into()),
            News::Test => {}
        }
        let mut changes = IncidentMemory::default();
        for key in endpoints.into_iter().map(|place| place.key(&self.target)) {
            changes.incidents.extend(self.changes.incidents.remove_entry(&key));
        }
        for subject in subjects {
            let key = ToldKey { target: Arc::clone(&self.target), subject };
            changes.told.extend(self.changes.told.remove_entry(&key));
        }
        changes
    }

    /// What changed since it was asked for last, to be remembered.
    pub fn take_changes(&mut self) -> IncidentMemory {
        std::mem::take(&mut self.changes)
    }

    fn watched_hosts(&self) -> HashSet<Arc<str>> {
        self.watched.values().flat_map(HashMap::values).map(|place| Arc::clone(&place.host)).collect()
    }

    fn place(&self, job: &JobName, endpoint: &str) -> Option<Arc<Place>> {
        self.watched.get(job)?.get(endpoint).cloned()
    }
}

impl Place {
    fn key(&self, target: &Arc<str>) -> IncidentKey {
        IncidentKey { target: Arc::clone(target), job: self.job.clone(), endpoint: Arc::clone(&self.endpoint) }
    }

    fn order(&self) -> (&str, usize) {
        (self.job.as_str(), self.position)
    }
}

/// Whether `pause` has passed since `told`. A clock that was set back by more than it does not lengthen it.
fn is_over(told: Timestamp, pause: Duration, now: Timestamp) -> bool {
    now >= told.plus(pause) || told > now.plus(pause)
}
