//! A thousand clients, and a server that is out for ten seconds.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use fastrand::Rng;
use http::{Request, Response, StatusCode};
use tokio::{runtime, task::JoinSet, time, time::Instant};
use tower::{Service, ServiceExt};
use tower_idempotency::client::{Backoff, Jitter, RetryPolicy, RetryService};

pub(crate) const CLIENTS: u32 = 1000;
pub(crate) const OUTAGE: Duration = Duration::from_secs(10);
pub(crate) const END: Duration = Duration::from_secs(300);
/// The grid on which clients served are counted.
pub(crate) const STEP: Duration = Duration::from_millis(250);

/// Requests a second that the server can answer once it is back.
const RATE: f64 = 200.0;
/// Requests that it can answer at one moment: a tenth of a second's worth.
const BURST: f64 = 20.0;
/// The clients all start within this time, since they lost the server together.
const SPREAD_MS: u64 = 10;
/// What is called "at once" in the table.
const AT_ONCE: Duration = Duration::from_millis(100);

pub(crate) struct Strategy {
    pub(crate) name: &'static str,
    backoff: fn() -> Backoff,
    jitter: Jitter,
}

pub(crate) static STRATEGIES: [Strategy; 5] = [
    Strategy {
        name: "fixed, 1 s",
        backoff: || Backoff::fixed(Duration::from_secs(1)),
        jitter: Jitter::None,
    },
    exponential("exponential, no jitter", Jitter::None),
    exponential("exponential, equal jitter", Jitter::Equal),
    exponential("exponential, decorrelated", Jitter::Decorrelated),
    exponential("exponential, full jitter", Jitter::Full),
];

const fn exponential(name: &'static str, jitter: Jitter) -> Strategy {
    Strategy {
        name,
        backoff: || Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)),
        jitter,
    }
}

/// What the clients did, as the mean over all seeds.
pub(crate) struct Herd {
    pub(crate) strategy: &'static Strategy,
    pub(crate) requests: f64,
    pub(crate) requests_at_once: f64,
    /// Clients served by the end of each step.
    pub(crate) served: Vec<f64>,
}

impl Herd {
    pub(crate) fn average(strategy: &'static Strategy, seeds: u32) -> Self {
        let steps = END.as_millis().div_ceil(STEP.as_millis()) + 1;
        let mut herd = Self {
            strategy,
            requests: 0.0,
            requests_at_once: 0.0,
            served: vec![0.0; usize::try_from(steps).expect("a few steps")],
        };
        for seed in 0..seeds {
            let log = strategy.run(seed.into());
            herd.requests += share(log.requests.len(), seeds);
            let at_once = log.requests.iter().filter(|at| **at < AT_ONCE);
            herd.requests_at_once += share(at_once.count(), seeds);
            for (step, served) in (0..).zip(&mut herd.served) {
                let by_now = log.served.partition_point(|at| *at <= STEP * step);
                *served += share(by_now, seeds);
            }
        }
        herd
    }

    /// When so many clients were served, if they ever were.
    pub(crate) fn time_until(&self, clients: f64) -> Option<Duration> {
        let step = self.served.iter().position(|served| *served >= clients)?;
        Some(STEP * u32::try_from(step).expect("a few steps"))
    }
}

fn share(count: usize, seeds: u32) -> f64 {
    f64::from(u32::try_from(count).expect("a few thousand requests")) / f64::from(seeds)
}

impl Strategy {
    fn run(&self, seed: u64) -> Log {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(self.simulate(seed))
    }

    async fn simulate(&self, seed: u64) -> Log {
        let policy = RetryPolicy::builder()
            .backoff((self.backoff)())
            .jitter(self.jitter)
            .max_attempts(u32::MAX)
            .deadline(END)
            .seed(seed)
            .build()
            .expect("a valid policy");
        let server = Server::new();
        let mut rng = Rng::with_seed(seed);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let start = Duration::from_millis(rng.u64(0..SPREAD_MS));
            let client = RetryService::new(policy.clone(), server.clone());
            clients.spawn(async move {
                time::sleep(start).await;
                client.oneshot(Request::new(())).await
            });
        }
        clients.join_all().await;
        server.into_log()
    }
}

/// When requests came and when clients were served, counted from the start, in order.
#[derive(Default)]
struct Log {
    requests: Vec<Duration>,
    served: Vec<Duration>,
}

#[derive(Clone)]
struct Server {
    start: Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    log: Log,
    tokens: f64,
    refilled: Duration,
}

impl Server {
    fn new() -> Self {
        let state = State {
            log: Log::default(),
            tokens: BURST,
            refilled: OUTAGE,
        };
        Self {
            start: Instant::now(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn into_log(self) -> Log {
        std::mem::take(&mut self.state.lock().expect("no client panicked").log)
    }
}

impl State {
    fn answer(&mut self, now: Duration) -> StatusCode {
        self.log.requests.push(now);
        if now < OUTAGE {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let passed = now.saturating_sub(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + passed * RATE).min(BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        self.tokens -= 1.0;
        self.log.served.push(now);
        StatusCode::OK
    }
}

impl Service<Request<()>> for Server {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        let now = self.start.elapsed();
        let mut response = Response::new(());
        *response.status_mut() = self.state.lock().expect("no client panicked").answer(now);
        ready(Ok(response))
    }
}
