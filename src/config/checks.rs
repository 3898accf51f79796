//! What looks at a release beside the declared probes: health URLs, verify commands; and who may answer a prompt.

use std::sync::Arc;

use super::declared::{self, Declared};
use super::layer::{Layers, Origin};
use super::parts::Verify;
use super::value;
use guard_model::name::{ProbeName, ResourceName};
use guard_model::section::Section;
use guard_model::setting::{Source, Value, nearest};

/// The addresses to watch, from the strongest layer that names any.
pub(super) fn health_urls(
    top: &mut Section<'_>,
    layers: &mut Layers<'_>,
    source: &Arc<Source>,
    probes: &mut Vec<Declared<ProbeName>>,
) {
    let in_file = top.texts("health_urls");
    let (urls, source, origin) = match (layers.given("health_urls"), in_file) {
        (Some(given), _) => {
            let urls = given
                .texts
                .iter()
                .flat_map(|text| text.split_whitespace())
                .map(str::to_owned)
                .collect();
            (urls, Arc::new(given.source()), given.origin)
        }
        (None, Some(urls)) => (urls, Arc::clone(source), Origin::File(source.name.clone())),
        (None, None) => return,
    };
    layers.remember("health_urls", urls.join(" "), origin);
    declared::of_health_urls(&urls, &source, probes);
}

/// `verify = "none"`, or `[verify]` with commands; the flag and the variable replace the file's commands.
pub(super) fn verify(top: &mut Section<'_>, layers: &mut Layers<'_>, resources: &[Declared<ResourceName>]) -> Verify {
    let is_word = top
        .take("verify")
        .is_some_and(|item| matches!(item.value, Value::Text(_)));
    let mut verify = if is_word {
        let none = top.choice("verify", &[("none", true)]).unwrap_or_default();
        Verify {
            none,
            ..Verify::default()
        }
    } else {
        top.section("verify", |section| Verify {
            commands: section.commands("commands").unwrap_or_default(),
            expect_change: expect_change(section, resources),
            none: false,
        })
    };
    if let Some(given) = layers.given("verify.commands") {
        layers.remember("verify.commands", given.texts.join("; "), given.origin.clone());
        verify.commands.clear();
        verify.none = given.texts.iter().all(|text| text == "none");
        for text in given.texts.iter().filter(|text| *text != "none") {
            match shlex::split(text).filter(|words| !words.is_empty()) {
                Some(words) => verify.commands.push(words),
                None => layers.wrong(
                    &given.origin,
                    value::Wrong::new(format!("{text:?} is no command"), Some("its quotes must be closed")),
                ),
            }
        }
    }
    verify
}

/// The resources that a release has to change, each one that is declared.
fn expect_change(section: &mut Section<'_>, resources: &[Declared<ResourceName>]) -> Vec<ResourceName> {
    let mut names = Vec::new();
    for text in section.texts("expect_change").unwrap_or_default() {
        let known = || resources.iter().map(|declared| declared.name.as_str());
        if let Some(declared) = resources.iter().find(|declared| declared.name.as_str() == text) {
            names.push(declared.name.clone());
        } else {
            let hint = nearest(&text, known());
            let hint = hint.unwrap_or_else(|| format!("there are: {}", known().collect::<Vec<_>>().join(", ")));
            section.problem("expect_change", format!("no resource is called {text:?}"), Some(hint));
        }
    }
    names
}

/// Whether prompts are answered with yes, and whether faults may be injected here on purpose.
pub(super) fn confirmed_and_drill(top: &mut Section<'_>, layers: &mut Layers<'_>) -> (bool, bool) {
    let drill = layers.value(top, "drill", value::flag, false, "false");
    (confirmed(layers), drill)
}

/// Whether prompts are answered already; only a flag or a variable can do that, so that no file does it for good.
fn confirmed(layers: &mut Layers<'_>) -> bool {
    let Some(given) = layers.given("confirm") else {
        return false;
    };
    let text = given.texts.last().cloned().unwrap_or_default();
    layers.remember("confirm", text.clone(), given.origin.clone());
    value::flag(&Value::Text(text), true).unwrap_or_else(|wrong| {
        layers.wrong(&given.origin, wrong);
        false
    })
}
