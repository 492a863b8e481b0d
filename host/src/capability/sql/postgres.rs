//! Sessions with PostgreSQL. A statement without parameters goes by the simple query protocol, which answers every value as
//! text; one with parameters (`$1`, `$2`, …) is prepared. Start at [`Session`]; `postgres/value.rs` has the types of columns
//! and parameters.
//!
//! Logging in is by whatever the server asks for behind TLS that verified; where that is SCRAM and the certificate allows
//! it, bound to the channel (RFC 5802, RFC 5929), so that nobody in between could have terminated the TLS.
//!
//! The server is told the call's deadline as `statement_timeout`: it does not notice that a client is gone while a
//! statement runs, and would go on with one that nobody waits for.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::capability::http::{chain, find_tls};
use crate::capability::trust::Trust;
use crate::capability::{Facilities, Fault, network};
use crate::clock::{Clock, Instant, millis, timeout_at};
use crate::runbook::types::Connection;

use super::session::{Room, Rows, Statement, too_much, two_answers};
use super::{Login, MAX_RESULT_BYTES, MAX_ROWS, SqlValue, broke, mysql, no_tls, not_verified};

mod value;

/// Most bytes taken from a server in one session: values that fill the limit, twice because bytes come as hexadecimal text,
/// and what surrounds as many rows of one statement as there may be. A server that sends more is cut off, whatever it sends.
const MAX_RECEIVED_BYTES: usize = 2 * MAX_RESULT_BYTES + MAX_ROWS * 1024;

/// How long a session may take to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How the host names itself in `pg_stat_activity`.
const APPLICATION: &str = "understudy";

/// How statements begin that change nothing outside their session.
const READING: [&str; 9] = [
    "SELECT", "SHOW", "EXPLAIN", "SET", "BEGIN", "START", "COMMIT", "ROLLBACK", "WITH",
];

/// Functions that act on the server although a `SELECT` calls them, by how their names begin ("System Administration
/// Functions" of the manual).
const ACTING: [&str; 14] = [
    "pg_promote",
    "pg_reload_conf",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_rotate_logfile",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "pg_switch_wal",
    "pg_create_",
    "pg_drop_",
    "pg_copy_",
    "pg_backup_",
    "pg_replication_origin_",
    "pg_log_standby_snapshot",
];

/// What the driver says of a server without TLS, and of an answer that it has no place for (`COPY`). It keeps the types of
/// those errors to itself; tests hold the words to real servers.
const NO_TLS: &str = "server does not support TLS";
const UNEXPECTED: &str = "unexpected message from server";

/// A session, and the task that carries its messages.
pub(super) struct Session {
    client: Client,
    carrier: JoinHandle<Result<(), Error>>,
    over_limit: Arc<AtomicBool>,
    authority: String,
    clock: Arc<dyn Clock>,
}

