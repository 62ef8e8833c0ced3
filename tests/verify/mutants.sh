#!/usr/bin/env bash
# Changes the source, one small change after another, and sees whether the tests notice: for some seconds, or,
# without a number, until all are tried. It goes on where it was stopped.
#
#     tests/verify/mutants.sh [SECONDS] [AREA...]
#
# Each area of the source has the tests that are about it: all of them for each of some 3,000 changes would take
# weeks. It works on a copy, so that stopping it leaves nothing changed. survivors.txt names the changes that
# no test can notice, and docs/verification.md says why.
set -euo pipefail
cd "$(dirname "$0")/../.."

# What an area is called, its features, its files, and its tests.
areas() {
  echo 'client   client     src/client/**                       client::'
  echo 'server   tracing    src/*.rs,src/body/**,src/record/**  wire::,sockets::,record::'
  echo 'admin    testing    src/admin/**                        admin::'
  echo 'memory   testing    src/store/*.rs,src/store/memory/**  store_memory::,store_conformance::'
  echo 'testing  testing    src/testing/**                      broken_stores::,store_conformance::'
  echo 'sealed   encryption src/store/encrypted/**              encryption::'
  echo 'sqlite   sqlite     src/store/sqlite/**                 sqlite::'
  echo 'postgres postgres   src/store/postgres/**               postgres::'
  echo 'redis    redis      src/store/redis/**                  redis::'
}

end=
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  end=$(($(date +%s) + $1))
  shift
fi
chosen=${*:-$(areas | cut -d' ' -f1)}
command -v cargo-mutants >/dev/null || cargo install cargo-mutants --version 27.1.0 --locked --quiet
copy=${CARGO_TARGET_DIR:-$PWD/target}/mutants
mkdir -p "$copy/tree"
# With its times, so that only what changed is built again.
rm -rf "$copy"/tree/*
git ls-files -z --cached --others --exclude-standard -- . ':!tests/verify' |
  tar --create --null --files-from=- | tar --extract --directory "$copy/tree"
export CARGO_INCREMENTAL=1 CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0

# try AREA FEATURES FILES TESTS
try() {
  local files=() limit=() ended=0
  for file in ${3//,/ }; do files+=(--file "$file"); done
  [ -z "$end" ] || limit=(timeout --signal=INT --kill-after=60 "$((end - $(date +%s)))")
  # The layout of a wrapper around an HTTP client of another crate is that crate's.
  CARGO_TARGET_DIR=$copy/target "${limit[@]}" cargo mutants --dir "$copy/tree" --in-place --iterate \
    --output "$copy/$1" --baseline=skip --timeout 180 --features "$2" --exclude 'src/client/reqwest.rs' \
    "${files[@]}" --no-times --colors never -- --test it -- ${4//,/ } >"$copy/$1.log" 2>&1 || ended=$?
  # 0: all noticed; 2: some were not; 3: some took too long; 124 and 130: stopped.
  case $ended in 0 | 2 | 3 | 124 | 130) ;; *)
    tail -n 30 "$copy/$1.log" >&2
    exit 1
    ;;
  esac
}

set -f
for area in $chosen; do
  line=$(areas | grep "^$area ") || {
    echo "mutants.sh: there is no area $area" >&2
    exit 2
  }
  [ -z "$end" ] || [ "$(date +%s)" -lt "$end" ] || break
  # shellcheck disable=SC2086 # The columns of a line.
  try $line
done
set +f

# kind NAME...: the mutants of which all areas say so.
kind() { for name; do cat "$copy"/*/mutants.out/"$name.txt" 2>/dev/null || true; done | sort -u; }
count() { grep -c . || true; }
missed=$(kind missed | grep -vxFf <(kind caught previously_caught timeout) || true)
unexplained=$(printf '%s\n' "$missed" | grep -vxFf tests/verify/survivors.txt || true)
echo "mutants: $(kind caught previously_caught timeout | count) noticed so far," \
  "$(printf '%s\n' "$missed" | count) not, of which $(printf '%s\n' "$unexplained" | count) unexplained"
[ -z "$unexplained" ] || {
  printf '%s\n' "$unexplained" >&2
  exit 1
}
