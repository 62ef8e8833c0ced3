#!/usr/bin/env bash
# Measures everything, and writes the figures into docs/performance.md, the README's table and the
# chart. Needs valgrind, redis-server, 6 GiB of memory, and a machine that does nothing else.
#
#     benches/report.sh            # all
#     benches/report.sh redis maps # some blocks of the page
set -euo pipefail
cd "$(dirname "$0")/.."

page=docs/performance.md
wanted=" $* "
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# block FILE NAME: replaces what stands between the marks of a block by the standard input.
block() {
  cat >"$scratch/text"
  awk -v name="$2" -v text="$scratch/text" '
    $0 == "<!-- /" name " -->" { skipping = 0 }
    !skipping { print }
    $0 == "<!-- " name " -->" {
      while ((getline line < text) > 0) print line
      skipping = found = 1
    }
    END { exit !found }
  ' "$1" >"$scratch/page" || { echo "$1 has no block $2" >&2; exit 1; }
  cat "$scratch/page" >"$1"
}

# measure BLOCK COMMAND...: runs a command, and shows it and what it says.
measure() {
  local name=$1
  shift
  [[ $wanted = '  ' || $wanted = *" $name "* ]] || return 0
  echo "==> $*" >&2
  "$@" 2>"$scratch/errors" >"$scratch/said" || { cat "$scratch/errors" >&2; exit 1; }
  cat "$scratch/said" >&2
  sed -e '$!b' -e '/^$/d' "$scratch/said" |
    { echo '```text'; echo "\$ $*"; cat; echo '```'; } | block $page "$name"
}

bench() { measure "$1" cargo bench --quiet --features client,redis --bench "${@:2}"; }

# peers BLOCK NAME ARGUMENTS...
peers() {
  measure "$1" cargo run --quiet --release --locked --ignore-rust-version \
    --manifest-path benches/peers/Cargo.toml --bin "${@:2}"
}

cargo bench --features client,redis --no-run --locked
cargo build --release --locked --ignore-rust-version --manifest-path benches/peers/Cargo.toml

{
  echo "$(date -u +%F), commit $(git rev-parse --short HEAD), $(rustc --version | cut -d' ' -f1,2),"
  echo "$(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1),"
  echo "SHA extensions: $(grep -qw sha_ni /proc/cpuinfo && echo yes || echo 'none known')," \
    "$(uname -sm), load $(cut -d' ' -f1 /proc/loadavg) at the start."
} | block $page machine

bench kinds layer -- kinds
bench bodies layer -- bodies
bench streams layer -- streams
bench waiting layer -- waiting
bench connections layer -- connections
bench cores layer -- cores hot-key
bench keys-held layer -- keys-held --full
bench allocations allocations
bench instructions instructions
bench memory-bytes memory_bytes -- --full
bench memory-store memory_store -- --full
bench redis redis
bench client client
peers peers peers -- --chart docs/performance.svg --table "$scratch/table"
peers peer-allocations allocations
peers telemetry telemetry
peers hashes hashes
peers maps maps
[ -e "$scratch/table" ] || exit 0
# The page does not show where the table was put for the README.
sed -i "s| --table $scratch/table||" $page
# The table stands where one with its head stood.
awk -v table="$scratch/table" '
  !/^\|/ { skipping = 0 }
  /^\| time, × bare router/ {
    while ((getline line < table) > 0) print line
    skipping = found = 1
  }
  !skipping { print }
  END { exit !found }
' README.md >"$scratch/page"
cat "$scratch/page" >README.md
