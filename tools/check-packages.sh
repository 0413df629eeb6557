#!/usr/bin/env bash
# Checks what would be published, on the packed tarballs: publint, then are-the-types-wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for package in packages/*/; do
  name=$(node -p "require('./${package}package.json').name")
  tarball=$out/$(npm pack --silent --pack-destination "$out" --workspace "$name")
  printf '\n%s (%s)\n' "$name" "$(du -h "$tarball" | cut -f1)"
  publint --strict "$tarball"
  # node10 knows no `exports`, and every supported Node does.
  attw --profile node16 --no-emoji "$tarball"
done
