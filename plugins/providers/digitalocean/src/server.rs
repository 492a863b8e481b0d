//! The MySQL server behind a connection as it is now (MySQL 8.0.22 and later).
//!
//! Positions are sets of GTIDs, and only the server compares them.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::mysql::{Row, Sql, Table, is_plain, is_refusal};
use understudy_sdk::provider::in_progress;

/// `ER_SPECIFIC_ACCESS_DENIED_ERROR`: the user may not ask this.
const ACCESS_DENIED: u32 = 1227;

/// Seconds in which one turn waits for a position.
const CATCH_UP_WAIT_SECONDS: u32 = 5;

/// Wait in milliseconds before the next turn.
const CATCH_UP_POLL_MS: u64 = 500;

/// The answer to [`look`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Server {
    /// Everybody's writes are refused but those of who may pass `read_only`.
    pub(crate) read_only: bool,
    /// Those too.
    pub(crate) super_read_only: bool,
    /// `gtid_executed`, without white space.
    pub(crate) position: String,
    pub(crate) tls: bool,
    pub(crate) has_schema: bool,
    pub(crate) replication: Option<Replication>,
}

/// From `SHOW REPLICA STATUS`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replication {
    pub(crate) source: String,
    pub(crate) receiving: bool,
    pub(crate) applying: bool,
    /// None where the server says `NULL`.
    pub(crate) seconds_behind: Option<u64>,
    pub(crate) received: String,
    pub(crate) problem: String,
}

