//! A record: whatever is read is written down again as it was, and nothing else is read.
#![no_main]

use bytes::{BufMut, Bytes};
use libfuzzer_sys::fuzz_target;
use tower_idempotency::{Record, RecordName};

fuzz_target!(|bytes: &[u8]| {
    let name = RecordName::from_bytes([7; RecordName::LEN]);
    let _ = Record::decode(&name, Bytes::copy_from_slice(bytes));

    // Past the version, the name and the checksum, which chance does not find.
    let mut whole = vec![
        1,
        u8::from(bytes.first().is_some_and(|first| first & 1 == 1)),
    ];
    whole.put_slice(name.as_bytes());
    whole.put_slice(bytes);
    whole.put_u32(crc32fast::hash(&whole));
    let Ok(record) = Record::decode(&name, Bytes::from(whole)) else {
        return;
    };
    let written = record.encode(&name);
    let again = Record::decode(&name, written.clone()).expect("what was written is read");
    assert_eq!(again.fingerprint(), record.fingerprint());
    assert_eq!(again.status(), record.status());
    assert_eq!(again.headers(), record.headers());
    assert_eq!(again.trailers(), record.trailers());
    assert_eq!(again.body(), record.body());
    assert_eq!(again.encode(&name), written);
    let other = RecordName::from_bytes([8; RecordName::LEN]);
    assert!(Record::decode(&other, written).is_err());
});
