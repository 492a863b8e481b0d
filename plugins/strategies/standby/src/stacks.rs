//! Everything that the code of the site that waits asks for is there: [`findings`], by reads alone.

use understudy_recovery::Finding;
use understudy_recovery::check::judged;
use understudy_recovery::infrastructure::word;
use understudy_sdk::strategy::understudy::infrastructure::infrastructure::{
    self, Action, Change, Difference,
};

/// Most resources that are named in one line.
const NAMED: usize = 5;

/// One for each stack.
pub(crate) fn findings(site: &str, stacks: &[String]) -> Vec<Finding> {
    let finding = |stack: &String| {
        let id = format!("stack-{stack}-built");
        let read = infrastructure::observe_difference(site, stack);
        judged(&id, read, |found| built(stack, &found))
    };
    stacks.iter().map(finding).collect()
}

/// Whether nothing is missing and nothing is there that has to go. What would be changed in place is told and is no fault:
/// recoveries promote, replicate and scale outside the code.
fn built(stack: &str, found: &Difference) -> (bool, String) {
    let in_place = |change: &Change| change.action == Action::Update;
    let holds = found.changes.iter().all(in_place);
    if found.changes.is_empty() {
        return (holds, format!("{stack} is as its code says"));
    }
    (holds, format!("applying {stack} would {}", named(found)))
}

/// What would be done, in one line.
pub(crate) fn named(found: &Difference) -> String {
    let changes = found.changes.iter().take(NAMED);
    let named: Vec<String> = changes
        .map(|change| format!("{} {}", word(change.action), change.address))
        .collect();
    let more = found.changes.len().saturating_sub(NAMED);
    match more {
        0 => named.join(", "),
        more => format!("{}, and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(actions: &[Action]) -> Difference {
        let change = |(number, &action): (usize, &Action)| Change {
            address: format!("node.{number}"),
            action,
        };
        Difference {
            changes: actions.iter().enumerate().map(change).collect(),
            drifted: Vec::new(),
        }
    }

    #[test]
    fn what_is_missing_or_has_to_go_is_a_fault_and_what_changes_in_place_is_told() {
        use Action::{Create, Destroy, Replace, Update};
        for (actions, holds, words) in [
            (&[][..], true, "zone is as its code says"),
            (&[Update], true, "applying zone would update node.0"),
            (
                &[Update, Create],
                false,
                "applying zone would update node.0, create node.1",
            ),
            (&[Replace], false, "applying zone would replace node.0"),
            (&[Destroy], false, "applying zone would destroy node.0"),
        ] {
            assert_eq!(built("zone", &found(actions)), (holds, words.to_owned()));
        }
    }

    #[test]
    fn changes_are_named_up_to_a_bound() {
        let said = named(&found(&[Action::Update; 7]));
        assert!(said.ends_with("update node.4, and 2 more"), "{said}");
    }
}
