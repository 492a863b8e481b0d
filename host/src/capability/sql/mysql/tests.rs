//! The capability against a real MariaDB server on loopback, with TLS.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::call::CallError;
use crate::capability::credential::MachineSecrets;
use crate::capability::testbed::{
    Authority, CANARY, CANARY_VARIABLE, binding, call, capabilities, facilities, soon,
};
use crate::capability::{Capabilities, Facilities, Used};
use crate::clock::{Clock as _, SystemClock};
use crate::runbook::types::{Binding, Connection, Engine, Origin, SecretSource};

/// Name in the server's certificate; it resolves nowhere.
const SERVER_NAME: &str = "db-pz.example.test";

/// A server in a folder of its own, ended with the test.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{program}` is needed for this test (Debian package mariadb-server): {error}")
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {text}");
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = Authority::new();
        let identity = authority.issue(&[SERVER_NAME]);
        for (name, content) in [
            ("ca.pem", authority.pem()),
            ("server.pem", &identity.certificate),
            ("server.key", &identity.key),
            ("init.sql", &Self::accounts()),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let data = format!("--datadir={}", path("data"));
        let account = "--user=root";
        run(
            "mariadb-install-db",
            &[
                "--no-defaults",
                account,
                &data,
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
        );
        let port = free_port();
        let process = Command::new("mariadbd")
            .args([
                "--no-defaults",
                account,
                &data,
                "--bind-address=127.0.0.1",
                "--server-id=1",
            ])
            .args([
                "--log-bin=binlog",
                "--skip-name-resolve",
                "--performance-schema=OFF",
            ])
            .args([
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
            ])
            .arg(format!("--port={port}"))
            .arg(format!("--socket={}", path("s.sock")))
            .arg(format!("--pid-file={}", path("s.pid")))
            .arg(format!("--init-file={}", path("init.sql")))
            .arg(format!("--ssl-ca={}", path("ca.pem")))
            .arg(format!("--ssl-cert={}", path("server.pem")))
            .arg(format!("--ssl-key={}", path("server.key")))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            folder,
            process,
            port,
        }
    }

    fn accounts() -> String {
        let password = CANARY.replace('\'', "''");
        format!(
            "CREATE DATABASE app;\nCREATE USER ops@'127.0.0.1' IDENTIFIED BY '{password}' REQUIRE SSL;\nGRANT ALL ON *.* TO ops@'127.0.0.1';\n"
        )
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until the server takes connections; its own end is the limit.
    async fn ready(&mut self) {
        while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .is_err()
        {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn binding(&self) -> Binding {
        let connection = Connection {
            engine: Engine::Mysql,
            host: "127.0.0.1".to_owned(),
            port: self.port,
            server_name: Some(SERVER_NAME.to_owned()),
            user: "ops".to_owned(),
            password: SecretSource::Environment(CANARY_VARIABLE.to_owned()),
            database: "app".to_owned(),
            trust: None,
        };
        let mut binding = binding();
        binding.connections = [("pz".to_owned(), connection)].into();
        binding.trust = vec![PathBuf::from("ca.pem")];
        binding
    }

    fn changed(&self, change: impl FnOnce(&mut Connection)) -> Capabilities {
        let mut binding = self.binding();
        change(binding.connections.get_mut("pz").unwrap());
        capabilities(&binding, self.folder.path())
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

async fn ask(capabilities: &Capabilities, statements: Value) -> Used {
    let args = json!({ "connection": "pz", "statements": statements });
    call(
        capabilities,
        "understudy:sql/sql@0.1.0",
        "run",
        args,
        soon(),
    )
    .await
}

/// Statements without parameters.
async fn texts(capabilities: &Capabilities, texts: &[&str]) -> Used {
    let statements = texts
        .iter()
        .map(|text| json!({ "text": text, "parameters": [] }));
    ask(capabilities, Value::Array(statements.collect())).await
}

fn rows(used: &Used) -> &Value {
    used.reply
        .as_ref()
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn reason(used: &Used) -> &str {
    match &used.reply {
        Err(CallError::Unavailable(hint)) => &hint.reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// One server for all checks: starting one takes longer than all of them.
#[tokio::test]
async fn against_a_real_server() {
    let mut server = Server::start();
    server.ready().await;
    let sql = server.changed(|_| ());
    values_of_every_type(&sql).await;
    administrative_statements(&sql).await;
    refusals(&sql).await;
    limits(&sql).await;
    deadline(&sql).await;
    transport_that_does_not_verify(&server).await;
    broken_session(&server, &sql).await;
}

async fn values_of_every_type(sql: &Capabilities) {
    let table = "CREATE TABLE t (i INT, u BIGINT UNSIGNED, d DECIMAL(5,2), f DOUBLE, s VARCHAR(9), b VARBINARY(9), at DATETIME(3), n INT, x BLOB, l TEXT)";
    let used = texts(sql, &[table]).await;
    assert_eq!(
        rows(&used),
        &json!([{ "columns": [], "rows": [], "affected": 0 }])
    );
    assert_eq!(
        (used.action.as_str(), used.result.as_str()),
        ("sql pz: 1 statement", "ok, 0 rows")
    );
    let row = json!([
        { "integer": -7 }, { "unsigned": u64::MAX }, { "text": "1.50" }, { "real": 2.5 },
        { "text": "Ünicode" }, { "bytes": { "base64": "AP8=" } }, { "text": "2026-01-02 03:04:05.678" },
        "null", { "bytes": { "base64": "AQ==" } }, { "text": "long" }
    ]);
    let insert = json!({ "text": "INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?)", "parameters": row });
    let by_text = json!({ "text": "SELECT * FROM t", "parameters": [] });
    let prepared =
        json!({ "text": "SELECT * FROM t WHERE i = ?", "parameters": [{ "integer": -7 }] });
    let empty = json!({ "text": "SELECT i FROM t WHERE FALSE", "parameters": [] });
    let used = ask(sql, json!([insert, by_text, prepared, empty])).await;
    let columns = json!(["i", "u", "d", "f", "s", "b", "at", "n", "x", "l"]);
    assert_eq!(
        rows(&used),
        &json!([
            { "columns": [], "rows": [], "affected": 1 },
            { "columns": columns, "rows": [row], "affected": 0 },
            { "columns": columns, "rows": [row], "affected": 0 },
            { "columns": ["i"], "rows": [], "affected": 0 },
        ])
    );
    assert_eq!(
        (used.action.as_str(), used.result.as_str()),
        ("sql pz: 4 statements", "ok, 2 rows")
    );
    // A password that the server itself repeats does not come back either.
    let used = ask(
        sql,
        json!([{ "text": "SELECT ?", "parameters": [{ "text": CANARY }] }]),
    )
    .await;
    assert_eq!(
        rows(&used)[0]["rows"][0][0],
        json!({ "text": "[redacted]" })
    );
}

async fn administrative_statements(sql: &Capabilities) {
    let used = texts(
        sql,
        &[
            "SET SESSION time_zone = '+00:00'",
            "SET GLOBAL read_only = 1",
            "SET GLOBAL read_only = 0",
            "CHANGE MASTER TO master_host='127.0.0.1', master_port=1, master_user='r', master_password='p', master_use_gtid=slave_pos, master_ssl=1",
            "SHOW SLAVE STATUS",
            "STOP SLAVE",
            "RESET SLAVE ALL",
            "SHOW MASTER STATUS",
            "SELECT @@gtid_binlog_pos, @@read_only",
            "FLUSH TABLES WITH READ LOCK",
            "UNLOCK TABLES",
            "SHOW REPLICA STATUS",
            "CHECKSUM TABLE t",
        ],
    )
    .await;
    let results = rows(&used);
    let status: Vec<String> = serde_json::from_value(results[4]["columns"].clone()).unwrap();
    assert!(status.iter().any(|name| name == "Seconds_Behind_Master"));
    assert_eq!(results[4]["rows"].as_array().unwrap().len(), 1);
    // Without a row the columns are there all the same.
    assert_eq!(results[11]["columns"], results[4]["columns"]);
    assert_eq!(results[11]["rows"], json!([]));
    assert_eq!(results[8]["rows"][0][1], json!({ "integer": 0 }));
    let address = json!({ "connection": "pz" });
    let used = call(sql, "understudy:sql/sql", "get-address", address, soon()).await;
    assert!(rows(&used).as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(used.action, "sql pz: address");
}

async fn refusals(sql: &Capabilities) {
    let used = texts(
        sql,
        &[
            "INSERT INTO t (i) VALUES (1)",
            "SELEC 1",
            "INSERT INTO t (i) VALUES (2)",
        ],
    )
    .await;
    let Err(CallError::Conflict(text)) = &used.reply else {
        panic!("{used:?}")
    };
    assert!(
        text.starts_with("42000 (1064): You have an error"),
        "{text}"
    );
    let used = texts(sql, &["SELECT i FROM t WHERE i IN (1, 2)"]).await;
    assert_eq!(rows(&used)[0]["rows"], json!([[{ "integer": 1 }]]));
    let used = ask(
        sql,
        json!([{ "text": "SELECT ?, ?", "parameters": ["null"] }]),
    )
    .await;
    assert!(
        matches!(&used.reply, Err(CallError::Invalid(_))),
        "{used:?}"
    );
    let used = texts(sql, &["SELECT 1; SELECT 2"]).await;
    assert!(
        matches!(&used.reply, Err(CallError::Invalid(_))),
        "{used:?}"
    );
    let used = texts(
        sql,
        &["LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t"],
    )
    .await;
    assert!(used.reply.is_err(), "{used:?}");
    let args = json!({ "connection": "bz", "statements": [] });
    let used = call(sql, "understudy:sql/sql", "run", args, soon()).await;
    let Err(CallError::Denied(denial)) = &used.reply else {
        panic!("{used:?}")
    };
    assert_eq!(denial.rule, "CP0005");
    assert!(
        denial.grant.starts_with("connections = { bz = {"),
        "{}",
        denial.grant
    );
}

async fn limits(sql: &Capabilities) {
    for (text, fits) in [
        ("SELECT seq FROM seq_1_to_10000", true),
        ("SELECT seq FROM seq_1_to_10001", false),
        ("SELECT REPEAT('x', 4194304)", true),
        ("SELECT REPEAT('x', 4194305)", false),
        ("SELECT REPEAT('x', 9000000)", false),
    ] {
        let used = texts(sql, &[text]).await;
        match (&used.reply, fits) {
            (Ok(_), true) => {}
            (Err(CallError::Other(reason)), false) if reason.starts_with("CP0010") => {}
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

async fn deadline(sql: &Capabilities) {
    let deadline = SystemClock.now().after(std::time::Duration::from_secs(2));
    let statements = json!([{ "text": "SELECT SLEEP(600)", "parameters": [] }]);
    let args = json!({ "connection": "pz", "statements": statements });
    let used = call(sql, "understudy:sql/sql", "run", args, deadline).await;
    assert!(
        matches!(&used.reply, Err(CallError::TimedOut(_))),
        "{used:?}"
    );
}

async fn transport_that_does_not_verify(server: &Server) {
    let select = ["SELECT 1"];
    let wrong_name = server.changed(|connection| {
        connection.server_name = Some("db-bz.example.test".to_owned());
    });
    let used = texts(&wrong_name, &select).await;
    assert!(reason(&used).starts_with("CP0011"), "{}", reason(&used));
    assert!(
        reason(&used).contains("not valid for name"),
        "{}",
        reason(&used)
    );

    let mut binding = server.binding();
    binding.trust = vec!["other.pem".into()];
    std::fs::write(
        server.folder.path().join("other.pem"),
        Authority::new().pem(),
    )
    .unwrap();
    let stranger = capabilities(&binding, server.folder.path());
    let used = texts(&stranger, &select).await;
    assert!(reason(&used).contains("CP0011"), "{}", reason(&used));
    // The roots of a connection count in place of those of its binding.
    let own = |binding: &Binding, file: &str| {
        let mut binding = binding.clone();
        let connection = binding.connections.get_mut("pz").unwrap();
        connection.trust = Some(Origin::Secret(SecretSource::File(file.into())));
        let secrets = MachineSecrets::new(|name| (name == CANARY_VARIABLE).then(|| CANARY.into()));
        let facilities = Facilities {
            secrets: Arc::new(secrets),
            ..facilities()
        };
        Capabilities::for_binding(&binding, server.folder.path(), &facilities)
    };
    let used = texts(&own(&binding, "ca.pem").unwrap(), &select).await;
    assert!(used.reply.is_ok(), "{used:?}");
    binding.trust = vec!["ca.pem".into()];
    let used = texts(&own(&binding, "other.pem").unwrap(), &select).await;
    assert!(reason(&used).contains("CP0011"), "{}", reason(&used));
    assert!(
        reason(&used).contains("connection's `trust`"),
        "{}",
        reason(&used)
    );
    std::fs::write(server.folder.path().join("none.pem"), "no certificate").unwrap();
    let refused = own(&binding, "none.pem").err().unwrap();
    assert_eq!(refused.code(), "CP0008");
    assert!(refused.to_string().contains("`pz`"), "{refused}");
    binding.trust.clear();
    let nobody = capabilities(&binding, Path::new("."));
    assert!(texts(&nobody, &select).await.reply.is_err());

    let used = texts(
        &server.changed(|connection| connection.port = free_port()),
        &select,
    )
    .await;
    assert!(reason(&used).starts_with("CP0013"), "{}", reason(&used));
    let used = texts(
        &server.changed(|connection| connection.user = "nobody".to_owned()),
        &select,
    )
    .await;
    let Err(CallError::Invalid(text)) = &used.reply else {
        panic!("{used:?}")
    };
    assert!(
        text.starts_with("CP0017") && text.contains("1045"),
        "{text}"
    );
}

async fn broken_session(server: &Server, sql: &Capabilities) {
    let kill = async {
        let find = "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'";
        loop {
            let used = texts(sql, &[find]).await;
            let found = rows(&used)[0]["rows"].as_array().unwrap();
            if let Some(row) = found.first() {
                let id = row[0]["integer"]
                    .as_u64()
                    .or(row[0]["unsigned"].as_u64())
                    .unwrap();
                return texts(sql, &[&format!("KILL {id}")]).await;
            }
        }
    };
    let (used, killed) = tokio::join!(texts(sql, &["DO SLEEP(600)"]), kill);
    assert!(killed.reply.is_ok(), "{killed:?}");
    let Err(CallError::InDoubt(text)) = &used.reply else {
        panic!("{used:?} {}", server.log())
    };
    assert!(text.starts_with("CP0014"), "{text}");
}