impl Replication {
    fn read(row: Row<'_>) -> Self {
        let problems = ["Last_SQL_Error", "Last_IO_Error"].map(|column| row.text(column));
        Self {
            source: format!("{}:{}", row.text("Source_Host"), row.text("Source_Port")),
            receiving: row.text("Replica_IO_Running") == "Yes",
            applying: row.text("Replica_SQL_Running") == "Yes",
            seconds_behind: row
                .get("Seconds_Behind_Source")
                .and_then(|text| text.parse().ok()),
            received: without_space(row.text("Retrieved_Gtid_Set")),
            problem: problems
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}

/// Looks at the server behind a connection. `schema` is a checked name.
pub(crate) fn look(sql: &impl Sql, connection: &str, schema: &str) -> Result<Server, Error> {
    let answers = sql.run(
        connection,
        &[
            "SELECT @@GLOBAL.read_only AS read_only, @@GLOBAL.super_read_only AS super_read_only, \
             @@GLOBAL.gtid_executed AS position"
                .to_owned(),
            "SHOW SESSION STATUS LIKE 'Ssl_cipher'".to_owned(),
            format!("SELECT COUNT(*) AS n FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{schema}'"),
        ],
    )?;
    let [variables, cipher, schemas] = answers.as_slice() else {
        return Err(Error::Other(format!(
            "asked 3 questions, got {} answers",
            answers.len()
        )));
    };
    let row = variables
        .row(0)
        .ok_or_else(|| Error::Other("the server answered no variables".to_owned()))?;
    let asked = sql.run(connection, &["SHOW REPLICA STATUS".to_owned()]);
    let replication = match asked {
        Ok(answers) => answers
            .first()
            .and_then(|table| table.row(0))
            .map(Replication::read),
        // A user of the application's kind may not ask; the API says what is a replica.
        Err(error) if is_refusal(&error, ACCESS_DENIED) => None,
        Err(error) => return Err(error),
    };
    Ok(Server {
        read_only: row.number("read_only") != 0,
        super_read_only: row.number("super_read_only") != 0,
        position: without_space(row.text("position")),
        tls: cipher
            .row(0)
            .is_some_and(|row| !row.text("Value").is_empty()),
        has_schema: schemas.single() == "1",
        replication,
    })
}

/// See `ensure-caught-up`.
pub(crate) fn ensure_caught_up(
    sql: &impl Sql,
    connection: &str,
    schema: &str,
    site: &str,
    position: &str,
) -> Result<Outcome, Error> {
    let wanted = without_space(position);
    let is_set = wanted.is_empty() || is_plain(&wanted);
    if !is_set {
        return Err(Error::Invalid(format!("`{position}` is no set of GTIDs")));
    }
    let holds = format!("SELECT GTID_SUBSET('{wanted}', @@GLOBAL.gtid_executed) AS n");
    if single(&sql.run(connection, &[holds])?) == "1" {
        return Ok(Outcome::Unchanged);
    }
    let server = look(sql, connection, schema)?;
    let problem = match &server.replication {
        None => "nothing replicates into it",
        Some(replication) if !replication.applying => "applying has stopped",
        Some(_) => "",
    };
    if !problem.is_empty() {
        let said = server.replication.map(|replication| replication.problem);
        return Err(Error::Conflict(format!(
            "{site} is at {}, not at {wanted}, and {problem} {}",
            server.position,
            said.unwrap_or_default()
        )));
    }
    let wait =
        format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{wanted}', {CATCH_UP_WAIT_SECONDS}) AS n");
    if single(&sql.run(connection, &[wait])?) == "0" {
        return Ok(Outcome::Unchanged);
    }
    Ok(in_progress(
        format!("catch-up {site}"),
        format!("{site} is at {}, waiting for {wanted}", server.position),
        CATCH_UP_POLL_MS,
    ))
}

fn single(answers: &[Table]) -> String {
    answers
        .first()
        .map(|table| table.single().to_owned())
        .unwrap_or_default()
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A server that keeps its switches, and what it was told.
    #[derive(Default)]
    pub(crate) struct Mysql {
        pub(crate) read_only: RefCell<bool>,
        /// None: nothing replicates into it. Else whether it is applied, and how far behind it is.
        pub(crate) replication: Option<(bool, Option<u64>)>,
        /// What every session meets instead of an answer.
        pub(crate) unreachable: bool,
        /// GTIDs that it has: `a:1-N`.
        pub(crate) transactions: u64,
        pub(crate) told: RefCell<Vec<String>>,
    }

    fn one(column: &str, value: &str) -> Table {
        Table {
            columns: vec![column.to_owned()],
            rows: vec![vec![Some(value.to_owned())]],
        }
    }

    impl Mysql {
        fn answer(&self, statement: &str) -> Result<Table, Error> {
            let read_only = *self.read_only.borrow();
            if statement.starts_with("SELECT @@GLOBAL.read_only") {
                let flag = u8::from(read_only).to_string();
                return Ok(Table {
                    columns: ["read_only", "super_read_only", "position"]
                        .map(str::to_owned)
                        .to_vec(),
                    rows: vec![vec![
                        Some(flag.clone()),
                        Some(flag),
                        Some(format!("a:1-{},\n b:1", self.transactions)),
                    ]],
                });
            }
            if statement == "SHOW REPLICA STATUS" {
                let Some((applying, behind)) = &self.replication else {
                    return Ok(Table::default());
                };
                let applying = if *applying { "Yes" } else { "No" };
                return Ok(Table {
                    columns: [
                        "Source_Host",
                        "Source_Port",
                        "Replica_IO_Running",
                        "Replica_SQL_Running",
                        "Seconds_Behind_Source",
                    ]
                    .map(str::to_owned)
                    .to_vec(),
                    rows: vec![vec![
                        Some("pz.test".to_owned()),
                        Some("25060".to_owned()),
                        Some("Yes".to_owned()),
                        Some(applying.to_owned()),
                        behind.map(|seconds| seconds.to_string()),
                    ]],
                });
            }
            if let Some(wanted) = statement.strip_prefix("SELECT GTID_SUBSET('a:1-") {
                let wanted: u64 = wanted.split('\'').next().unwrap().parse().unwrap();
                return Ok(one("n", &u8::from(wanted <= self.transactions).to_string()));
            }
            match statement {
                "SHOW SESSION STATUS LIKE 'Ssl_cipher'" => {
                    Ok(one("Value", "TLS_AES_256_GCM_SHA384"))
                }
                "SET GLOBAL super_read_only = 1" => {
                    self.read_only.replace(true);
                    Ok(Table::default())
                }
                "SET GLOBAL read_only = 0" => {
                    self.read_only.replace(false);
                    Ok(Table::default())
                }
                text if text.starts_with("DELETE") && read_only => Err(Error::Conflict(
                    "HY000 (1290): --super-read-only".to_owned(),
                )),
                text if text.starts_with("SELECT WAIT_FOR") => Ok(one("n", "1")),
                text if text.contains("SCHEMATA") => Ok(one("n", "1")),
                _ => Ok(Table::default()),
            }
        }
    }

    impl Sql for Mysql {
        fn address(&self, _: &str) -> Result<String, Error> {
            Ok("db.test:25060".to_owned())
        }

        fn run(&self, _: &str, statements: &[String]) -> Result<Vec<Table>, Error> {
            if self.unreachable {
                return Err(understudy_sdk::provider::unavailable("not reached"));
            }
            self.told.borrow_mut().extend_from_slice(statements);
            statements
                .iter()
                .map(|statement| self.answer(statement))
                .collect()
        }
    }

    #[test]
    fn a_replica_is_read_and_no_lag_is_not_a_lag_of_zero() {
        let read = |replication| {
            let mysql = Mysql {
                replication,
                transactions: 7,
                ..Mysql::default()
            };
            look(&mysql, "bz", "wordpress").unwrap()
        };
        let server = read(Some((true, Some(3))));
        assert_eq!(server.position, "a:1-7,b:1");
        assert!(server.tls && server.has_schema && !server.read_only);
        let replication = server.replication.unwrap();
        assert_eq!(
            (replication.source.as_str(), replication.seconds_behind),
            ("pz.test:25060", Some(3))
        );
        assert_eq!(
            read(Some((true, None))).replication.unwrap().seconds_behind,
            None
        );
        assert_eq!(read(None).replication, None);
    }

    #[test]
    fn a_position_is_waited_for_while_it_can_still_be_reached() {
        let wait = |replication, position| {
            let mysql = Mysql {
                replication,
                transactions: 7,
                ..Mysql::default()
            };
            ensure_caught_up(&mysql, "bz", "wordpress", "bz", position)
        };
        assert!(matches!(wait(None, "a:1-7"), Ok(Outcome::Unchanged)));
        assert!(matches!(
            wait(Some((true, None)), "a:1-9"),
            Ok(Outcome::InProgress(_))
        ));
        assert!(
            matches!(wait(Some((false, None)), "a:1-9"), Err(Error::Conflict(text)) if text.contains("stopped"))
        );
        assert!(
            matches!(wait(None, "a:1-9"), Err(Error::Conflict(text)) if text.contains("nothing replicates"))
        );
        assert!(matches!(
            wait(None, "a:1-9') OR ('1"),
            Err(Error::Invalid(_))
        ));
    }
}
