#!/usr/bin/env bash
# Fuzzes every target for its share of some seconds: tests/verify/fuzz/run.sh SECONDS. What is found stays in
# artifacts/, and `target/…/release/TARGET FILE` repeats it.
#
# The flags are those of `cargo fuzz`, without a sanitizer: there is no `unsafe` to look at, and so no
# other toolchain is needed.
set -euo pipefail
cd "$(dirname "$0")"

# Two at a time: those that only parse, many thousand inputs a second, and those that run a layer.
lanes=('key_header record_decode retry_after' 'redis_reply problem identity replay layer')
host=$(rustc -vV | sed -n 's/^host: //p')
programs=${CARGO_TARGET_DIR:-$PWD/target}/$host/release
export CARGO_INCREMENTAL=0
coverage='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
coverage+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
coverage+=' -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$coverage cargo build --release --locked --quiet --target "$host" --bins

# lane SECONDS TARGET...: fuzzes one after the other.
lane() {
  local each=$(($1 / ($# - 1) > 1 ? $1 / ($# - 1) : 1)) target log
  shift
  for target; do
    mkdir -p "target/corpus/$target" "artifacts/$target"
    log=target/$target.log
    # New inputs go into the first directory, which nobody commits; the second is what is committed.
    if ! "$programs/$target" "target/corpus/$target" "corpus/$target" -max_total_time="$each" \
      -artifact_prefix="artifacts/$target/" -rss_limit_mb=1024 -timeout=10 -max_len=4096 \
      -print_final_stats=1 >"$log" 2>&1; then
      tail -n 40 "$log" >&2
      echo "fuzz: $target: again with $programs/$target and the file named above"
      return 1
    fi
  done
}

running=()
for targets in "${lanes[@]}"; do
  # shellcheck disable=SC2086 # Names in a row.
  lane "$1" $targets &
  running+=($!)
done
failed=0
for lane in "${running[@]}"; do wait "$lane" || failed=1; done
[ $failed = 0 ] || exit 1

told=()
all=0
for target in ${lanes[*]}; do
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/$target.log")
  told+=("$target $executions")
  # What runs a whole server is told apart.
  [ "$target" = layer ] || all=$((all + executions))
done
printf -v list '%s, ' "${told[@]}"
echo "fuzz: $all executions without the layer's (${list%, }), nothing found"
