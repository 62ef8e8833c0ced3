#!/usr/bin/env bash
# Looks for what the tests cannot find: tests/verify.sh [minutes], 10 by default, and what docs/verification.md
# says of it. Prints one line a part; ends non-zero when one of them finds something, with what repeats it.
#
# Building comes on top of the minutes: some more of them, once. `PARTS="model seeds"` chooses parts, and there are
# three more, which start servers: cuts, stops and soak.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$(awk "BEGIN { print int(${1:-10} * 60) }")
parts=${PARTS:-model histories schedules seeds fuzz mutants}
verify=$PWD/tests/verify
export CARGO_INCREMENTAL=0 SHUTTLE_SILENCE_WARNINGS=1

# share PERCENT: so much of the time, in seconds.
share() { echo $((seconds * $1 / 100 > 5 ? seconds * $1 / 100 : 5)); }

# built NAME: builds a member, and prints where its program is.
built() {
  cargo build --release --locked --quiet --manifest-path "$verify/Cargo.toml" --package "$1" >&2
  printf '%s' "${CARGO_TARGET_DIR:-$verify/target}/release/$1"
}

model() { "$(built model)" --seconds "$1"; }
histories() { "$(built histories)" --seconds "$1"; }
schedules() { "$(built schedules)" --seconds "$1"; }
seeds() { "$(built seeds)" --seconds "$1"; }
fuzz() { "$verify/fuzz/run.sh" "$1"; }
mutants() { "$verify/mutants.sh" --seconds "$1"; }
# Not among the six: these take servers. Cuts take as long as they do.
cuts() { "$(built cuts)"; }
stops() {
  local target=${CARGO_TARGET_DIR:-$verify/target}
  cargo build --release --locked --quiet --features redis --example conformance --target-dir "$target" >&2
  "$(built stops)" --times "$(($1 * 2))" "$target/release/examples/conformance"
}
soak() { "$(built soak)" --minutes "$(awk "BEGIN { print $1 / 60 }")" 2>"${CARGO_TARGET_DIR:-$verify/target}/soak.log"; }

declare -A percent=([model]=10 [histories]=15 [schedules]=15 [seeds]=15 [fuzz]=35 [mutants]=10 [cuts]=100 [stops]=10 [soak]=100)
failed=0
for part in $parts; do
  [ -n "${percent[$part]:-}" ] || {
    echo "tests/verify.sh: there is no part $part" >&2
    exit 2
  }
  "$part" "$(share "${percent[$part]}")" || {
    echo "$part: FOUND something, or could not run: see above" >&2
    failed=1
  }
done
exit $failed
