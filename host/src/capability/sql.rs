//! SQL for providers: `understudy:sql/sql`, for MySQL and MariaDB.
//!
//! A provider names a connection; address, user, password and trust are the binding's. Each call is one session, TLS
//! is always on and always verified for the connection's server name. A statement without parameters goes by the text
//! protocol, one with parameters is prepared. Start at [`Sql`]; `sql/value.rs` has the types of columns.
//!
//! A text that holds several statements is run by the server as it comes; at most one of them may answer rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Params, QueryResult, SslOpts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::{BoxFuture, Clock, Instant, timeout_at};
use crate::runbook::types::Connection;

use super::credential::{Redactor, Secret};
use super::trust::Trust;
use super::{Asked, Capability, Facilities, Fault, Used, network};

pub(crate) mod password;
mod value;

pub use value::SqlValue;

/// Most rows of one statement: as `wit/sql` says.
pub const MAX_ROWS: usize = 10_000;

/// Most bytes of values in the answer to one call, all statements together.
pub const MAX_RESULT_BYTES: usize = 4 * 1024 * 1024;

/// Largest packet taken from a server, in bytes: a row that fills the limit, and room for what surrounds it.
const MAX_PACKET_BYTES: usize = MAX_RESULT_BYTES + 64 * 1024;

/// Most statements of one call.
pub const MAX_STATEMENTS: usize = 100;

/// Most bytes of text and parameters in one call.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Longest time to a session: connection, TLS handshake and login.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a session may take to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection with its password.
pub(crate) struct Login {
    connection: Connection,
    password: Secret,
}

impl Login {
    pub(crate) fn new(connection: Connection, password: Secret) -> Self {
        Self {
            connection,
            password,
        }
    }

