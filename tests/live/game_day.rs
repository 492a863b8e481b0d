//! A whole day on two zones, of which the lab's own count is held against what the runs report.

use understudy_lab::game_day::{Played, play};
use understudy_lab::host::Host;
use understudy_lab::lab::Options;
use understudy_lab::platform::Platform;

/// By how much a recovery of a few seconds may be off beyond the fifth of it: it ends with a resolver's TTL and the look that
/// comes after, of which neither is known more exactly.
const BUSY_MS: u64 = 1_500;

/// Whether a difference is the machine's: how long a recovery took is looked at by itself, and what failed once where everything
/// is slow, and was tried again by whoever was asked, no rehearsal knows of.
fn is_the_machines(difference: &str) -> bool {
    let tried_again = difference.contains(" was tried ");
    difference.starts_with("the RTO of ")
        || (tried_again && difference.ends_with(" live and once in the rehearsal"))
}

#[tokio::test]
async fn a_day_loses_no_more_than_it_reports_and_goes_as_it_is_rehearsed() {
    let options = Options::new(env!("CARGO_BIN_EXE_understudy-lab"));
    let mut platform = Platform::up(options).await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let played = play(&mut platform, &host, |_| {}).await.unwrap();
    for Played {
        title,
        lost_zone,
        reported,
        felt,
        fidelity,
    } in &played
    {
        assert!(
            felt.lost_ms <= reported.rpo_ms,
            "{title}: {felt:?} {reported:?}"
        );
        let lost = (felt.lost_posts, felt.lost_media);
        assert!(*lost_zone || lost == (0, 0), "{title}: {felt:?}");
        let followed = felt.convergence.values().filter(|took| took.is_some());
        assert_eq!(followed.count(), 2, "{title}: {felt:?}");
        let mut others = fidelity.differences.iter();
        let other = others.find(|text| !is_the_machines(text));
        assert_eq!(other, None, "{title}: {fidelity:?}");
        let rto = &fidelity.legs[0].rto;
        let (live, rehearsed) = (rto.live_ms.unwrap(), rto.rehearsed_ms.unwrap());
        let off = live.abs_diff(rehearsed);
        assert!(off <= (live / 5).max(BUSY_MS), "{title}: {fidelity:?}");
    }
}
