//! The panels as Prometheus answers them, written by hand as SVG. The same answers are the same bytes.

use std::fmt::{self, Write};

/// Okabe and Ito's colours, which everyone can tell apart.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666",
];

/// One panel, two beside each other: its place, and that of the plot in it.
const PANEL: (f64, f64) = (470.0, 216.0);
const LEFT: f64 = 58.0;
const RIGHT: f64 = 300.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 180.0;

pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) seconds: f64,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds and values.
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) fn draw(plots: &[Plot]) -> String {
    let mut svg = String::new();
    write_plots(&mut svg, plots).expect("a string takes everything");
    svg
}

fn write_plots(svg: &mut String, plots: &[Plot]) -> fmt::Result {
    let rows = f64::from(u32::try_from(plots.len().div_ceil(2)).expect("a few"));
    let (width, height) = (2.0 * PANEL.0, rows * PANEL.1);
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">
<title>The dashboard of the example, under load, with two outages of its store</title>
<rect width="{width}" height="{height}" fill="#fff"/>"##
    )?;
    for (index, plot) in (0_u32..).zip(plots) {
        let (x, y) = (
            f64::from(index % 2) * PANEL.0,
            f64::from(index / 2) * PANEL.1,
        );
        writeln!(svg, r#"<g transform="translate({x} {y})">"#)?;
        write_plot(svg, plot)?;
        writeln!(svg, "</g>")?;
    }
    writeln!(svg, "</svg>")
}

fn write_plot(svg: &mut String, plot: &Plot) -> fmt::Result {
    let values = plot.lines.iter().flat_map(|line| &line.points);
    let top = rounded_up(values.map(|(_, value)| *value).fold(0.0, f64::max));
    let up = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
    let across = |seconds: f64| LEFT + seconds / plot.seconds * (RIGHT - LEFT);
    let title = &plot.title;
    writeln!(
        svg,
        r#"<text x="{LEFT}" y="24" font-size="13" font-weight="600">{title}</text>"#
    )?;
    for quarter in [0.0, 0.5, 1.0] {
        let y = up(top * quarter);
        writeln!(
            svg,
            r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#666">{}</text>"##,
            LEFT - 6.0,
            y + 4.0,
            labelled(top * quarter, &plot.unit),
        )?;
    }
    for (share, seconds) in [(0.0, 0.0), (0.5, plot.seconds / 2.0), (1.0, plot.seconds)] {
        writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#666">{seconds:.0} s</text>"##,
            LEFT + share * (RIGHT - LEFT),
            BOTTOM + 17.0,
        )?;
    }
    for (row, line) in (0_u8..).zip(&plot.lines) {
        let colour = COLOURS[usize::from(row) % COLOURS.len()];
        // The eighth line and those after it are dashed.
        let dash = if usize::from(row) < COLOURS.len() {
            ""
        } else {
            r#" stroke-dasharray="4 2""#
        };
        write!(
            svg,
            r#"<path fill="none" stroke="{colour}" stroke-width="1.5"{dash} d=""#
        )?;
        let mut last = f64::NEG_INFINITY;
        for (seconds, value) in &line.points {
            // A gap is a gap.
            let command = if seconds - last > 1.5 { 'M' } else { 'L' };
            write!(svg, "{command}{:.1} {:.1}", across(*seconds), up(*value))?;
            last = *seconds;
        }
        let y = TOP + 14.0 * f64::from(row);
        writeln!(
            svg,
            r#""/><path stroke="{colour}" stroke-width="3"{dash} d="M{:.1} {y:.1}h14"/><text x="{:.1}" y="{:.1}" font-size="11">{}</text>"#,
            RIGHT + 12.0,
            RIGHT + 31.0,
            y + 4.0,
            line.name,
        )?;
    }
    Ok(())
}

/// Returns 1, 2 or 5 times a power of ten, no less than a value.
fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn labelled(value: f64, unit: &str) -> String {
    match unit {
        "percentunit" => format!("{:.0} %", value * 100.0),
        "bytes" => format!("{:.1} MB", value / 1e6),
        "s" if value < 1.0 && value > 0.0 => format!("{} ms", value * 1e3),
        "s" => format!("{value} s"),
        "reqps" | "ops" => format!("{value}/s"),
        _ => format!("{value}"),
    }
}
