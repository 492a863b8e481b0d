//! A server as it is now: variables, replication, and whether the database and an unfinished copy are there.
//!
//! Start at [`look`]. Everything else in this crate looks with it before it acts.

use understudy_sdk::host::understudy::types::types::Error;

use crate::gtid::{History, Position};
use crate::reseed::BOOKKEEPING_SCHEMA;
use crate::session::{Row, Sql, Table};

/// The answer to [`look`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) server_id: u64,
    pub(crate) read_only: bool,
    pub(crate) has_binlog: bool,
    pub(crate) binlog_format: String,
    /// Newest transaction in the binary log or applied by replication, whichever is newer.
    pub(crate) position: Position,
    /// Newest transaction in the binary log.
    pub(crate) binlog_position: Position,
    /// Newest transaction applied by replication.
    pub(crate) slave_position: Position,
    pub(crate) history: History,
    pub(crate) replica: Option<Replica>,
    pub(crate) tls: bool,
    pub(crate) has_schema: bool,
    pub(crate) has_bookkeeping: bool,
}

/// Replication into a server, from `SHOW ALL SLAVES STATUS`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replica {
    /// `host:port`.
    pub(crate) source: String,
    /// `Yes`, `No`, `Connecting` or `Preparing`.
    pub(crate) receiving: String,
    pub(crate) applying: bool,
    /// Started with `UNTIL`: it will stop at a position although it runs now.
    pub(crate) stops_by_itself: bool,
    pub(crate) uses_gtid: bool,
    /// Newest complete transaction received.
    pub(crate) received: Position,
    /// Source file and offset up to which was received, and up to which was applied.
    pub(crate) file_received: (String, u64),
    pub(crate) file_applied: (String, u64),
    /// None where the server says `NULL`.
    pub(crate) seconds_behind: Option<u64>,
    pub(crate) receive_errno: u64,
    pub(crate) receive_error: String,
    pub(crate) apply_errno: u64,
    pub(crate) apply_error: String,
}

impl Replica {
    /// Receiving and applying are both going on.
    pub(crate) fn is_running(&self) -> bool {
        self.receiving == "Yes" && self.applying
    }

    /// True where nothing that was received is waiting to be applied.
    pub(crate) fn has_applied_all(&self, applied: &Position) -> bool {
        if self.uses_gtid {
            applied.contains(&self.received)
        } else {
            self.file_received == self.file_applied
        }
    }

    /// What stops it, in the server's words; empty where nothing does.
    pub(crate) fn problem(&self) -> String {
        [&self.apply_error, &self.receive_error]
            .into_iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn read(row: Row<'_>) -> Result<Self, Error> {
        let received = position(row.text("Gtid_IO_Pos"))?;
        Ok(Self {
            source: format!("{}:{}", row.text("Master_Host"), row.text("Master_Port")),
            receiving: row.text("Slave_IO_Running").to_owned(),
            applying: row.text("Slave_SQL_Running") == "Yes",
            stops_by_itself: !matches!(row.text("Until_Condition"), "" | "None"),
            uses_gtid: !matches!(row.text("Using_Gtid"), "" | "No"),
            received,
            file_received: (
                row.text("Master_Log_File").to_owned(),
                row.number("Read_Master_Log_Pos"),
            ),
            file_applied: (
                row.text("Relay_Master_Log_File").to_owned(),
                row.number("Exec_Master_Log_Pos"),
            ),
            seconds_behind: row
                .get("Seconds_Behind_Master")
                .and_then(|text| text.parse().ok()),
            receive_errno: row.number("Last_IO_Errno"),
            receive_error: row.text("Last_IO_Error").to_owned(),
            apply_errno: row.number("Last_SQL_Errno"),
            apply_error: row.text("Last_SQL_Error").to_owned(),
        })
    }
}

impl Server {
    /// True where the account privilege SUPER still implies writing in spite of `read_only` (before 10.11).
    pub(crate) fn super_bypasses_read_only(&self) -> bool {
        let mut numbers = self
            .version
            .split(['.', '-'])
            .map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (10, 11)
    }

