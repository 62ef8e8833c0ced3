#!/usr/bin/env bash
# Fuzzes every target for its share of some seconds: tests/verify/fuzz/run.sh SECONDS. What is found stays in
# artifacts/, and `target/…/release/TARGET FILE` repeats it.
#
# The flags are those of `cargo fuzz`, without a sanitizer: there is no `unsafe` to look at, and so no
# other toolchain is needed.
set -euo pipefail
cd "$(dirname "$0")"

targets=(key_header record_decode replay redis_reply problem identity retry_after layer)
host=$(rustc -vV | sed -n 's/^host: //p')
programs=${CARGO_TARGET_DIR:-target}/$host/release
export CARGO_INCREMENTAL=0
coverage='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
coverage+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
coverage+=' -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$coverage cargo build --release --locked --quiet --target "$host" --bins

each=$(($1 / ${#targets[@]} > 1 ? $1 / ${#targets[@]} : 1))
told=()
all=0
for target in "${targets[@]}"; do
  mkdir -p "target/corpus/$target" "artifacts/$target"
  log=target/$target.log
  # New inputs go into the first directory, which nobody commits; the second is what is committed.
  if ! "$programs/$target" "target/corpus/$target" "corpus/$target" -max_total_time="$each" \
    -artifact_prefix="artifacts/$target/" -rss_limit_mb=1024 -timeout=10 -max_len=4096 \
    -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz: $target: again with $PWD/$programs/$target and the file named above"
    exit 1
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  all=$((all + executions))
  told+=("$target $executions")
done
printf -v list '%s, ' "${told[@]}"
echo "fuzz: $all executions (${list%, }), nothing found"
