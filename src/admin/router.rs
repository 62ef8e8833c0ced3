use std::{sync::Arc, time::Duration};

use axum::{
    RequestPartsExt, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, StatusCode, header, request};

use super::{Admin, Force, Forgotten, List, Page, Repair, Repaired, count};
use crate::{
    record::Record,
    record_name::{InvalidRecordName, RecordName},
};

mod permission;
mod query;
mod refusal;

pub use self::permission::{Act, Permission};
use self::{query::Query, refusal::Refusal};

/// Makes a router for an internal port, on which operators look into a store and mend it.
///
/// Whoever may do what is for you to say: `authorize` is asked before anything else is looked at,
/// and sees the head of the request and what it asks for. There is no router without it.
///
/// ```
/// use tower_idempotency::{
///     MemoryStore,
///     admin::{self, Act, Permission},
/// };
///
/// let store = MemoryStore::new();
/// let operators = admin::router(store.clone(), |parts, act| {
///     match parts.headers.get("authorization").map(|value| value.as_bytes()) {
///         Some(b"Bearer of-an-operator") => Permission::Granted,
///         Some(b"Bearer of-a-dashboard") if act == Act::Look => Permission::Granted,
///         Some(_) => Permission::Forbidden,
///         None => Permission::Unauthenticated,
///     }
/// });
/// let internal: axum::Router = axum::Router::new().nest("/idempotency", operators);
/// ```
///
/// | request | answer | act |
/// |---|---|---|
/// | `GET /records` | a page of entries, as [`Entry::to_json`](super::Entry::to_json) has them; of one `state`, with about `at_once` keys looked at, and `after` the `next` of the page before | [`Look`](Act::Look) |
/// | `GET /counts` | how many keys are in each state; takes as long as a listing | [`Look`](Act::Look) |
/// | `GET /records/{record}` | the entry | [`Look`](Act::Look) |
/// | `GET /records/{record}/response` | the recorded response, as `message/http` | [`Read`](Act::Read) |
/// | `DELETE /records/{record}` | 204 once it is forgotten; 409 while its owner is at work, unless `force=true` | [`Forget`](Act::Forget) |
/// | `PUT /records/{record}/response` | 204 once an answer is recorded with this body, its `Content-Type` and the `status` of the query; 409 unless the outcome is unknown | [`Repair`](Act::Repair) |
///
/// `{record}` is the whole name in hexadecimal, as an entry or `{:x}` of a
/// [`RecordName`] gives it. Every query may have `ttl_secs`, the layer's ttl in seconds
/// (default: 24 hours): ages are reckoned by it, and an answer is kept for so long. The
/// longest answer is 1 MiB.
///
/// What is refused is a problem of RFC 9457: 401 or 403 as `authorize` says, 400 with what is wrong
/// with the request, 404 where nothing is kept, 413 for an answer that is too long, 503 where the store
/// cannot be reached, and 500 where it fails in another way.
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub fn router<A, F>(store: A, authorize: F) -> Router
where
    A: Admin,
    F: Fn(&request::Parts, Act) -> Permission + Send + Sync + 'static,
{
    Router::new()
        .route("/records", get(list))
        .route("/counts", get(counts))
        .route("/records/{record}", get(find).delete(forget))
        .route("/records/{record}/response", get(response).put(repair))
        .with_state(Desk {
            store: Arc::new(store),
            authorize: Arc::new(authorize),
        })
}

/// The longest answer that is recorded by hand: as the layer's default.
const MAX_ANSWER: usize = 1024 * 1024;

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

type Authorize = dyn Fn(&request::Parts, Act) -> Permission + Send + Sync;
type Answer = Result<Response, Refusal>;

#[derive(Clone)]
struct Desk {
    store: Arc<dyn Admin>,
    authorize: Arc<Authorize>,
}

impl Desk {
    /// Takes a request in: nothing of it is looked at before it is allowed.
    fn admit(&self, request: Request, act: Act) -> Result<(request::Parts, Body), Refusal> {
        let (parts, body) = request.into_parts();
        match (self.authorize)(&parts, act) {
            Permission::Granted => Ok((parts, body)),
            Permission::Unauthenticated => Err(Refusal::UNAUTHENTICATED),
            Permission::Forbidden => Err(Refusal::FORBIDDEN),
        }
    }
}

async fn list(State(desk): State<Desk>, request: Request) -> Answer {
    let (parts, _) = desk.admit(request, Act::Look)?;
    let mut query = Query::of(&parts)?;
    let mut list = List::new();
    if let Some(state) = query.take("state")? {
        list = list.state(state);
    }
    if let Some(keys) = query.take("at_once")? {
        list = list.at_once(keys);
    }
    if let Some(cursor) = query.take("after")? {
        list = list.after(cursor);
    }
    let ttl = query.ttl()?;
    query.finish()?;
    let page = desk.store.list(&list).await?;
    Ok(([JSON, NO_STORE], written(&page, ttl)).into_response())
}

