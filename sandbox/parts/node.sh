#!/bin/sh
# Prints the folder of a Node that is fit (parts.json: tools.node.minimum): of VPSIGHT_PART_NODE (a path to `node`), of
# the machine's own, or of one that the machine's npm brings into the parts folder. The only thing here that has to run
# without such a Node, hence sh. Usage: PATH=$(sandbox/parts/node.sh):$PATH
set -eu

here=$(cd "$(dirname "$0")" && pwd)
parts=${VPSIGHT_PARTS_DIR:-$(cd "$here/../.." && pwd)/.parts}

fail() {
  echo "$*" >&2
  exit 1
}

# pin KEY: a value of tools.node in parts.json.
pin() {
  sed -n '/^    "node": {/,/^    }/s/^ *"'"$1"'": "\(.*\)",\{0,1\}$/\1/p' "$here/parts.json"
}
version=$(pin version)
minimum=$(pin minimum)
[ -n "$version" ] && [ -n "$minimum" ] || fail "$here/parts.json: tools.node has no version or no minimum."

# is_fit NODE: whether it runs and is of the minimum version or newer.
is_fit() {
  found=$("$1" --version 2>/dev/null) || return 1
  found=${found#v}
  major=${found%%.*}
  minor=${found#*.}
  minor=${minor%%.*}
  [ "$major" -gt "${minimum%%.*}" ] || { [ "$major" -eq "${minimum%%.*}" ] && [ "$minor" -ge "${minimum#*.}" ]; }
}

if [ -n "${VPSIGHT_PART_NODE:-}" ]; then
  is_fit "$VPSIGHT_PART_NODE" ||
    fail "VPSIGHT_PART_NODE: $VPSIGHT_PART_NODE is not a Node of version $minimum or newer. Correct it or unset it."
  cd "$(dirname "$VPSIGHT_PART_NODE")" && pwd
  exit
fi
if [ "${VPSIGHT_PARTS_IGNORE_PATH:-}" != 1 ] && own=$(command -v node) && is_fit "$own"; then
  dirname "$own"
  exit
fi
home=$parts/node-$version
if [ ! -x "$home/bin/node" ]; then
  package=$(pin package)
  integrity=$(pin integrity)
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "The sandbox runs on Linux x86-64 only; this is $(uname -sm)."
  command -v npm >/dev/null ||
    fail "Node $minimum or newer is needed, and npm is not here to bring it: install Node, or set VPSIGHT_PART_NODE."
  echo "Node $version: downloading (this machine's Node is older than $minimum)" >&2
  mkdir -p "$parts"
  draft=$(mktemp -d "$parts/node.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  trap 'exit 1' INT TERM HUP
  # From a folder of its own: no project's settings count. Scripts never run for `npm pack` of a published package.
  (cd "$draft" && npm pack --silent --cache "$draft/cache" "$package@$version") >"$draft/log" 2>&1 ||
    fail "npm could not download $package $version: $(tail -n 5 "$draft/log")"
  archive=$(echo "$draft"/*.tgz)
  actual=sha512-$(node -p 'require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64")' "$archive")
  [ "$actual" = "$integrity" ] ||
    fail "$package $version has the integrity $actual, but sandbox/parts/parts.json pins $integrity. It is not used."
  tar -xzf "$archive" -C "$draft"
  # Another run may have been faster: then its result stands.
  mv -T "$draft/package" "$home" 2>/dev/null || [ -x "$home/bin/node" ]
  is_fit "$home/bin/node" || fail "$home/bin/node does not run on this machine; install Node $minimum or newer."
fi
echo "$home/bin"