    /// Reads the answers to [`questions`].
    fn read(answers: &[Table]) -> Result<Self, Error> {
        let [variables, slaves, cipher, schemas] = answers else {
            return Err(Error::Other(format!(
                "asked 4 questions, got {} answers",
                answers.len()
            )));
        };
        let row = variables
            .row(0)
            .ok_or_else(|| Error::Other("the server answered no variables".to_owned()))?;
        let replica = match slaves.rows.len() {
            0 => None,
            1 => slaves.row(0).map(Replica::read).transpose()?,
            more => {
                return Err(Error::Conflict(format!(
                    "the server replicates from {more} sources at once; this provider handles one"
                )));
            }
        };
        if let Some(named) = slaves
            .row(0)
            .and_then(|row| row.get("Connection_name"))
            .filter(|name| !name.is_empty())
        {
            return Err(Error::Conflict(format!(
                "replication runs under the connection name `{named}`; this provider handles the unnamed one"
            )));
        }
        let (binlog_position, slave_position) = (
            position(row.text("binlog_pos"))?,
            position(row.text("slave_pos"))?,
        );
        Ok(Self {
            version: row.text("version").to_owned(),
            server_id: row.number("server_id"),
            read_only: row.number("read_only") != 0,
            has_binlog: row.number("log_bin") != 0,
            binlog_format: row.text("binlog_format").to_owned(),
            position: binlog_position.clone().merged(&slave_position),
            history: History::parse(row.text("binlog_state")).map_err(Error::Other)?,
            binlog_position,
            slave_position,
            replica,
            tls: cipher
                .row(0)
                .is_some_and(|row| !row.text("Value").is_empty()),
            has_schema: schemas
                .row(0)
                .is_some_and(|row| row.number("has_schema") != 0),
            has_bookkeeping: schemas
                .row(0)
                .is_some_and(|row| row.number("has_bookkeeping") != 0),
        })
    }
}

/// Looks at the server behind a connection.
pub(crate) fn look(sql: &impl Sql, connection: &str, schema: &str) -> Result<Server, Error> {
    Server::read(&sql.run(connection, &questions(schema))?)
}

/// `schema` is a checked name (`Config::schema`).
fn questions(schema: &str) -> Vec<String> {
    vec![
        "SELECT @@global.version AS version, @@global.server_id AS server_id, @@global.read_only AS read_only, \
         @@global.log_bin AS log_bin, @@global.binlog_format AS binlog_format, @@global.gtid_binlog_pos AS binlog_pos, \
         @@global.gtid_slave_pos AS slave_pos, @@global.gtid_binlog_state AS binlog_state"
            .to_owned(),
        "SHOW ALL SLAVES STATUS".to_owned(),
        "SHOW SESSION STATUS LIKE 'Ssl_cipher'".to_owned(),
        format!(
            "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{schema}') AS has_schema, \
             (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{BOOKKEEPING_SCHEMA}' \
             AND TABLE_NAME = 'reseed') AS has_bookkeeping"
        ),
    ]
}

fn position(text: &str) -> Result<Position, Error> {
    Position::parse(text).map_err(Error::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, Option<&str>)]) -> Table {
        Table {
            columns: pairs.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rows: vec![
                pairs
                    .iter()
                    .map(|(_, value)| value.map(str::to_owned))
                    .collect(),
            ],
        }
    }

    fn answers(slave: Option<Table>) -> Vec<Table> {
        vec![
            table(&[
                ("version", Some("10.11.19-MariaDB-log")),
                ("server_id", Some("2")),
                ("read_only", Some("1")),
                ("log_bin", Some("1")),
                ("binlog_format", Some("ROW")),
                ("binlog_pos", Some("0-2-16")),
                ("slave_pos", Some("0-1-15")),
                ("binlog_state", Some("0-1-15,0-2-16")),
            ]),
            slave.unwrap_or_default(),
            table(&[
                ("Variable_name", Some("Ssl_cipher")),
                ("Value", Some("TLS_AES_256_GCM_SHA384")),
            ]),
            table(&[("has_schema", Some("1")), ("has_bookkeeping", Some("0"))]),
        ]
    }

    fn slave(behind: Option<&str>, received: &str, name: &str) -> Table {
        table(&[
            ("Connection_name", Some(name)),
            ("Master_Host", Some("db.pz.example.test")),
            ("Master_Port", Some("3306")),
            ("Slave_IO_Running", Some("Connecting")),
            ("Slave_SQL_Running", Some("Yes")),
            ("Using_Gtid", Some("Slave_Pos")),
            ("Gtid_IO_Pos", Some(received)),
            ("Seconds_Behind_Master", behind),
            ("Last_IO_Errno", Some("2003")),
            ("Last_IO_Error", Some("error reconnecting")),
            ("Last_SQL_Errno", Some("0")),
            ("Last_SQL_Error", Some("")),
        ])
    }

    #[test]
    fn a_server_is_read() {
        let server = Server::read(&answers(None)).unwrap();
        assert!(server.read_only && server.tls && server.has_schema && !server.has_bookkeeping);
        assert_eq!(server.position.to_string(), "0-2-16");
        assert_eq!(server.replica, None);
        assert!(!server.super_bypasses_read_only());
        assert!(
            Server {
                version: "10.6.1-MariaDB".to_owned(),
                ..server
            }
            .super_bypasses_read_only()
        );
    }

    #[test]
    fn no_lag_is_not_a_lag_of_zero() {
        let read = |behind| {
            Server::read(&answers(Some(slave(behind, "0-1-15", ""))))
                .unwrap()
                .replica
                .unwrap()
        };
        assert_eq!(read(None).seconds_behind, None);
        assert_eq!(read(Some("0")).seconds_behind, Some(0));
        assert_eq!(read(None).source, "db.pz.example.test:3306");
        assert!(!read(None).is_running());
        assert_eq!(read(None).problem(), "error reconnecting");
    }

    #[test]
    fn what_was_received_and_not_applied_is_seen() {
        let server = |received| Server::read(&answers(Some(slave(None, received, "")))).unwrap();
        let applied_all = |received| {
            let server = server(received);
            server
                .replica
                .unwrap()
                .has_applied_all(&server.slave_position)
        };
        assert!(applied_all("0-1-15"));
        assert!(!applied_all("0-1-16"));
    }

    #[test]
    fn several_sources_and_named_ones_are_refused() {
        let mut two = slave(None, "", "");
        two.rows.push(two.rows[0].clone());
        assert!(matches!(
            Server::read(&answers(Some(two))),
            Err(Error::Conflict(_))
        ));
        assert!(matches!(
            Server::read(&answers(Some(slave(None, "", "east")))),
            Err(Error::Conflict(_))
        ));
    }
}
