//! What a call that succeeds at once pays for the retry layer, beside the bare inner service.
//!
//! ```sh
//! cargo bench --features client --bench client
//! ```
//!
//! All variants run in one process, interleaved round by round; each figure is the median over the
//! rounds of the difference to the bare service. The inner service answers at once and does
//! nothing, so that what is seen is the layer alone. Allocations are those of one call.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tower_idempotency::client::{Budget, Key, RetryPolicy, RetryPolicyBuilder, RetryService};

const ROUNDS: usize = 400;
const CALLS_A_ROUND: u32 = 500;

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let policy = RetryPolicy::builder;
    let mut variants = [
        Variant::new("bare service", None),
        Variant::new("caller's key", Some(policy())),
        Variant::new("generated key", Some(policy().idempotency_key(Key::UuidV7))),
        Variant::new("deadline", Some(policy().deadline(Duration::from_secs(30)))),
        Variant::new("budget", Some(policy().budget(Budget::percent(20)))),
        Variant::new(
            "attempt timeout",
            Some(policy().attempt_timeout(Duration::from_secs(5))),
        ),
    ];

    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            times.push(variant.round(&runtime));
        }
    }

    println!("{:<16} {:>8} {:>8} {:>12}", "", "ns", "over", "allocations");
    let bare = variants[0].allocations(&runtime);
    for (variant, time) in variants.iter_mut().zip(&times) {
        let over = time.iter().zip(&times[0]).map(|(own, bare)| own - bare);
        let allocations = variant.allocations(&runtime) - bare;
        println!(
            "{:<16} {:>8.0} {:>8.0} {:>12}",
            variant.name,
            median(time.iter().copied()),
            median(over),
            allocations,
        );
    }
}

struct Variant {
    name: &'static str,
    service: Option<RetryService<Answering>>,
    is_keyed: bool,
}

impl Variant {
    fn new(name: &'static str, policy: Option<RetryPolicyBuilder>) -> Self {
        Self {
            name,
            service: policy.map(|policy| {
                let policy = policy.build().expect("a valid policy");
                RetryService::new(policy, Answering)
            }),
            is_keyed: name != "generated key",
        }
    }

    /// Nanoseconds of one call, over a round of calls.
    fn round(&mut self, runtime: &Runtime) -> f64 {
        let requests: Vec<_> = (0..CALLS_A_ROUND).map(|_| self.request()).collect();
        runtime.block_on(async {
            let start = Instant::now();
            for request in requests {
                self.call(request).await;
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS_A_ROUND)
        })
    }

    fn allocations(&mut self, runtime: &Runtime) -> u64 {
        runtime.block_on(self.call(self.request()));
        let request = self.request();
        let counted = allocation_counter::measure(|| runtime.block_on(self.call(request)));
        counted.count_total
    }

    async fn call(&mut self, request: Request<Full<Bytes>>) {
        let result = match &mut self.service {
            None => Answering.call(request).await.is_ok(),
            Some(service) => service.call(request).await.is_ok(),
        };
        assert!(black_box(result));
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::post("http://127.0.0.1:5000/process-payment")
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if self.is_keyed {
            request = request.header("idempotency-key", "0193a2a4-7d3e-7b51-a2b4-0d0f4d1ce2f1");
        }
        let body = Bytes::from_static(br#"{"amount":100,"currency":"EUR"}"#);
        request.body(Full::new(body)).expect("a valid request")
    }
}

#[derive(Clone)]
struct Answering;

impl Service<Request<Full<Bytes>>> for Answering {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new(())))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
