//! Values over time as a picture, in the terminal or as SVG. Where there is no value there is no line.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::{
    BindKeyPoints, ChartBuilder, Circle, EmptyElement, IntoDrawingArea, IntoFont, LineSeries, PointSeries, RGBColor,
    SVGBackend, ShapeStyle, WHITE,
};
use textplots::{Chart, Plot, Shape};

use super::output::{plain_text, terminal_width};
use super::series::Series;
use super::time_axis::{shown, ticks};
use crate::model::Timestamp;
use crate::store::history::Zone;

/// Where nobody sees a terminal, in characters.
const WIDTH: usize = 80;
/// In characters. The library panics below 32 dots, and gets one less than there are.
const NARROWEST: usize = 17;
/// In lines.
const HEIGHT: u32 = 15;
/// Dots of a character in Braille.
const DOTS: (u32, u32) = (2, 4);
const SVG_SIZE: (u32, u32) = (1_000, 400);
/// As many times as fit beside each other below it.
const SVG_TIMES: u32 = 6;
/// What is left free above and below the values, as a share of their range.
const SVG_ROOM: f64 = 0.04;
/// So many microseconds are shown on either side of a moment that is alone.
const ALONE: i64 = 30_000_000;
const HOUR: i64 = 3_600_000_000;
const BLUE: RGBColor = RGBColor(31, 97, 173);

/// What a picture shows.
struct Bounds {
    first: i64,
    last: i64,
    low: f64,
    high: f64,
}

impl Bounds {
    fn of(series: &Series) -> Self {
        let values = || series.runs.iter().flatten().map(|&(_, value)| value);
        let (mut low, mut high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
        if low >= high {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.01 };
            (low, high) = (low - room, high + room);
        }
        let (mut first, mut last) = series.ends();
        if first == last {
            (first, last) = (first.saturating_sub(ALONE), last.saturating_add(ALONE));
        }
        Self { first, last, low, high }
    }

    /// Both between 0 and 1.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a place in a picture")]
    fn place(&self, (at, value): (Timestamp, f64)) -> (f32, f32) {
        let x = (at.as_micros() - self.first) as f64 / (self.last - self.first) as f64;
        // Halves, because their difference may be beyond the numbers.
        let y = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        (x as f32, y as f32)
    }
}

/// What values are divided by before they are drawn: the library looks for round labels without end where values are
/// very large, very small, or hardly different.
struct Scale {
    middle: f64,
    size: f64,
}

impl Scale {
    fn of(bounds: &Bounds) -> Self {
        let size = bounds.high / 2.0 - bounds.low / 2.0;
        let usual = (1e-9..1e15).contains(&size) && size > 1e-9 * (bounds.high.abs() / 2.0 + bounds.low.abs() / 2.0);
        if usual {
            return Self { middle: 0.0, size: 1.0 };
        }
        Self { middle: bounds.high / 2.0 + bounds.low / 2.0, size }
    }

    fn to(&self, value: f64) -> f64 {
        (value / self.size) - (self.middle / self.size)
    }

    fn from(&self, value: f64) -> f64 {
        value * self.size + self.middle
    }
}

/// The picture in characters, as wide as the terminal.
pub fn in_terminal(series: &Series, title: &str, zone: Zone) -> String {
    drawn(series, title, zone, terminal_width().unwrap_or(WIDTH))
}

