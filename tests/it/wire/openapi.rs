//! `docs/openapi.json` against what the layer answers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    scene::Scene,
    wire::{REFUSALS, defaults},
};

#[tokio::test(start_paused = true)]
async fn the_openapi_fragment_has_every_refusal_as_it_is_sent_and_no_other() {
    let fragment: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    let components = &fragment["components"];
    let mut described = BTreeSet::new();
    for (name, response) in components["responses"].as_object().unwrap() {
        let examples = &response["content"]["application/problem+json"]["examples"];
        for (code, example) in examples.as_object().unwrap() {
            let scene = Scene {
                setup: &defaults,
                dress: |request| request,
                router: false,
            };
            let answer = scene.refused(code).await.answer;
            let sent: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(example["value"], sent, "{name}");
            if answer.header("retry-after").is_some() {
                assert!(response["headers"]["Retry-After"].is_object(), "{name}");
            }
            assert!(described.insert(code.clone()), "{code} is there twice");
        }
    }
    let codes = REFUSALS.map(|(code, ..)| code.to_owned());
    assert_eq!(described, BTreeSet::from(codes.clone()));
    let listed = &components["schemas"]["IdempotencyProblem"]["properties"]["code"]["enum"];
    let listed: Vec<String> = serde_json::from_value(listed.clone()).unwrap();
    assert_eq!(BTreeSet::from_iter(listed), BTreeSet::from(codes));
}
