//! Who asks which server at this moment: how many connections that takes, which of them are better left alone, and which
//! request a connection is made for.
//!
//! The library does not say which request it makes a connection for. It begins to make one as soon as it is asked, so it is
//! taken for that of the request to its server that was made last and has none yet. Of requests to one server in the same
//! millisecond, one may be given what is another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use rustc_hash::FxHashMap;
use url::Position;

use super::connection::Made;

/// So long a connection that may be dead is not used, twice as long each further time up to the second. The library closes
/// one that nobody used for 90 s; until then it reads what a server goes on to send there.
const AVOIDED: Duration = Duration::from_mins(2);
const MOST_DOUBLINGS: u32 = 5;

/// So many requests go over the connections of one lane at the same time. HTTP/2 has one connection in each, over which most
/// servers allow so many, and none should allow fewer (RFC 9113, section 6.5.2); the library lets what is beyond wait.
pub const LANE: usize = 100;

/// The most servers that are remembered.
const MOST_SERVERS: usize = 4096;

/// Who asks each server, and the connections that were made for them.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<FxHashMap<String, Arc<Mutex<Server>>>>>);

/// What is known of a server.
#[derive(Debug, Default)]
struct Server {
    /// Requests that it is asked now for which no connection was made: their numbers, in order. A `Vec`, because most often
    /// there is one or none, which takes no memory from the heap each time.
    asking: Vec<u64>,
    /// The others, each with its connection.
    connecting: BTreeMap<u64, Made>,
    /// Requests that it was asked ever, which numbers them.
    asked: u64,
    /// When an answer came last.
    answered: Option<Instant>,
    /// Until then, what it is asked goes over connections of their own.
    avoided: Option<Instant>,
    /// How often that was so since an answer came over another.
    doublings: u32,
    /// How many requests there are in each lane.
    lanes: Vec<usize>,
    /// Whether it has said that it wants HTTP/1.1.
    wants_http1: bool,
}

/// A request to a server, from its beginning until it is dropped.
#[derive(Debug)]
pub struct Asking {
    server: Arc<Mutex<Server>>,
    began: Instant,
    /// From 1; 0 once it has ended.
    number: u64,
    /// Whether nobody else asked when it began.
    alone: bool,
    /// Whether the connections to the server are better not used for now.
    pub is_to_be_alone: bool,
    /// Whether the server has said that it wants HTTP/1.1.
    pub wants_http1: bool,
}

/// A request's place in a lane of its server, until its answer is read; there are lanes where HTTP/2 may be spoken.
#[derive(Debug)]
pub struct Place(Option<(Arc<Mutex<Server>>, usize)>);

impl Place {
    /// Over whose connections the request goes, unless over one of its own.
    pub fn lane(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, lane)| *lane)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((server, lane)) = &self.0 {
            lock(server).lanes[*lane] -= 1;
        }
    }
}

impl Asking {
    /// Whether the request went through a connection that was there before, or may have: of requests to one server at
    /// the same time, nobody knows who made the connection and who got it.
    pub fn may_have_shared(&self) -> bool {
        let server = lock(&self.server);
        !self.alone || server.asked != self.number || server.made_for(self.number).is_none()
    }

    /// The connection that was made for the request; `None` when there is none: one that stood already was used.
    pub fn made(&self) -> Option<Made> {
        lock(&self.server).made_for(self.number)
    }

    /// An answer came. Answers what [`Self::made`] does.
    pub fn answered(mut self) -> Option<Made> {
        let number = std::mem::take(&mut self.number);
        let mut server = lock(&self.server);
        server.answered = Some(Instant::now());
        if !self.is_to_be_alone {
            server.doublings = 0;
        }
        server.end(number)
    }

    /// No answer came in time. If none came to anybody else meanwhile either, the connection may be dead without a word:
    /// it is left alone for longer than one without use is kept.
    pub fn unanswered(&self) {
        let mut server = lock(&self.server);
        // Those that began before it was avoided tell of the same silence.
        let is_known = server.avoided.is_some_and(|until| until > self.began);
        if !is_known && server.answered.is_none_or(|answered| answered < self.began) {
            server.avoided = Some(Instant::now() + AVOIDED * 2_u32.pow(server.doublings));
            server.doublings = MOST_DOUBLINGS.min(server.doublings + 1);
        }
    }

    /// The server said that it wants HTTP/1.1.
    pub fn want_http1(&self) {
        lock(&self.server).wants_http1 = true;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.number > 0 {
            lock(&self.server).end(self.number);
        }
    }
}

