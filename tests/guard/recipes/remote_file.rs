//! A file of another host, by a real ssh server.

use super::{Recipe, port};

struct Sshd(Recipe);

impl Drop for Sshd {
    fn drop(&mut self) {
        self.0.sh("kill $(cat sshd.pid)");
    }
}

#[test]
fn a_file_of_another_host_comes_back_by_its_recipe() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("front's.conf");
    let mut recipe = Recipe::of(
        "remote-file.md",
        &[
            ("deploy@web1", "127.0.0.1"),
            ("/etc/app/front.conf", &file.display().to_string()),
        ],
    );
    let (port, here) = (port(), recipe.place("project"));
    recipe.write(
        "sshd.conf",
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/key.pub\n\
             PidFile {here}/sshd.pid\nStrictModes no\nUsePAM no\n"
        ),
    );
    recipe.env(
        "SSH_COMMAND",
        &format!(
            "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile={here}/known -o LogLevel=ERROR -i {here}/key -p {port}"
        ),
    );
    recipe.env("FILE", &file.display().to_string());
    recipe.sh("mkdir -p /run/sshd; for name in host key; do ssh-keygen -q -t ed25519 -N '' -f $name; done");
    recipe.sh("/usr/sbin/sshd -f $PWD/sshd.conf -E $PWD/sshd.log; until [ -e sshd.pid ]; do sleep 0.05; done");
    let sshd = Sshd(recipe);
    sshd.0.sh("printf 'one\\ntwo\\n' >\"$FILE\"; chmod 640 \"$FILE\"");
    let observe = || {
        sshd.0
            .sh("cat \"$FILE\"; stat -c '%a %U:%G' \"$FILE\"; ls \"$(dirname \"$FILE\")\"")
    };
    sshd.0.holds(
        "echo spoilt >\"$FILE\"; chmod 600 \"$FILE\"",
        "grep -q one \"$FILE\"",
        &observe,
    );
}
