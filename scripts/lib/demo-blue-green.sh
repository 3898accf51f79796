# The demo of two sides: nginx leads visitors to one of them, a bad release is left by one switch. Sourced by scripts/demo.
# shellcheck shell=bash

stop_demo() {
  local side
  touch "$work/enough"
  [ -z "${visitors:-}" ] || wait "$visitors" 2>/dev/null || true
  [ -z "${front:-}" ] || kill "$front" 2>/dev/null || true
  for side in blue green; do (cd "$project" 2>/dev/null && GUARD_SIDE=$side ./side.sh stop) || true; done
}

# Which side a visitor comes to, and which version.
seen() { curl --silent --show-error --fail --max-time 5 "http://127.0.0.1:$port/"; }

# Asks until $work/enough is there; a line for each answer, and one for each request that got none.
visit() {
  while [ ! -e "$work/enough" ]; do
    curl --silent --max-time 5 "http://127.0.0.1:$port/" || echo lost
    sleep 0.02
  done
}

write_side() {
  cat <<TEXT

[blue_green.sides.$1]
address = "127.0.0.1:$2"
health = "http://127.0.0.1:$2/"
start = ["./side.sh start"]
stop = ["./side.sh stop"]
TEXT
}

demo() {
  local blue green count lost
  port=$(free_port)
  blue=$(free_port)
  green=$(free_port)
  title "Two sides, blue and green, behind nginx; blue is live"
  mkdir -p "$project"
  chmod 755 "$work"
  cp fixtures/sides/app.py "$work/"
  cp fixtures/sides/side.sh fixtures/sides/deploy.sh "$project/"
  cd "$project"
  echo 1 >release.txt
  echo '1 good' >"$work/blue.release"
  cat >"$work/nginx.conf" <<TEXT
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  upstream blue { server 127.0.0.1:$blue; }
  upstream green { server 127.0.0.1:$green; }
  server {
    listen 127.0.0.1:$port;
    location / {
      set \$side blue;
      if (-f $work/green.on) { set \$side green; }
      proxy_set_header X-Through front;
      proxy_pass http://\$side;
    }
  }
}
TEXT
  {
    cat <<TEXT
state_dir = "../guard-state"
strategy = "blue-green"

[resources.code]
kind = "files"
paths = ["release.txt"]

[probes.site]
kind = "http"
url = "http://127.0.0.1:$port/"

[monitor]
duration = "2s"
interval = "200ms"
consecutive_failures = 2
persist = "200ms"
min_samples = 3
TEXT
    write_side blue "$blue"
    write_side green "$green"
    cat <<TEXT

[blue_green.front]
kind = "marker"
path = "$work/green.on"
side = "green"
url = "http://127.0.0.1:$port/"
header = "X-Side"
TEXT
  } >guard.toml
  chmod 600 guard.toml
  GUARD_SIDE=blue GUARD_SIDE_ADDRESS=127.0.0.1:$blue ./side.sh start
  nginx -p "$work" -e "$work/error.log" -c "$work/nginx.conf" &
  front=$!
  for _ in {1..100}; do seen >/dev/null 2>&1 && break || sleep 0.1; done
  say "a visitor comes to: $(seen)"
  visit >"$work/visits" &
  visitors=$!

  title "A good release: it comes up on green, is asked there, and visitors are led to it"
  expect 0 "$guard" deploy -- ./deploy.sh 2 good
  [ "$(seen)" = 'green 2' ] || die "visitors are at $(seen)"
  say "a visitor comes to: $(seen); blue is stopped"

  title "A release that is well by itself, and fails once visitors are at it"
  expect 22 "$guard" deploy -- ./deploy.sh 3 late
  [ "$(seen)" = 'green 2' ] || die "visitors are at $(seen)"
  say "a visitor comes to: $(seen)"
  say "the failed side is kept: $(curl --silent "http://127.0.0.1:$blue/")"

  touch "$work/enough"
  wait "$visitors"
  count=$(wc -l <"$work/visits")
  lost=$(grep -c -v -E '^(blue|green) [0-9]$' "$work/visits" || true)
  [ "$lost" = 0 ] || die "$lost of $count requests were lost"
  say "$count requests meanwhile, none lost; $(grep -c 3 "$work/visits" || true) of them came to the bad release"
}
