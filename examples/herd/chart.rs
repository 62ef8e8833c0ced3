//! The chart, written by hand as SVG: clients served over time, and requests sent in all.

use std::fmt::{self, Write};

use crate::simulation::{CLIENTS, Herd, OUTAGE, STEP};

/// Okabe and Ito's colours, which everyone can tell apart, in the order of the strategies.
const COLOURS: [&str; 5] = ["#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#0072b2"];

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 400.0;
/// Where both plots begin and end, from the top.
const TOP: f64 = 72.0;
const BOTTOM: f64 = 340.0;
/// Where the plot of clients served begins and ends, from the left, and the seconds it shows.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 500.0;
const SECONDS: f64 = 60.0;
/// Where the bars begin, and how long the longest may be.
const BARS: f64 = 560.0;
const LONGEST: f64 = 250.0;

pub(crate) fn draw(herds: &[Herd]) -> String {
    let mut svg = String::new();
    write_chart(&mut svg, herds).expect("a string takes everything");
    svg
}

fn write_chart(svg: &mut String, herds: &[Herd]) -> fmt::Result {
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#222">
<title>A thousand clients after an outage of ten seconds, by retry strategy</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="30" font-size="16" font-weight="600">1,000 clients, 10 s of outage, then 200 requests/s of capacity</text>
<text x="{LEFT}" y="56">clients served</text>
<text x="{BARS}" y="56">requests sent until all were served, or for 300 s</text>"##
    )?;
    write_axes(svg)?;
    for (herd, colour) in herds.iter().zip(COLOURS) {
        write_line(svg, herd, colour)?;
    }
    write_bars(svg, herds)?;
    writeln!(svg, "</svg>")
}

fn write_axes(svg: &mut String) -> fmt::Result {
    let (outage, middle) = (
        across(OUTAGE.as_secs_f64()),
        across(OUTAGE.as_secs_f64() / 2.0),
    );
    writeln!(
        svg,
        r##"<rect x="{LEFT}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#eee"/>
<text x="{middle:.1}" y="{:.1}" text-anchor="middle" fill="#666">outage</text>"##,
        outage - LEFT,
        BOTTOM - TOP,
        TOP + 20.0,
    )?;
    for clients in [0, 250, 500, 750, 1000] {
        let y = up(f64::from(clients));
        writeln!(
            svg,
            r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#ccc"/><text x="{:.1}" y="{:.1}" text-anchor="end">{clients}</text>"##,
            LEFT - 8.0,
            y + 4.0,
        )?;
    }
    for seconds in [0, 10, 20, 30, 40, 50, 60] {
        let x = across(f64::from(seconds));
        writeln!(
            svg,
            r##"<path d="M{x:.1} {BOTTOM}v5" stroke="#222"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{seconds}</text>"##,
            BOTTOM + 20.0,
        )?;
    }
    writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">seconds since the outage began</text>"#,
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 42.0,
    )
}

fn write_line(svg: &mut String, herd: &Herd, colour: &str) -> fmt::Result {
    write!(
        svg,
        r#"<path fill="none" stroke="{colour}" stroke-width="2.5" d=""#
    )?;
    for (step, served) in (0_u32..).zip(&herd.served) {
        let seconds = (STEP * step).as_secs_f64();
        if seconds > SECONDS {
            break;
        }
        let command = if step == 0 { 'M' } else { 'L' };
        write!(svg, "{command}{:.1} {:.1}", across(seconds), up(*served))?;
    }
    writeln!(svg, r#""/>"#)
}

/// The bars name the strategies, and so are the key to the lines.
fn write_bars(svg: &mut String, herds: &[Herd]) -> fmt::Result {
    let most = herds.iter().map(|herd| herd.requests).fold(0.0, f64::max);
    let height = (BOTTOM - TOP) / f64::from(u32::try_from(herds.len()).expect("a few strategies"));
    for (row, (herd, colour)) in (0_u32..).zip(herds.iter().zip(COLOURS)) {
        let top = TOP + height * f64::from(row);
        let length = herd.requests / most * LONGEST;
        writeln!(
            svg,
            r#"<text x="{BARS}" y="{:.1}">{}</text><rect x="{BARS}" y="{:.1}" width="{length:.1}" height="18" fill="{colour}"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            top + 16.0,
            herd.strategy.name,
            top + 23.0,
            BARS + length + 8.0,
            top + 37.0,
            thousands(herd.requests),
        )?;
    }
    Ok(())
}

fn across(seconds: f64) -> f64 {
    LEFT + seconds / SECONDS * (RIGHT - LEFT)
}

fn up(clients: f64) -> f64 {
    BOTTOM - clients / f64::from(CLIENTS) * (BOTTOM - TOP)
}

/// Writes a number of thousands with a comma.
fn thousands(number: f64) -> String {
    let mut digits = format!("{number:.0}");
    digits.insert(digits.len() - 3, ',');
    digits
}
