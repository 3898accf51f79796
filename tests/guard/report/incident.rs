//! The incident report, made from records and readings.

use guard::model::health::Outcome;
use guard::model::secret::Redaction;
use guard::report::incident::incident;

use super::records::{deployed, reading, walked_back};

#[test]
fn the_report_of_a_run_that_walked_back() {
    let readings: Vec<_> = (31..90)
        .map(|second| {
            reading(
                second,
                if second >= 79 || second == 40 {
                    Outcome::Failed
                } else {
                    Outcome::Ok
                },
            )
        })
        .collect();
    let text = incident(&walked_back().0, &readings, &Redaction::default(), "guard");
    let expected = "\
# Run 20251022_153000-deploy

**What failed.** The watch found the release bad.

**Why.**

- backend failed 12 times in a row over 11 s (connection refused)

**What guard did.** The watch found the release bad; rolled back to 20251022_153000, and proven. Production is old, verified (exit code 22).

**What you can do now,** to see what is kept of the failed state:

```
guard status
```

## When

- begun: 2025-10-22T15:30:00Z by alice on web-1
- found: 2025-10-22T15:31:30Z (The watch found the release bad)
- first sign: 2025-10-22T15:31:19Z (backend: connection refused), 11 s before
- over: 2025-10-22T15:31:37Z, 7.0 s after it was found

## What was put back

- objects: was as before, and was not touched
- db: put back (schema, table users)

## What was lost

- db: discards 3 rows in users since 15:30:07

## What cannot be undone

- 3 mails sent

## What was kept, and where

- db: database app__failed_20251022_153000_deploy
- the state before: backup 20251022_153000

## What the probes saw

- backend: 59 checks, 12 failures (20.34%); first failure 2025-10-22T15:30:40Z (connection refused), last 2025-10-22T15:31:29Z (connection refused)

## Timeline

- 2025-10-22T15:30:00Z [INFO] Run 20251022_153000-deploy begins: 4 stages ahead, and 4 stages back if the release is bad
";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("\n- 2025-10-22T15:31:34Z [STEP] Step 3: put databases and volumes back\n"),
        "{text}"
    );
    assert!(text.ends_with("(exit code 22).\n"), "{text}");
}

#[test]
fn a_run_without_an_end_says_so() {
    let text = incident(&deployed().0, &[], &Redaction::default(), "guard -C /srv");
    assert!(
        text.contains("The run has no end: it was cut off, or is still at work."),
        "{text}"
    );
    assert!(text.contains("```\nguard -C /srv resume\n```"), "{text}");
    assert!(
        text.contains("## What the probes saw\n\nNo probe was asked.\n"),
        "{text}"
    );
}

#[test]
fn secrets_and_escape_sequences_stay_out() {
    let redaction = Redaction::default();
    redaction.learn("hunter2hunter2");
    let mut bad = reading(80, Outcome::Failed);
    bad.note = "401 for hunter2hunter2\u{1b}[2J\u{1b}]0;x\u{7}".into();
    let text = incident(&walked_back().0, &[bad], &redaction, "guard");
    assert!(text.contains("401 for [REDACTED]"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
