use std::{any::Any, error::Error, fmt, sync::Arc};

use tokio::time::{self, Sleep};
use tower::retry::Policy;

use super::{
    CallError, Failure, RetryInfo, RetryPolicyBuilder, RetryRequest, RetryResponse, Stop,
    attempt::Kept,
    message::sealed::Spare,
    outcome::Outcome,
    session::{Next, Session},
    settings::Settings,
};

/// Decides whether a call is tried again, when, and under which key.
///
/// A clone is cheap and shares the settings and the budget. There are three ways to use it:
///
/// - [`RetryLayer`](super::RetryLayer) on any tower HTTP client, which does all of what is said
///   here;
/// - `send_retry` on a `reqwest::RequestBuilder` (features `reqwest-012` and `reqwest-013`), which
///   does the same;
/// - as a [`tower::retry::Policy`], in a stack that has its own
///   [`RetryLayer`](tower::retry::RetryLayer). Such a stack sets keys with
///   [`set_key`](Self::set_key) and attempt timeouts by itself, and a call whose body can be sent
///   only once does not reach the policy. Its service's error must be an `Error`; behind tower's
///   `Timeout` or `Buffer`, whose error is a box, put `map_err(CallError::from)` between.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
///
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn};
/// use tower_idempotency::client::{Backoff, Jitter, Key, RetryPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let retry = RetryPolicy::builder()
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)))
///     .jitter(Jitter::Full)
///     .max_attempts(4)
///     .build()?;
///
/// let client = service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new("done")) });
/// let client = ServiceBuilder::new().layer(RetryLayer::new(retry)).service(client);
///
/// let request = Request::post("/charges").header("Idempotency-Key", "order-4711");
/// let response = client.oneshot(request.body("{}".to_owned())?).await?;
/// assert_eq!(response.into_body(), "done");
/// # Ok(())
/// # }
/// ```
pub struct RetryPolicy {
    pub(super) settings: Arc<Settings>,
    session: Session,
}

impl RetryPolicy {
    /// Starts a policy from the defaults, which each setter states.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder::new()
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            session: Session::idle(),
        }
    }

    /// Gives a request its key as the layer does: where the policy makes keys, the request has
    /// none, and its method is not safe.
    ///
    /// ```
    /// use tower_idempotency::client::{Key, RetryPolicy};
    ///
    /// let retry = RetryPolicy::builder().idempotency_key(Key::UuidV4).build()?;
    /// let mut request = http::Request::post("/charges").body(())?;
    /// retry.set_key(&mut request);
    /// assert!(request.headers().contains_key("Idempotency-Key"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_key<R: RetryRequest>(&self, request: &mut R) {
        let settings = &*self.settings;
        if request.method().is_safe() || settings.has_key(request.headers()) {
            return;
        }
        if let Some(key) = settings.key.make() {
            request
                .headers_mut()
                .insert(settings.key_header.clone(), key);
        }
    }

    /// Begins the pause before the next attempt, or says in the result how the call went.
    fn go_on<Res, E>(&self, next: Next, result: &mut Result<Res, E>) -> Option<Sleep>
    where
        Res: RetryResponse,
        E: 'static,
    {
        let info = match next {
            Next::Retry(delay) => return Some(time::sleep(delay)),
            Next::End(info) => info,
        };
        match result {
            Ok(response) if info.is_worth_telling() => {
                response.extensions_mut().insert(info);
            }
            Ok(_) => {}
            Err(error) => {
                // An error of the user's own has no room for it.
                if let Some(error) = (error as &mut dyn Any).downcast_mut::<CallError>() {
                    error.ends(info, self.session.overall(error.failure()));
                }
            }
        }
        None
    }

    fn after_answer<Res: RetryResponse>(&mut self, response: &mut Res) -> Next {
        // Another retry layer further in told of its own attempts, not of ours.
        let inner = response.extensions_mut().remove::<RetryInfo>();
        let conflicts = self.session.conflicts(&self.settings);
        let mut outcome = Outcome::answer(response.status(), response.headers(), conflicts);
        if inner.is_some_and(|inner| inner.in_doubt) {
            outcome.mark_in_doubt();
        }
        self.session.next(&self.settings, &outcome)
    }

    fn after_error(&mut self, error: &(dyn Error + 'static), failure: Failure) -> Next {
        self.session
            .next(&self.settings, &Outcome::error(error, failure))
    }

    fn begin<R: RetryRequest>(&mut self, request: &R) {
        self.session = Session::begin(&self.settings, request.method(), request.headers());
    }
}

/// The policy in a stack of the user's own.
impl<R, Res, E> Policy<R, Res, E> for RetryPolicy
where
    R: RetryRequest,
    Res: RetryResponse,
    E: Error + 'static,
{
    type Future = Sleep;

    fn retry(&mut self, _request: &mut R, result: &mut Result<Res, E>) -> Option<Sleep> {
        let next = match result {
            Ok(response) => self.after_answer(response),
            Err(error) => self.after_error(error, Failure::of_error(error)),
        };
        self.go_on(next, result)
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        if !self.session.has_sent() {
            self.begin(request);
        }
        request.spare().map(Spare::into_request)
    }
}

/// The policy inside [`RetryLayer`](super::RetryLayer).
impl<R, Res> Policy<Kept<R>, Res, CallError> for RetryPolicy
where
    R: RetryRequest,
    Res: RetryResponse,
{
    type Future = Sleep;

    fn retry(&mut self, kept: &mut Kept<R>, result: &mut Result<Res, CallError>) -> Option<Sleep> {
        if matches!(kept, Kept::Spent) {
            self.session.mark_spent();
        }
        let next = match result {
            Ok(response) => self.after_answer(response),
            Err(error) if error.is_not_ready() => self.session.end(Stop::NotReady),
            Err(error) => self.after_error(error.cause(), error.failure()),
        };
        self.go_on(next, result)
    }

    fn clone_request(&mut self, kept: &Kept<R>) -> Option<Kept<R>> {
        // Never nothing: `tower` would ask nobody what to make of the answer.
        let spare = match kept {
            Kept::Fresh(request) => {
                self.begin(request);
                request.spare()
            }
            Kept::Spare(spare) => spare.try_clone(),
            Kept::Spent => None,
        };
        Some(spare.map_or(Kept::Spent, Kept::Spare))
    }
}

impl Clone for RetryPolicy {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            session: self.session.at_start(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::builder().build().expect("the defaults go together")
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
