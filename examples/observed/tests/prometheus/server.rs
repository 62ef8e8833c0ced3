use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    ALERTS,
    chart::{Line, Plot},
    dashboard::Panel,
    leash::Leash,
};

/// A Prometheus that scrapes one target and knows the alert rules, until it is dropped.
pub(crate) struct Prometheus {
    _leash: Leash,
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
}

/// An alert rule, as Prometheus sees it.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) state: String,
    pub(crate) what_to_do: String,
}

impl Prometheus {
    pub(crate) fn scraping(target: SocketAddr, every: Duration) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = env::temp_dir().join(format!("observed-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let every = every.as_millis();
        let config = format!(
            "global: {{scrape_interval: {every}ms, scrape_timeout: {every}ms, evaluation_interval: 1s}}\n\
             rule_files: [{ALERTS}]\n\
             scrape_configs: [{{job_name: payments, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is installed");
        let prometheus = Self {
            _leash: Leash::on(process.id()),
            process,
            folder,
            address,
        };
        prometheus.wait();
        prometheus
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(self.address).is_err()
            || !get(self.address, "/-/ready").contains("Ready")
        {
            assert!(
                Instant::now() < deadline,
                "Prometheus is not ready in a minute"
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Returns what a query finds now.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let mut data = self.ask(&format!("query?query={}", encoded(expression)));
        match data["result"].take() {
            // A series without a number (0 / 0, or a quantile of nothing) shows nothing.
            Value::Array(series) => series
                .into_iter()
                .filter(|series| series["value"][1] != "NaN")
                .collect(),
            other => panic!("{expression}: {other}"),
        }
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        let data = self.ask("rules");
        let groups = data["groups"].as_array().expect("groups");
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rules: Vec<_> = rules
            .map(|rule| Rule {
                name: text(&rule["name"]),
                query: text(&rule["query"]),
                state: text(&rule["state"]),
                what_to_do: text(&rule["annotations"]["what_to_do"]),
            })
            .collect();
        assert!(!rules.is_empty());
        rules
    }

    /// Returns what a panel shows of the last while.
    pub(crate) fn range(&self, panel: Panel, shown: Duration) -> Plot {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let start = now - shown.as_secs();
        let mut lines = Vec::new();
        for query in panel.queries {
            let expression = encoded(&query.expression);
            let path = format!("query_range?query={expression}&start={start}&end={now}&step=1");
            for series in self.ask(&path)["result"].as_array().expect("series") {
                let values = series["values"].as_array().expect("values");
                #[allow(clippy::cast_precision_loss, reason = "seconds, of a minute or two")]
                let points = values.iter().filter_map(|pair| {
                    let value: f64 = pair[1].as_str()?.parse().ok()?;
                    let seconds = pair[0].as_f64()? - start as f64;
                    value.is_finite().then_some((seconds, value))
                });
                lines.push(Line {
                    name: named(&query.legend, &series["metric"]),
                    points: points.collect(),
                });
            }
        }
        lines.sort_by(|one, other| one.name.cmp(&other.name));
        Plot {
            title: panel.title,
            unit: panel.unit,
            seconds: shown.as_secs_f64(),
            lines,
        }
    }

    fn ask(&self, path: &str) -> Value {
        let text = get(self.address, &format!("/api/v1/{path}"));
        let body = text.split_once("\r\n\r\n").expect("a body").1;
        let mut answer: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns a whole response, head and body. HTTP/1.0, so that it ends with the connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Puts labels into a legend, as Grafana does.
fn named(legend: &str, labels: &Value) -> String {
    let labels = labels.as_object().expect("labels");
    labels
        .iter()
        .fold(legend.to_owned(), |name, (label, value)| {
            name.replace(
                &format!("{{{{{label}}}}}"),
                value.as_str().unwrap_or_default(),
            )
        })
}
