//! A server for conformance suites in any language, and for trying a setting by hand.
//!
//! cargo run --release --example conformance -- --listen 127.0.0.1:8080 --store memory
//!
//! `--help` lists the flags. It serves until SIGTERM or SIGINT, then drains and ends with 0; a
//! flag or a store that does not work is one line and exit code 2.

mod flags;
mod ledger;
#[cfg(feature = "postgres")]
mod postgres;
mod routes;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

use std::{error::Error, future::IntoFuture, process::ExitCode, time::Duration};

use tokio::{net::TcpListener, time::timeout};
use tower_idempotency::{IdempotencyLayer, Scope, StoreFailure};

use self::{flags::Flags, ledger::Ledger};

/// How long a stop waits for connections, and then for handlers whose clients are gone.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let flags = match Flags::parse() {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            print!("{}", flags::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error),
    };
    // `/block` blocks a worker: some must be left.
    let workers = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    match runtime.map(|runtime| runtime.block_on(serve(flags))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => refuse(&*error),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("conformance: {error}");
    ExitCode::from(2)
}

async fn serve(flags: Flags) -> Result<(), Box<dyn Error>> {
    let store = store::open(&flags.store).await?;
    let ledger = flags.ledger.as_deref().map(Ledger::open).transpose()?;
    let layer = layer(IdempotencyLayer::new(store), &flags);
    let drain = layer.drain_handle();
    let app = routes::router(layer, ledger);

    let listener = TcpListener::bind(&flags.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", flags.listen))?;
    let stop = stop_signal()?;
    println!("listening on http://{}", listener.local_addr()?);

    let stopping = tokio_util::sync::CancellationToken::new();
    let stopped = stopping.clone();
    let mut server = Box::pin(
        axum::serve(listener, app)
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .into_future(),
    );
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = stop => stopping.cancel(),
    }
    // Handlers may outlive their connections, and a connection may outlive all patience.
    let (_, drained) = tokio::join!(timeout(GRACE, server), drain.drain(GRACE));
    if let Err(left) = drained {
        eprintln!("conformance: {left}");
    }
    Ok(())
}

fn layer<S>(layer: IdempotencyLayer<S>, flags: &Flags) -> IdempotencyLayer<S>
where
    S: tower_idempotency::Store,
{
    let mut layer = layer
        .wait(flags.wait)
        .unknown_outcome(flags.unknown_outcome);
    if !flags.optional_key {
        layer = layer.require_key();
    }
    if let Some(ttl) = flags.ttl {
        layer = layer.ttl(ttl);
    }
    if let Some(lease) = flags.lease {
        layer = layer.lease(lease);
    }
    if let Some(max) = flags.max_request_bytes {
        layer = layer.max_request_bytes(max);
    }
    if let Some(max) = flags.max_response_bytes {
        layer = layer.max_response_bytes(max);
    }
    if let Some(max) = flags.max_in_flight {
        layer = layer.max_in_flight(max);
    }
    if let Some(principal) = flags.principal_header.clone() {
        layer = layer.scope(move |parts| parts.headers.get(&principal).map(Scope::new));
    }
    if flags.fail_open {
        layer = layer.store_failure(StoreFailure::FailOpen);
    }
    if flags.record_all {
        layer = layer.record_all();
    }
    layer
}

#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        tokio::signal::ctrl_c().await.expect("a handler for Ctrl-C");
    })
}
