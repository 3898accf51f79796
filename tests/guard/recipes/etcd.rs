//! etcd: a real server, whose keys go and come back.

use super::{Recipe, port};

struct Etcd(Recipe);

impl Drop for Etcd {
    fn drop(&mut self) {
        self.0.sh("./service stop etcd");
    }
}

#[test]
fn etcd_comes_back_by_its_recipe() {
    let mut recipe = Recipe::of("etcd.md", &[]);
    let (client, peer, data) = (port(), port(), recipe.place("data"));
    let url = format!("http://127.0.0.1:{client}");
    recipe.env("ETCD_DATA", &data);
    recipe.env("ETCD_URL", &url);
    recipe.env("ETCD_SERVICE", "./service");
    recipe.env("ETCDCTL_API", "3");
    // What a service manager does: one server, which belongs to nobody who asked for it.
    let service = format!(
        r#"#!/bin/sh
case $1 in
  stop)
    kill "$(cat pid)" 2>/dev/null || true
    while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.05; done ;;
  start)
    env -i PATH="$PATH" setsid etcd --data-dir {data} --listen-client-urls {url} --advertise-client-urls {url} \
      --listen-peer-urls http://127.0.0.1:{peer} >log 2>&1 </dev/null &
    echo $! >pid ;;
esac
"#
    );
    recipe.script("service", &service);
    recipe.sh("./service start etcd");
    let etcd = Etcd(recipe);
    let ctl = format!("etcdctl --endpoints {url}");
    etcd.0.sh(&format!(
        "until {ctl} endpoint health >/dev/null 2>&1; do sleep 0.1; done"
    ));
    etcd.0.sh(&format!(
        "for n in 1 2 3 4 5; do {ctl} put key$n value$n; done; {ctl} role add reader"
    ));
    let observe = || etcd.0.sh(&format!("{ctl} get '' --prefix; {ctl} role list"));
    etcd.0.holds(
        &format!("{ctl} del key1\n{ctl} put key2 spoilt\n{ctl} put new x\n{ctl} role delete reader"),
        &format!("{ctl} get key1 | grep -q value1"),
        &observe,
    );
}
