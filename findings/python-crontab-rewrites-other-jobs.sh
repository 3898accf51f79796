#!/usr/bin/env bash
# python-crontab 3.4.0 (PyPI).
#
# Guess: to add a job to a crontab, and to write it back, leaves the command lines of the other jobs as they were.
# Seen:  cron knows no comment at the end of a line, and hands the whole of it to the shell. python-crontab takes what is behind
#        the first ` #` for a comment, within quotation marks as well, and writes `# ` before it: `--tag 'run #2'` is `--tag 'run
#        # 2'` from then on. A reader of the job's command sees a quotation mark that is never closed.
# So a crontab is kept, compared and put back as text.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check python-crontab==3.4.0
cat >add.py <<'PYTHON'
from crontab import CronTab

table = CronTab(tabfile="table")
print([job.command for job in table])
job = table.new(command="/usr/bin/clean")
job.setall("30 4 * * *")
table.write()
PYTHON
cat >table <<'TEXT'
0 3 * * * backup --tag 'run #2' shop
TEXT
venv/bin/python add.py | tee said
cat table
grep -qxF "[\"backup --tag 'run\"]" said
grep -qxF "0 3 * * * backup --tag 'run # 2' shop" table
if grep -qF "'run #2'" table; then exit 1; fi
