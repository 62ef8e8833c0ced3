//! The encoding of records: what one version wrote, every later one reads; and nothing else is
//! ever taken for a record.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, response};
use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest},
};
use tower_idempotency::{Fingerprint, InvalidRecord, Record, RecordName};

fn name() -> RecordName {
    RecordName::from_bytes(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()))
}

fn fingerprint() -> Fingerprint {
    Fingerprint::from_bytes(std::array::from_fn(|at| u8::try_from(at * 5).unwrap()))
}

fn head(status: u16, fields: &[(&'static str, &'static [u8])]) -> response::Parts {
    let mut head = Response::new(()).into_parts().0;
    head.status = StatusCode::from_u16(status).unwrap();
    head.headers = field_map(fields);
    head
}

fn field_map(fields: &[(&'static str, &'static [u8])]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static [u8])| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).unwrap(),
        )
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(pair) {
        map.append(name, value);
    }
    map
}

/// One record of each kind, by the name of the file that holds what version 1 made of it.
fn golden() -> Vec<(&'static str, Record)> {
    let json = head(
        201,
        &[
            ("content-type", b"application/json"),
            ("location", b"/payments/7"),
        ],
    );
    let grpc = head(200, &[("content-type", b"application/grpc")]);
    let status = field_map(&[
        ("grpc-status", b"0"),
        ("grpc-message", b"d\xc3\xa9j\xc3\xa0"),
    ]);
    let duplicates = head(
        200,
        &[
            ("vary", b"origin"),
            ("link", b"</a>"),
            ("vary", b"accept"),
            ("link", b"</b>"),
            ("x-empty", b""),
        ],
    );
    let paid = Bytes::from_static(b"{\"status\":\"success\"}");
    let message = Bytes::from_static(b"\0\0\0\0\x02\x08\x01");
    let whole = |head, body, trailers| Record::whole(fingerprint(), head, body, trailers);
    vec![
        ("whole", whole(&json, paid, None)),
        ("trailers", whole(&grpc, message, Some(status))),
        ("omitted", Record::omitted(fingerprint(), &json)),
        ("empty", whole(&head(204, &[]), Bytes::new(), None)),
        (
            "duplicates",
            whole(&duplicates, vec![b'x'; 300].into(), None),
        ),
    ]
}

fn read(file: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = path.join(format!("tests/golden/record-v1-{file}.bin"));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

fn assert_same(seen: &Record, expected: &Record) {
    assert_eq!(seen.fingerprint(), expected.fingerprint());
    assert_eq!(seen.status(), expected.status());
    assert_eq!(seen.headers(), expected.headers());
    assert_eq!(seen.body(), expected.body());
    assert_eq!(seen.trailers(), expected.trailers());
}

#[test]
fn the_records_of_version_1_are_read_by_every_later_version() {
    for (file, expected) in golden() {
        assert_same(&Record::decode(&name(), read(file)).unwrap(), &expected);
    }
}

#[test]
fn version_1_is_written_as_it_always_was() {
    for (file, record) in golden() {
        assert_eq!(record.encode(&name()), read(file), "{file}");
    }
}

#[test]
fn a_record_cut_short_anywhere_is_refused() {
    for (file, _) in golden() {
        let whole = read(file);
        for length in 0..whole.len() {
            let seen = Record::decode(&name(), whole.slice(..length));
            assert_eq!(
                seen.unwrap_err(),
                InvalidRecord::Damaged,
                "{file}, {length} bytes"
            );
        }
    }
}

#[test]
fn a_record_with_any_bit_changed_is_refused() {
    for (file, _) in golden() {
        let whole = read(file);
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let seen = Record::decode(&name(), changed.into()).unwrap_err();
            let expected = if bit < 8 {
                InvalidRecord::Version
            } else {
                InvalidRecord::Damaged
            };
            assert_eq!(seen, expected, "{file}, bit {bit}");
        }
    }
}

#[test]
fn a_record_under_another_name_is_refused() {
    for byte in 0..RecordName::LEN {
        let mut other = *name().as_bytes();
        other[byte] ^= 1;
        let seen = Record::decode(&RecordName::from_bytes(other), read("whole"));
        assert_eq!(seen.unwrap_err(), InvalidRecord::Foreign);
    }
}

