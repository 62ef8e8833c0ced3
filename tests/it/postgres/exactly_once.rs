use crate::support::{examples, postgres::PostgresServer};

#[tokio::test]
async fn the_example_carries_every_transfer_out_once_on_a_server_it_is_given_or_starts() {
    let server = PostgresServer::start();
    for url in [&server.url(), "postgres"] {
        let output = examples::run("exactly_once", &[url]).await;
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        for promised in [
            "transfers asked for:   400",
            "carried out twice:     0",
            "money before and after: 20000 and 20000",
        ] {
            assert!(printed.contains(promised), "{printed}");
        }
    }
}
