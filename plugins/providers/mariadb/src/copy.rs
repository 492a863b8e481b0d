//! Copying tables in chunks of primary keys: which tables, how a value becomes text that means the same on the other
//! server, and one chunk.

use serde::{Deserialize, Serialize};
use understudy_sdk::host::understudy::types::types::Error;

use crate::config::Config;
use crate::follow::Pair;
use crate::reseed::{BOOKKEEPING_SCHEMA, Progress, record, unlogged};
use crate::session::{Row, Sql, Table, identifier, literal};

/// Rows read at once.
const CHUNK_ROWS: u32 = 1000;

/// Bytes of SQL text read at once; a single longer row is read alone.
const CHUNK_BYTES: u32 = 512 * 1024;

/// Chunks copied per call, so that a call stays short and progress is seen.
const CHUNKS_PER_CALL: u32 = 8;

/// Schemas of the server itself.
const SYSTEM_SCHEMAS: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";

/// How far the copy is: the table and the last key copied, as SQL literals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) key: Vec<String>,
}

impl Cursor {
    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| {
            Error::Other(format!("the cursor of the copy cannot be read: {error}"))
        })
    }

    /// As JSON.
    pub(crate) fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// Refuses, by name, what a copy would lose or could not be repaired: tables without a primary key, views, sequences,
/// triggers, routines, events, and schemas nobody configured.
pub(crate) fn check_copyable(
    sql: &impl Sql,
    connection: &str,
    site: &str,
    schemas: &[String],
) -> Result<(), Error> {
    check_no_other_schemas(sql, connection, site, schemas)?;
    let list = in_list(schemas);
    let question = format!(
        "SELECT CONCAT(TABLE_TYPE, ' ', TABLE_SCHEMA, '.', TABLE_NAME) AS name FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA IN ({list}) AND TABLE_TYPE <> 'BASE TABLE' \
         UNION ALL SELECT CONCAT('trigger ', TRIGGER_SCHEMA, '.', TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ({list}) \
         UNION ALL SELECT CONCAT('routine ', ROUTINE_SCHEMA, '.', ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN ({list}) \
         UNION ALL SELECT CONCAT('event ', EVENT_SCHEMA, '.', EVENT_NAME) FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN ({list}) \
         UNION ALL SELECT CONCAT('table without a primary key ', t.TABLE_SCHEMA, '.', t.TABLE_NAME) FROM information_schema.TABLES t \
         WHERE t.TABLE_SCHEMA IN ({list}) AND t.TABLE_TYPE = 'BASE TABLE' AND NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS s \
         WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA AND s.TABLE_NAME = t.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY') \
         UNION ALL SELECT CONCAT('key over a prefix in ', TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA IN ({list}) AND INDEX_NAME = 'PRIMARY' AND SUB_PART IS NOT NULL \
         UNION ALL SELECT CONCAT(DATA_TYPE, ' column ', TABLE_SCHEMA, '.', TABLE_NAME, '.', COLUMN_NAME) FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA IN ({list}) AND DATA_TYPE IN ('geometry', 'point', 'linestring', 'polygon', 'multipoint', \
         'multilinestring', 'multipolygon', 'geometrycollection') LIMIT 20"
    );
    let names = names(&sql.run(connection, &[question])?);
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "{site} holds what cannot be copied over SQL: {}. Give tables a primary key, or seed the other site with \
         mariadb-backup, set its gtid_slave_pos to the backup's position and call again",
        names.join(", ")
    )))
}

/// Refuses schemas that nobody configured: replication would change them on the target without their having been copied.
pub(crate) fn check_no_other_schemas(
    sql: &impl Sql,
    connection: &str,
    site: &str,
    schemas: &[String],
) -> Result<(), Error> {
    let question = format!(
        "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({SYSTEM_SCHEMAS}, \
         '{BOOKKEEPING_SCHEMA}') AND SCHEMA_NAME NOT IN ({}) LIMIT 20",
        in_list(schemas)
    );
    let names = names(&sql.run(connection, &[question])?);
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "{site} holds other schemas: {}. Replication carries the whole server: list them under `schemas` of the mariadb \
         binding to have them copied too, or move them to another server",
        names.join(", ")
    )))
}

/// Tables of a schema in order.
pub(crate) fn tables(sql: &impl Sql, connection: &str, schema: &str) -> Result<Vec<String>, Error> {
    let question = format!(
        "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' \
         AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME COLLATE utf8mb3_bin"
    );
    Ok(names(&sql.run(connection, &[question])?))
}

