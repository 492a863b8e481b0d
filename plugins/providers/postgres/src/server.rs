//! A server as it is now: its place in the log, whether it recovers, and from whom.
//!
//! Start at [`look`]. Everything else in this crate looks with it before it acts.

use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::sql::{Row, Sql, Table};

use crate::dialect::{NOT_NOW, is_refusal, literal};
use crate::wal::{History, Lsn, Position};

/// Size of a segment of the log where the server was made without another.
const DEFAULT_SEGMENT_BYTES: u64 = 16 << 20;

/// The answer to [`look`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    /// It recovers, and refuses everybody's writes.
    pub(crate) in_recovery: bool,
    /// Sessions begin read-only unless they say otherwise.
    pub(crate) default_read_only: bool,
    /// Identity of the cluster; copies of one have the same.
    pub(crate) system: String,
    pub(crate) tls: bool,
    /// Written, or, in recovery, applied.
    pub(crate) position: Position,
    /// Written, or, in recovery, received or applied, whichever is further.
    pub(crate) end: Position,
    pub(crate) history: History,
    /// Timeline of the newest checkpoint; behind for a moment after a promotion.
    pub(crate) checkpoint_timeline: u32,
    /// `host:port` it is told to replicate from; none where it is told nothing.
    pub(crate) source: Option<String>,
    pub(crate) receiver: Option<Receiver>,
    /// Somebody paused applying, or it has come to where it is to stop.
    pub(crate) paused: bool,
    /// It was started as one that is restored from an archive, with or without a place to stop at.
    pub(crate) is_restored: bool,
    /// Size of a segment of the log, in bytes.
    pub(crate) segment_bytes: u64,
    /// When the newest applied change was committed at its source, in milliseconds since the epoch.
    pub(crate) applied_at_ms: Option<u64>,
    /// Time since then, by this server's clock.
    pub(crate) behind_ms: Option<u64>,
}

/// What receives from the source, while it is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// `host:port`.
    pub(crate) source: String,
    /// `streaming`, or what it does before and after.
    pub(crate) status: String,
    /// Timeline it receives.
    pub(crate) timeline: u32,
    /// Newest place the source has told of.
    pub(crate) sent: Option<Lsn>,
}

impl Server {
    /// True where ordinary clients' writes are refused.
    pub(crate) fn is_read_only(&self) -> bool {
        self.in_recovery || self.default_read_only
    }

    /// True where it replicates, or is told to. A primary that is fenced recovers as well, from nobody.
    pub(crate) fn is_replica(&self) -> bool {
        self.in_recovery && (self.source.is_some() || self.receiver.is_some())
    }

    /// Receiving and applying are both going on.
    pub(crate) fn is_running(&self) -> bool {
        self.is_streaming() && !self.paused
    }

