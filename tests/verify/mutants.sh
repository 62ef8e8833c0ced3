#!/usr/bin/env bash
# Changes the source, one small change after another, and sees whether the tests notice. It goes on where it was
# stopped, and tries on a copy: what is here stays as it is.
#
#     tests/verify/mutants.sh [--seconds N] [--again] [--only TEXT] [AREA...]
#
# Without a number, until all are tried. `--again` tries those that were missed, too; `--only` those with TEXT in
# their names. survivors.txt names the changes that no test can notice, and docs/verification.md says why.
set -euo pipefail
cd "$(dirname "$0")"

# What knows the changes. They are made by the program here, all in one build.
version=27.1.0
[ "$(cargo mutants --version 2>/dev/null)" = "cargo-mutants $version" ] ||
  cargo install cargo-mutants --version $version --locked --quiet
exec cargo run --release --locked --quiet --package mutants -- "$@"
