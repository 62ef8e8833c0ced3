#!/usr/bin/env bash
# Changes the source, one small change after another, and sees whether the tests notice: for some seconds, or,
# without an argument, until all are tried. It goes on where it was stopped.
#
# tests/verify/mutants.sh [SECONDS] [ARGUMENT OF cargo mutants...], such as `--file src/lease.rs`.
#
# It works on a copy, so that stopping it leaves nothing changed. survivors.txt names the changes that no
# test can notice, and docs/verification.md says why.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v cargo-mutants >/dev/null || cargo install cargo-mutants --version 27.1.0 --locked --quiet
copy=${CARGO_TARGET_DIR:-$PWD/target}/mutants
mkdir -p "$copy/tree"
# With its times, so that only what changed is built again.
rm -rf "$copy"/tree/*
git ls-files -z --cached --others --exclude-standard -- . ':!tests/verify' |
  tar --create --null --files-from=- | tar --extract --directory "$copy/tree"

seconds=${1:-}
[ $# -gt 0 ] && shift
limit=()
[ -n "$seconds" ] && limit=(timeout --signal=INT --kill-after=60 "$seconds")
export CARGO_INCREMENTAL=1 CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0
# The Redis tests start and kill servers for minutes, so the Redis store is left to the histories.
ended=0
CARGO_TARGET_DIR=$copy/target "${limit[@]}" cargo mutants --dir "$copy/tree" --in-place --iterate --output "$copy" \
  --baseline=skip --timeout 180 --features client,testing,tracing --exclude 'src/store/redis*' \
  --exclude 'src/store/redis/**' --exclude 'src/client/reqwest.rs' --no-times --colors never \
  "$@" -- --test it >"$copy/log" 2>&1 || ended=$?
# 0: all caught; 2: some missed; 3: some took too long; 124 and 130: stopped.
case $ended in 0 | 2 | 3 | 124 | 130) ;; *)
  tail -n 30 "$copy/log" >&2
  exit 1
  ;;
esac
out=$copy/mutants.out
lines() { { cat "$@" 2>/dev/null || true; } | wc -l; }
caught=$(lines "$out"/{caught,timeout,previously_caught}.txt)
missed=$(grep -vxFf tests/verify/survivors.txt "$out/missed.txt" 2>/dev/null || true)
echo "mutants: $caught noticed so far, $(lines "$out/missed.txt") not, of which $(printf '%s' "$missed" | grep -c . || true) unexplained"
[ -z "$missed" ] || {
  printf '%s\n' "$missed" >&2
  exit 1
}
