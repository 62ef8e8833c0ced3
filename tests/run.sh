#!/usr/bin/env bash
# Runs all tests. Needs a Rust toolchain; installs what else is missing where it is root, and
# otherwise says what to install. Skips nothing, and ends non-zero when anything fails.
set -euo pipefail
cd "$(dirname "$0")/.."

# need COMMAND PACKAGE
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $2"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2" >/dev/null
  else
    echo "tests/run.sh: $1 is missing: install the package $2" >&2
    exit 1
  fi
}

command -v cargo >/dev/null || {
  echo "tests/run.sh: cargo is missing: install Rust (https://rustup.rs)" >&2
  exit 1
}
need curl curl

cargo test --workspace --all-features --locked --lib --bins --examples --tests
cargo test --workspace --all-features --locked --doc