/// The statement that creates a schema as it is there; none where it is not.
pub(crate) fn schema_definition(
    sql: &impl Sql,
    connection: &str,
    schema: &str,
) -> Result<Option<String>, Error> {
    let answers = sql.run(connection, &[format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME AS cs, DEFAULT_COLLATION_NAME AS co FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{schema}'"
    )])?;
    Ok(answers.first().and_then(|table| table.row(0)).map(|row| {
        format!(
            "CREATE DATABASE `{schema}` CHARACTER SET {} COLLATE {}",
            row.text("cs"),
            row.text("co")
        )
    }))
}

/// The table after the cursor's, over all schemas; none after the last.
pub(crate) fn next_table(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    cursor: &Cursor,
) -> Result<Option<Cursor>, Error> {
    for schema in config.known_schemas(pair.schema) {
        if schema < cursor.schema {
            continue;
        }
        let after = if schema == cursor.schema {
            cursor.table.as_str()
        } else {
            ""
        };
        let tables = tables(sql, pair.source_connection, &schema)?;
        if let Some(table) = tables.into_iter().find(|table| table.as_str() > after) {
            return Ok(Some(Cursor {
                schema,
                table,
                key: Vec::new(),
            }));
        }
    }
    Ok(None)
}

/// Copies some chunks and writes down how far; true after the last row of the last table.
pub(crate) fn copy_chunks(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    now: &mut Progress,
) -> Result<bool, Error> {
    let mut shape: Option<Shape> = None;
    for _ in 0..CHUNKS_PER_CALL {
        if now.cursor.table.is_empty() {
            match next_table(sql, config, pair, &now.cursor)? {
                None => return Ok(true),
                Some(cursor) => now.cursor = cursor,
            }
        }
        let current = match shape.take() {
            Some(shape) => shape,
            None => Shape::of(sql, pair.source_connection, &now.cursor)?,
        };
        let mut question = vec![
            "SET SESSION sql_mode = ''".to_owned(),
            "SET SESSION time_zone = '+00:00'".to_owned(),
        ];
        question.push(current.select(&now.cursor));
        let answers = sql.run(pair.source_connection, &question)?;
        let chunk = answers.get(2).cloned().unwrap_or_default();
        let Some(last) = chunk.rows.last() else {
            match next_table(sql, config, pair, &now.cursor)? {
                None => return Ok(true),
                Some(cursor) => now.cursor = cursor,
            }
            continue;
        };
        let key = last.get(2..).unwrap_or_default();
        now.cursor.key = key
            .iter()
            .map(|part| part.clone().unwrap_or_default())
            .collect();
        now.copied_rows += u64::try_from(chunk.rows.len()).unwrap_or(0);
        let insert = current.insert(&now.cursor, &chunk)?;
        // Rows that are appended from now on are replayed: a busy table is not chased to its end.
        let next = if is_last(&chunk) {
            next_table(sql, config, pair, &now.cursor)?
        } else {
            shape = Some(current);
            Some(now.cursor.clone())
        };
        let ended = next.is_none();
        now.cursor = next.unwrap_or_else(|| now.cursor.clone());
        let mut session = unlogged();
        session.extend([
            "START TRANSACTION".to_owned(),
            insert,
            record(now),
            "COMMIT".to_owned(),
        ]);
        sql.run(pair.connection, &session)?;
        if ended {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True where the table had no more rows than this chunk holds when it was read.
fn is_last(chunk: &Table) -> bool {
    let available = chunk.row(0).map_or(0, |row| row.number("available"));
    available < u64::from(CHUNK_ROWS)
        && usize::try_from(available).is_ok_and(|rows| rows == chunk.rows.len())
}

/// A column that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    data_type: String,
    character_set: String,
    collation: String,
}

/// The columns of a table that are copied, and its key.
#[derive(Debug)]
struct Shape {
    columns: Vec<Column>,
    key: Vec<Column>,
}

impl Shape {
    /// Reads the source's definition. Generated columns are left out: the target computes them.
    fn of(sql: &impl Sql, connection: &str, cursor: &Cursor) -> Result<Self, Error> {
        let place = format!(
            "TABLE_SCHEMA = '{}' AND TABLE_NAME = {}",
            cursor.schema,
            literal(&cursor.table)
        );
        let answers = sql.run(connection, &[
            format!("SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS \
                     WHERE {place} AND IS_GENERATED = 'NEVER' ORDER BY ORDINAL_POSITION"),
            format!("SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE {place} AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX"),
        ])?;
        let columns: Vec<Column> = answers
            .first()
            .map(|table| table.iter().map(Column::read).collect())
            .unwrap_or_default();
        let key: Vec<Column> = answers
            .get(1)
            .map(|table| {
                table
                    .iter()
                    .filter_map(|row| {
                        columns
                            .iter()
                            .find(|column| column.name == row.text("COLUMN_NAME"))
                            .cloned()
                    })
                    .collect()
            })
            .unwrap_or_default();
        if columns.is_empty() || key.is_empty() {
            return Err(Error::Conflict(format!(
                "table {}.{} has no primary key any more, or is gone",
                cursor.schema, cursor.table
            )));
        }
        Ok(Self { columns, key })
    }

    /// The question after the next chunk: each row as one text `(literal,…)`, then its key as literals.
    fn select(&self, cursor: &Cursor) -> String {
        let row: Vec<_> = self.columns.iter().map(Column::as_literal).collect();
        let mut inner = vec![format!(
            "CONCAT('(', CONCAT_WS(',', {}), ')') AS r",
            row.join(", ")
        )];
        let mut outer = vec!["w.r".to_owned(), "w.available".to_owned()];
        let (mut order, mut window) = (Vec::new(), Vec::new());
        for (index, column) in self.key.iter().enumerate() {
            inner.push(format!(
                "{} AS k{index}, {} AS o{index}",
                column.as_key_literal(),
                identifier(&column.name)
            ));
            outer.push(format!("w.k{index}"));
            // Qualified: a bare name in ORDER BY would mean an alias of the same name first.
            order.push(format!("s.{}", identifier(&column.name)));
            window.push(format!("c.o{index}"));
        }
        let window = format!("(ORDER BY {} ROWS UNBOUNDED PRECEDING)", window.join(", "));
        format!(
            "SELECT {} FROM (SELECT c.*, ROW_NUMBER() OVER (ORDER BY {}) AS n, SUM(LENGTH(c.r)) OVER {window} AS total, COUNT(*) OVER () AS available FROM \
             (SELECT {} FROM `{}`.{} AS s WHERE {} ORDER BY {} LIMIT {CHUNK_ROWS}) AS c) AS w \
             WHERE w.n = 1 OR w.total <= {CHUNK_BYTES} ORDER BY w.n",
            outer.join(", "),
            self.key
                .iter()
                .enumerate()
                .map(|(index, _)| format!("c.o{index}"))
                .collect::<Vec<_>>()
                .join(", "),
            inner.join(", "),
            cursor.schema,
            identifier(&cursor.table),
            after(&self.key, &cursor.key),
            order.join(", "),
        )
    }

    /// The statement that writes a chunk. A row that is there already, from a call that died, is written again.
    fn insert(&self, cursor: &Cursor, chunk: &Table) -> Result<String, Error> {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| identifier(&column.name))
            .collect();
        let mut statement = format!(
            "REPLACE INTO `{}`.{} ({}) VALUES ",
            cursor.schema,
            identifier(&cursor.table),
            columns.join(", ")
        );
        for (index, row) in chunk.rows.iter().enumerate() {
            let Some(Some(values)) = row.first() else {
                return Err(Error::Conflict(format!(
                    "a row of {}.{} is larger than the source's max_allowed_packet allows as text",
                    cursor.schema, cursor.table
                )));
            };
            if index > 0 {
                statement.push(',');
            }
            statement.push_str(values);
        }
        Ok(statement)
    }
}

impl Column {
    fn read(row: Row<'_>) -> Self {
        Self {
            name: row.text("COLUMN_NAME").to_owned(),
            data_type: row.text("DATA_TYPE").to_ascii_lowercase(),
            character_set: row.text("CHARACTER_SET_NAME").to_owned(),
            collation: row.text("COLLATION_NAME").to_owned(),
        }
    }

    /// An expression that gives the value as a literal of seven-bit text: exact, and the same under every `sql_mode`.
    fn as_literal(&self) -> String {
        let name = identifier(&self.name);
        let expression = if self.character_set.is_empty() {
            match self.data_type.as_str() {
                "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "double" => {
                    format!("CAST({name} AS CHAR)")
                }
                // The shortest text of a FLOAT is not exact; that of the same number as a DOUBLE is.
                "float" => format!("CAST(CAST({name} AS DOUBLE) AS CHAR)"),
                "bit" => format!("CAST(CAST({name} AS UNSIGNED) AS CHAR)"),
                "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                    format!("CONCAT('x''', HEX({name}), '''')")
                }
                _ => format!("CONCAT('''', CAST({name} AS CHAR), '''')"),
            }
        } else {
            format!("CONCAT('_{} x''', HEX({name}), '''')", self.character_set)
        };
        format!("IFNULL({expression}, 'NULL')")
    }

    /// The same, for comparing in the order of the column's own collation.
    fn as_key_literal(&self) -> String {
        if self.collation.is_empty() {
            self.as_literal()
        } else {
            format!(
                "CONCAT({}, ' COLLATE {}')",
                self.as_literal(),
                self.collation
            )
        }
    }
}

/// The condition for rows after a key. Written out, because the server uses no index for `(a, b) > (1, 2)`.
fn after(key: &[Column], last: &[String]) -> String {
    if last.len() != key.len() {
        return "TRUE".to_owned();
    }
    let mut condition = String::from("FALSE");
    for (column, value) in key.iter().zip(last).rev() {
        let name = identifier(&column.name);
        condition = if condition == "FALSE" {
            format!("{name} > {value}")
        } else {
            format!("({name} >= {value} AND ({name} > {value} OR {condition}))")
        };
    }
    condition
}

/// Checked names as a quoted list.
fn in_list(schemas: &[String]) -> String {
    schemas
        .iter()
        .map(|schema| format!("'{schema}'"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The column `name` of the first answer.
fn names(answers: &[Table]) -> Vec<String> {
    answers
        .first()
        .map(|table| {
            table
                .iter()
                .map(|row| row.text("name").to_owned())
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: &str, character_set: &str) -> Column {
        Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            character_set: character_set.to_owned(),
            collation: if character_set.is_empty() {
                String::new()
            } else {
                format!("{character_set}_bin")
            },
        }
    }

    #[test]
    fn rows_after_a_key_are_asked_for_in_a_form_an_index_serves() {
        let key = [column("a", "int", ""), column("b", "int", "")];
        assert_eq!(after(&key, &[]), "TRUE");
        assert_eq!(after(&key[..1], &["7".to_owned()]), "`a` > 7");
        assert_eq!(
            after(&key, &["7".to_owned(), "9".to_owned()]),
            "(`a` >= 7 AND (`a` > 7 OR `b` > 9))"
        );
    }

    #[test]
    fn text_travels_as_bytes_in_its_own_character_set() {
        let text = column("t", "varchar", "latin1");
        assert_eq!(
            text.as_literal(),
            "IFNULL(CONCAT('_latin1 x''', HEX(`t`), ''''), 'NULL')"
        );
        assert!(text.as_key_literal().ends_with("' COLLATE latin1_bin')"));
        assert!(column("f", "float", "").as_literal().contains("AS DOUBLE"));
        assert!(
            column("d", "datetime", "")
                .as_literal()
                .contains("CONCAT('''', CAST(`d` AS CHAR), '''')")
        );
    }

    #[test]
    fn columns_named_like_an_alias_are_still_ordered_by() {
        let key = vec![column("k1", "int", ""), column("k0", "int", "")];
        let question = Shape {
            columns: key.clone(),
            key,
        }
        .select(&Cursor {
            schema: "w".to_owned(),
            table: "t".to_owned(),
            key: Vec::new(),
        });
        assert!(
            question.contains("FROM `w`.`t` AS s WHERE TRUE ORDER BY s.`k1`, s.`k0` LIMIT"),
            "{question}"
        );
    }

    #[test]
    fn a_table_ends_with_a_chunk_that_was_not_cut() {
        let chunk = |rows: usize, available: u32| Table {
            columns: vec!["r".to_owned(), "available".to_owned()],
            rows: vec![vec![Some("(1)".to_owned()), Some(available.to_string())]; rows],
        };
        assert!(is_last(&chunk(3, 3)));
        assert!(!is_last(&chunk(3, 9)), "cut by bytes");
        assert!(!is_last(&chunk(1000, CHUNK_ROWS)), "cut by rows");
    }

    #[test]
    fn a_chunk_becomes_one_statement_and_an_unreadable_row_an_error() {
        let shape = Shape {
            columns: vec![column("a", "int", "")],
            key: vec![column("a", "int", "")],
        };
        let cursor = Cursor {
            schema: "w".to_owned(),
            table: "t`x".to_owned(),
            key: Vec::new(),
        };
        let chunk = |values: &[Option<&str>]| Table {
            columns: vec!["r".to_owned()],
            rows: values.iter().map(|v| vec![v.map(str::to_owned)]).collect(),
        };
        assert_eq!(
            shape
                .insert(&cursor, &chunk(&[Some("(1)"), Some("(2)")]))
                .unwrap(),
            "REPLACE INTO `w`.`t``x` (`a`) VALUES (1),(2)"
        );
        assert!(matches!(
            shape.insert(&cursor, &chunk(&[None])),
            Err(Error::Conflict(_))
        ));
    }
}
