use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use tracing_core::span::Current;

/// Everything that this thread logs, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log {
    text: Arc<Mutex<String>>,
    spans: Arc<Mutex<Spans>>,
}

#[derive(Default)]
struct Spans {
    made: Vec<&'static Metadata<'static>>,
    entered: Vec<span::Id>,
}

impl Log {
    /// Writes all down from now on, until the guards are dropped.
    ///
    /// The second dispatcher is never used. With one alone, `tracing` asks the thread that comes
    /// to an event first whether anyone wants it, and that may be another test's.
    pub(crate) fn capture() -> (Self, (Dispatch, DefaultGuard)) {
        let second = Dispatch::new(Self::default());
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, (second, guard))
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn metadata(&self, span: &span::Id) -> &'static Metadata<'static> {
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        self.spans.lock().unwrap().made[index]
    }

    fn write(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields<'_>)) {
        let mut text = self.text.lock().unwrap();
        write!(
            text,
            "{} {} {}",
            metadata.level(),
            metadata.target(),
            metadata.name()
        )
        .unwrap();
        record(&mut Fields(&mut text));
        text.push('\n');
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.write(span.metadata(), |fields| span.record(fields));
        let mut spans = self.spans.lock().unwrap();
        spans.made.push(span.metadata());
        span::Id::from_u64(spans.made.len() as u64)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        let metadata = self.metadata(span);
        self.write(metadata, |fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.write(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, span: &span::Id) {
        self.spans.lock().unwrap().entered.push(span.clone());
    }

    fn exit(&self, span: &span::Id) {
        let left = self.spans.lock().unwrap().entered.pop();
        assert_eq!(left.as_ref(), Some(span));
    }

    fn current_span(&self) -> Current {
        let entered = self.spans.lock().unwrap().entered.last().cloned();
        entered.map_or_else(Current::none, |span| {
            let metadata = self.metadata(&span);
            Current::new(span, metadata)
        })
    }
}
