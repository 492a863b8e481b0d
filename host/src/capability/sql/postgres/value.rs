//! Values between `wit/sql` and the wire of PostgreSQL.
//!
//! | column type | simple protocol | prepared |
//! |---|---|---|
//! | any, `NULL` | `null` | `null` |
//! | `boolean` | `text` (`t`, `f`) | `boolean` |
//! | `smallint`, `integer`, `bigint` | `text` | `integer` |
//! | `oid` | `text` | `unsigned` |
//! | `real`, `double precision` | `text` | `real` |
//! | `text`, `varchar`, `char`, `name`, `json`, `xml`, enumerations | `text` | `text` |
//! | `bytea` | `text` (`\x…`) | `bytes` |
//! | all others | `text` | none: to be cast to text |
//!
//! Parameters go as text that the server reads by the type it expects there, so that text means a number, a time or a
//! `jsonb` where one is wanted.

use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::capability::sql::SqlValue;

/// Types that are text on the wire.
const TEXTS: [Type; 7] = [
    Type::TEXT,
    Type::VARCHAR,
    Type::BPCHAR,
    Type::NAME,
    Type::UNKNOWN,
    Type::JSON,
    Type::XML,
];

/// True where a prepared statement may answer a column of this type.
pub(super) fn is_served(kind: &Type) -> bool {
    <SqlValue as FromSql>::accepts(kind)
}

impl<'a> FromSql<'a> for SqlValue {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::BOOL => Self::Boolean(bool::from_sql(kind, raw)?),
            Type::INT2 => Self::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::OID => Self::Unsigned(u32::from_sql(kind, raw)?.into()),
            Type::FLOAT4 => Self::Real(f32::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        let plain = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::OID,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::BYTEA,
        ];
        plain.contains(kind) || TEXTS.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Boolean(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                return Ok(IsNull::No);
            }
            Self::Bytes(bytes) => format!("\\x{}", crate::call::hex(bytes)),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
