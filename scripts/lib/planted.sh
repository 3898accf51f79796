# Planted bugs in the real sources: each takes one safeguard out, and the harness has to go red for it.
# Sourced.
# shellcheck shell=bash

# All bugs are built into one copy of the tree, each behind a question that the copy's own module answers: whether this is the
# safeguard that FAULTS_PLANTED says is out. One build serves all of them, and the same build without any has to pass.
planted() {
  local copy
  mkdir -p target && copy=$(mktemp -d "$PWD/target/planted.XXXXXX")
  planted_copy "$copy" && planted_runs "$copy" && rm -rf "$copy"
}

# Makes the copy with all the changes, and builds it.
planted_copy() {
  local copy=$1 name file change asked
  git ls-files -z | xargs -0 cp --parents -t "$copy"
  cat >>"$copy/src/model/lib.rs" <<'RUST'
#[doc(hidden)]
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::disallowed_methods)]
pub mod planted {
    pub fn is(name: &str) -> bool {
        static OUT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        OUT.get_or_init(|| std::env::var("FAULTS_PLANTED").unwrap_or_default()) == name
    }
}
RUST
  while IFS='@' read -r name file change _; do
    cp "$copy/$file" "$copy/before"
    # Every room knows the model, and there the question stands.
    case $file in src/model/*) asked=crate ;; *) asked=guard_model ;; esac
    sed -i -E "${change//PLANTED/$asked::planted::is(\"$name\")}" "$copy/$file"
    if cmp -s "$copy/before" "$copy/$file"; then
      echo "[planted] $name: the change does not fit $file any more" >&2
      return 1
    fi
  done < <(planted_bugs)
  # The dependencies' artefacts are taken as they are; guard's own differ by the path of its sources.
  cargo build --quiet --locked --test faults
  mkdir -p "$copy/target/debug"
  cp -al target/debug/deps target/debug/build target/debug/.fingerprint "$copy/target/debug/"
  (cd "$copy" && cargo build --quiet --locked --offline --test faults --bin guard 2>build.log) || {
    tail -n 30 "$copy/build.log" >&2
    echo "[planted] the sources with all the changes do not build" >&2
    return 1
  }
}

planted_bugs() { sed '/^#/d;/^$/d;s/ *@ */@/g' fixtures/planted/bugs.txt; }

# Runs the copy's harness without any bug, then with each.
planted_runs() {
  local copy=$1 all=0 found=0 missed=() name tests part took
  # What fails without a bug would say nothing about one.
  for part in $(planted_bugs | cut -d@ -f4 | tr ' ' '\n' | sort -u); do
    if is_red "" "$copy" "$part"; then
      echo "[planted] $part fails without any bug: see $copy/test.log" >&2
      return 1
    fi
  done
  echo "[planted] none: all green" >&2
  while IFS='@' read -r name _ _ tests; do
    all=$((all + 1))
    took=$SECONDS
    for part in $tests ""; do
      if [ -z "$part" ]; then
        echo "[planted] $name: NOT FOUND" >&2
        missed+=("$name")
      elif is_red "$name" "$copy" "$part"; then
        found=$((found + 1))
        echo "[planted] $name: found by $(failed "$copy") after $((SECONDS - took)) s" >&2
        break
      fi
    done
  done < <(planted_bugs)
  printf 'FIGURE\tR4b\tevery planted bug found\t%s of %s in the real sources%s\tscripts/faults --full planted\n' \
    "$found" "$all" "${missed[*]:+; missed: ${missed[*]}}"
  [ ${#missed[@]} = 0 ]
}

# Whether this part of the harness fails with this safeguard out. What hangs has failed as well.
is_red() {
  local name=$1 copy=$2 part=$3
  (
    cd "$copy"
    ! FAULTS_PLANTED=$name GUARD_FAULTS_FROM=0 GUARD_FAULTS_PAIRS=1 GUARD_FAULTS_RUNS=8000 GUARD_FAULTS_TREES=60 timeout 900 \
      cargo test --quiet --locked --offline --test faults -- "$part" </dev/null >test.log 2>&1
  )
}

# The test that failed last.
failed() {
  grep -aoP '^test \K\S+(?= \.\.\. FAILED)|^---- \K\S+(?= stdout)' "$1/test.log" | head -n 1 || echo "a hang"
}
