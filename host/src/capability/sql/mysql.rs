//! Sessions with MySQL and MariaDB. A statement without parameters goes by the text protocol, one with parameters (`?`) is
//! prepared. Start at [`Session`]; `mysql/value.rs` has the types of columns, `mysql/password.rs` the one statement that
//! carries a secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::{Protocol, Queryable as _};
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Params, QueryResult, SslOpts};

use crate::capability::http::{chain, find_tls};
use crate::capability::trust::Trust;
use crate::capability::{Facilities, Fault, network};
use crate::clock::{Clock, timeout_at};
use crate::runbook::types::Connection;

use super::session::{Room, Rows, Statement, too_much, two_answers};
use super::{Login, MAX_RESULT_BYTES, SqlValue, broke, no_tls, not_verified};

pub(crate) mod password;
mod value;

/// Largest packet taken from a server, in bytes: a row that fills the limit, and room for what surrounds it.
const MAX_PACKET_BYTES: usize = MAX_RESULT_BYTES + 64 * 1024;

/// How long a session may take to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Given so that the driver does not ask the server; no session idles.
const DRIVER_WAIT_SECONDS: usize = 60;

/// How statements begin that change nothing outside their session.
const READING: [&str; 9] = [
    "SELECT", "SHOW", "EXPLAIN", "DESCRIBE", "CHECKSUM", "USE", "START", "COMMIT", "ROLLBACK",
];

/// Login errors that a change of configuration cures: access denied (1044, 1045, 1698), no such database (1049).
const CONFIGURATION: [u16; 4] = [1044, 1045, 1049, 1698];

/// Server errors after which the fate of a statement is unknown: shutdown in progress (1053), connection killed
/// (1927 in MariaDB).
const BROKEN: [u16; 2] = [1053, 1927];

/// What the driver says of a packet over [`MAX_PACKET_BYTES`]. It keeps the type of that error to itself, so the words
/// are all there is; a test holds them to a real server.
const PACKET_TOO_LARGE: &str = "Packet is larger than max_allowed_packet";

/// A session. The driver's own way to end one would first read what is left of an answer, however long.
pub(super) struct Session {
    conn: Option<Conn>,
    authority: String,
    clock: Arc<dyn Clock>,
}

impl Session {
    pub(super) async fn connect(
        login: &Login,
        trust: &Trust,
        facilities: &Facilities,
    ) -> Result<Self, Fault> {
        let Connection { host, port, .. } = &login.connection;
        let resolver = facilities.resolver.as_ref();
        let addresses = network::addresses(resolver, host, *port)
            .await
            .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
        let roots = trust.roots().iter().map(|root| root.to_vec().into());
        let tls = SslOpts::default()
            .with_disable_built_in_roots(true)
            .with_root_certs(roots.collect())
            .with_danger_tls_hostname_override(Some(login.server_name().to_owned()));
        let database = &login.connection.database;
        let options = OptsBuilder::default()
            .ip_or_hostname(host.clone())
            .resolved_ips(Some(
                addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(),
            ))
            .tcp_port(*port)
            .user(Some(login.connection.user.clone()))
            .pass(Some(login.password.expose()))
            .db_name((!database.is_empty()).then(|| database.clone()))
            .prefer_socket(false)
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            .wait_timeout(Some(DRIVER_WAIT_SECONDS))
            .stmt_cache_size(0_usize)
            .ssl_opts(tls);
        let conn = Conn::new(Opts::from(options))
            .await
            .map_err(|error| not_connected(login, &error))?;
        Ok(Self {
            conn: Some(conn),
            authority: login.authority(),
            clock: Arc::clone(&facilities.clock),
        })
    }

    pub(super) async fn statement(
        &mut self,
        Statement { text, parameters }: Statement,
        room: &mut Room,
    ) -> Result<Rows, Fault> {
        let authority = &self.authority;
        let Some(conn) = self.conn.as_mut() else {
            return Err(broke(authority, "it was ended"));
        };
        if parameters.is_empty() {
            collect(conn.query_iter(text).await, room, authority).await
        } else {
            let values = parameters.into_iter().map(SqlValue::into_mysql).collect();
            let result = conn.exec_iter(text, Params::Positional(values)).await;
            collect(result, room, authority).await
        }
    }

