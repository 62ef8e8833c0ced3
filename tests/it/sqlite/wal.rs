//! What the write-ahead log's format tells (<https://www.sqlite.org/fileformat2.html#walformat>).

use std::fs;

use super::database::Database;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Returns where each commit in the log ends.
pub(crate) fn commit_ends(log: &[u8]) -> Vec<usize> {
    let Some(page) = log.get(8..12) else {
        return Vec::new();
    };
    let page = u32::from_be_bytes(page.try_into().unwrap()) as usize;
    let (mut ends, mut at) = (Vec::new(), HEADER);
    while let Some(frame) = log.get(at..at + FRAME_HEADER + page) {
        // A log that was begun anew has the end of the old one behind it.
        if frame[8..16] != log[16..24] {
            break;
        }
        at += FRAME_HEADER + page;
        if frame[4..8] != [0; 4] {
            ends.push(at);
        }
    }
    ends
}

/// Returns how many transactions the log holds.
pub(crate) fn commits(database: &Database) -> usize {
    let log = fs::read(database.log()).unwrap_or_default();
    commit_ends(&log).len()
}
