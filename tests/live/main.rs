//! The wordpress runbook against real servers: the same components as in a rehearsal, real databases, real names, real
//! users, and a host that is killed.
//!
//! What is counted here (rows, statements, serial numbers) comes from the lab; what a run reports is compared with it.
//! `drill` fails over and back; `restore` does so from backups, which `backups` looks at call by call (`calls` makes them);
//! `crash` kills the host on the way; `swap` changes a provider; `failures` and `disk` take away what a run needs;
//! `postgres` is a drill on other databases; `fidelity` rehearses a live run; `zones` is the same runbook over Kubernetes and
//! WordPress, and `game_day` a whole day on it. `world` is how the servers stand.

#![expect(
    clippy::indexing_slicing,
    reason = "a live test stops where a record or a server's answer is not as it has to be"
)]

#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod backups;
#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
#[path = "../lab/tests/vendors/host.rs"]
mod calls;
mod crash;
mod disk;
mod drill;
mod failures;
mod fidelity;
mod game_day;
#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod postgres;
mod restore;
#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod swap;
mod world;
mod zones;

use std::time::Duration;

use understudy_lab::clock::LIMIT;
use understudy_lab::host;
use understudy_lab::lab::{Lab, Options};

/// Time between two posts of the users.
const PACE: Duration = Duration::from_millis(50);
/// Changes of `wp-active` in one direction: TTL lowered, flipped, TTL restored.
const RECORD_CHANGES: u64 = 3;

async fn lab() -> anyhow::Result<Lab> {
    Lab::up(Options::new(env!("CARGO_BIN_EXE_understudy-lab"))).await
}
