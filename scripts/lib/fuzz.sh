# Fuzzing by cargo-fuzz: each reader of foreign bytes, for a while each, from what is really read by it.
# Sourced, after phases.sh.
# shellcheck shell=bash

fuzz_version=0.13.2

# Runs each target for GUARD_FUZZ_SECONDS (120), and reports how many inputs each has seen. An input that ends a reader is kept in
# fuzz/artifacts, and its way to be tried again is printed. Without a sanitizer: unsafe code is forbidden here, and what is looked
# for are panics, overflows, broken promises and endless work.
fuzz() {
  local seconds=${GUARD_FUZZ_SECONDS:-120} one runs told=() broken=()
  fuzz_tool || return 1
  for one in $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^guard-fuzz$'); do
    fuzz_seeds "$one" "fuzz/seeds/$one" || return 1
    mkdir -p "fuzz/corpus/$one"
    if ! "$tools/bin/cargo-fuzz" run --sanitizer none "$one" "fuzz/corpus/$one" "fuzz/seeds/$one" -- \
      -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 2>"$log"; then
      tail -n 40 "$log" >&2
      broken+=("$one")
      continue
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    told+=("$one $runs")
    echo "[fuzz] $one: $runs inputs" >&2
  done
  printf 'FIGURE\tR23\treaders of foreign bytes that an input ends, 0\t%s of %s: inputs by reader: %s\tscripts/faults --full fuzz\n' \
    "${#broken[@]}" "$((${#broken[@]} + ${#told[@]}))" "$(IFS=, && echo "${told[*]}")"
  [ ${#broken[@]} = 0 ]
}

fuzz_tool() {
  [ "$("$tools/bin/cargo-fuzz" --version 2>/dev/null)" != "cargo-fuzz $fuzz_version" ] || return 0
  env -u CARGO_TARGET_DIR cargo install --locked --debug --quiet cargo-fuzz --version "$fuzz_version" --root "$tools"
}

# fuzz_seeds TARGET DIRECTORY: real input to begin from, taken from what this tree holds.
fuzz_seeds() {
  rm -rf "$2" && mkdir -p "$2"
  case $1 in
    journal) cp fixtures/journals/* "$2" ;;
    # Each example of the page of settings, and each condition in it.
    settings)
      awk -v to="$2" '/^```toml/ { n++; on = 1; next } /^```/ { on = 0 } on { print > (to "/" n ".toml") }' docs/configuration.md docs/watching.md
      ;;
    rules) grep -rhoP "^when *= *['\"]\K.*(?=['\"]$)" docs tests | split -l 1 - "$2/" ;;
    manifest) fuzz_manifest >"$2/manifest.json" ;;
    storage)
      printf '%s' '<ListBucketResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><Contents><Key>a%2Fb</Key><Size>3</Size><ETag>"x"</ETag></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>' >"$2/listing"
      printf '%s' '<ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>a</Key><UploadId>1</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></ListMultipartUploadsResult>' >"$2/uploads"
      printf '%s' '<ListPartsResult><Part><PartNumber>1</PartNumber><Size>0</Size><ETag>"x"</ETag></Part></ListPartsResult>' >"$2/parts"
      printf '%s' '<Error><Code>SlowDown</Code><Message>Later.</Message></Error>' >"$2/error"
      ;;
  esac
}

# The manifest of a backup that is made for it.
fuzz_manifest() {
  local place
  place=$(mktemp -d)
  printf 'state_dir = "%s/state"\n[resources.config]\nkind = "files"\npaths = ["a.conf"]\n[verify]\ncommands = ["true"]\n' "$place" >"$place/guard.toml"
  echo "a = 1" >"$place/a.conf"
  cargo build --quiet --locked --bin guard && target/debug/guard -C "$place" backup >&2 \
    && cat "$place"/state/backups/*/manifest.json
  rm -rf "$place"
}
