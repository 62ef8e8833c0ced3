//! Keys that belong to whoever is logged in, with axum-login: under whatever session the retry comes.
//!
//! `cargo run -p sessions -- [ADDR]`

#[cfg(test)]
mod tests;
mod users;

use std::{env, error::Error, process::ExitCode};

use axum::{Router, http::StatusCode, routing::post};
use axum_login::{AuthManagerLayerBuilder, AuthSession};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore, Scope};
use tower_sessions::{MemoryStore as Sessions, SessionManagerLayer};

use crate::users::Users;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sessions: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:5000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("log in as ada or bob, and pay:");
    println!("  curl -c jar -X POST http://{address}/login -d ada");
    println!("  curl -i -b jar -X POST http://{address}/pay -H 'Idempotency-Key: order-17'");
    axum::serve(listener, app()).await?;
    Ok(())
}

fn app() -> Router {
    let idempotency = IdempotencyLayer::new(MemoryStore::new())
        .require_key()
        .scope(|parts| {
            let session = parts.extensions.get::<AuthSession<Users>>()?;
            // Nobody logged in: 403, rather than a key space that all strangers share.
            let user = session.user.as_ref()?;
            Some(Scope::new(user.number.to_string()))
        });
    // This example speaks plain HTTP, over which no client returns secure cookies.
    let sessions = SessionManagerLayer::new(Sessions::default()).with_secure(false);
    let authentication = AuthManagerLayerBuilder::new(Users, sessions).build();
    Router::new()
        .route("/pay", post(pay))
        .layer(idempotency)
        // The session is known before the key is claimed: its layer is the outer one.
        .route("/login", post(login))
        .layer(authentication)
}

async fn login(mut session: AuthSession<Users>, name: String) -> Result<(), StatusCode> {
    let found = session.authenticate(name).await;
    let user = found
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let logged_in = session.login(&user).await;
    logged_in.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn pay(session: AuthSession<Users>, context: IdempotencyContext) -> String {
    let name = session.user.map_or("nobody", |user| user.name);
    format!(
        "{name} paid, reference {}\n",
        context.downstream_key("bank")
    )
}
