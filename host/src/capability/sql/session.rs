//! A session with a server, whichever: what the capability asks of an engine, and what it gets. Start at [`Session`].

use serde::{Deserialize, Serialize};

use crate::capability::trust::Trust;
use crate::capability::{Facilities, Fault};
use crate::clock::Instant;
use crate::runbook::types::Engine;

use super::{Login, MAX_RESULT_BYTES, MAX_ROWS, SqlValue, mysql, postgres};

/// `statement` of the contract.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) parameters: Vec<SqlValue>,
}

/// `rows` of the contract.
#[derive(Default, Serialize)]
pub(super) struct Rows {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<SqlValue>>,
    pub(super) affected: u64,
}

/// What the answer to a call may still hold.
pub(super) struct Room {
    bytes: usize,
}

impl Room {
    /// Puts a row into an answer.
    pub(super) fn take(
        &mut self,
        rows: &mut Vec<Vec<SqlValue>>,
        row: Vec<SqlValue>,
    ) -> Result<(), Fault> {
        let size = row.iter().map(SqlValue::size).sum();
        let left = self.bytes.checked_sub(size).ok_or_else(too_much)?;
        if rows.len() == MAX_ROWS {
            return Err(too_much());
        }
        self.bytes = left;
        rows.push(row);
        Ok(())
    }
}

/// A session that is always ended, also where the call is abandoned.
pub(super) enum Session {
    Mysql(mysql::Session),
    Postgres(postgres::Session),
}

impl Session {
    /// Connects and logs in, TLS verified. `deadline` is that of the call.
    pub(super) async fn connect(
        login: &Login,
        trust: &Trust,
        facilities: &Facilities,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        match login.connection.engine {
            Engine::Mysql => mysql::Session::connect(login, trust, facilities)
                .await
                .map(Self::Mysql),
            Engine::Postgres => postgres::Session::connect(login, trust, facilities, deadline)
                .await
                .map(Self::Postgres),
        }
    }

    /// Runs statements one after another; the first that fails ends it.
    pub(super) async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Rows>, Fault> {
        let mut results = Vec::with_capacity(statements.len());
        let mut room = Room {
            bytes: MAX_RESULT_BYTES,
        };
        for statement in statements {
            results.push(match self {
                Self::Mysql(session) => session.statement(statement, &mut room).await?,
                Self::Postgres(session) => session.statement(statement, &mut room).await?,
            });
        }
        Ok(results)
    }

    /// Says goodbye.
    pub(super) async fn end(self) {
        match self {
            Self::Mysql(session) => session.end().await,
            Self::Postgres(session) => session.end().await,
        }
    }
}

pub(super) fn too_much() -> Fault {
    let text = format!(
        "the answer has more than {MAX_ROWS} rows or {MAX_RESULT_BYTES} bytes; ask for less, for example with LIMIT"
    );
    Fault::other("CP0010", text)
}

pub(super) fn two_answers() -> Fault {
    let text = "the text answered more than one set of rows; send its statements one by one";
    Fault::invalid("CP0009", text)
}