impl Connections {
    /// A request to the server of `url` begins, and takes its place until that is dropped.
    pub fn ask(&self, url: &Url) -> (Asking, Place) {
        let server = self.server(name(url));
        let began = Instant::now();
        let mut asked = lock(&server);
        let (number, alone) = asked.ask();
        // Only TLS leads to HTTP/2.
        let lane = if url.scheme() == "https" { Some(asked.take_lane()) } else { None };
        let wants_http1 = asked.wants_http1;
        let is_to_be_alone = asked.avoided.is_some_and(|until| until > began);
        drop(asked);
        let place = Place(lane.map(|lane| (Arc::clone(&server), lane)));
        (Asking { server, began, number, alone, is_to_be_alone, wants_http1 }, place)
    }

    fn server(&self, name: &str) -> Arc<Mutex<Server>> {
        let mut servers = lock(&self.0);
        if let Some(server) = servers.get(name) {
            return Arc::clone(server);
        }
        if servers.len() >= MOST_SERVERS {
            // Those that nobody asks now.
            servers.retain(|_, server| Arc::strong_count(server) > 1);
        }
        Arc::clone(servers.entry(name.to_owned()).or_default())
    }

    /// The connection `made` begins to be made, to the server of this name if that is known. Answers it.
    pub fn begin(&self, name: Option<&str>, made: Made) -> Made {
        let server = name.and_then(|name| lock(&self.0).get(name).cloned());
        if let Some(server) = server {
            lock(&server).connect(made.clone());
        }
        made
    }
}

impl Server {
    /// The first lane that has room for one more.
    fn take_lane(&mut self) -> usize {
        let lane = self.lanes.iter().position(|&requests| requests < LANE).unwrap_or(self.lanes.len());
        if lane == self.lanes.len() {
            self.lanes.push(0);
        }
        self.lanes[lane] += 1;
        lane
    }

    /// One more asks. Answers its number, and whether nobody else asks.
    fn ask(&mut self) -> (u64, bool) {
        let alone = self.asking.is_empty() && self.connecting.is_empty();
        self.asked += 1;
        self.asking.push(self.asked);
        (self.asked, alone)
    }

    /// Takes `made` for the connection of the request that was made last and has none.
    fn connect(&mut self, made: Made) {
        if let Some(number) = self.asking.pop() {
            self.connecting.insert(number, made);
        }
    }

    /// One does not ask any more. Answers the connection that was made for it.
    fn end(&mut self, number: u64) -> Option<Made> {
        match self.asking.binary_search(&number) {
            Ok(index) => {
                self.asking.remove(index);
                None
            }
            Err(_) => self.connecting.remove(&number),
        }
    }

    fn made_for(&self, number: u64) -> Option<Made> {
        self.connecting.get(&number).cloned()
    }
}

/// The server of a URL without userinfo: scheme and host, and the port where it is not the scheme's own.
pub fn name(url: &Url) -> &str {
    &url[..Position::AfterPort]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stays_silent_is_asked_over_connections_of_their_own_for_longer_each_time() {
        let url = Url::parse("http://a.example/").expect("a URL");
        let connections = Connections::default();
        let avoided_for = || {
            let together = [(); 6].map(|()| connections.ask(&url).0);
            together.iter().for_each(Asking::unanswered);
            let asking = &together[0];
            let until = lock(&asking.server).avoided.expect("avoided");
            lock(&asking.server).avoided = Some(asking.began);
            until.duration_since(asking.began).as_secs() / 60
        };
        assert_eq!([(); 7].map(|()| avoided_for()), [2, 4, 8, 16, 32, 64, 64]);
        connections.ask(&url).0.answered();
        assert_eq!(avoided_for(), 2);
    }

    #[test]
    fn a_lane_holds_a_hundred_requests_and_the_first_with_room_is_taken() {
        let url = Url::parse("https://a.example/").expect("a URL");
        let connections = Connections::default();
        let mut places: Vec<Place> = (0..=2 * LANE).map(|_| connections.ask(&url).1).collect();
        let lanes: Vec<usize> = places.iter().map(Place::lane).collect();
        assert_eq!((lanes[LANE - 1], lanes[LANE], lanes[2 * LANE]), (0, 1, 2));
        places.remove(0);
        assert_eq!(connections.ask(&url).1.lane(), 0);
    }
}
