//! Puts what the layer does into a document, whoever made that.

use serde_json::{Value, json};

/// The header, the problems, and the responses that carry them.
const FRAGMENT: &str = include_str!("../../../docs/openapi.json");

/// The methods that the layer covers by default.
const COVERED: [&str; 4] = ["post", "put", "patch", "delete"];

const RESPONSES: [(&str, &str); 6] = [
    ("400", "IdempotencyBadRequest"),
    ("403", "IdempotencyForbidden"),
    ("409", "IdempotencyConflict"),
    ("413", "IdempotencyTooLarge"),
    ("422", "IdempotencyMismatch"),
    ("503", "IdempotencyUnavailable"),
];

/// Adds the fragment to a document, and a reference to it to every operation that the layer covers. A response that
/// the operation describes itself stays as it is.
pub(crate) fn describe_idempotency(mut document: Value) -> Value {
    let fragment: Value = serde_json::from_str(FRAGMENT).expect("JSON");
    for (kind, parts) in fragment["components"].as_object().expect("components") {
        for (name, part) in parts.as_object().expect("parts") {
            document["components"][kind][name] = part.clone();
        }
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, operations) in paths {
        for method in COVERED {
            if let Some(operation) = operations.get_mut(method) {
                describe_operation(operation);
            }
        }
    }
    document
}

fn describe_operation(operation: &mut Value) {
    let key = json!({"$ref": "#/components/parameters/IdempotencyKey"});
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(key),
        None => operation["parameters"] = json!([key]),
    }
    let responses = operation["responses"].as_object_mut().into_iter().flatten();
    for (_, response) in responses {
        response["headers"]["Idempotency-Replayed"] =
            json!({"$ref": "#/components/headers/IdempotencyReplayed"});
        response["headers"]["Idempotency-Replay"] =
            json!({"$ref": "#/components/headers/IdempotencyReplay"});
    }
    for (status, name) in RESPONSES {
        if operation["responses"].get(status).is_none() {
            let reference = format!("#/components/responses/{name}");
            operation["responses"][status] = json!({"$ref": reference});
        }
    }
}
