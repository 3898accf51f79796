#!/usr/bin/env bash
# dulwich 1.2.21 (PyPI), beside git.
#
# Guess: `dulwich archive`, named after `git archive`, makes the same tree for a deployment.
# Seen:  it ends with 0. A symbolic link is an ordinary file that nobody may read, whose content is where the link pointed; what
#        `.gitattributes` marks as `export-ignore` is shipped, and `export-subst` is not filled in.
# So a checkout is made and judged by git itself.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: dulwich==1.2.21
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init --quiet shop
cd shop
printf 'notes export-ignore\nversion export-subst\n' >.gitattributes
echo inside >notes
# shellcheck disable=SC2016 # git fills it in.
echo '$Format:%s$' >version
mkdir releases
ln -s releases/7 current
echo seven >releases/7
git add --all
git -c user.name=one -c user.email=one@example.org commit --quiet --message=first
git archive --output=../by-git.tar HEAD
../venv/bin/dulwich archive HEAD >../by-dulwich.tar 2>../log
cd ..
for by in git dulwich; do
  mkdir "$by"
  tar -xf "by-$by.tar" -C "$by"
  echo "$by: $(cd "$by" && find . -mindepth 1 ! -type d ! -name '.git*' -printf '%P %y;' | tr ';' '\n' | sort | tr '\n' ' ')" \
    "$(head -n 1 "$by/version")"
done | tee said
[ "$(stat --format=%a dulwich/current)" = 0 ]
grep -qxF "git: current l releases/7 f version f  first" said
# shellcheck disable=SC2016 # git would have filled it in.
grep -qxF 'dulwich: current f notes f releases/7 f version f  $Format:%s$' said
