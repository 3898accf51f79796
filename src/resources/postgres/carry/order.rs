//! The order in which tables are filled, so that a row comes after the rows it refers to; circles are told apart.

use std::collections::BTreeSet;

use super::shape::Reference;

/// The order of some tables.
#[derive(Debug, Default)]
pub(super) struct Order<'a> {
    /// Tables in groups: what a group refers to is in it or before it. Most groups have one table.
    pub(super) groups: Vec<Vec<String>>,
    /// References inside a group, a table's to itself among them.
    pub(super) circular: Vec<&'a Reference>,
}

impl<'a> Order<'a> {
    /// Orders tables by their references.
    pub(super) fn of<'b>(tables: &'b [String], references: &'a [Reference]) -> Self {
        let mut order = Self::default();
        let mut left: BTreeSet<&'b String> = tables.iter().collect();
        // Who reaches the fewest reaches nobody outside of its own circle.
        let fewest = |left: &BTreeSet<&'b String>| {
            left.iter()
                .copied()
                .min_by_key(|name| reached(name, references, left).len())
        };
        while let Some(next) = fewest(&left) {
            let mut group = reached(next, references, &left);
            group.insert(next);
            for name in &group {
                left.remove(*name);
            }
            order.circular.extend(
                references
                    .iter()
                    .filter(|reference| group.contains(&reference.from) && group.contains(&reference.to)),
            );
            order.groups.push(group.into_iter().cloned().collect());
        }
        order
    }
}

/// The tables that a table refers to, directly or through others, without itself.
fn reached<'b>(name: &String, references: &[Reference], within: &BTreeSet<&'b String>) -> BTreeSet<&'b String> {
    let mut found: BTreeSet<&'b String> = BTreeSet::new();
    let mut waiting = vec![name];
    while let Some(from) = waiting.pop() {
        for reference in references.iter().filter(|reference| &reference.from == from) {
            if let Some(to) = within.get(&reference.to)
                && **to != *name
                && found.insert(to)
            {
                waiting.push(to);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refer(from: &str, to: &str) -> Reference {
        Reference {
            name: format!("{from}_{to}"),
            schema: "public".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            pairs: Vec::new(),
            deferrable: false,
            deferred: false,
        }
    }

    #[test]
    fn parents_come_first_and_circles_together() {
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let references = [
            refer("a", "b"),
            refer("b", "c"),
            refer("c", "b"),
            refer("c", "d"),
            refer("e", "e"),
            refer("a", "zz"),
        ];
        let order = Order::of(&names, &references);
        let groups: Vec<Vec<&str>> = order
            .groups
            .iter()
            .map(|group| group.iter().map(String::as_str).collect())
            .collect();
        let place = |name: &str| groups.iter().position(|group| group.contains(&name)).unwrap();
        assert!(
            place("d") < place("b") && place("b") == place("c") && place("c") < place("a"),
            "{groups:?}"
        );
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 5);
        let mut circular: Vec<&str> = order.circular.iter().map(|reference| reference.name.as_str()).collect();
        circular.sort_unstable();
        assert_eq!(circular, ["b_c", "c_b", "e_e"]);
    }
}
