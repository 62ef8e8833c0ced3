use super::database::Database;
use crate::support::examples;

#[tokio::test]
async fn the_example_carries_every_transfer_out_once_in_a_file_it_is_given_or_makes() {
    let database = Database::new();
    let url = format!("sqlite:{}", database.path().display());
    for args in [&[url.as_str()][..], &[]] {
        let output = examples::run("exactly_once", args).await;
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
