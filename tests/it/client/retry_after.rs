//! What a server's `Retry-After` does.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tower_idempotency::client::Stop;

use super::script::{Answer, Client, fixed, info, keyed, ms, status, text, with};

fn date(seconds_since_1970: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds_since_1970))
}

fn dated(sent: u64, retry: u64) -> Answer {
    let headers = vec![("date", date(sent)), ("retry-after", date(retry))];
    Answer::Status(503, headers)
}

async fn delays(answer: Answer) -> Vec<Duration> {
    let client = Client::new(fixed(), [answer, status(200)]);
    client.call(keyed()).await.unwrap();
    client.delays()
}

#[tokio::test(start_paused = true)]
async fn seconds_are_a_floor_under_our_own_pause() {
    assert_eq!(delays(with(429, "retry-after", 2)).await, [ms(2100)]);
    assert_eq!(delays(with(503, "retry-after", " 2 ")).await, [ms(2100)]);
    assert_eq!(delays(with(503, "retry-after", "0")).await, [ms(100)]);
}

#[tokio::test(start_paused = true)]
async fn a_date_is_measured_against_the_answers_own_whatever_the_local_clock() {
    for sent in [0, 1_000_000_000, 4_000_000_000] {
        assert_eq!(delays(dated(sent, sent + 3)).await, [ms(3100)]);
    }
    assert_eq!(
        delays(dated(1_000_000_000, 999_999_000)).await,
        [ms(100)],
        "past"
    );
}

#[tokio::test(start_paused = true)]
async fn a_date_without_the_answers_own_is_measured_against_the_local_clock() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let [delay] = delays(with(503, "retry-after", date(now + 30))).await[..] else {
        panic!("one retry");
    };
    assert!((ms(28_000)..=ms(30_100)).contains(&delay), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn more_than_the_cap_is_not_waited_for_and_the_answer_is_intact() {
    let huge = format!("1{}", "0".repeat(22));
    for after in ["3600", "61", &huge, "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let client = Client::new(fixed(), [with(503, "retry-after", after), status(200)]);
        let response = client.call(keyed()).await;
        assert_eq!(info(&response).stop(), Stop::Server);
        assert_eq!(client.requests(), 1, "{after}");
        let response = response.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], after);
        assert_eq!(text(response).await, "answer");
    }
    assert_eq!(delays(with(503, "retry-after", 60)).await, [ms(60_100)]);
}

#[tokio::test(start_paused = true)]
async fn the_cap_can_be_set() {
    let client = Client::new(
        fixed().max_retry_after(ms(1000)),
        [with(503, "retry-after", 2)],
    );
    client.call(keyed()).await.unwrap();
    assert_eq!(client.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_ignored() {
    for nonsense in ["soon", "-1", "+1", "1.5", "", " ", "2, 3", "0x10", "٣"] {
        assert_eq!(
            delays(with(503, "retry-after", nonsense)).await,
            [ms(100)],
            "{nonsense}"
        );
    }
    let twice = vec![
        ("retry-after", "2".to_owned()),
        ("retry-after", "3".to_owned()),
    ];
    assert_eq!(delays(Answer::Status(503, twice)).await, [ms(100)]);
}

proptest! {
    #[test]
    fn no_value_makes_it_panic_or_wait_longer_than_the_cap(value in "[ -~\u{80}-\u{ff}]{0,40}", date in "[ -~]{0,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let headers = vec![("date", date), ("retry-after", value)];
        let delays = runtime.block_on(delays(Answer::Status(503, headers)));
        prop_assert!(delays.iter().all(|delay| *delay <= ms(60_100)));
    }

    #[test]
    fn every_number_of_seconds_is_waited_for_exactly_or_not_at_all(seconds: u128) {
        let seconds = seconds % 200;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let delays = runtime.block_on(delays(with(503, "retry-after", seconds)));
        let expected = u64::try_from(seconds).unwrap() * 1000 + 100;
        prop_assert_eq!(delays, if seconds > 60 { vec![] } else { vec![ms(expected)] });
    }
}
