use std::{
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use serde_json::json;
use tower_idempotency::{
    Record,
    admin::{Counts, Entry, State},
};

pub(crate) fn heading(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:9}  {:>8}  {:>8}  {:>8}  {:>7}  {:>5}  {:>9}  RECORD",
        "STATE", "AGE", "LEASE", "EXPIRES", "ATTEMPT", "FENCE", "BYTES"
    )
}

pub(crate) fn entry(out: &mut impl Write, entry: &Entry, ttl: Duration) -> io::Result<()> {
    let age = match entry.state {
        State::InFlight => "-".to_owned(),
        _ => duration(entry.age(ttl)),
    };
    writeln!(
        out,
        "{:9}  {age:>8}  {:>8}  {:>8}  {:>7}  {:>5}  {:>9}  {:x}",
        entry.state,
        or_dash(entry.lease_left.map(duration)),
        if entry.expires_in == Duration::MAX {
            "never".to_owned()
        } else {
            duration(entry.expires_in)
        },
        or_dash(entry.attempt),
        or_dash(entry.fence),
        entry.bytes,
        entry.name,
    )
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Writes a duration in its two largest units.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

pub(crate) fn counts(out: &mut impl Write, counts: &Counts) -> io::Result<()> {
    for (state, count) in [
        (State::InFlight, counts.in_flight),
        (State::Lapsed, counts.lapsed),
        (State::Abandoned, counts.abandoned),
        (State::Completed, counts.completed),
    ] {
        writeln!(out, "{state:10}  {count}")?;
    }
    if counts.unreadable > 0 {
        writeln!(out, "unreadable  {}", counts.unreadable)?;
    }
    Ok(())
}

/// Writes a recorded response as HTTP/1.1 does.
pub(crate) fn response(out: &mut impl Write, record: &Record) -> io::Result<()> {
    write!(out, "HTTP/1.1 {}\r\n", record.status())?;
    for (name, value) in record.headers() {
        write!(out, "{name}: ")?;
        out.write_all(value.as_bytes())?;
        out.write_all(b"\r\n")?;
    }
    match record.body() {
        Some(body) => {
            out.write_all(b"\r\n")?;
            out.write_all(&body)
        }
        None => out.write_all(b"idempotency-replay: omitted\r\n\r\n"),
    }
}

/// The same as an object of JSON in one line: the body as text, or in hexadecimal where it is none.
pub(crate) fn response_json(record: &Record) -> String {
    let headers: Vec<_> = record
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let body = record.body();
    let text = body
        .as_deref()
        .and_then(|body| std::str::from_utf8(body).ok());
    let hex = || {
        let mut digits = String::new();
        for byte in body.as_deref()? {
            let _ = write!(digits, "{byte:02x}");
        }
        Some(digits)
    };
    let body_hex = if text.is_none() { hex() } else { None };
    json!({
        "status": record.status().as_u16(),
        "headers": headers,
        "body": text,
        "body_hex": body_hex,
    })
    .to_string()
}
