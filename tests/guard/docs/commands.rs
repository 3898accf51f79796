//! Every `guard` command line on the pages can be typed: the real parser takes it.

use clap::Parser;
use clap::error::ErrorKind;
use guard::cli::Arguments;

use super::pages;

/// The guard command lines of a shell text, as words. Comments, pipes and what stands before `exec` are left out.
pub fn of_shell(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
        let line = line.trim_start_matches("$ ").trim_start_matches("exec ");
        if !line.starts_with("guard ") {
            continue;
        }
        let words = shlex::split(line).unwrap_or_else(|| panic!("cannot be split: {line}"));
        let ends = |word: &String| matches!(word.as_str(), "|" | "&&" | "||" | ";" | ">");
        found.push(words.into_iter().take_while(|word| !ends(word)).collect());
    }
    found
}

/// Why the parser refuses these words; `None`: it does not.
pub fn refusal(words: &[String]) -> Option<String> {
    match Arguments::try_parse_from(words) {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => None,
        Err(error) => Some(format!("{words:?}: {error}")),
    }
}

#[test]
fn every_command_line_in_a_block_can_be_typed() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for (language, text) in page.blocks() {
            if !matches!(language.as_str(), "sh" | "yaml") {
                continue;
            }
            for words in of_shell(&text) {
                count += 1;
                wrong.extend(refusal(&words).map(|why| format!("{}: {why}", page.path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 45, "only {count} command lines were found");
}

#[test]
fn every_command_line_in_a_sentence_can_be_typed() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let prose = page.prose().replace('\n', " ");
        let spans = prose.split('`').skip(1).step_by(2);
        for span in spans.filter(|span| span.starts_with("guard ") && !span.contains('&')) {
            let words = shlex::split(&span.replace(",…", "").replace('…', "")).unwrap();
            let is_bare = words.len() == 2;
            count += 1;
            // `guard deploy` names the command; nobody is told to type it like that.
            let words = if is_bare {
                [words, vec!["--help".to_owned()]].concat()
            } else {
                words
            };
            wrong.extend(refusal(&words).map(|why| format!("{}: {why}", page.path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 50, "only {count} command lines were found");
}

#[test]
fn a_wrong_command_line_is_seen() {
    for wrong in ["guard rolback", "guard deploy --fast -- x", "guard show", "guard lock"] {
        let words = of_shell(wrong).remove(0);
        assert!(refusal(&words).is_some(), "{wrong}");
    }
    let lines = of_shell("cd x\nexec guard check  # why\n$ guard status | jq\nguard deploy \\\n  -- ./x");
    assert_eq!(lines.len(), 3);
    assert!(lines[2].contains(&"./x".to_owned()) && !lines[1].contains(&"jq".to_owned()));
}