fn written(page: &Page, ttl: Duration) -> String {
    let entries: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.to_json(ttl))
        .collect();
    let entries = entries.join(",");
    let next = page
        .next
        .map_or("null".to_owned(), |next| format!(r#""{next}""#));
    let unreadable = page.unreadable;
    format!(r#"{{"entries":[{entries}],"unreadable":{unreadable},"next":{next}}}"#)
}

async fn counts(State(desk): State<Desk>, request: Request) -> Answer {
    let (parts, _) = desk.admit(request, Act::Look)?;
    Query::of(&parts)?.finish()?;
    let counts = count(&*desk.store).await?;
    Ok(([JSON, NO_STORE], counts.to_json()).into_response())
}

async fn find(State(desk): State<Desk>, request: Request) -> Answer {
    let (mut parts, _) = desk.admit(request, Act::Look)?;
    let mut query = Query::of(&parts)?;
    let ttl = query.ttl()?;
    query.finish()?;
    let name = record(&mut parts).await?;
    let entry = desk.store.find(&name).await?.ok_or(Refusal::NOT_FOUND)?;
    Ok(([JSON, NO_STORE], entry.to_json(ttl)).into_response())
}

async fn response(State(desk): State<Desk>, request: Request) -> Answer {
    let (mut parts, _) = desk.admit(request, Act::Read)?;
    Query::of(&parts)?.finish()?;
    let asked = record(&mut parts).await?;
    // The whole name, where no more than its beginning was asked for.
    let entry = desk.store.find(&asked).await?.ok_or(Refusal::NOT_FOUND)?;
    let encoded = desk.store.record(&entry.name).await?;
    let encoded = encoded.ok_or(Refusal::NO_RESPONSE)?;
    let record = Record::decode(&entry.name, encoded).map_err(Refusal::unreadable)?;
    let head = [
        (header::CONTENT_TYPE, "message/http"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        NO_STORE,
    ];
    Ok((head, message(&record)).into_response())
}

/// Writes a response down as HTTP/1.1 does.
fn message(record: &Record) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", record.status()).into_bytes();
    for (name, value) in record.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    match record.body() {
        Some(body) => {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(&body);
        }
        None => head.extend_from_slice(b"idempotency-replay: omitted\r\n\r\n"),
    }
    head
}

async fn forget(State(desk): State<Desk>, request: Request) -> Answer {
    let (mut parts, _) = desk.admit(request, Act::Forget)?;
    let mut query = Query::of(&parts)?;
    let force = match query.take("force")? {
        Some(true) => Force::Yes,
        Some(false) | None => Force::No,
    };
    query.finish()?;
    let name = record(&mut parts).await?;
    match desk.store.forget(&name, force).await? {
        Forgotten::Forgotten => Ok(StatusCode::NO_CONTENT.into_response()),
        Forgotten::Absent => Err(Refusal::NOT_FOUND),
        Forgotten::InFlight => Err(Refusal::AT_WORK),
    }
}

async fn repair(State(desk): State<Desk>, request: Request) -> Answer {
    let (mut parts, body) = desk.admit(request, Act::Repair)?;
    let mut query = Query::of(&parts)?;
    let status: StatusCode = query.take("status")?.ok_or(Refusal::NO_STATUS)?;
    let ttl = query.ttl()?;
    query.finish()?;
    let name = record(&mut parts).await?;
    let body = to_bytes(body, MAX_ANSWER).await;
    let answer = answer(&parts, status, body.map_err(|_| Refusal::UNREADABLE_BODY)?);
    let entry = desk.store.find(&name).await?.ok_or(Refusal::NOT_FOUND)?;
    let repair = Repair::new(&entry, answer).map_err(Refusal::conflict)?;
    match desk.store.repair(&repair.ttl(ttl)).await? {
        Repaired::Recorded => Ok(StatusCode::NO_CONTENT.into_response()),
        Repaired::Absent => Err(Refusal::NOT_FOUND),
        Repaired::InFlight | Repaired::Completed | Repaired::Changed => Err(Refusal::TAKEN_OVER),
    }
}

fn answer(parts: &request::Parts, status: StatusCode, body: Bytes) -> http::Response<Bytes> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.clone());
    }
    answer
}

/// Reads the name of the record from the path.
async fn record(parts: &mut request::Parts) -> Result<RecordName, Refusal> {
    let Ok(Path(digits)) = parts.extract::<Path<String>>().await else {
        return Err(Refusal::bad("the path has no name of a record"));
    };
    let name = digits.parse();
    name.map_err(|error: InvalidRecordName| Refusal::bad(error.to_string()))
}
