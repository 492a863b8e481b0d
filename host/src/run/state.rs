//! A step's life as one table. Everything that happens to a step is an [`Event`]; what it means is [`next`].

use serde::{Deserialize, Serialize};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Something it needs is not done.
    Pending,
    /// A person is asked whether it may start.
    AwaitingGo,
    /// It runs.
    Running,
    /// It has run; a person is asked whether that is good enough.
    AwaitingAcceptance,
    /// Done.
    Done,
    /// It failed; a person is asked whether to try again.
    Failed,
    /// It is being taken back.
    Undoing,
    /// Taken back.
    Undone,
    /// Never begun, and will not be: the run is being taken back.
    Skipped,
    /// Given up: another strategy has taken the place of its own.
    Superseded,
    /// A human is needed: it can neither go on nor be taken back by the host.
    Stuck,
}

/// What happens to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Everything it needs is done and it has a gate before it.
    Ask,
    /// Everything it needs is done, or the gate before it said go.
    Start,
    /// The plugin answered that it is done.
    Succeed,
    /// The plugin answered, or was made to answer, an error.
    Fail,
    /// It has run and has a gate after it.
    Review,
    /// The gate after it said go.
    Accept,
    /// Somebody wants it tried again.
    Retry,
    /// The run is taken back and this step can be.
    Undo,
    /// It was taken back.
    UndoSucceed,
    /// It could not be taken back.
    UndoFail,
    /// The run is taken back and this step was not begun.
    Skip,
    /// Another strategy takes the place of its own.
    Supersede,
    /// The host cannot decide alone.
    Park,
}

/// The table. `None` means that the event cannot happen to a step in that state: a bug of the host, never a state to
/// paper over.
#[must_use]
pub fn next(state: StepState, event: Event) -> Option<StepState> {
    use Event as E;
    use StepState as S;
    Some(match (state, event) {
        (S::Pending, E::Ask) => S::AwaitingGo,
        (S::Pending | S::AwaitingGo, E::Start) => S::Running,
        (S::Pending | S::AwaitingGo, E::Skip) => S::Skipped,
        (S::Running, E::Succeed) => S::Done,
        (S::Running, E::Review) => S::AwaitingAcceptance,
        (S::AwaitingAcceptance, E::Accept) => S::Done,
        (S::Running | S::AwaitingAcceptance, E::Fail) => S::Failed,
        (S::Failed | S::Stuck, E::Retry) => S::Running,
        (
            S::Pending | S::AwaitingGo | S::Running | S::AwaitingAcceptance | S::Failed | S::Stuck,
            E::Supersede,
        ) => S::Superseded,
        (S::Done | S::Failed | S::Superseded | S::Stuck, E::Undo) => S::Undoing,
        (S::Undoing, E::UndoSucceed) => S::Undone,
        (S::Undoing, E::UndoFail) => S::Stuck,
        (S::AwaitingGo | S::Running | S::AwaitingAcceptance | S::Failed | S::Done, E::Park) => {
            S::Stuck
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Event as E;
    use super::StepState as S;
    use super::*;

    const STATES: [S; 11] = [
        S::Pending,
        S::AwaitingGo,
        S::Running,
        S::AwaitingAcceptance,
        S::Done,
        S::Failed,
        S::Undoing,
        S::Undone,
        S::Skipped,
        S::Superseded,
        S::Stuck,
    ];

    const EVENTS: [E; 13] = [
        E::Ask,
        E::Start,
        E::Succeed,
        E::Fail,
        E::Review,
        E::Accept,
        E::Retry,
        E::Undo,
        E::UndoSucceed,
        E::UndoFail,
        E::Skip,
        E::Supersede,
        E::Park,
    ];

    /// The whole table, as reviewed. Whoever changes it changes what a run may do.
    const TABLE: &str = "\
Pending: Ask AwaitingGo, Start Running, Skip Skipped, Supersede Superseded
AwaitingGo: Start Running, Skip Skipped, Supersede Superseded, Park Stuck
Running: Succeed Done, Fail Failed, Review AwaitingAcceptance, Supersede Superseded, Park Stuck
AwaitingAcceptance: Fail Failed, Accept Done, Supersede Superseded, Park Stuck
Done: Undo Undoing, Park Stuck
Failed: Retry Running, Undo Undoing, Supersede Superseded, Park Stuck
Undoing: UndoSucceed Undone, UndoFail Stuck
Undone: 
Skipped: 
Superseded: Undo Undoing
Stuck: Retry Running, Undo Undoing, Supersede Superseded
";

    #[test]
    fn the_table_is_as_reviewed() {
        let row = |state: S| {
            let cells: Vec<String> = EVENTS
                .iter()
                .filter_map(|event| Some(format!("{event:?} {:?}", next(state, *event)?)))
                .collect();
            format!("{state:?}: {}\n", cells.join(", "))
        };
        assert_eq!(STATES.map(row).concat(), TABLE);
    }
}
