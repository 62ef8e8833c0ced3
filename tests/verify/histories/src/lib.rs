//! Many clients at once on a real store, and whether one after the other could have been answered so.

mod perform;
mod round;

use std::sync::Arc;

use table::History;
use tower_idempotency::Store;

pub use self::round::Round;

/// Plays one round and checks it.
///
/// # Errors
///
/// The least history that nothing explains.
pub async fn check(clients: &[Arc<dyn Store>], round: Round, seed: u64) -> Result<usize, History> {
    let histories = round.play(clients, seed).await;
    let mut operations = 0;
    for history in histories {
        operations += history.events.len();
        if !history.is_explained() {
            return Err(history.shrunk());
        }
    }
    Ok(operations)
}
