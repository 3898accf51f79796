# Planted bugs in the real sources: each takes one safeguard out of a copy of the tree, and the harness has to go red.
# Sourced.
# shellcheck shell=bash

# The copy shares the dependencies' artefacts, so that only guard itself is built for each bug.
planted() {
  local list=fixtures/planted/bugs.txt copy found=0 all=0 missed=() name file change tests
  copy=$(mktemp -d "${TMPDIR:-/tmp}/guard-planted.XXXXXX")
  git ls-files -z | xargs -0 cp --parents -t "$copy"
  # The dependencies' artefacts are taken as they are; guard's own differ by the path of its sources.
  cargo build --quiet --locked --test faults
  mkdir -p "$copy/target/debug"
  cp -al target/debug/deps target/debug/build target/debug/.fingerprint "$copy/target/debug/"
  while IFS='@' read -r name file change tests; do
    [[ -n $name && $name != \#* ]] || continue
    all=$((all + 1))
    cp "$file" "$copy/$file"
    sed -i -E "$change" "$copy/$file"
    if cmp -s "$file" "$copy/$file"; then
      echo "[planted] $name: the change does not fit $file any more" >&2
      missed+=("$name")
      continue
    fi
    if is_found "$copy" "$tests"; then
      found=$((found + 1))
      echo "[planted] $name: found" >&2
    else
      echo "[planted] $name: NOT FOUND" >&2
      missed+=("$name")
    fi
    cp "$file" "$copy/$file"
  done < <(sed 's/ *@ */@/g' "$list")
  rm -rf "$copy"
  printf 'FIGURE\tR4b\tevery planted bug found\t%s of %s in the real sources%s\tscripts/faults --full planted\n' \
    "$found" "$all" "${missed[*]:+; missed: ${missed[*]}}"
  [ ${#missed[@]} = 0 ]
}

# Whether the harness in this copy fails. What does not build is no bug that was found.
is_found() {
  local copy=$1 tests=$2
  (
    cd "$copy"
    cargo build --quiet --locked --offline --test faults 2>"$copy/build.log" || {
      tail -n 5 "$copy/build.log" >&2
      exit 1
    }
    # shellcheck disable=SC2086 # words
    ! GUARD_FAULTS_FROM=0 GUARD_FAULTS_PAIRS=3 GUARD_FAULTS_RUNS=6000 \
      cargo test --quiet --locked --offline --test faults -- $tests >"$copy/test.log" 2>&1
  )
}
