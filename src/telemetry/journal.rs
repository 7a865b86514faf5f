//! The log as entries of systemd's journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): a
//! priority, the line that people read, and each field by itself, such as `JOB=` and `OUTCOME=`.

use std::fmt::{Debug, Write as _};
use std::io::stderr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::fs::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const SOCKET: &str = "/run/systemd/journal/socket";
/// The most bytes of a text in an entry: an entry is one datagram, of which the system takes about 200 KiB.
const LONGEST: usize = 32 * 1024;

/// See the module. It never waits: what the journal does not take at once is lost.
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// When standard error goes to the journal, as `$JOURNAL_STREAM` tells (systemd.exec(5)).
    pub fn of_stderr() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        let stderr = fstat(stderr()).ok()?;
        let is_it = device.parse() == Ok(stderr.st_dev) && inode.parse() == Ok(stderr.st_ino);
        if is_it { Self::at(SOCKET.into()).ok() } else { None }
    }

    fn at(path: PathBuf) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        // There is nobody to tell.
        let _ = self.socket.send_to(&line.entry(*event.metadata().level()), &self.path);
    }
}

/// An event as a line for people, and its fields.
#[derive(Default)]
struct Line {
    message: String,
    /// Behind the message.
    shown: String,
    fields: Vec<u8>,
}

impl Line {
    fn entry(mut self, level: Level) -> Vec<u8> {
        let priority = match level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let message = format!("{}{}", self.message, self.shown);
        let mut entry = Vec::with_capacity(self.fields.len() + message.len() + 64);
        put(&mut entry, "MESSAGE", message.trim_start());
        put(&mut entry, "PRIORITY", priority);
        put(&mut entry, "SYSLOG_IDENTIFIER", "gatherd");
        entry.append(&mut self.fields);
        entry
    }

    fn record(&mut self, field: &Field, value: &str) {
        // What other libraries' own logging leaves for its bridge.
        if field.name().contains('.') {
            return;
        }
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        // Writing to a text cannot fail.
        let _ = if is_plain {
            write!(self.shown, " {}={value}", field.name())
        } else {
            write!(self.shown, " {}={value:?}", field.name())
        };
        put(&mut self.fields, &field.name().to_ascii_uppercase(), value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, &format!("{value:?}"));
    }
}

/// Values with line breaks go by their length.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(LONGEST)];
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The entry that `log` makes.
    fn entry(log: impl FnOnce()) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a socket");
        let layer = Journal::at(path).expect("a socket");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let mut bytes = vec![0; 100_000];
        let size = journal.recv(&mut bytes).expect("an entry");
        bytes.truncate(size);
        bytes
    }

    #[test]
    fn an_event_is_a_line_for_people_and_a_field_for_each_of_its_values() {
        let bytes = entry(|| {
            tracing::warn!(job = %"figures", round = 7, outcome = "not_json", detail = "HTML, not JSON", "outcome changed");
        });
        let expected = "MESSAGE=outcome changed job=figures round=7 outcome=not_json detail=\"HTML, not JSON\"\n\
                        PRIORITY=4\nSYSLOG_IDENTIFIER=gatherd\n\
                        JOB=figures\nROUND=7\nOUTCOME=not_json\nDETAIL=HTML, not JSON\n";
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    #[test]
    fn a_value_of_several_lines_forges_no_field() {
        let bytes = entry(|| tracing::error!(detail = "a\nPRIORITY=7", "broken"));
        let mut expected =
            b"MESSAGE=broken detail=\"a\\nPRIORITY=7\"\nPRIORITY=3\nSYSLOG_IDENTIFIER=gatherd\nDETAIL\n".to_vec();
        expected.extend_from_slice(&12_u64.to_le_bytes());
        expected.extend_from_slice(b"a\nPRIORITY=7\n");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_huge_value_is_cut_and_a_journal_that_is_not_there_costs_nothing() {
        assert!(entry(|| tracing::info!(detail = "ä".repeat(100_000), "long")).len() < 2 * LONGEST + 200);
        let layer = Journal::at("/nonexistent/socket".into()).expect("a socket");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || tracing::info!("lost"));
    }
}