    /// True where what the source writes arrives.
    pub(crate) fn is_streaming(&self) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|receiver| receiver.status == "streaming")
    }

    /// True where it replicates from this address.
    pub(crate) fn is_streaming_from(&self, address: &str) -> bool {
        let receiver = self.receiver.as_ref();
        self.is_streaming() && receiver.is_some_and(|receiver| receiver.source == address)
    }

    /// Time by which it is behind, in milliseconds; none where that cannot be told.
    pub(crate) fn lag_ms(&self) -> Option<u64> {
        if !self.is_running() {
            return None;
        }
        match self.receiver.as_ref().and_then(|receiver| receiver.sent) {
            // Where nothing is written, the age of the newest change says nothing.
            Some(sent) if self.position.lsn >= sent => Some(0),
            _ => self.behind_ms,
        }
    }

    /// Newest place of which a whole change was received. Without a receiver the server has applied every change that it
    /// holds completely, unless applying is paused: it asks for a receiver only then.
    pub(crate) fn received(&self) -> Position {
        match self.is_streaming() || self.paused {
            true => self.end,
            false => self.position,
        }
    }

    /// Why it does not run, in a few words; empty where it does.
    pub(crate) fn problem(&self) -> String {
        let source = self.source.as_deref().unwrap_or("nobody");
        match &self.receiver {
            _ if self.paused => "applying is paused".to_owned(),
            None => format!("nothing is received from {source}; the server's log says why"),
            Some(receiver) if receiver.status != "streaming" => {
                format!(
                    "the receiver from {} is {}",
                    receiver.source, receiver.status
                )
            }
            Some(_) => String::new(),
        }
    }

    /// Reads the answer to [`question`].
    fn read(table: &Table, name: &str, asked: &str) -> Result<Self, Error> {
        let row = table
            .row(0)
            .ok_or_else(|| Error::Other("the server answered nothing about itself".to_owned()))?;
        if row.text("database") != name {
            return Err(other_database(row, name, asked));
        }
        let number = |column: &str| u32::try_from(row.number(column)).unwrap_or(0);
        let timeline = number("timeline");
        let history = History::parse(timeline, row.text("history")).map_err(Error::Other)?;
        let place = |column: &str| Position {
            lsn: Lsn::parse(row.text(column)).unwrap_or_default(),
            timeline,
        };
        let in_recovery = row.text("recovery") == "t";
        let position = place("position");
        let mut end = position;
        if in_recovery {
            end.lsn = end.lsn.max(place("received").lsn);
        }
        let address = |host: &str, port: &str| {
            let (host, port) = (row.text(host), row.text(port));
            let port = if port.is_empty() { "5432" } else { port };
            (!host.is_empty()).then(|| format!("{host}:{port}"))
        };
        let milliseconds = |column: &str| row.get(column)?.parse().ok();
        Ok(Self {
            in_recovery,
            default_read_only: row.text("default_read_only") == "on",
            system: row.text("system").to_owned(),
            tls: row.text("tls") == "t",
            position,
            end,
            history,
            checkpoint_timeline: number("checkpoint_timeline"),
            source: address("source_host", "source_port"),
            receiver: row.get("receiver").map(|status| Receiver {
                source: address("sender_host", "sender_port").unwrap_or_default(),
                status: status.to_owned(),
                timeline: number("received_timeline"),
                sent: Lsn::parse(row.text("sent")),
            }),
            paused: matches!(row.text("paused"), "paused" | "pause requested"),
            is_restored: row.text("is_restored") == "t",
            segment_bytes: row
                .text("segment_bytes")
                .parse()
                .unwrap_or(DEFAULT_SEGMENT_BYTES),
            applied_at_ms: milliseconds("applied_at_ms"),
            behind_ms: milliseconds("behind_ms"),
        })
    }
}

/// Looks at the server behind a connection, and that it serves the database `name`, which the runbook calls `asked`.
pub(crate) fn look(
    sql: &impl Sql,
    connection: &str,
    name: &str,
    asked: &str,
) -> Result<Server, Error> {
    let answers = match sql.run(connection, &[question(name)]) {
        // Recovery ended while the question was answered.
        Err(error) if is_refusal(&error, NOT_NOW) => sql.run(connection, &[question(name)])?,
        answers => answers?,
    };
    Server::read(answers.first().unwrap_or(&Table::default()), name, asked)
}

/// The password in `primary_conninfo` never leaves the server: only host and port are taken out of it there.
fn question(name: &str) -> String {
    format!(
        "WITH c AS (SELECT pg_is_in_recovery() AS recovery), r AS (SELECT * FROM pg_stat_wal_receiver), \
         t AS (SELECT CASE WHEN c.recovery THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), \
         (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT received_tli FROM r)) \
         ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END AS timeline FROM c) \
         SELECT current_database() AS database, c.recovery, \
         current_setting('default_transaction_read_only') AS default_read_only, \
         (SELECT system_identifier FROM pg_control_system()) AS system, \
         (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls, t.timeline, \
         (SELECT timeline_id FROM pg_control_checkpoint()) AS checkpoint_timeline, \
         CASE WHEN t.timeline > 1 THEN pg_read_file('pg_wal/' || lpad(upper(to_hex(t.timeline)), 8, '0') || '.history', \
         0, 100000, true) END AS history, \
         CASE WHEN c.recovery THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS position, \
         pg_last_wal_receive_lsn() AS received, \
         substring(current_setting('primary_conninfo') from '\\mhost=''?([^'' ]+)') AS source_host, \
         substring(current_setting('primary_conninfo') from '\\mport=''?([0-9]+)') AS source_port, \
         (SELECT status FROM r) AS receiver, (SELECT sender_host FROM r) AS sender_host, \
         (SELECT sender_port FROM r) AS sender_port, (SELECT received_tli FROM r) AS received_timeline, \
         (SELECT latest_end_lsn FROM r) AS sent, \
         CASE WHEN c.recovery THEN pg_get_wal_replay_pause_state() END AS paused, \
         current_setting('restore_command') <> '' AS is_restored, \
         pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes, \
         floor(extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::bigint AS applied_at_ms, \
         greatest(0, floor(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000))::bigint \
         AS behind_ms, (SELECT count(*) FROM pg_database WHERE datname = {}) AS known FROM c, t",
        literal(name)
    )
}

