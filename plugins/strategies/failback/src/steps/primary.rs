//! Wait for the old primary: a failback that follows a failover in one run begins while it is still dead.

use understudy_recovery::plan::{At, Budget, Move, OBSERVER, Reversal};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, fault, words};
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database;
use understudy_sdk::strategy::understudy::workload::workload;

/// How long, in milliseconds, to wait between two looks: people repair a zone in hours, not in seconds.
const LOOK_EVERY_MS: u64 = 60_000;

/// How often to look at most. With the host's own retries this is about eight hours; then a person decides.
const MAX_LOOKS: u32 = 240;

/// Waits until database and application of the site gone to answer again. A contract has no such wait: a site that is
/// out of reach can say nothing about when it will not be.
pub(crate) const AWAIT_PRIMARY: Move = Move {
    title: "Wait until {to} answers again",
    role: OBSERVER,
    budget: Budget::Minutes(120),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "database", "workload"],
    perform: await_primary,
};

fn look(recovery: &Recovery) -> Result<(), Error> {
    let parameters = &recovery.parameters;
    database::observe(recovery.to(), &parameters.database)?;
    workload::observe(recovery.to(), &parameters.app).map(drop)
}

fn await_primary(recovery: &Recovery) -> Result<String, Error> {
    let to = recovery.to();
    let begun = control::now()?;
    let mut last = Error::Other("it was not looked at".to_owned());
    for _ in 0..MAX_LOOKS {
        match look(recovery) {
            Ok(()) => {
                let waited = words::duration(control::now()?.saturating_sub(begun));
                return Ok(format!("{to} answers, after {waited}"));
            }
            Err(error) if fault::is_out_of_reach(&error) => last = error,
            Err(error) => return Err(error),
        }
        control::sleep(LOOK_EVERY_MS)?;
    }
    Err(last)
}