    fn authority(&self) -> String {
        let Connection { host, port, .. } = &self.connection;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// The capability.
pub struct Sql {
    logins: BTreeMap<String, Login>,
    secrets: BTreeMap<String, Secret>,
    roots: Vec<Arc<[u8]>>,
    redactor: Redactor,
    facilities: Facilities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArgs {
    connection: String,
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressArgs {
    connection: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    text: String,
    parameters: Vec<SqlValue>,
}

#[derive(Serialize)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<SqlValue>>,
    affected: u64,
}

impl Sql {
    pub(crate) fn new(
        logins: BTreeMap<String, Login>,
        secrets: BTreeMap<String, Secret>,
        trust: &Trust,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        // The driver makes its TLS configuration with the process's provider. Another one that is already installed
        // stays; it verifies as well.
        super::trust::provider()
            .as_ref()
            .clone()
            .install_default()
            .ok();
        Self {
            logins,
            secrets,
            roots: trust
                .roots()
                .iter()
                .map(|root| root.as_ref().into())
                .collect(),
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        let (action, done) = match asked.function {
            "get-address" => self.address(asked.args),
            "run" => self.run(asked.args, asked.deadline).await,
            other => (
                format!("sql {other}"),
                Err(Fault::no_function(self.interface(), other)),
            ),
        };
        Used::of(&action, done, &self.redactor)
    }

    fn login(&self, name: &str) -> Result<&Login, Fault> {
        self.logins.get(name).ok_or_else(|| {
            let grant = format!(
                r#"connections = {{ {name} = {{ host = "HOST", port = 3306, user = "USER", password = {{ env = "VARIABLE" }} }} }}"#
            );
            Fault::denied("CP0005", format!("the binding has no connection `{name}`"), grant)
        })
    }

    fn address(&self, args: Map<String, Value>) -> (String, Result<(Value, String), Fault>) {
        let args: AddressArgs = match super::arguments(args) {
            Ok(args) => args,
            Err(fault) => return ("sql get-address".to_owned(), Err(fault)),
        };
        let done = self
            .login(&args.connection)
            .map(|login| (Value::from(login.authority()), login.authority()));
        (format!("sql {}: address", args.connection), done)
    }

    async fn run(
        &self,
        args: Map<String, Value>,
        deadline: Instant,
    ) -> (String, Result<(Value, String), Fault>) {
        let args: RunArgs = match super::arguments(args).and_then(bounded) {
            Ok(args) => args,
            Err(fault) => return ("sql run".to_owned(), Err(fault)),
        };
        let count = args.statements.len();
        let plural = if count == 1 { "" } else { "s" };
        let action = format!("sql {}: {count} statement{plural}", args.connection);
        let ready = self
            .login(&args.connection)
            .and_then(|login| Ok((login, self.with_passwords(args.statements)?)));
        let done = match ready {
            Ok((login, statements)) => self.session(login, statements, deadline).await,
            Err(fault) => Err(fault),
        };
        (action, done)
    }

    fn with_passwords(&self, statements: Vec<Statement>) -> Result<Vec<Statement>, Fault> {
        let fill = |Statement { text, parameters }| {
            let text = password::fill(text, &self.secrets)?;
            Ok(Statement { text, parameters })
        };
        statements.into_iter().map(fill).collect()
    }

    async fn session(
        &self,
        login: &Login,
        statements: Vec<Statement>,
        deadline: Instant,
    ) -> Result<(Value, String), Fault> {
        let clock = self.facilities.clock.as_ref();
        let connected = clock.now().after(CONNECT_TIMEOUT).min(deadline);
        let authority = login.authority();
        let conn = timeout_at(clock, connected, self.connect(login))
            .await
            .unwrap_or_else(|| {
                let text = format!("{authority} is not reached: no session in time");
                Err(Fault::unavailable("CP0013", text))
            })?;
        let mut session = Session {
            conn: Some(conn),
            clock: Arc::clone(&self.facilities.clock),
        };
        let answer = match session.conn.as_mut() {
            Some(conn) => {
                let work = self.statements(conn, statements, &authority);
                timeout_at(clock, deadline, work).await
            }
            None => None,
        };
        // Before the answer is given: what the session holds (locks, its settings) must not meet the next call.
        session.end().await;
        let results = answer.unwrap_or_else(|| Err(Fault::timed_out(&authority)))?;
        let rows: usize = results.iter().map(|result| result.rows.len()).sum();
        let value = serde_json::to_value(results)
            .map_err(|error| Fault::other("CP0010", format!("no JSON of the rows: {error}")))?;
        Ok((value, format!("ok, {rows} rows")))
    }

    async fn connect(&self, login: &Login) -> Result<Conn, Fault> {
        let Connection { host, port, .. } = &login.connection;
        let resolver = self.facilities.resolver.as_ref();
        let addresses = network::addresses(resolver, host)
            .await
            .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
        let server_name = login.connection.server_name.as_ref().unwrap_or(host);
        let roots = self.roots.iter().map(|root| root.to_vec().into()).collect();
        let tls = SslOpts::default()
            .with_disable_built_in_roots(true)
            .with_root_certs(roots)
            .with_danger_tls_hostname_override(Some(server_name.clone()));
        let database = &login.connection.database;
        let options = OptsBuilder::default()
            .ip_or_hostname(host.clone())
            .resolved_ips(Some(addresses))
            .tcp_port(*port)
            .user(Some(login.connection.user.clone()))
            .pass(Some(login.password.expose()))
            .db_name((!database.is_empty()).then(|| database.clone()))
            .prefer_socket(false)
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            .wait_timeout(Some(DRIVER_WAIT_SECONDS))
            .stmt_cache_size(0_usize)
            .ssl_opts(tls);
        Conn::new(Opts::from(options))
            .await
            .map_err(|error| not_connected(&login.authority(), server_name, &error))
    }

    async fn statements(
        &self,
        conn: &mut Conn,
        statements: Vec<Statement>,
        authority: &str,
    ) -> Result<Vec<Rows>, Fault> {
        let mut results = Vec::with_capacity(statements.len());
        let mut room = MAX_RESULT_BYTES;
        for Statement { text, parameters } in statements {
            let rows = if parameters.is_empty() {
                let result = conn.query_iter(text).await;
                self.collect(result, &mut room, authority).await?
            } else {
                let values = parameters.into_iter().map(SqlValue::sent).collect();
                let result = conn.exec_iter(text, Params::Positional(values)).await;
                self.collect(result, &mut room, authority).await?
            };
            results.push(rows);
        }
        Ok(results)
    }

    async fn collect<P: mysql_async::prelude::Protocol>(
        &self,
        result: Result<QueryResult<'_, '_, P>, Error>,
        room: &mut usize,
        authority: &str,
    ) -> Result<Rows, Fault> {
        let failed = |error: Error| not_answered(authority, &error);
        let mut result = result.map_err(failed)?;
        let mut answer: Option<Rows> = None;
        loop {
            let columns = result.columns().unwrap_or_default();
            let mut rows = Vec::new();
            while let Some(row) = result.next().await.map_err(failed)? {
                let row: Vec<SqlValue> = row
                    .unwrap_raw()
                    .into_iter()
                    .zip(columns.iter())
                    .map(|(value, column)| self.received(value, column))
                    .collect();
                let size = row.iter().map(SqlValue::size).sum();
                let left = room.checked_sub(size).ok_or_else(too_much)?;
                if rows.len() == MAX_ROWS {
                    return Err(too_much());
                }
                *room = left;
                rows.push(row);
            }
            if !columns.is_empty() {
                let names = columns
                    .iter()
                    .map(|column| self.redactor.text(&column.name_str()));
                let found = Rows {
                    columns: names.collect(),
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
        let mut answer = answer.unwrap_or(Rows {
            columns: Vec::new(),
            rows: Vec::new(),
            affected: 0,
        });
        if answer.columns.is_empty() {
            answer.affected = result.affected_rows();
        }
        result.drop_result().await.map_err(failed)?;
        Ok(answer)
    }

    fn received(
        &self,
        value: Option<mysql_async::Value>,
        column: &mysql_async::Column,
    ) -> SqlValue {
        match SqlValue::received(value.unwrap_or(mysql_async::Value::NULL), column) {
            SqlValue::Text(text) => SqlValue::Text(self.redactor.text(&text)),
            SqlValue::Bytes(bytes) => SqlValue::Bytes(self.redactor.bytes(bytes)),
            other => other,
        }
    }
}

/// A session that is always ended, also where the call is abandoned. The driver's own way would first read what is left
/// of an answer, however long.
struct Session {
    conn: Option<Conn>,
    clock: Arc<dyn Clock>,
}

impl Session {
    async fn end(mut self) {
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

impl Capability for Sql {
    fn interface(&self) -> &'static str {
        "understudy:sql/sql"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }

    fn changes(&self, _: &str, args: &Map<String, Value>) -> bool {
        let statements = args.get("statements").and_then(Value::as_array);
        let mut texts = statements
            .into_iter()
            .flatten()
            .filter_map(|statement| statement.get("text").and_then(Value::as_str));
        texts.any(|text| {
            let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
            match (words.next().as_deref(), words.next().as_deref()) {
                (Some("SET"), second) => second == Some("GLOBAL"),
                (first, _) => !READING.contains(&first.unwrap_or_default()),
            }
        })
    }
}

/// How statements begin that change nothing outside their session.
const READING: [&str; 9] = [
    "SELECT", "SHOW", "EXPLAIN", "DESCRIBE", "CHECKSUM", "USE", "START", "COMMIT", "ROLLBACK",
];

/// Given so that the driver does not ask the server; no session idles.
const DRIVER_WAIT_SECONDS: usize = 60;

/// Login errors that a change of configuration cures: access denied (1044, 1045, 1698), no such database (1049).
const CONFIGURATION: [u16; 4] = [1044, 1045, 1049, 1698];

/// Server errors after which the fate of a statement is unknown: shutdown in progress (1053), connection killed
/// (1927 in MariaDB).
const BROKEN: [u16; 2] = [1053, 1927];

/// What the driver says of a packet over [`MAX_PACKET_BYTES`]. It keeps the type of that error to itself, so the words
/// are all there is; a test holds them to a real server.
const PACKET_TOO_LARGE: &str = "Packet is larger than max_allowed_packet";

fn bounded(args: RunArgs) -> Result<RunArgs, Fault> {
    let bytes: usize = args
        .statements
        .iter()
        .map(|one| one.text.len() + one.parameters.iter().map(SqlValue::size).sum::<usize>())
        .sum();
    if args.statements.len() > MAX_STATEMENTS || bytes > MAX_REQUEST_BYTES {
        let text = format!(
            "more than {MAX_STATEMENTS} statements or {MAX_REQUEST_BYTES} bytes in one call; make several calls"
        );
        return Err(Fault::invalid("CP0009", text));
    }
    Ok(args)
}

fn too_much() -> Fault {
    let text = format!(
        "the answer has more than {MAX_ROWS} rows or {MAX_RESULT_BYTES} bytes; ask for less, for example with LIMIT"
    );
    Fault::other("CP0010", text)
}

fn two_answers() -> Fault {
    let text = "the text answered more than one set of rows; send its statements one by one";
    Fault::invalid("CP0009", text)
}

fn not_connected(authority: &str, server_name: &str, error: &Error) -> Fault {
    if let Some(tls) = super::http::find_tls(error) {
        let text = format!(
            "TLS with {authority} did not verify for `{server_name}`: {tls}; if the server is right, add its issuer to the binding's `trust` or set the connection's `server-name`"
        );
        return Fault::unavailable("CP0011", text);
    }
    match error {
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let text = format!("{authority} offers no TLS; turn it on at the server");
            Fault::unavailable("CP0011", text)
        }
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
            let reason = super::http::chain(error);
            Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"))
        }
    }
}

fn not_answered(authority: &str, error: &Error) -> Fault {
    let broke = |reason: &str| {
        let text =
            format!("the session with {authority} broke after a statement was sent: {reason}");
        Fault::in_doubt("CP0014", text)
    };
    match error {
        Error::Server(refusal) if BROKEN.contains(&refusal.code) => broke(&refusal.message),
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
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => {
            match super::http::chain(error) {
                reason if reason == PACKET_TOO_LARGE => too_much(),
                reason => broke(&reason),
            }
        }
    }
}

#[cfg(test)]
mod tests;
