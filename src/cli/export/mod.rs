//! `gatherd export`: observations for other tools, streamed into a file that is there whole or not at all.

mod parquet;
mod text;

use std::fs::{File, Permissions};
use std::io::{self, IsTerminal, Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use clap_complete::engine::ArgValueCandidates;
use indicatif::ProgressBar;
use tempfile::NamedTempFile;

use super::exit::usage;
use super::observation::{BODY, COLUMNS};
use super::query::{SpanArgs, zone};
use super::rows::{self, Sink};
use super::source::{self, ReaderArgs};
use super::{interrupt, names, output};
use crate::store::history::{Field, Found, Observation, Selection, Span};
use crate::store::read::Reader;

/// `gatherd export`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    The file is written beside FILE and takes its name when it is whole. In parquet, times are UTC timestamps \
    in microseconds; a --field is DOUBLE when all its values are numbers that a double holds, else text. \
    Fields are those of gatherd history.")]
pub struct ExportArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    /// csv, ndjson (an object a line) or parquet [default: what FILE ends with]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A column called NAME with one value of each document (a JSON Pointer or jq), instead of whole documents; repeatable
    #[arg(long, value_name = "NAME=FIELD")]
    pub field: Vec<String>,
    /// Where to write it; - for standard output
    #[arg(short, long, value_name = "FILE|-")]
    pub output: PathBuf,
    /// Read times without a zone as UTC instead of local ones
    #[arg(long)]
    pub utc: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub span: SpanArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderArgs,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// RFC 4180
    Csv,
    /// An object a line
    Ndjson,
    /// Apache Parquet, typed and compressed
    Parquet,
}

/// A column that the user named.
pub struct NamedField {
    pub name: String,
    field: Field,
}

/// Takes observations with the values of the fields, and writes them somewhere.
pub trait Export {
    /// Takes one; `values` are the JSON texts of the fields.
    fn take(&mut self, job: &str, observation: &Observation<'_>, values: &[Option<&str>]) -> anyhow::Result<()>;

    /// Whether it wants to write what it has.
    fn is_full(&self) -> bool;

    /// Writes what it has.
    fn write(&mut self) -> anyhow::Result<()>;
}

pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let format = format(args)?;
    let fields = args.field.iter().map(|text| named_field(text)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(twice) = twice(&fields) {
        return Err(usage(format!("--field: there is a column called {twice:?} already")));
    }
    let span = args.span.span(zone(args.utc))?;
    let reader = args.reader.open()?;
    source::is_not(&args.output, &args.reader.source.path()?)?;
    source::known_job(&reader, args.job.as_deref())?;
    let jobs = args.job.clone().map_or_else(|| reader.jobs(), |job| Ok(vec![job]))?;
    let task = Task { reader: &reader, jobs: &jobs, span, fields: &fields };
    let rows = if args.output == Path::new("-") {
        task.to_stream(format, io::stdout().lock())?
    } else {
        task.to_path(format, &args.output)?
    };
    if stderr().is_terminal() {
        writeln!(stderr(), "{rows} rows")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn format(args: &ExportArgs) -> anyhow::Result<Format> {
    let by_name = || Format::from_str(args.output.extension()?.to_str()?, true).ok();
    let unknown = || usage("which format? Add --format csv, ndjson or parquet, or write to a file that ends with one");
    args.format.or_else(by_name).ok_or_else(unknown)
}

fn named_field(text: &str) -> anyhow::Result<NamedField> {
    let (name, field) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        usage(format!("--field {text:?}: write it like users=/users/total, with the column's name first"))
    })?;
    let field = Field::parse(field).map_err(|error| usage(format!("--field {name}: {error}")))?;
    Ok(NamedField { name: name.to_owned(), field })
}

fn twice(fields: &[NamedField]) -> Option<&str> {
    let names = fields.iter().map(|field| field.name.as_str());
    let taken = |index: usize, name: &str| {
        // The document makes room for them.
        (name != COLUMNS[BODY] && COLUMNS.contains(&name)) || fields[..index].iter().any(|earlier| earlier.name == name)
    };
    names.enumerate().find(|&(index, name)| taken(index, name)).map(|(_, name)| name)
}

/// What is exported.
struct Task<'a> {
    reader: &'a Reader,
    jobs: &'a [String],
    span: Span,
    fields: &'a [NamedField],
}

