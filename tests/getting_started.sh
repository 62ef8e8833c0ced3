#!/usr/bin/env bash
# Follows docs/getting-started.md as a newcomer would, from the packed crate: its commands and its code
# as they stand, but for the port and where the crate comes from.
set -euo pipefail
cd "$(dirname "$0")/.."

page=$PWD/docs/getting-started.md
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$scratch"' EXIT

# block LANGUAGE N: the Nth code block of the page in that language.
block() {
  awk -v fence="^\`\`\`$1(,.*)?\$" -v wanted="$2" '
    /^```$/ { inside = 0 }
    inside && found == wanted { print }
    $0 ~ fence { inside = 1; found++ }' "$page"
}

fail() {
  echo "tests/getting_started.sh: $*" >&2
  exit 1
}

cargo package --locked --quiet --no-verify --allow-dirty --target-dir target/package
crate=$(ls -t target/package/package/*.crate | head -n 1)
tar -xzf "$crate" -C "$scratch"
unpacked=$scratch/$(basename "$crate" .crate)
grep -oE '\]\([^):#]+' "$unpacked/README.md" | sed 's/^](//' | while read -r link; do
  [ -e "$unpacked/$link" ] || fail "the README links to $link, which is not in the package"
done

cd "$scratch"
export CARGO_TARGET_DIR=$OLDPWD/target/getting-started
# Before the crate is published, its package stands in for it.
eval "$(block sh 1 | sed "s|^cargo add tower-idempotency|& --path $unpacked|")"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
block rust 1 | sed "s/127.0.0.1:3000/127.0.0.1:$port/" >src/main.rs
[ -s src/main.rs ] || fail 'the page has no program'
cargo build --quiet
"$CARGO_TARGET_DIR/debug/pay" &
server=$!
for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

mapfile -t requests < <(block sh 3 | sed "s/127.0.0.1:3000/127.0.0.1:$port/")
[ ${#requests[@]} = 2 ] || fail "the page sends ${#requests[@]} requests instead of 2"
first=$(eval "${requests[0]}" 2>/dev/null)
second=$(eval "${requests[1]}" 2>/dev/null)
body() { printf '%s' "$1" | tail -n 1; }
[[ $(body "$first") == charged\ at*attempt\ 1 ]] || fail "the first answer is: $first"
[ "$(body "$first")" = "$(body "$second")" ] || fail "two answers differ: $first $second"
[[ $first != *idempotency-replayed* ]] || fail "the first answer is a replay: $first"
[[ $second == *'idempotency-replayed: true'* ]] || fail "the second answer is no replay: $second"
echo 'docs/getting-started.md leads to a replayed answer'
