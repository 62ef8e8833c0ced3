//! How far a budget limits retries.

use tower::ServiceExt;
use tower_idempotency::client::{Budget, RetryLayer, RetryPolicyBuilder, Stop};
use tower_layer::Layer;

use super::script::{Answer, Client, Script, fixed, info, keyed, ms, post, status, with};

fn budgeted(percent: u32) -> RetryPolicyBuilder {
    fixed().max_attempts(3).budget(Budget::percent(percent))
}

async fn calls(client: &Client, number: usize) {
    for _ in 0..number {
        client.call(keyed()).await.unwrap();
    }
}

/// How many retries a hundred failing calls get after a hundred calls that end in `answer`.
async fn retries_after(answer: Answer, percent: u32) -> usize {
    let client = Client::new(budgeted(percent), [answer]);
    for _ in 0..100 {
        client.call(post()).await.unwrap();
    }
    client.script.goes_on_with([status(503)]);
    calls(&client, 100).await;
    client.requests() - 200
}

#[tokio::test(start_paused = true)]
async fn a_hundred_good_calls_allow_a_hundred_failing_ones_twenty_retries() {
    let client = Client::new(budgeted(20), [status(200)]);
    calls(&client, 100).await;
    client.script.goes_on_with([status(503)]);
    calls(&client, 100).await;
    assert_eq!(client.requests() - 100, 120);
    assert_eq!(info(&client.call(keyed()).await).stop(), Stop::Budget);
}

#[tokio::test(start_paused = true)]
async fn each_share_is_kept_exactly() {
    for percent in [10, 20, 25, 50] {
        assert_eq!(retries_after(status(200), percent).await, percent as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn only_calls_that_ended_without_a_retryable_failure_earn() {
    for (answer, earned) in [
        (status(201), 20),
        (status(404), 20),
        (status(422), 20),
        (with(500, "idempotency-replayed", "true"), 20),
        (status(503), 0), // without a key: not retried, and still no sign of health
        (status(429), 0),
    ] {
        let name = format!("{answer:?}");
        assert_eq!(retries_after(answer, 20).await, earned, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_after_retries_earns_once() {
    let client = Client::new(budgeted(50), [status(200)]);
    calls(&client, 2).await; // pays for one retry
    client.script.goes_on_with([status(503), status(200)]);
    calls(&client, 1).await; // spends it, earns half
    client.script.goes_on_with([status(200)]);
    calls(&client, 1).await; // earns the other half
    client.script.goes_on_with([status(503)]);
    assert_eq!(info(&client.call(keyed()).await).attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_call_under_way_costs_nothing() {
    let busy = || with(409, "retry-after", 1);
    let client = Client::new(budgeted(20), [busy(), busy(), busy(), status(201)]);
    assert_eq!(client.status(keyed()).await, 201);
}

#[tokio::test(start_paused = true)]
async fn a_reserve_allows_retries_that_nobody_earned() {
    let builder = fixed()
        .max_attempts(9)
        .budget(Budget::percent(20).reserve(1).window(ms(5000)));
    let client = Client::new(builder, [status(503)]);
    let response = client.call(keyed()).await;
    assert_eq!(
        (info(&response).attempts(), info(&response).stop()),
        (6, Stop::Budget)
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_shared_by_all_services_of_a_policy() {
    let policy = budgeted(50).build().unwrap();
    let (earner, spender) = (Script::new([status(200)]), Script::new([status(503)]));
    let layer = RetryLayer::new(policy.clone());
    for _ in 0..2 {
        layer.layer(earner.clone()).oneshot(keyed()).await.unwrap();
    }
    let other = RetryLayer::new(policy).layer(spender.clone());
    other.oneshot(keyed()).await.unwrap();
    assert_eq!(spender.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_earned_is_gone_when_the_window_has_passed() {
    let client = Client::new(budgeted(50), [status(200)]);
    calls(&client, 10).await;
    tokio::time::sleep(ms(60_000)).await;
    client.script.goes_on_with([status(503)]);
    assert_eq!(info(&client.call(keyed()).await).attempts(), 1);
}
