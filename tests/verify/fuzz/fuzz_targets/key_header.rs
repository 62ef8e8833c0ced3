//! A key header, bare or as a structured string: what is read is a key, and reads the same written
//! either way.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use tower_idempotency::IdempotencyKey;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let key = IdempotencyKey::from_header_value(&value);
    if let Some(expected) = structured_string(bytes) {
        assert_eq!(
            key.as_ref().ok().map(|key| key.as_str().as_bytes()),
            expected.as_deref()
        );
    }
    let Ok(key) = key else { return };
    let text = key.as_str();
    assert!((1..=IdempotencyKey::MAX_LEN).contains(&text.len()));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = HeaderValue::try_from(format!("\"{escaped}\"")).unwrap();
    assert_eq!(
        IdempotencyKey::from_header_value(&quoted).as_ref(),
        Ok(&key)
    );
    if !text.contains(['"', ',']) {
        let bare = HeaderValue::try_from(text).unwrap();
        assert_eq!(IdempotencyKey::from_header_value(&bare).as_ref(), Ok(&key));
    }
});

/// Reads a string by the algorithm of RFC 9651, section 4.2.5, and says which key it is, if one.
fn structured_string(bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut rest = bytes.trim_ascii().strip_prefix(b"\"")?.iter().copied();
    let mut key = Vec::new();
    let ended = loop {
        match rest.next() {
            None => break false,
            Some(b'"') => break rest.next().is_none(),
            Some(b'\\') => match rest.next() {
                Some(byte @ (b'"' | b'\\')) => key.push(byte),
                _ => break false,
            },
            // A space is no character of a key.
            Some(byte @ 0x21..=0x7e) => key.push(byte),
            Some(_) => break false,
        }
    };
    Some((ended && (1..=255).contains(&key.len())).then_some(key))
}
