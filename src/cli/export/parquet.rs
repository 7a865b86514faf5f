//! An export as Apache Parquet, row group by row group.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use anyhow::Context;
use parquet::basic::{Compression, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{Type, TypePtr};

use super::text::bare;
use super::{Export, NamedField};
use crate::cli::observation::BODY;
use crate::cli::sheet::milliseconds;
use crate::store::history::{Observation, same_number};

/// A row group is held in memory: it ends after so many rows or bytes.
const GROUP_ROWS: usize = 100_000;
const GROUP_BYTES: usize = 64 * 1024 * 1024;

/// The value of a column of numbers that is none, or none that a double holds.
#[derive(Debug, thiserror::Error)]
#[error("not a number in the field with index {0}")]
pub struct NotANumber(pub usize);

/// Below it a double holds every integer: 2^53.
const ALL_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The columns in front of the document, or of the values that come in its place.
const COLUMNS: &str = "
    required binary job (UTF8);
    required binary endpoint (UTF8);
    required int32 position;
    required int64 round_id;
    required int64 due_at (TIMESTAMP(MICROS,true));
    required int64 fetched_at (TIMESTAMP(MICROS,true));
    required binary outcome (UTF8);
    optional int32 http_status;
    required int32 attempts;
    required double elapsed_ms;
";
/// Behind it.
const DETAIL: &str = "optional binary detail (UTF8);";

/// Writes row groups to a file.
pub struct Parquet<'f> {
    writer: SerializedFileWriter<&'f mut File>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

/// The values of one column of the present row group; what may be null has a level for each row.
enum Column {
    Text(Vec<ByteArray>, Vec<i16>),
    Integer(Vec<i32>, Vec<i16>),
    Long(Vec<i64>),
    Number(Vec<f64>, Vec<i16>),
}

impl<'f> Parquet<'f> {
    /// An export to `file`. A field is a column of numbers, unless `textual` says that it is one of text.
    pub fn new(file: &'f mut File, fields: &[NamedField], textual: &[bool]) -> anyhow::Result<Self> {
        let schema = schema(fields, textual)?;
        let level = ZstdLevel::try_new(3)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(concat!("gatherd ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let columns = schema.get_fields().iter().map(|field| Column::of(field.get_physical_type())).collect();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { writer, columns, rows: 0, bytes: 0 })
    }

    /// Writes the file's end.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.write()?;
        self.writer.close().context("the end of the file")?;
        Ok(())
    }

    fn take_values(&mut self, body: Option<&str>, values: &[Option<&str>]) -> anyhow::Result<()> {
        if values.is_empty() {
            self.bytes += body.map_or(0, str::len);
            self.columns[BODY].text(body);
        }
        for (index, value) in values.iter().enumerate() {
            let column = &mut self.columns[BODY + index];
            match value.filter(|&value| value != "null") {
                None => column.null(),
                Some(value) if matches!(column, Column::Number(..)) => {
                    column.number(Some(double(value).ok_or(NotANumber(index))?));
                }
                value => {
                    let text = bare(value);
                    self.bytes += text.as_ref().map_or(0, String::len);
                    column.text(text.as_deref());
                }
            }
        }
        Ok(())
    }
}

impl Export for Parquet<'_> {
    fn take(&mut self, job: &str, observation: &Observation<'_>, values: &[Option<&str>]) -> anyhow::Result<()> {
        // Before anything of the row is there: what is not a number ends the attempt.
        self.take_values(observation.body, values)?;
        let place = observation.place;
        let columns = &mut self.columns;
        columns[0].text(Some(job));
        columns[1].text(Some(observation.endpoint));
        columns[2].integer(i32::try_from(place.position).ok());
        columns[3].long(place.round.0);
        columns[4].long(place.due.as_micros());
        columns[5].long(observation.fetched_at.as_micros());
        columns[6].text(Some(observation.outcome));
        columns[7].integer(observation.http_status.map(i32::from));
        columns[8].integer(Some(i32::try_from(observation.attempts).unwrap_or(i32::MAX)));
        columns[9].number(Some(milliseconds(observation.elapsed)));
        if let Some(last) = columns.last_mut() {
            last.text(observation.detail);
        }
        self.rows += 1;
        self.bytes += 200;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES
    }

    fn write(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group.next_column()?.context("more columns than the schema has")?;
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// A number that a double holds: of an integer every digit.
fn double(value: &str) -> Option<f64> {
    let number: f64 = value.parse().ok().filter(|number: &f64| number.is_finite())?;
    if value.contains(['.', 'e', 'E']) || number.abs() < ALL_INTEGERS {
        return Some(number);
    }
    // Without a fraction it is printed with all the digits that it has.
    same_number(value, &format!("{number:.0}")).then_some(number)
}

impl Column {
    fn of(kind: PhysicalType) -> Self {
        match kind {
            PhysicalType::INT32 => Self::Integer(Vec::new(), Vec::new()),
            PhysicalType::INT64 => Self::Long(Vec::new()),
            PhysicalType::DOUBLE => Self::Number(Vec::new(), Vec::new()),
            _ => Self::Text(Vec::new(), Vec::new()),
        }
    }

    fn null(&mut self) {
        match self {
            Self::Text(_, levels) | Self::Integer(_, levels) | Self::Number(_, levels) => levels.push(0),
            // There is none of these that may be null.
            Self::Long(_) => {}
        }
    }

    fn text(&mut self, text: Option<&str>) {
        if let Self::Text(values, levels) = self {
            values.extend(text.map(ByteArray::from));
            levels.push(i16::from(text.is_some()));
        }
    }

    fn integer(&mut self, number: Option<i32>) {
        if let Self::Integer(values, levels) = self {
            values.extend(number);
            levels.push(i16::from(number.is_some()));
        }
    }

    fn number(&mut self, number: Option<f64>) {
        if let Self::Number(values, levels) = self {
            values.extend(number);
            levels.push(i16::from(number.is_some()));
        }
    }

    fn long(&mut self, number: i64) {
        if let Self::Long(values) = self {
            values.push(number);
        }
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> anyhow::Result<()> {
        match self {
            Self::Text(values, levels) => batch::<ByteArrayType>(writer, values, Some(levels)),
            Self::Integer(values, levels) => batch::<Int32Type>(writer, values, Some(levels)),
            Self::Long(values) => batch::<Int64Type>(writer, values, None),
            Self::Number(values, levels) => batch::<DoubleType>(writer, values, Some(levels)),
        }
    }
}

fn batch<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: Option<&mut Vec<i16>>,
) -> anyhow::Result<()> {
    // A column that is never null ignores the levels.
    writer.typed::<T>().write_batch(values, levels.as_ref().map(|levels| levels.as_slice()), None)?;
    values.clear();
    if let Some(levels) = levels {
        levels.clear();
    }
    Ok(())
}

fn schema(fields: &[NamedField], textual: &[bool]) -> anyhow::Result<TypePtr> {
    let mut text = format!("message observations {{{COLUMNS}");
    if fields.is_empty() {
        text.push_str("optional binary body (UTF8);\n");
    }
    for (index, textual) in textual.iter().enumerate() {
        // Their own names may have any characters in them, which this language has not.
        let kind = if *textual { ("binary", " (UTF8)") } else { ("double", "") };
        writeln!(text, "optional {} field_{index}{};", kind.0, kind.1)?;
    }
    let parsed = parse_message_type(&(text + DETAIL + "}"))?;
    let mut columns = parsed.get_fields().to_vec();
    for (column, field) in columns.iter_mut().skip(BODY).zip(fields) {
        let info = column.get_basic_info();
        let renamed = Type::primitive_type_builder(&field.name, column.get_physical_type())
            .with_repetition(info.repetition())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_converted_type(info.converted_type())
            .build()?;
        *column = Arc::new(renamed);
    }
    Ok(Arc::new(Type::group_type_builder("observations").with_fields(columns).build()?))
}
