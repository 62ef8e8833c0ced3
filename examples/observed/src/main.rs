//! A payment service with a Prometheus endpoint at `/metrics`; `dashboard.json` is for Grafana, and `alerts.yml`
//! for Prometheus.
//!
//! `cargo run -p observed -- [ADDR] [--trouble SECONDS]`
//!
//! With `--trouble` it is another service, which sends itself requests and has everything happen that the dashboard
//! shows, an outage of its store every so many seconds included.

mod moody;
mod trouble;

use std::{error::Error, process::ExitCode, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use lexopt::{Arg, ValueExt};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, time};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore};

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("observed: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let (mut address, mut trouble) = ("127.0.0.1:5000".to_owned(), None);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("trouble") => {
                let seconds: u16 = args.value()?.parse()?;
                trouble = Some(Duration::from_secs(seconds.max(4).into()));
            }
            Arg::Value(value) => address = value.string()?,
            arg => return Err(arg.unexpected().into()),
        }
    }
    // Before the layer is made, so that its counters begin at zero.
    let metrics = record()?;
    let app = match trouble {
        Some(period) => trouble::begin(period),
        None => payments(),
    };
    let app = app.route("/metrics", get(async move || metrics.render()));

    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

fn payments() -> Router {
    let idempotency = IdempotencyLayer::new(MemoryStore::new()).require_key();
    Router::new()
        .route("/charge", post(charge))
        .layer(idempotency)
}

async fn charge(context: IdempotencyContext) -> String {
    format!("charged, attempt {}\n", context.attempt())
}

/// Records all metrics of the program from now on.
fn record() -> Result<PrometheusHandle, Box<dyn Error>> {
    // Seconds. Without buckets the exporter makes summaries, which cannot be added up over servers.
    const BUCKETS: [f64; 12] = [
        0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0,
    ];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
        .install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        // What no one scrapes would pile up.
        let mut rounds = time::interval(Duration::from_secs(5));
        loop {
            rounds.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
