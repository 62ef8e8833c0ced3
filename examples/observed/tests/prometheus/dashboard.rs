use serde_json::Value;

/// One panel of the dashboard.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) queries: Vec<Query>,
}

pub(crate) struct Query {
    pub(crate) expression: String,
    pub(crate) legend: String,
}

/// Returns the panels, with the interval of their rates as Grafana would put it in.
pub(crate) fn panels(interval: &str) -> Vec<Panel> {
    let dashboard: Value =
        serde_json::from_str(include_str!("../../dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let panels: Vec<_> = panels.iter().map(|json| panel(json, interval)).collect();
    assert!(!panels.is_empty());
    panels
}

fn panel(json: &Value, interval: &str) -> Panel {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let query = |target: &Value| {
        let expression = text(&target["expr"]).replace("$__rate_interval", interval);
        assert!(
            !expression.contains('$'),
            "a variable of Grafana's: {expression}"
        );
        let legend = text(&target["legendFormat"]);
        Query { expression, legend }
    };
    let targets = json["targets"].as_array().expect("targets");
    Panel {
        title: text(&json["title"]),
        unit: text(&json["fieldConfig"]["defaults"]["unit"]),
        queries: targets.iter().map(query).collect(),
    }
}