fn drawn(series: &Series, title: &str, zone: Zone, width: usize) -> String {
    let bounds = Bounds::of(series);
    let lines = f64::from(HEIGHT - 1);
    let value = |line: u32| {
        let below = f64::from(line) / lines;
        bounds.high * (1.0 - below) + bounds.low * below
    };
    let between = bounds.high / 2.0 - bounds.low / 2.0;
    let labels: Vec<String> =
        (0..HEIGHT).map(|line| if line % 7 == 0 { label(value(line), between) } else { String::new() }).collect();
    let margin = labels.iter().map(String::len).max().unwrap_or_default();
    let columns = width.saturating_sub(margin + 2).max(NARROWEST);
    let dots = u32::try_from(columns).unwrap_or(u32::MAX / 4) * DOTS.0;
    let mut chart = Chart::new_with_y_range(dots - 1, HEIGHT * DOTS.1 - 1, 0.0, 1.0, 0.0, 1.0);
    let runs: Vec<Vec<(f32, f32)>> =
        series.runs.iter().map(|run| run.iter().map(|&point| bounds.place(point)).collect()).collect();
    let shape = |run: &'_ Vec<(f32, f32)>| run.len() > 1;
    let shapes: Vec<Shape<'_>> =
        runs.iter().map(|run| if shape(run) { Shape::Lines(run) } else { Shape::Points(run) }).collect();
    let mut drawing = &mut chart;
    for shape in &shapes {
        drawing = drawing.lineplot(shape);
    }
    drawing.figures();
    let mut text = format!("{:margin$}  {}, {zone}\n", "", plain_text(title));
    for (line, label) in drawing.frame().lines().zip(&labels) {
        let line: String = line.chars().take(columns).collect();
        let _ = writeln!(text, "{label:>margin$} │{}", line.trim_end());
    }
    let format = if bounds.last - bounds.first <= HOUR { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    let ends = [bounds.first, bounds.last].map(|at| shown(Timestamp::from_micros(at), zone, format));
    let _ = writeln!(text, "{:margin$} └{}", "", "─".repeat(columns));
    match columns.checked_sub(ends[0].len() + ends[1].len()).filter(|&between| between > 0) {
        Some(between) => {
            let _ = writeln!(text, "{:margin$}  {}{:between$}{}", "", ends[0], "", ends[1]);
        }
        // Below each other, where they do not fit beside each other.
        None => {
            let _ = writeln!(text, "{:margin$}  {}\n{:margin$}  {:>columns$}", "", ends[0], "", ends[1]);
        }
    }
    text
}

/// Draws the picture into the file at `path`.
pub fn into_svg(series: &Series, title: &str, zone: Zone, path: &Path) -> anyhow::Result<()> {
    let mut picture = String::new();
    draw_svg(series, title, zone, &mut picture).map_err(|error| anyhow!("the picture cannot be drawn: {error}"))?;
    std::fs::write(path, picture).with_context(|| format!("{} cannot be written", path.display()))
}

fn draw_svg(series: &Series, title: &str, zone: Zone, picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let bounds = Bounds::of(series);
    let [first, last] = [bounds.first, bounds.last].map(Timestamp::from_micros);
    let (ticks, format) = ticks(first, last, zone, SVG_TIMES);
    let times = (bounds.first..bounds.last).with_key_points(ticks.into_iter().map(Timestamp::as_micros).collect());
    let scale = Scale::of(&bounds);
    let (low, high) = (scale.to(bounds.low), scale.to(bounds.high));
    let room = (high - low) * SVG_ROOM;
    let area = SVGBackend::with_string(picture, SVG_SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}, {zone}", plain_text(title)), ("sans-serif", 18).into_font())
        .margin(12)
        // Half of the last time.
        .margin_right(60)
        .x_label_area_size(32)
        .y_label_area_size(90)
        .build_cartesian_2d(times, low - room..high + room)?;
    let time = |at: &i64| shown(Timestamp::from_micros(*at), zone, format);
    let value = |value: &f64| label(scale.from(*value), (bounds.high / 8.0) - (bounds.low / 8.0));
    let mut mesh = chart.configure_mesh();
    mesh.y_labels(8).max_light_lines(0).x_label_formatter(&time).y_label_formatter(&value).draw()?;
    let style = ShapeStyle { color: BLUE.into(), filled: true, stroke_width: 1 };
    for run in &series.runs {
        let points = run.iter().map(|&(at, value)| (at.as_micros(), scale.to(value)));
        match run.as_slice() {
            // A value alone has no line to be seen by.
            [_] => chart.draw_series(PointSeries::of_element(points, 3, style, &|at, size, style| {
                EmptyElement::at(at) + Circle::new((0, 0), size, style)
            }))?,
            _ => chart.draw_series(LineSeries::new(points, style))?,
        };
    }
    area.present()?;
    Ok(())
}

/// A value, with so many digits that those a step away read otherwise.
fn label(value: f64, step: f64) -> String {
    // Where an axis crosses zero its labels are off by what a double cannot hold.
    let value = if value.abs() < step.abs() * 1e-9 { 0.0 } else { value };
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 2 to 15")]
        let digits = (size.log10().floor() - step.abs().log10().floor() + 1.0).clamp(2.0, 15.0) as usize;
        return format!("{value:.digits$e}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 8")]
    let digits = (1.0 - step.abs().log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let mut series = Series::default();
        for minute in 0..100_i32 {
            if (40..60).contains(&minute) {
                series.interrupt();
                continue;
            }
            series.add(Timestamp::from_micros(i64::from(minute) * 60_000_000), f64::from(minute * 10));
        }
        series.interrupt();
        series.add(Timestamp::from_micros(120 * 60_000_000), 500.0);
        series
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_picture() {
        let series = series();
        assert_eq!(series.runs.iter().map(Vec::len).collect::<Vec<_>>(), [40, 40, 1]);
        let text = drawn(&series, "users", Zone::Utc, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("990 │") && text.contains("  0 │"), "{text}");
        assert!(text.contains("1970-01-01 00:00") && text.ends_with("1970-01-01 02:00\n"), "{text}");
        // Nothing is drawn between the minutes 40 and 60, a third to a half of the way.
        let middle = text
            .lines()
            .filter_map(|line| line.split_once('│'))
            .map(|(_, drawn)| drawn.chars().skip(25).take(7).filter(|&dots| dots != ' ' && dots != '\u{2800}').count());
        assert_eq!(middle.sum::<usize>(), 0, "{text}");
        let mut picture = String::new();
        draw_svg(&series, "a < b\u{1b}", Zone::Utc, &mut picture).expect("drawn");
        let lines = picture.lines().filter(|line| line.starts_with("<polyline") && line.contains("#1F61AD"));
        assert_eq!(lines.count(), 2, "{picture}");
        assert!(picture.contains("a &lt; b") && picture.contains("<circle"), "{picture}");
        assert!(!picture.contains('\u{1b}') && picture.contains("1970-01-01 01:00"), "{picture}");
    }

    #[test]
    fn a_narrow_terminal_gets_a_narrow_picture() {
        for width in 0..40 {
            let text = drawn(&series(), "users", Zone::Utc, width);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.max(22)), "{width}: {text}");
            assert!(text.contains("1970-01-01 00:00") && text.ends_with(" 1970-01-01 02:00\n"), "{width}: {text}");
        }
    }

    #[test]
    fn a_value_that_is_alone_stands_in_the_middle() {
        let mut series = Series::default();
        series.add(Timestamp::from_micros(60_000_000), 5.0);
        let Bounds { first, last, low, high } = Bounds::of(&series);
        assert_eq!((first, last), (30_000_000, 90_000_000));
        assert!(low < 5.0 && 5.0 < high);
    }

    #[test]
    fn labels_that_are_a_step_apart_read_otherwise_and_zero_is_zero() {
        assert_eq!((label(148_210.5, 0.1).as_str(), label(148_210.4, 0.1).as_str()), ("148210.5", "148210.4"));
        assert_ne!(label(1.000_01e18, 1e13), label(1.000_02e18, 1e13));
        assert_eq!((label(-1.4e-17, 0.2).as_str(), label(-0.0, 0.2).as_str()), ("0", "0"));
    }

    #[test]
    fn one_value_large_ones_and_equal_ones_are_drawn() {
        for values in
            [vec![1.0], vec![0.0, 0.0], vec![f64::MAX, f64::MIN], vec![1e-300, 2e-300], vec![148_210.0, 148_211.0]]
        {
            let mut series = Series::default();
            for (minute, value) in (0..).zip(values) {
                series.add(Timestamp::from_micros(minute * 60_000_000), value);
            }
            assert!(drawn(&series, "x", Zone::Utc, 40).lines().count() > 15);
            draw_svg(&series, "x", Zone::Utc, &mut String::new()).expect("drawn");
        }
    }
}