impl Task<'_> {
    /// Writes into what is open already, such as a pipe.
    fn to_stream(&self, format: Format, mut out: impl Write) -> anyhow::Result<u64> {
        if format != Format::Parquet {
            return self.write(format, out);
        }
        // It may have to begin anew, which a pipe cannot.
        let mut file = tempfile::tempfile().context("no temporary file")?;
        let rows = self.write_parquet(&mut file)?;
        io::Seek::rewind(&mut file)?;
        io::copy(&mut file, &mut out)?;
        Ok(rows)
    }

    /// Writes a temporary file beside `path` and gives it that name once it is whole. What is there and no file, such as a
    /// device, is written into.
    fn to_path(&self, format: Format, path: &Path) -> anyhow::Result<u64> {
        let cannot = || format!("{} cannot be written", path.display());
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let device = File::options().write(true).open(path).with_context(cannot)?;
            return self.to_stream(format, device);
        }
        // What a link leads to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // As any new file: the process's mask takes away what others may not.
        builder.prefix(".gatherd-export-").permissions(Permissions::from_mode(0o666));
        let mut file: NamedTempFile = builder.tempfile_in(folder).with_context(cannot)?;
        interrupt::removes(file.path())?;
        let rows = match format {
            Format::Parquet => self.write_parquet(file.as_file_mut())?,
            format => self.write(format, file.as_file_mut())?,
        };
        file.as_file().sync_all().with_context(cannot)?;
        file.persist(&path).with_context(cannot)?;
        Ok(rows)
    }

    fn write(&self, format: Format, out: impl Write) -> anyhow::Result<u64> {
        let mut export = text::Text::new(out, format == Format::Csv, self.fields)?;
        self.send(&mut export)
    }

    fn write_parquet(&self, file: &mut File) -> anyhow::Result<u64> {
        let mut textual = vec![false; self.fields.len()];
        loop {
            io::Seek::rewind(file)?;
            file.set_len(0)?;
            let mut export = parquet::Parquet::new(&mut *file, self.fields, &textual)?;
            let result = self.send(&mut export).and_then(|rows| export.finish().map(|()| rows));
            match result {
                Ok(rows) => return Ok(rows),
                // A column of numbers met something else: it is text from its beginning.
                Err(error) => match error.downcast_ref::<parquet::NotANumber>() {
                    Some(&parquet::NotANumber(column)) => textual[column] = true,
                    None => return Err(error),
                },
            }
        }
    }

    fn send(&self, export: &mut impl Export) -> anyhow::Result<u64> {
        let mut slots = 0;
        for job in self.jobs {
            slots += self.reader.slot_count(job, self.span)?;
        }
        let bar = output::progress_bar(usize::try_from(slots).unwrap_or(usize::MAX));
        let mut sent = 0;
        for job in self.jobs {
            let mut sink = OneJob { job, fields: self.fields, export, bar: &bar, sent };
            let wanted = Selection { job, endpoint: None, span: self.span, after: None };
            rows::send(self.reader, &wanted, &mut sink)?;
            sent = sink.sent;
        }
        bar.finish_and_clear();
        Ok(sent)
    }
}

struct OneJob<'a, E> {
    job: &'a str,
    fields: &'a [NamedField],
    export: &'a mut E,
    bar: &'a ProgressBar,
    /// Rows of this job and those before it.
    sent: u64,
}

impl<E: Export> Sink for OneJob<'_, E> {
    fn take(&mut self, observation: &Observation<'_>) -> anyhow::Result<()> {
        let found = |field: &NamedField| observation.body.map(|body| field.field.find(body));
        let found: Vec<Option<Found<'_>>> = self.fields.iter().map(found).collect();
        let values: Vec<Option<&str>> = found.iter().map(|found| found.as_ref()?.value()).collect();
        self.sent += 1;
        self.export.take(self.job, observation, &values)
    }

    fn is_full(&self) -> bool {
        self.export.is_full()
    }

    fn hand_on(&mut self) -> anyhow::Result<()> {
        self.bar.set_position(self.sent);
        self.export.write()
    }
}
