#!/usr/bin/env bash
# A short share of what tests/verify.sh does at length, for tests/run.sh: two minutes in all. First the tests of
# the tools themselves: that they find what is wrong.
set -euo pipefail
cd "$(dirname "$0")"

export CARGO_INCREMENTAL=0 SHUTTLE_SILENCE_WARNINGS=1
cargo test --release --locked --quiet --workspace
PARTS='model histories schedules seeds' ../verify.sh 1
