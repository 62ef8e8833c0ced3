use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, LocalRecorderGuard,
    Metadata, Recorder, SharedString, Unit,
};

/// Everything that this thread measures: for each series, the values that it was given.
#[derive(Clone, Default)]
pub(crate) struct Meter(
    Arc<Mutex<BTreeMap<String, Vec<f64>>>>,
    Arc<Mutex<BTreeSet<String>>>,
);

impl Meter {
    /// Writes all down from now on, until the guard is dropped.
    pub(crate) fn capture() -> (Self, LocalRecorderGuard<'static>) {
        let meter = Self::default();
        // Leaked: the guard borrows it, and a test has few.
        let recorder: &'static Self = Box::leak(Box::new(meter.clone()));
        (meter, metrics::set_default_local_recorder(recorder))
    }

    /// The sum of what a series was given, to the whole number: `name{label="value"}`, with its labels in order.
    #[allow(clippy::cast_possible_truncation, reason = "counts are small")]
    pub(crate) fn sum(&self, series: &str) -> i64 {
        self.values(series).into_iter().sum::<f64>().round() as i64
    }

    /// What a series was given, in order.
    pub(crate) fn values(&self, series: &str) -> Vec<f64> {
        let all = self.0.lock().unwrap();
        all.get(series).cloned().unwrap_or_default()
    }

    pub(crate) fn series(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// Returns the counters that are there, counted or not.
    pub(crate) fn counters(&self) -> BTreeSet<String> {
        self.1.lock().unwrap().clone()
    }

    fn register(&self, key: &Key) -> Arc<Series> {
        let labels = key.labels();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={:?}", label.key(), label.value()))
            .collect();
        let name = match &labels[..] {
            [] => key.name().to_owned(),
            labels => format!("{}{{{}}}", key.name(), labels.join(",")),
        };
        Arc::new(Series {
            name,
            meter: self.clone(),
        })
    }
}

struct Series {
    name: String,
    meter: Meter,
}

impl Series {
    fn add(&self, value: f64) {
        let mut all = self.meter.0.lock().unwrap();
        all.entry(self.name.clone()).or_default().push(value);
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {
        panic!("{} is set", self.name);
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {
        panic!("{} is set, though others may share it", self.name);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let series = self.register(key);
        self.1.lock().unwrap().insert(series.name.clone());
        Counter::from_arc(series)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key))
    }
}