impl Session {
    pub(super) async fn connect(
        login: &Login,
        trust: &Trust,
        facilities: &Facilities,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let authority = login.authority();
        let unreached = |reason: &str| {
            Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"))
        };
        let Connection { host, port, .. } = &login.connection;
        let resolver = facilities.resolver.as_ref();
        let addresses = network::addresses(resolver, host, *port)
            .await
            .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| unreached(&error.to_string()))?;
        let over_limit = Arc::new(AtomicBool::new(false));
        let stream = Metered {
            stream,
            left: MAX_RECEIVED_BYTES,
            over_limit: Arc::clone(&over_limit),
        };
        let mut tls = MakeRustlsConnect::new(trust.config().as_ref().clone());
        let tls = MakeTlsConnect::<Metered>::make_tls_connect(&mut tls, login.server_name());
        let tls = match tls {
            Ok(tls) => tls,
            Err(never) => match never {},
        };
        let left = deadline.since(facilities.clock.now());
        let (client, connection) = config(login, left)
            .connect_raw(stream, tls)
            .await
            .map_err(|error| not_connected(login, &error))?;
        Ok(Self {
            client,
            carrier: tokio::spawn(connection),
            over_limit,
            authority,
            clock: Arc::clone(&facilities.clock),
        })
    }

    pub(super) async fn statement(
        &mut self,
        Statement { text, parameters }: Statement,
        room: &mut Room,
    ) -> Result<Rows, Fault> {
        if is_copy_with_client(&text) {
            let text = "COPY from or to the client is not served; use INSERT and SELECT";
            return Err(Fault::invalid("CP0009", text));
        }
        let done = if parameters.is_empty() {
            self.simple(&text, room).await
        } else {
            self.prepared(&text, parameters, room).await
        };
        match done {
            Ok(rows) => Ok(rows),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Driver(error)) => Err(self.not_answered(&error).await),
        }
    }

    async fn simple(&self, text: &str, room: &mut Room) -> Result<Rows, Stop> {
        let mut messages = pin!(self.client.simple_query_raw(text).await?);
        let mut answer: Option<Rows> = None;
        let mut affected = 0;
        while let Some(message) = messages.try_next().await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let found = Rows {
                        columns: columns.iter().map(|one| one.name().to_owned()).collect(),
                        ..Rows::default()
                    };
                    if answer.replace(found).is_some() {
                        return Err(two_answers().into());
                    }
                }
                SimpleQueryMessage::Row(row) => {
                    let rows = &mut answer.get_or_insert_default().rows;
                    room.take(rows, texts(&row)?)?;
                }
                SimpleQueryMessage::CommandComplete(count) => affected = count,
                _ => {}
            }
        }
        let answer = answer.unwrap_or_default();
        let affected = match answer.columns.is_empty() {
            true => affected,
            false => 0,
        };
        Ok(Rows { affected, ..answer })
    }

    async fn prepared(
        &self,
        text: &str,
        parameters: Vec<SqlValue>,
        room: &mut Room,
    ) -> Result<Rows, Stop> {
        let statement = self.client.prepare(text).await?;
        let (wanted, given) = (statement.params().len(), parameters.len());
        if wanted != given {
            let text = format!("the statement has {wanted} parameters and was given {given}");
            return Err(Fault::invalid("CP0009", text).into());
        }
        let columns = statement.columns();
        if let Some(column) = columns.iter().find(|one| !value::is_served(one.type_())) {
            let text = format!(
                "column `{}` is of type {}, which a prepared statement cannot answer here: cast it to text",
                column.name(),
                column.type_()
            );
            return Err(Fault::invalid("CP0009", text).into());
        }
        let mut stream = pin!(self.client.query_raw(&statement, parameters).await?);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            let values = (0..row.len()).map(|index| row.try_get::<_, SqlValue>(index));
            room.take(&mut rows, values.collect::<Result<_, _>>()?)?;
        }
        let affected = match columns.is_empty() {
            true => stream.rows_affected().unwrap_or(0),
            false => 0,
        };
        Ok(Rows {
            columns: columns.iter().map(|one| one.name().to_owned()).collect(),
            rows,
            affected,
        })
    }

    pub(super) async fn end(mut self) {
        // Without its client the carrier says goodbye and ends.
        let (client, clock) = (self.client, Arc::clone(&self.clock));
        drop(client);
        let end = clock.now().after(GOODBYE_TIMEOUT);
        if timeout_at(clock.as_ref(), end, &mut self.carrier)
            .await
            .is_none()
        {
            self.carrier.abort();
        }
    }

    /// Why a statement was not answered.
    async fn not_answered(&mut self, error: &Error) -> Fault {
        if self.over_limit.load(Ordering::Relaxed) {
            return too_much();
        }
        if let Some(refusal) = error.as_db_error() {
            return match ends_session(refusal) {
                true => broke(&self.authority, &words(refusal)),
                false => Fault::conflict(words(refusal)),
            };
        }
        if error.to_string() == UNEXPECTED {
            let text = "the server answered something else than rows; send one kind of statement at a time, and no COPY";
            return Fault::in_doubt("CP0014", text);
        }
        if !error.is_closed() {
            return broke(&self.authority, &chain(error));
        }
        // The carrier knows why.
        match (&mut self.carrier).await {
            Ok(Err(error)) => match error.as_db_error() {
                Some(refusal) => broke(&self.authority, &words(refusal)),
                None => broke(&self.authority, &chain(&error)),
            },
            Ok(Ok(())) | Err(_) => broke(&self.authority, "the connection closed"),
        }
    }
}

