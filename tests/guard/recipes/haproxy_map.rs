//! A map of a running HAProxy: its file and its memory.

use super::Recipe;

struct Haproxy(Recipe);

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.0.sh("kill $(cat pid)");
    }
}

#[test]
fn a_map_of_haproxy_comes_back_by_its_recipe() {
    let mut recipe = Recipe::of("haproxy-map.md", &[]);
    let (map, socket, front) = (
        recipe.place("hosts.map"),
        recipe.place("admin.sock"),
        recipe.place("front.sock"),
    );
    recipe.env("MAP", &map);
    recipe.env("SOCKET", &socket);
    recipe.env("FRONT", &front);
    recipe.env("PATH", "/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin");
    std::fs::write(&map, "a.example one\nb.example two\n").unwrap();
    recipe.write(
        "haproxy.cfg",
        &format!(
            "global\n stats socket {socket} mode 600 level admin\n\
             defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
             frontend front\n bind unix@{front}\n \
             http-request return status 200 content-type text/plain lf-string %[req.hdr(host),map({map},none)]\n"
        ),
    );
    recipe.sh("haproxy -D -f haproxy.cfg -p pid");
    let haproxy = Haproxy(recipe);
    // What visitors are answered, and what a reload would read.
    let observe = || {
        haproxy.0.sh(
            "cat $MAP; for host in a b c; do curl -sS --unix-socket $FRONT -H \"Host: $host.example\" http://x/; echo; done",
        )
    };
    assert!(observe().ends_with("one\ntwo\nnone\n"), "{}", observe());
    let say = |words: &str| format!("echo '{words}' | sed \"s|MAP|$MAP|\" | socat - UNIX-CONNECT:$SOCKET");
    let bad = [
        "printf 'a.example spoilt\\nc.example new\\n' >$MAP".to_owned(),
        say("set map MAP a.example spoilt"),
        say("del map MAP b.example"),
        say("add map MAP c.example new"),
    ];
    haproxy.0.holds(
        &bad.join("\n"),
        "test \"$(curl -sS --unix-socket $FRONT -H 'Host: a.example' http://x/)\" = one",
        &observe,
    );
}
