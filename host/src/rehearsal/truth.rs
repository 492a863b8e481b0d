//! What simulated clients and data say about a run, whatever its plugins claim. These are the definitions; what a run
//! reports of itself follows the same ones (`report/legs.rs`), and a campaign holds the two against each other.
//!
//! **RTO**: from the outage until more than half of the clients' weight gets everything it asks for, reads and writes,
//! from a site other than the one that was primary at the beginning. The outage is the first moment at which clients'
//! writes failed; in a planned move that is the freeze. Neither detection nor decision is left out. A run knows the two
//! ends by `metrics.observe-outage` (or its freeze) and by the milestone `served`, which is seen from more than half of
//! the vantage points (`probe.ensure-served`).
//!
//! **Lost writes**: writes that a client was told are safe and that are not in the history of the database that
//! accepts writes at the end. **RPO**: from the recovery point, the newest write before them that is kept, to the
//! disruption (ISO 22301): the outage, or the newest of the lost writes where that is later (writes can go on being lost
//! after the outage when two sites accept them). Nothing lost is an RPO of zero.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::millis;
use crate::journal::record::Record;

/// What clients saw and which of their writes are missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Truth {
    /// Recovery time; `None` if clients were never served from another site.
    pub rto: Option<Duration>,
    /// Recovery point, over the recovery and the failback.
    pub rpo: Duration,
    /// Acknowledged writes that are missing.
    pub lost_writes: u64,
    /// Acknowledged writes in all that the world knows: from one day before the run.
    pub acknowledged_writes: u64,
    /// Further figures by name, with the unit last in the name (see `world/truth.rs` for each).
    pub figures: BTreeMap<String, f64>,
}

impl Truth {
    /// As the journal keeps it.
    #[must_use]
    pub fn into_record(self) -> Record {
        Record::Truth {
            rto_ms: self.rto.map(millis),
            rpo_ms: millis(self.rpo),
            lost_writes: self.lost_writes,
            acknowledged_writes: self.acknowledged_writes,
            figures: self.figures,
        }
    }
}