#[test]
fn a_record_with_something_behind_it_is_refused() {
    let mut longer = read("whole").to_vec();
    longer.extend_from_within(..1);
    let seen = Record::decode(&name(), longer.into());
    assert_eq!(seen.unwrap_err(), InvalidRecord::Damaged);
}

#[test]
fn a_record_without_a_body_that_has_one_all_the_same_is_refused() {
    for file in ["whole", "trailers"] {
        let mut changed = read(file).to_vec();
        let end = changed.len() - 4;
        changed[1] = 1;
        let checksum = crc32fast::hash(&changed[..end]).to_be_bytes();
        changed[end..].copy_from_slice(&checksum);
        let seen = Record::decode(&name(), changed.into());
        assert_eq!(seen.unwrap_err(), InvalidRecord::Damaged, "{file}");
    }
}

#[test]
fn a_record_tells_what_it_was_made_of() {
    let head = head(201, &[("location", b"/payments/7")]);
    let trailers = field_map(&[("grpc-status", b"0")]);
    let whole = Record::whole(fingerprint(), &head, "paid".into(), Some(trailers.clone()));
    assert_eq!(whole.fingerprint(), &fingerprint());
    assert_eq!(whole.status(), StatusCode::CREATED);
    assert_eq!(whole.headers()["location"], "/payments/7");
    assert_eq!(whole.body().unwrap(), "paid");
    assert_eq!(whole.trailers(), Some(&trailers));
    let omitted = Record::omitted(fingerprint(), &head);
    assert_eq!((omitted.body(), omitted.trailers()), (None, None));
}

#[test]
fn more_fields_than_one_byte_counts_are_kept() {
    let fields = vec![("vary", &b"origin"[..]); 300];
    let (head, trailers) = (head(200, &fields), field_map(&fields));
    let record = Record::whole(fingerprint(), &head, Bytes::new(), Some(trailers));
    let seen = Record::decode(&name(), record.encode(&name())).unwrap();
    assert_same(&seen, &record);
    assert_eq!(seen.headers().len(), 300);
}

#[test]
fn what_is_wrong_with_a_record_is_said() {
    let texts = [
        (InvalidRecord::Version, "a version that is not known"),
        (InvalidRecord::Foreign, "belongs to another name"),
        (InvalidRecord::Damaged, "cut short or changed"),
    ];
    for (error, part) in texts {
        assert!(error.to_string().contains(part), "{error}");
    }
}

const NAMES: [&str; 5] = [
    "vary",
    "link",
    "x-a",
    "content-type",
    "x-a-rather-long-name-that-nobody-has",
];

fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let value = vec(
        prop::sample::select((b' '..=b'~').chain(128..=255).collect::<Vec<_>>()),
        0..200,
    );
    vec((prop::sample::select(&NAMES), value), 0..8).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        map
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        status in 100..1000_u16,
        headers in any_fields(),
        trailers in any_fields(),
        body in vec(any::<u8>(), 0..1000),
        name in any::<[u8; 32]>(),
        omitted in any::<bool>(),
    ) {
        let name = RecordName::from_bytes(name);
        let mut head = head(status, &[]);
        head.headers = headers;
        let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
        let record = if omitted {
            Record::omitted(fingerprint(), &head)
        } else {
            Record::whole(fingerprint(), &head, body.into(), trailers)
        };
        let encoded = record.encode(&name);
        prop_assert!(encoded.is_unique(), "nothing else holds it");
        assert_same(&Record::decode(&name, encoded.clone()).unwrap(), &record);
        prop_assert_eq!(Record::decode(&name, encoded.clone()).unwrap().encode(&name), encoded);
    }

    /// Also where the checksum is right: another program may have written it.
    #[test]
    fn no_bytes_make_decoding_panic(
        start in prop::sample::select((0..golden().len()).collect::<Vec<_>>()),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = golden()[start].1.encode(&name()).to_vec();
        bytes.truncate(bytes.len() - 4);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        if let Ok(record) = Record::decode(&name(), bytes.into()) {
            let again = record.encode(&name());
            prop_assert!(Record::decode(&name(), again).is_ok());
        }
    }
}
