//! `guard schema`: what the readers of the settings take fits it, by a validator of somebody else's.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::program::Program;

/// Debian's python3-jsonschema: every TOML text has to fit, or not to, as its name says.
const VALIDATE: &str = r"
import json, jsonschema, pathlib, sys, tomllib
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    errors = [f'{list(e.path)}: {e.message[:300]}' for e in validator.iter_errors(tomllib.loads(path.read_text()))]
    if bool(errors) != path.name.startswith('wrong'):
        print(path.name, errors, path.read_text())
";

#[test]
fn every_example_fits_the_schema_and_what_is_wrong_does_not() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tempfile::tempdir().unwrap();
    let guard = Program::new(root.path(), &root.path().join("state"));
    guard.run(&["schema", "--into", "guard.schema.json"]).expect(0);
    let examples = root.path().join("examples");
    fs::create_dir(&examples).unwrap();
    let mut count = 0;
    // A kind of somebody's own is in no schema of guard's.
    for page in [
        "README.md",
        "docs/configuration.md",
        "docs/watching.md",
        "docs/limits.md",
        "docs/runbook.md",
        "docs/from-scripts.md",
    ] {
        let text = fs::read_to_string(here.join(page)).unwrap();
        for block in text
            .split("```toml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
        {
            count += 1;
            fs::write(examples.join(format!("example-{count}.toml")), block).unwrap();
        }
    }
    assert!(count > 15, "only {count} examples were found");
    let wrong = [
        "[monitor]\ndurration = \"10m\"",
        "[resources.db]\nkind = \"postgress\"",
        "[resources.db]\npath = \"app.db\"",
        "[resources.db]\nkind = \"sqlite\"\npaht = \"app.db\"",
        "[resources.db]\nkind = \"sqlite\"\npath = 7",
        "[probes.site]\nkind = \"http\"\nurl = \"http://a\"\nexpect_json = { pointr = \"/a\" }",
        "[environments.staging.monitor]\ndurration = \"10m\"",
        "[environments.staging.resources.db]\npaht = \"app.db\"",
        "[[rules]]\nwen = \"x\"",
        "[policy]\nwatcher = 7",
        "[blue_green]\ngrce = \"5m\"",
        "[blue_green.sides.blue]\nadress = \"127.0.0.1:1\"",
        "[blue_green.front]\nkind = \"marker\"\nfile = \"/run/front\"",
    ];
    for (number, text) in wrong.iter().enumerate() {
        fs::write(examples.join(format!("wrong-{number}.toml")), text).unwrap();
    }
    let output = Command::new("/usr/bin/python3")
        .args(["-c", VALIDATE, "guard.schema.json", "examples"])
        .current_dir(root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
