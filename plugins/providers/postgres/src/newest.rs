//! When the newest write of a server was made.

use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::sql::{Sql, Table, statements};

use crate::config::Heartbeat;
use crate::dialect::{NO_SUCH_TABLE, NOT_NOW, identifier, is_refusal};

/// See `observe-newest-write`: the heartbeat where there is one, else what the server itself knows since it was started.
pub(crate) fn newest_ms(
    sql: &impl Sql,
    connection: &str,
    heartbeat: Option<&Heartbeat>,
    in_recovery: bool,
) -> Result<Option<u64>, Error> {
    let question = match (heartbeat, in_recovery) {
        (Some(heartbeat), _) => format!(
            "SELECT floor(extract(epoch FROM max({})) * 1000)::bigint FROM {}",
            identifier(&heartbeat.column),
            identifier(&heartbeat.table)
        ),
        (None, true) => milliseconds("pg_last_xact_replay_timestamp()"),
        (None, false) => milliseconds("(SELECT timestamp FROM pg_last_committed_xact())"),
    };
    match sql.run(connection, &statements(&[&question])) {
        Ok(answers) => {
            let single = answers.first().map(Table::single);
            Ok(single.and_then(|text| text.parse().ok()))
        }
        // A replica that has not received the table yet has no heartbeat.
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) || is_refusal(&error, NOT_NOW) => Ok(None),
        Err(error) => Err(error),
    }
}

fn milliseconds(time: &str) -> String {
    format!("SELECT floor(extract(epoch FROM {time}) * 1000)::bigint")
}
