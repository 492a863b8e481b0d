//! Counting and digesting what is in a database.

use sha2::{Digest as _, Sha256};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::migrations::MIGRATIONS_TABLE;
use understudy_sdk::sql::{Sql, Table, statements};

use crate::database::Contents;

/// What makes equal values equal texts, whatever a server, a database or a user is set to.
const SETTINGS: [&str; 6] = [
    "SET search_path = pg_catalog",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'postgres'",
    "SET timezone = 'UTC'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
];

/// One state of everything.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The tables with their definitions, in order. Unlogged and temporary ones do not replicate and are left out.
const TABLES: &str = "SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relname AS plain, c.relkind AS kind, \
     concat_ws(E'\\n', \
     (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), \
       CASE WHEN a.attnotnull THEN 'not null' END, nullif(a.attidentity, ''), nullif(a.attgenerated, ''), \
       pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum) FROM pg_attribute a \
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
     (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), '; ' ORDER BY k.conname) FROM pg_constraint k \
       WHERE k.conrelid = c.oid), \
     (SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ' ORDER BY pg_get_indexdef(i.indexrelid)) FROM pg_index i \
       WHERE i.indrelid = c.oid), \
     (SELECT string_agg(pg_get_triggerdef(g.oid), '; ' ORDER BY g.tgname) FROM pg_trigger g \
       WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)) AS definition \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' \
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// See `observe-contents`. Rows are counted and summed in one snapshot; the sum does not depend on their order.
pub(crate) fn observe(sql: &impl Sql, connection: &str) -> Result<Contents, Error> {
    let mut questions = statements(&SETTINGS);
    questions.extend(statements(&[SNAPSHOT, TABLES]));
    let answers = sql.run(connection, &questions)?;
    let tables = answers.last().cloned().unwrap_or_default();
    // A partitioned table has its rows in its partitions.
    let plain: Vec<&str> = tables
        .iter()
        .filter(|row| row.text("kind") == "r")
        .map(|row| row.text("name"))
        .collect();
    let sums = match plain.is_empty() {
        true => Table::default(),
        false => {
            let mut questions = statements(&SETTINGS);
            questions.push(SNAPSHOT.to_owned());
            questions.push(sums(&plain));
            let answers = sql.run(connection, &questions)?;
            answers.last().cloned().unwrap_or_default()
        }
    };
    let migrations = tables
        .iter()
        .find(|row| row.text("plain") == MIGRATIONS_TABLE);
    let migration = match migrations {
        Some(row) => {
            let newest = format!(
                "SELECT version FROM {} WHERE complete ORDER BY number DESC, statement DESC LIMIT 1",
                row.text("name")
            );
            let answers = sql.run(connection, &[newest])?;
            answers.first().map(|table| table.single().to_owned())
        }
        None => None,
    };
    summed(&tables, &sums, migration.unwrap_or_default())
}

/// The question after the number of rows and their sum, one row per table, in order.
fn sums(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!(
            "SELECT count(*) AS n, coalesce(sum(('x' || left(md5(understudy_row::text), 16))::bit(64)::bigint::numeric), 0) \
             AS sum FROM {name} AS understudy_row"
        )
    };
    names
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(" UNION ALL ")
}

fn summed(tables: &Table, sums: &Table, migration: String) -> Result<Contents, Error> {
    let (mut schema, mut data) = (Sha256::new(), Sha256::new());
    let mut rows = 0_u64;
    let mut sums = sums.iter();
    for table in tables.iter() {
        let (name, kind) = (table.text("name"), table.text("kind"));
        schema.update(format!("{kind} {name}\n{}\n", table.text("definition")));
        if kind != "r" {
            continue;
        }
        let sum = sums
            .next()
            .ok_or_else(|| Error::Other(format!("the server answered nothing about {name}")))?;
        rows = rows.saturating_add(sum.number("n"));
        data.update(format!("{name}={}:{}\n", sum.text("n"), sum.text("sum")));
    }
    Ok(Contents {
        tables: u32::try_from(tables.rows.len()).unwrap_or(u32::MAX),
        rows,
        schema_digest: hex(&schema.finalize()),
        checksum: hex(&data.finalize()),
        migration,
    })
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[&str], rows: &[&[&str]]) -> Table {
        let cells = |row: &&[&str]| row.iter().map(|cell| Some((*cell).to_owned())).collect();
        Table {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.iter().map(cells).collect(),
        }
    }

    #[test]
    fn rows_are_the_partitions_and_the_schema_is_all() {
        let columns = ["name", "plain", "kind", "definition"];
        let tables = table(
            &columns,
            &[&["a.p", "p", "p", "x"], &["a.q", "q", "r", "y"]],
        );
        let sums = table(&["n", "sum"], &[&["3", "-7"]]);
        let found = summed(&tables, &sums, String::new()).unwrap();
        assert_eq!((found.tables, found.rows), (2, 3));
        let other = table(&["n", "sum"], &[&["3", "-8"]]);
        let other = summed(&tables, &other, String::new()).unwrap();
        assert_ne!(other.checksum, found.checksum);
        assert_eq!(other.schema_digest, found.schema_digest);
        assert!(summed(&tables, &Table::default(), String::new()).is_err());
    }
}
