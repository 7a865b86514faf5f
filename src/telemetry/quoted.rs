//! The fields of a line for people: a value that would not be told from what stands beside it is quoted.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// `name=value`, as the library writes it, but values of several words in quotes, also where they are only shown.
pub struct QuotedFields;

impl<'writer> FormatFields<'writer> for QuotedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Quoting(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct Quoting<'a>(DefaultVisitor<'a>);

impl Visit for Quoting<'_> {
    /// Strings are quoted by the library.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let is_word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        if is_word || field.name() == "message" {
            self.0.record_debug(field, value);
        } else {
            self.0.record_debug(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_of_several_words_is_quoted_and_a_word_is_not() {
        let written = Lines::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().fmt_fields(QuotedFields).without_time().with_ansi(false);
        tracing::subscriber::with_default(subscriber.with_writer(move || writer.clone()).finish(), || {
            tracing::info!(job = %"bad job ü", due = %"12:00", round = 6, error = %"a\"\nb", none = %"", text = "x", "all of it");
        });
        let line = String::from_utf8(written.0.lock().expect("unpoisoned").clone()).expect("text");
        let fields = r#"all of it job="bad job ü" due=12:00 round=6 error="a\"\nb" none="" text="x""#;
        assert!(line.ends_with(&format!("{fields}\n")), "{line}");
    }
}
