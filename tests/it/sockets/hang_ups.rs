use std::time::Duration;

use axum::routing::{MethodRouter, post};
use tokio::time::sleep;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer};

use crate::support::sockets::{
    Client, Dice, HangUp, PATIENCE, Probe, Server, Staged, Step, app, keyed,
};

/// When a client hangs up, but for some random microseconds.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Sent,
    Claiming,
    Handling,
    Saving,
    Writing,
}

impl Moment {
    const ALL: [Self; 5] = [
        Self::Sent,
        Self::Claiming,
        Self::Handling,
        Self::Saving,
        Self::Writing,
    ];

    const fn step(self) -> Option<Step> {
        match self {
            Self::Sent => None,
            Self::Claiming => Some(Step::ClaimBegins),
            Self::Handling => Some(Step::HandlerBegins),
            Self::Saving => Some(Step::CompleteBegins),
            Self::Writing => Some(Step::CompleteEnds),
        }
    }

    /// Says whether the handler has started for sure.
    const fn is_in_run(self) -> bool {
        matches!(self, Self::Handling | Self::Saving | Self::Writing)
    }
}

/// Long enough to fill the buffers of a connection, so that a response is being written for a
/// while.
const BODY_LEN: usize = 512 * 1024;
const PAUSE: Duration = Duration::from_millis(2);

/// Takes its time, and answers with the number of its run.
fn long_answer(probe: &Probe) -> MethodRouter {
    let probe = probe.clone();
    post(async move |context: IdempotencyContext| {
        let key = context.key().as_str();
        let running = probe.run(key);
        sleep(PAUSE).await;
        running.end();
        let mut body = format!("run {} of {key}", probe.runs(key));
        body.extend(std::iter::repeat_n('.', BODY_LEN));
        body
    })
}

/// Hangs up 50 times, at every moment and at random within it.
async fn hang_up_at_random_times(hang_up: HangUp) {
    let probe = Probe::default();
    let store = Staged::new(&probe).pausing(PAUSE);
    let layer = IdempotencyLayer::new(store).wait(PATIENCE);
    let drain = layer.drain_handle();
    let server = Server::start(app(&probe, layer, long_answer(&probe))).await;
    let mut retries = Client::connect(server.address, hang_up.version()).await;
    let mut dice = Dice::seeded();

    for (index, moment) in Moment::ALL.into_iter().cycle().take(50).enumerate() {
        let key = format!("key-{index}");
        let reached = moment.step().map(|step| (step, probe.count(step) + 1));
        let client = Client::connect_for(server.address, hang_up).await;
        let begun = client.begin(keyed(&key));
        if let Some((step, times)) = reached {
            probe.until(step, times).await;
        }
        sleep(dice.micros(0..3_000)).await;
        let _gone = begun.hang_up(hang_up).await;

        let retry = retries.post(&key).await;
        let told = format!("{hang_up:?} {index} at {moment:?}");
        assert_eq!(retry.status, 200, "{told}");
        assert!(
            retry
                .body
                .starts_with(format!("run 1 of {key}.").as_bytes()),
            "{told}"
        );
        assert!(retry.is_replayed() || !moment.is_in_run(), "{told}");
        let again = retries.post(&key).await;
        assert!(again.is_replayed() && again.body == retry.body, "{told}");
        assert_eq!(probe.runs(&key), 1, "{told}");
    }
    assert_eq!(probe.count(Step::HandlerDropped), 0);
    assert_eq!(drain.drain(PATIENCE).await, Ok(()));
    assert_eq!(drain.in_flight(), 0);
}

macro_rules! at_random_times {
    ($($name:ident: $hang_up:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            hang_up_at_random_times(HangUp::$hang_up).await;
        }
    )+};
}

at_random_times! {
    a_client_that_closes_its_connection_gets_its_result_on_retry: Close,
    a_client_whose_connection_is_reset_gets_its_result_on_retry: Reset,
    a_client_that_resets_its_stream_gets_its_result_on_retry: StreamReset,
    a_client_whose_http2_connection_drops_gets_its_result_on_retry: ConnectionDrop,
}