    pub(super) async fn end(mut self) {
        if let Some(conn) = self.conn.take() {
            goodbye(conn, Arc::clone(&self.clock)).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let ended = runtime.spawn(goodbye(conn, Arc::clone(&self.clock)));
            drop(ended);
        }
    }
}

async fn goodbye(conn: Conn, clock: Arc<dyn Clock>) {
    let end = clock.now().after(GOODBYE_TIMEOUT);
    // How the session ends changes nothing in what it answered.
    timeout_at(clock.as_ref(), end, conn.disconnect()).await;
}

/// Whether a statement may change something outside its session.
pub(super) fn changes(text: &str) -> bool {
    let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
    match (words.next().as_deref(), words.next().as_deref()) {
        (Some("SET"), second) => second == Some("GLOBAL"),
        (first, _) => !READING.contains(&first.unwrap_or_default()),
    }
}

async fn collect<P: Protocol>(
    result: Result<QueryResult<'_, '_, P>, Error>,
    room: &mut Room,
    authority: &str,
) -> Result<Rows, Fault> {
    let failed = |error: Error| not_answered(authority, &error);
    let mut result = result.map_err(failed)?;
    let mut answer: Option<Rows> = None;
    loop {
        let columns = result.columns().unwrap_or_default();
        let mut rows = Vec::new();
        while let Some(row) = result.next().await.map_err(failed)? {
            let values = row.unwrap_raw().into_iter().zip(columns.iter());
            let values = values.map(|(value, column)| {
                SqlValue::from_mysql(value.unwrap_or(mysql_async::Value::NULL), column)
            });
            room.take(&mut rows, values.collect())?;
        }
        if !columns.is_empty() {
            let found = Rows {
                columns: columns
                    .iter()
                    .map(|column| column.name_str().into_owned())
                    .collect(),
                rows,
                affected: 0,
            };
            if answer.replace(found).is_some() {
                return Err(two_answers());
            }
        }
        if result.is_empty() {
            break;
        }
    }
    let mut answer = answer.unwrap_or_default();
    if answer.columns.is_empty() {
        answer.affected = result.affected_rows();
    }
    result.drop_result().await.map_err(failed)?;
    Ok(answer)
}

fn not_connected(login: &Login, error: &Error) -> Fault {
    let authority = login.authority();
    if let Some(tls) = find_tls(error) {
        return not_verified(login, tls);
    }
    match error {
        Error::Driver(DriverError::NoClientSslFlagFromServer) => no_tls(&authority),
        Error::Server(refusal) => {
            let text = format!(
                "{authority} refused the login: {} ({}): {}",
                refusal.state, refusal.code, refusal.message
            );
            if CONFIGURATION.contains(&refusal.code) {
                Fault::invalid("CP0017", text)
            } else {
                Fault::unavailable("CP0017", text)
            }
        }
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => {
            let reason = chain(error);
            Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"))
        }
    }
}

fn not_answered(authority: &str, error: &Error) -> Fault {
    match error {
        Error::Server(refusal) if BROKEN.contains(&refusal.code) => {
            broke(authority, &refusal.message)
        }
        Error::Server(refusal) => Fault::conflict(format!(
            "{} ({}): {}",
            refusal.state, refusal.code, refusal.message
        )),
        Error::Driver(
            mismatch @ (DriverError::StmtParamsMismatch { .. } | DriverError::MixedParams),
        ) => Fault::invalid("CP0009", mismatch.to_string()),
        Error::Driver(DriverError::PacketTooLarge) => too_much(),
        Error::Driver(DriverError::LocalInfile(_)) => Fault::invalid(
            "CP0009",
            "LOAD DATA LOCAL would read a file of the host; it is not served",
        ),
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => match chain(error) {
            reason if reason == PACKET_TOO_LARGE => too_much(),
            reason => broke(authority, &reason),
        },
    }
}

#[cfg(test)]
mod tests;
