//! A whole day on two zones, of which the lab's own count is held against what the runs report.

use understudy_lab::game_day::{Played, play};
use understudy_lab::host::Host;
use understudy_lab::lab::Options;
use understudy_lab::platform::Platform;

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
        assert!(
            *lost_zone || felt.lost_posts + felt.lost_media == 0,
            "{title}: {felt:?}"
        );
        let followed = felt.convergence.values().filter(|took| took.is_some());
        assert_eq!(followed.count(), 2, "{title}: {felt:?}");
        assert!(fidelity.differences.is_empty(), "{title}: {fidelity:?}");
    }
}
