//! Backups that an older guard wrote: what later ones note is missing in them, and they are read as they are.

use crate::support::embedded::Embedded;

/// Makes a backup what the first guards wrote, by what their manifests, details and indexes had, and seals it with its key again.
const AGE: &str = r#"
import hashlib, hmac, json, pathlib, subprocess, sys

backup, state = map(pathlib.Path, sys.argv[1:])
path = backup / "manifest.json"
manifest = json.loads(path.read_text())["manifest"]
for key in ("identities", "live"):
    manifest.pop(key, None)
known = {
    "sqlite": ("path", "taken_at", "journal_mode"),
    "volume": ("source", "mode", "precision", "entries", "content_bytes", "tar_bytes"),
    "git": ("state", "snapshot", "ref"),
}
for artifact in manifest["artifacts"]:
    details, kind = artifact["details"], artifact["kind"]
    if kind in known:
        details = {key: details[key] for key in known[kind]}
    if kind == "git":
        details["commit"] = details.pop("snapshot")
        details["state"].pop("worn", None)
        prints = artifact["fingerprint"]
        artifact["fingerprint"] = {key: prints[key] for key in ("branch", "commit", "files", "index")}
        # Everything was in the repository alone.
        for file in [file for file in artifact["files"] if file["path"].endswith(".bundle")]:
            (backup / file["path"]).unlink()
            artifact["files"].remove(file)
    if kind == "files":
        details = [{key: value for key, value in entry.items() if key not in ("attire", "through")} for entry in details["entries"]]
        prints = artifact["fingerprint"]
        artifact["fingerprint"] = {key: value for key, value in prints.items() if not key.startswith("directory ")}
    if kind == "volume":
        told = ("path", "type", "mode", "uid", "gid", "size", "seconds", "nanoseconds", "link", "sha256")
        entry = next(file for file in artifact["files"] if file["path"].endswith("index.jsonl.zst"))
        index = backup / entry["path"]
        lines = subprocess.run(["zstd", "-dc", index], check=True, capture_output=True).stdout.decode().splitlines()
        lines = [json.dumps({key: value for key, value in json.loads(line).items() if key in told}) for line in lines]
        packed = subprocess.run(["zstd", "-c"], check=True, capture_output=True, input="".join(f"{line}\n" for line in lines).encode())
        index.write_bytes(packed.stdout)
        entry["bytes"], entry["sha256"] = len(packed.stdout), hashlib.sha256(packed.stdout).hexdigest()
    artifact["details"] = details
files = [file for artifact in manifest["artifacts"] for file in artifact["files"]] + [manifest["settings"]]
(backup / "SHA256SUMS").write_text("".join(f"{file['sha256']}  {file['path']}\n" for file in files))

def sign(*parts):
    mac = hmac.new((state / "key").read_bytes(), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(8, "big") + part)
    return mac.hexdigest()

raw = json.dumps(manifest, indent=2)
mac = sign(b"manifest", b"1", manifest["timestamp"].encode(), raw.encode())
path.write_text(f'{{"schema_version":1,"key":"{sign(b"guard key")[:16]}","mac":"{mac}","manifest":{raw}}}\n')
"#;

#[test]
fn a_backup_of_the_first_guards_is_listed_verified_and_gone_back_to() {
    let project = Embedded::new();
    let before = project.everything();
    project.guard().run(&["backup"]).expect(0);
    let backups = std::fs::read_dir(project.state().join("backups")).unwrap();
    let backup = backups
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("manifest.json").exists())
        .unwrap();
    let aged = std::process::Command::new("python3")
        .args(["-c", AGE])
        .args([&backup, &project.state()])
        .output()
        .unwrap();
    assert!(aged.status.success(), "{aged:?}");
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    for later in ["identities", "pin", "worn", "attire", "packed", "bundle"] {
        assert!(!manifest.contains(later), "{later}: {manifest}");
    }
    let name = backup.file_name().unwrap().to_str().unwrap();

    let listed = project.guard().run(&["list"]).expect(0).everything();
    assert!(listed.contains(name), "{listed}");
    let shown = project.guard().run(&["show", name]).expect(0).everything();
    assert!(shown.contains("objects") && shown.contains("config"), "{shown}");
    project.guard().run(&["verify", name]).expect(0);
    let checked = project.guard().run(&["check"]).expect(0).everything();
    assert!(!checked.contains("could not be put back"), "{checked}");

    project.sh("./deploy.sh all");
    assert_ne!(project.everything(), before);
    let dry = project
        .guard()
        .run(&["rollback", name, "--dry-run"])
        .expect(0)
        .everything();
    assert!(dry.contains("objects") && dry.contains("new.txt"), "{dry}");
    project.guard().run(&["rollback", name, "--yes"]).expect(0);
    assert_eq!(project.everything(), before);
}