/// Why a statement ends the session's work.
enum Stop {
    Fault(Fault),
    Driver(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// Whether a statement may change something outside its session.
pub(super) fn changes(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let reads = READING.iter().any(|word| first.eq_ignore_ascii_case(word));
    !reads || ACTING.iter().any(|name| text.contains(name))
}

/// The text, where it holds no token of a credential: no statement of this server is given one.
pub(super) fn without_passwords(text: String) -> Result<String, Fault> {
    if text.contains(mysql::password::OPEN) {
        let text = format!(
            "no statement to PostgreSQL takes `{}…}}`: let the server read its password from a file (`passfile`)",
            mysql::password::OPEN
        );
        return Err(Fault::invalid("CP0009", text));
    }
    Ok(text)
}

fn is_copy_with_client(text: &str) -> bool {
    let upper = text.trim_start().to_ascii_uppercase();
    upper.starts_with("COPY") && (upper.contains("STDIN") || upper.contains("STDOUT"))
}

fn texts(row: &SimpleQueryRow) -> Result<Vec<SqlValue>, Error> {
    (0..row.len())
        .map(|index| {
            let text = row.try_get(index)?;
            Ok(text.map_or(SqlValue::Null, |text| SqlValue::Text(text.to_owned())))
        })
        .collect()
}

fn config(login: &Login, left: Duration) -> Config {
    let Connection { user, database, .. } = &login.connection;
    let mut config = Config::new();
    config
        .user(user.as_str())
        .password(login.password.expose())
        .application_name(APPLICATION)
        .options(format!("-c statement_timeout={}", millis(left).max(1)))
        .ssl_mode(SslMode::Require)
        .channel_binding(ChannelBinding::Prefer);
    if !database.is_empty() {
        config.dbname(database.as_str());
    }
    config
}

fn not_connected(login: &Login, error: &Error) -> Fault {
    let authority = login.authority();
    if let Some(tls) = find_tls(error) {
        return not_verified(login, tls);
    }
    let reason = chain(error);
    if reason == NO_TLS {
        return no_tls(&authority);
    }
    let Some(refusal) = error.as_db_error() else {
        return Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"));
    };
    let text = format!("{authority} refused the login: {}", words(refusal));
    match refusal.code() {
        &SqlState::INVALID_PASSWORD
        | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | &SqlState::INVALID_CATALOG_NAME
        | &SqlState::INSUFFICIENT_PRIVILEGE => Fault::invalid("CP0017", text),
        _ => Fault::unavailable("CP0017", text),
    }
}

/// True where the server ends the session with this: administrator shutdown, crash of another session, idle too long. The
/// statement that it answers may have been carried out.
fn ends_session(refusal: &DbError) -> bool {
    matches!(refusal.severity(), "FATAL" | "PANIC")
        || matches!(
            refusal.code(),
            &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN
        )
}

/// `SQLSTATE: message`, as the contract has it.
fn words(refusal: &DbError) -> String {
    let detail = refusal
        .detail()
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();
    format!("{}: {}{detail}", refusal.code().code(), refusal.message())
}

/// A stream from which only so much is read.
struct Metered {
    stream: TcpStream,
    left: usize,
    over_limit: Arc<AtomicBool>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                self.over_limit.store(true, Ordering::Relaxed);
                return Poll::Ready(Err(io::Error::other("the answer is too large")));
            }
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
