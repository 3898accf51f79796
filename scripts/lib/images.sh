# The test images, built from Debian packages alone because there may be no image registry. Sourced by scripts/setup.
# shellcheck shell=bash

s3s_version=0.14.1
contexts=fixtures/stack/images

# Whether image $1 was built from content hash $2.
is_built() { [ "$(docker image inspect -f '{{index .Config.Labels "guard.test.hash"}}' "$1" 2>/dev/null)" = "$2" ]; }

# One hash over words and over the names, modes and bytes of a directory's files.
hash_of() {
  local dir=$1
  shift
  {
    printf '%s\n' "$@"
    if [ -n "$dir" ]; then
      (cd "$dir" && find . -type f -printf '%P %m\n' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    fi
  } | sha256sum | cut -c1-16
}

build_images() {
  local base
  base=$(hash_of '' "$suite" minbase 1)
  build_base "$base"
  for name in postgres:17 mariadb:11 redis:8 valkey:8 nginx app-base objects services; do build_image "$name" "$base"; done
}

build_base() {
  local image=guard-test/debian:$suite root
  if is_built "$image" "$1"; then
    say "image $image: there"
    return
  fi
  say "image $image: debootstrap (about a minute)"
  root=$cache/debootstrap
  as_root rm -rf --one-file-system "$root"
  # The new image, not this machine, decides which of the machine's apt settings (proxy, clock tolerance) it needs.
  quietly as_root debootstrap --variant=minbase "$suite" "$root" "$(debian_mirror)"
  apt-config dump | { grep -E '^Acquire::(Check-|https?::)' || true; } | as_root tee "$root/etc/apt/apt.conf.d/90machine" >/dev/null
  as_root sh -c "rm -rf '$root'/var/cache/apt/archives/*.deb '$root'/var/lib/apt/lists/* '$root'/usr/share/doc/* '$root'/usr/share/man/* '$root'/usr/share/locale/*"
  printf 'path-exclude=/usr/share/%s/*\n' doc man locale | as_root tee "$root/etc/dpkg/dpkg.cfg.d/90small" >/dev/null
  as_root tar -C "$root" --one-file-system -c . \
    | docker import -c 'LABEL guard.test=1' -c "LABEL guard.test.hash=$1" -c 'CMD ["bash"]' - "$image" >>"$log"
  as_root rm -rf --one-file-system "$root"
}

# Builds guard-test/$1 from its directory; $2 is the hash of the base image.
build_image() {
  local image=guard-test/$1 dir=$contexts/${1%%:*} hash context old
  hash=$(hash_of "$dir" "$2" "$([ "$1" = objects ] && echo "$s3s_version")")
  if is_built "$image" "$hash"; then
    say "image $image: there"
    return
  fi
  context=$(mktemp -d)
  cp -a "$dir/." "$context"
  if [ "$1" = objects ]; then
    build_s3s
    cp "$cache/s3s-fs-$s3s_version/bin/s3s-fs" "$context/"
  fi
  say "image $image: building"
  # The classic builder: every engine has it, and it needs no plugin.
  old=$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null || true)
  quietly env DOCKER_BUILDKIT=0 docker build --force-rm --label guard.test=1 --label "guard.test.hash=$hash" -t "$image" "$context"
  rm -rf "$context"
  # The image this one takes the place of; it stays while a container still uses it.
  [ -z "$old" ] || docker rmi "$old" >>"$log" 2>&1 || true
}

build_s3s() {
  [ ! -x "$cache/s3s-fs-$s3s_version/bin/s3s-fs" ] || return 0
  have cargo || die "the S3 server is built with cargo, which is missing"
  say "s3s-fs $s3s_version: building once into $cache (a minute or two)"
  # The cheapest profile: the tests wait for the build, never for this server's speed.
  quietly env CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=true CARGO_PROFILE_DEV_INCREMENTAL=false \
    CARGO_TARGET_DIR="$cache/s3s-target" \
    cargo install s3s-fs --version "$s3s_version" --features binary --locked --debug --root "$cache/s3s-fs-$s3s_version"
  rm -rf "$cache/s3s-target"
}