fn other_database(row: Row<'_>, name: &str, asked: &str) -> Error {
    if row.number("known") == 0 {
        return Error::NotFound(format!("database {asked} (`{name}` on the server)"));
    }
    Error::Invalid(format!(
        "the connection is to the database `{}`, and {asked} is `{name}`: one binding serves one database",
        row.text("database")
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn answer(changed: &[(&str, &str)]) -> Table {
        let mut pairs = vec![
            ("database", "shop"),
            ("recovery", "t"),
            ("default_read_only", "off"),
            ("system", "7710693195331124148"),
            ("tls", "t"),
            ("timeline", "2"),
            ("checkpoint_timeline", "2"),
            ("history", "1\t0/3000100\tno recovery target specified\n"),
            ("position", "0/5000000"),
            ("received", "0/5000100"),
            ("source_host", "db.pz.example.test"),
            ("source_port", "5432"),
            ("receiver", "streaming"),
            ("sender_host", "db.pz.example.test"),
            ("sender_port", "5432"),
            ("received_timeline", "2"),
            ("sent", "0/5000100"),
            ("paused", "not paused"),
            ("is_restored", "f"),
            ("segment_bytes", "16777216"),
            ("applied_at_ms", "1000"),
            ("behind_ms", "70"),
            ("known", "1"),
        ];
        for (name, value) in changed {
            for pair in pairs.iter_mut().filter(|pair| pair.0 == *name) {
                pair.1 = value;
            }
        }
        let value = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Table {
            columns: pairs.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rows: vec![pairs.iter().map(|(_, text)| value(text)).collect()],
        }
    }

    pub(crate) fn server(changed: &[(&str, &str)]) -> Server {
        Server::read(&answer(changed), "shop", "shop").unwrap()
    }

    #[test]
    fn a_replica_is_read() {
        let replica = server(&[]);
        assert!(replica.is_replica() && replica.is_running() && replica.is_read_only());
        assert!(replica.is_streaming_from("db.pz.example.test:5432"));
        assert_eq!(replica.position.to_string(), "0/5000000@2");
        assert_eq!(replica.received().to_string(), "0/5000100@2");
        assert_eq!(replica.problem(), "");
        assert_eq!(replica.lag_ms(), Some(70));
        // Nothing more was sent: the newest change may be old, the replica is not behind.
        assert_eq!(server(&[("sent", "0/5000000")]).lag_ms(), Some(0));
        assert_eq!(server(&[("receiver", "")]).lag_ms(), None);
        assert_eq!(server(&[("paused", "paused")]).lag_ms(), None);
    }

    #[test]
    fn half_a_change_that_a_dead_source_sent_is_not_waited_for() {
        assert_eq!(
            server(&[("receiver", "")]).received().to_string(),
            "0/5000000@2"
        );
        let paused = server(&[("receiver", ""), ("paused", "paused")]);
        assert_eq!(paused.received().to_string(), "0/5000100@2");
    }

    #[test]
    fn a_fenced_primary_is_no_replica() {
        let fenced = server(&[("source_host", ""), ("receiver", "")]);
        assert!(fenced.is_read_only() && !fenced.is_replica());
        let writer = server(&[("recovery", "f"), ("receiver", "")]);
        assert!(!writer.is_read_only() && !writer.is_replica());
        assert_eq!(
            writer.end, writer.position,
            "what it once received is of no interest"
        );
        assert!(server(&[("recovery", "f"), ("default_read_only", "on")]).is_read_only());
    }

    #[test]
    fn another_database_is_not_taken_for_this_one() {
        let read = |changed: &[(&str, &str)]| Server::read(&answer(changed), "shop", "shop");
        let error = read(&[("database", "postgres")]).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
        let error = read(&[("database", "postgres"), ("known", "0")]).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)));
    }
}
