//! The archive of the log: segments that have left a server, kept where the server to be restored can read them. One program
//! of the operator lists them with the time at which each was last written at its origin, which is how far they reach;
//! another tells the restored server of them (`restore_command`), and where to stop. Pure but for [`look`].

use understudy_sdk::exec::Programs;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::time::rfc3339;

use crate::config::ArchivePrograms;
use crate::database::RecoveryTarget;
use crate::programs::run_to_end;
use crate::wal::Lsn;

/// The newest segment of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Newest {
    timeline: u32,
    /// The upper half of a place in the log, and how many segments into the lower one.
    high: u32,
    low: u32,
    /// When it was last written, in milliseconds since the epoch: what was committed before is in the archive.
    pub(crate) written_at_ms: u64,
}

impl Newest {
    /// Where it begins, with segments of so many bytes.
    pub(crate) fn begins(&self, segment_bytes: u64) -> Lsn {
        Lsn::of((u64::from(self.high) << 32) + u64::from(self.low).saturating_mul(segment_bytes))
    }

    /// Reads a line `SECONDS.FRACTION NAME`; none for what is no whole segment.
    fn read(line: &str) -> Option<Self> {
        let (time, name) = line.trim().split_once(' ')?;
        let digits = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let part = |from: usize| u32::from_str_radix(name.get(from..from + 8)?, 16).ok();
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        let milliseconds = format!("{fraction:0<3}");
        let milliseconds: u64 = milliseconds.get(..3)?.parse().ok()?;
        let seconds: u64 = seconds.parse().ok()?;
        digits.then_some(())?;
        Some(Self {
            timeline: part(0)?,
            high: part(8)?,
            low: part(16)?,
            written_at_ms: seconds.checked_mul(1000)?.checked_add(milliseconds)?,
        })
    }
}

/// The newest segment; none where the archive is empty.
pub(crate) fn look(
    programs: &impl Programs,
    archive: &ArchivePrograms,
) -> Result<Option<Newest>, Error> {
    let what = "listing the archive";
    let ended = run_to_end(programs, &archive.list, Vec::new(), what)?;
    Ok(newest(&String::from_utf8_lossy(&ended.stdout)))
}

fn newest(listed: &str) -> Option<Newest> {
    listed.lines().filter_map(Newest::read).max()
}

/// The argument that has a restored server stop at a target; none where it is to go as far as the archive reaches.
pub(crate) fn stop_at(target: &RecoveryTarget) -> Option<String> {
    match target {
        RecoveryTarget::Latest => None,
        RecoveryTarget::Point(_) => {
            Some("--expression=$a recovery_target = 'immediate'".to_owned())
        }
        RecoveryTarget::InstantMs(ms) => {
            let (time, fraction) = (rfc3339(*ms).replace('T', " "), ms % 1000);
            let time = time.trim_end_matches('Z');
            Some(format!(
                "--expression=$a recovery_target_time = '{time}.{fraction:03} UTC'"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_segment_is_that_of_the_newest_timeline() {
        let listed = "1700000000.1234567890 000000010000000000000009\n\
            1700000005.5 00000002000000010000000A\n\
            1700000009.0 00000001000000020000000B\n\
            1700000010.0 00000003.history\n\
            1700000011.0 000000020000000000000003.00000028.backup\n\
            1700000012.0 00000002000000010000000B.partial\n\
            nonsense\n";
        let newest = newest(listed).unwrap();
        assert_eq!((newest.timeline, newest.high, newest.low), (2, 1, 10));
        assert_eq!(newest.written_at_ms, 1_700_000_005_500);
        assert_eq!(newest.begins(1 << 20).to_string(), "1/A00000");
        assert_eq!(newest.begins(16 << 20).to_string(), "1/A000000");
        assert_eq!(super::newest("1.0 0.history\n"), None);
    }

    #[test]
    fn a_target_becomes_a_setting() {
        assert_eq!(stop_at(&RecoveryTarget::Latest), None);
        let at = |target| stop_at(&target).unwrap();
        assert_eq!(
            at(RecoveryTarget::InstantMs(784_111_777_042)),
            "--expression=$a recovery_target_time = '1994-11-06 08:49:37.042 UTC'"
        );
        assert!(at(RecoveryTarget::Point("b".to_owned())).ends_with("'immediate'"));
    }
}
