use axum::body::Body;
use http::{HeaderValue, Request, header};

use crate::support::{
    scene::Scene,
    wire::{REFUSALS, Wire, answers, defaults, keyed, response},
};

fn as_grpc(mut request: Request<Body>) -> Request<Body> {
    let content_type = HeaderValue::from_static("application/grpc+proto");
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    request
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_grpc_call_is_a_grpc_status() {
    for router in [false, true] {
        for (code, ..) in REFUSALS {
            let scene = Scene {
                setup: &defaults,
                dress: as_grpc,
                router,
            };
            let refused = scene.refused(code).await;
            refused.answer.assert_grpc_refused(code);
            assert_eq!(refused.runs.0, refused.runs.1, "{code}: the handler's runs");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_grpc_content_type_is_a_grpc_call_too_and_others_are_not() {
    let scene = Scene {
        setup: &defaults,
        dress: |request| request,
        router: true,
    };
    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc;x=1", true),
        ("application/json", false),
    ] {
        let refused = scene.wire(defaults, &crate::support::wire::Gate::default());
        let mut request = keyed("not visible");
        let content_type = HeaderValue::from_static(content_type);
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        let answer = refused.send(request).await;
        if grpc {
            answer.assert_grpc_refused("invalid-key");
        } else {
            answer.assert_refused("invalid-key");
        }
    }
}

#[tokio::test]
async fn only_grpc_itself_gets_a_grpc_status() {
    let content_types = [
        ("application/grpc", true),
        ("Application/GRPC", true),
        ("application/grpc+json", true),
        ("application/grpc;charset=utf-8", true),
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("application/grpcx", false),
        ("application/json", false),
    ];
    for wire in Wire::both(defaults, answers(|| response(201, "paid"))) {
        for (content_type, is_grpc) in content_types {
            let mut request = keyed("not a key");
            let content_type = HeaderValue::from_static(content_type);
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type.clone());
            let answer = wire.send(request).await;
            let has_status = answer.headers.contains_key("grpc-status");
            assert_eq!(has_status, is_grpc, "{content_type:?}");
        }
    }
}
