use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app;

const FRAGMENT: &str = include_str!("../../../docs/openapi.json");

async fn document(of: &str) -> Value {
    let request = Request::get(format!("/{of}/openapi.json"));
    let response = app().oneshot(request.body(Body::empty()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Calls back for every reference in a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.clone());
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_documents_contain_the_fragment_and_every_reference_leads_somewhere() {
    let fragment: Value = serde_json::from_str(FRAGMENT).unwrap();
    for of in ["utoipa", "aide"] {
        let document = document(of).await;
        assert!(
            document["openapi"].as_str().unwrap().starts_with("3.1"),
            "{of}"
        );
        for (kind, parts) in fragment["components"].as_object().unwrap() {
            for (name, part) in parts.as_object().unwrap() {
                assert_eq!(&document["components"][kind][name], part, "{of}: {name}");
            }
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{of}: {reference}");
        }
    }
}

#[tokio::test]
async fn what_the_layer_covers_names_the_key_and_every_problem_and_nothing_else_does() {
    for of in ["utoipa", "aide"] {
        let document = document(of).await;
        let charge = &document["paths"]["/charge"]["post"];
        let key = json!({"$ref": "#/components/parameters/IdempotencyKey"});
        assert!(
            charge["parameters"].as_array().unwrap().contains(&key),
            "{of}"
        );
        for status in ["400", "403", "409", "413", "422", "503"] {
            let mut found = Vec::new();
            references(&charge["responses"][status], &mut found);
            assert!(found[0].contains("/Idempotency"), "{of}: {status}");
        }
        let replayed = &charge["responses"]["200"]["headers"]["Idempotency-Replayed"];
        assert_eq!(replayed["$ref"], "#/components/headers/IdempotencyReplayed");
        let health = document["paths"]["/health"]["get"].to_string();
        assert!(
            health.len() > 10 && !health.contains("Idempotency"),
            "{health}"
        );
    }
}

#[tokio::test]
async fn what_is_described_is_what_happens() {
    let request = |key: Option<&str>| {
        let request =
            Request::post("/aide/charge").header(header::CONTENT_TYPE, "application/json");
        let request = key.into_iter().fold(request, |request, key| {
            request.header("idempotency-key", key)
        });
        request.body(Body::from(r#"{"cents":1250}"#)).unwrap()
    };
    let app = app();
    let unkeyed = app.clone().oneshot(request(None)).await.unwrap();
    assert_eq!(unkeyed.status(), StatusCode::BAD_REQUEST);
    for replayed in [false, true] {
        let paid = app
            .clone()
            .oneshot(request(Some("order-17")))
            .await
            .unwrap();
        assert_eq!(paid.status(), StatusCode::OK);
        assert_eq!(
            paid.headers().contains_key("idempotency-replayed"),
            replayed
        );
    }
}
