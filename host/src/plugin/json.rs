//! Values of the component model as JSON and back, directed by their types. `call` describes the shape.

use serde_json::{Map, Number, Value};
use wasmtime::component::types::ResultType;
use wasmtime::component::{Type, Val};

use crate::bytes;

/// Deepest nesting accepted; the contracts nest to about six.
const MAX_DEPTH: u32 = 32;

/// A value that does not have the shape its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at `{path}`")]
pub struct ShapeError {
    /// Where, for example `reply.ok.values[0]`.
    pub path: String,
    /// What was expected and what was found.
    pub problem: String,
}

impl ShapeError {
    fn new(expected: &str, found: &Value) -> Self {
        let mut text = found.to_string();
        if let Some((cut, _)) = text.char_indices().nth(60) {
            text.truncate(cut);
            text.push('…');
        }
        Self {
            path: String::new(),
            problem: format!("expected {expected}, found {text}"),
        }
    }

    fn plain(problem: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            problem: problem.into(),
        }
    }

    fn at(mut self, step: &str) -> Self {
        self.path = match (self.path.is_empty(), self.path.starts_with('[')) {
            (true, _) => step.to_owned(),
            (false, true) => format!("{step}{}", self.path),
            (false, false) => format!("{step}.{}", self.path),
        };
        self
    }
}

/// A component value as JSON.
///
/// # Errors
/// [`ShapeError`] for what JSON cannot carry: NaN and infinities, resources, streams, futures.
pub fn from_val(val: &Val) -> Result<Value, ShapeError> {
    Ok(match val {
        Val::Bool(v) => Value::Bool(*v),
        Val::S8(v) => (*v).into(),
        Val::U8(v) => (*v).into(),
        Val::S16(v) => (*v).into(),
        Val::U16(v) => (*v).into(),
        Val::S32(v) => (*v).into(),
        Val::U32(v) => (*v).into(),
        Val::S64(v) => (*v).into(),
        Val::U64(v) => (*v).into(),
        Val::Float32(v) => float(f64::from(*v))?,
        Val::Float64(v) => float(*v)?,
        Val::Char(v) => Value::String(v.to_string()),
        Val::String(v) => Value::String(v.clone()),
        // An empty list of bytes cannot be told from any other, and is read back as what it is.
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => {
            let byte = |item: &Val| match item {
                Val::U8(byte) => Some(*byte),
                _ => None,
            };
            bytes::to_value(&items.iter().filter_map(byte).collect::<Vec<u8>>())
        }
        Val::List(items) | Val::Tuple(items) | Val::FixedLengthList(items) => {
            Value::Array(items.iter().map(from_val).collect::<Result<_, _>>()?)
        }
        Val::Record(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, val)| Ok((name.clone(), from_val(val).map_err(|e| e.at(name))?)))
                .collect::<Result<_, ShapeError>>()?,
        ),
        Val::Variant(case, None) | Val::Enum(case) => Value::String(case.clone()),
        Val::Variant(case, Some(payload)) => single(case, from_val(payload)?),
        Val::Option(None) => Value::Null,
        // An option of an option needs a wrapper, or `some(none)` would read as `none`.
        Val::Option(Some(inner)) => match inner.as_ref() {
            Val::Option(_) => single("some", from_val(inner)?),
            other => from_val(other)?,
        },
        Val::Result(Ok(payload)) => single("ok", payload_value(payload.as_deref())?),
        Val::Result(Err(payload)) => single("err", payload_value(payload.as_deref())?),
        Val::Flags(names) => Value::Array(names.iter().cloned().map(Value::String).collect()),
        Val::Map(_) | Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => {
            return Err(ShapeError::plain("only plain values cross the seam"));
        }
    })
}

fn payload_value(payload: Option<&Val>) -> Result<Value, ShapeError> {
    payload.map_or(Ok(Value::Null), from_val)
}

fn float(value: f64) -> Result<Value, ShapeError> {
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| ShapeError::plain(format!("{value} is not a number JSON has")))
}

fn single(case: &str, payload: Value) -> Value {
    Value::Object(Map::from_iter([(case.to_owned(), payload)]))
}

/// JSON as a component value of type `ty`.
///
/// # Errors
/// [`ShapeError`] saying where the value does not fit.
pub fn to_val(value: &Value, ty: &Type) -> Result<Val, ShapeError> {
    lower(value, ty, MAX_DEPTH)
}

/// One side of a result, by its payload, as a component value of type `ty`.
///
/// # Errors
/// [`ShapeError`] saying where the payload does not fit, or that `ty` is no result.
pub fn side_to_val(side: Result<&Value, &Value>, ty: &Type) -> Result<Val, ShapeError> {
    match ty {
        Type::Result(result) => lower_side(side, result, MAX_DEPTH - 1),
        _ => Err(ShapeError::plain("the function has no result type")),
    }
}

fn lower(value: &Value, ty: &Type, depth: u32) -> Result<Val, ShapeError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(ShapeError::plain("nested too deeply"));
    };
    match ty {
        Type::Bool => value
            .as_bool()
            .map(Val::Bool)
            .ok_or_else(|| ShapeError::new("true or false", value)),
        Type::S8 => integer(value, "an s8", Val::S8),
        Type::U8 => integer(value, "a u8", Val::U8),
        Type::S16 => integer(value, "an s16", Val::S16),
        Type::U16 => integer(value, "a u16", Val::U16),
        Type::S32 => integer(value, "an s32", Val::S32),
        Type::U32 => integer(value, "a u32", Val::U32),
        Type::S64 => integer(value, "an s64", Val::S64),
        Type::U64 => integer(value, "a u64", Val::U64),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an f32 parameter takes the nearest f32"
        )]
        Type::Float32 => value
            .as_f64()
            .map(|v| Val::Float32(v as f32))
            .ok_or_else(|| ShapeError::new("a number", value)),
        Type::Float64 => value
            .as_f64()
            .map(Val::Float64)
            .ok_or_else(|| ShapeError::new("a number", value)),
        Type::Char => one_char(value)
            .map(Val::Char)
            .ok_or_else(|| ShapeError::new("one character", value)),
        Type::String => value
            .as_str()
            .map(|v| Val::String(v.to_owned()))
            .ok_or_else(|| ShapeError::new("a text", value)),
        Type::List(list) if list.ty() == Type::U8 && value.is_object() => bytes::from_value(value)
            .map(|bytes| Val::List(bytes.into_iter().map(Val::U8).collect()))
            .ok_or_else(|| ShapeError::new("bytes", value)),
        Type::List(list) => list_of(value, &list.ty(), depth).map(Val::List),
        Type::FixedLengthList(list) => list_of(value, &list.ty(), depth).map(Val::FixedLengthList),
        Type::Tuple(tuple) => tuple_of(value, &tuple.types().collect::<Vec<_>>(), depth),
        Type::Record(_) | Type::Variant(_) | Type::Enum(_) | Type::Flags(_) => {
            named(value, ty, depth)
        }
        Type::Option(option) => lower_option(value, &option.ty(), depth),
        Type::Result(result) => lower_result(value, result, depth),
        _ => Err(ShapeError::plain("only plain values cross the seam")),
    }
}

/// Types whose values are told apart by names.
fn named(value: &Value, ty: &Type, depth: u32) -> Result<Val, ShapeError> {
    match ty {
        Type::Record(record) => {
            let object = value
                .as_object()
                .ok_or_else(|| ShapeError::new("a record", value))?;
            record
                .fields()
                .map(|field| {
                    let item = object.get(field.name).unwrap_or(&Value::Null);
                    let val = lower(item, &field.ty, depth).map_err(|e| e.at(field.name))?;
                    Ok((field.name.to_owned(), val))
                })
                .collect::<Result<_, _>>()
                .map(Val::Record)
        }
        Type::Variant(variant) => {
            let (name, payload) = case_of(value).ok_or_else(|| ShapeError::new("a case", value))?;
            let case = variant
                .cases()
                .find(|case| case.name == name)
                .ok_or_else(|| ShapeError::new("a known case", value))?;
            let payload = match (&case.ty, payload) {
                (None, _) => None,
                (Some(ty), payload) => {
                    let item = payload.unwrap_or(&Value::Null);
                    Some(Box::new(lower(item, ty, depth).map_err(|e| e.at(name))?))
                }
            };
            Ok(Val::Variant(name.to_owned(), payload))
        }
        Type::Enum(cases) => value
            .as_str()
            .filter(|name| cases.names().any(|known| known == *name))
            .map(|name| Val::Enum(name.to_owned()))
            .ok_or_else(|| ShapeError::new("a known case", value)),
        Type::Flags(flags) => {
            let names = value
                .as_array()
                .ok_or_else(|| ShapeError::new("a list of flags", value))?;
            names
                .iter()
                .map(|name| {
                    name.as_str()
                        .filter(|name| flags.names().any(|known| known == *name))
                        .map(str::to_owned)
                        .ok_or_else(|| ShapeError::new("a known flag", name))
                })
                .collect::<Result<_, _>>()
                .map(Val::Flags)
        }
        _ => Err(ShapeError::plain("not a named type")),
    }
}

fn integer<T: TryFrom<i128>>(
    value: &Value,
    expected: &str,
    make: fn(T) -> Val,
) -> Result<Val, ShapeError> {
    let wide = value
        .as_u64()
        .map(i128::from)
        .or_else(|| value.as_i64().map(i128::from));
    wide.and_then(|wide| T::try_from(wide).ok())
        .map(make)
        .ok_or_else(|| ShapeError::new(expected, value))
}

fn one_char(value: &Value) -> Option<char> {
    let mut chars = value.as_str()?.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn list_of(value: &Value, ty: &Type, depth: u32) -> Result<Vec<Val>, ShapeError> {
    let items = value
        .as_array()
        .ok_or_else(|| ShapeError::new("a list", value))?;
    items
        .iter()
        .enumerate()
        .map(|(i, item)| lower(item, ty, depth).map_err(|e| e.at(&format!("[{i}]"))))
        .collect()
}

fn tuple_of(value: &Value, types: &[Type], depth: u32) -> Result<Val, ShapeError> {
    let items = value.as_array().filter(|items| items.len() == types.len());
    let items = items.ok_or_else(|| ShapeError::new("a tuple", value))?;
    items
        .iter()
        .zip(types)
        .map(|(item, ty)| lower(item, ty, depth))
        .collect::<Result<_, _>>()
        .map(Val::Tuple)
}

fn lower_option(value: &Value, inner: &Type, depth: u32) -> Result<Val, ShapeError> {
    match (value, inner) {
        (Value::Null, _) => Ok(Val::Option(None)),
        (value, Type::Option(_)) => {
            let payload = value
                .get("some")
                .ok_or_else(|| ShapeError::new("`{\"some\": …}`", value))?;
            Ok(Val::Option(Some(Box::new(lower(payload, inner, depth)?))))
        }
        (value, inner) => Ok(Val::Option(Some(Box::new(lower(value, inner, depth)?)))),
    }
}

fn lower_result(value: &Value, ty: &ResultType, depth: u32) -> Result<Val, ShapeError> {
    let misfit = || ShapeError::new("`{\"ok\": …}` or `{\"err\": …}`", value);
    let (name, payload) = case_of(value).ok_or_else(misfit)?;
    let payload = payload.unwrap_or(&Value::Null);
    match name {
        "ok" => lower_side(Ok(payload), ty, depth),
        "err" => lower_side(Err(payload), ty, depth),
        _ => Err(misfit()),
    }
}

fn lower_side(
    side: Result<&Value, &Value>,
    ty: &ResultType,
    depth: u32,
) -> Result<Val, ShapeError> {
    let (name, payload, ty) = match side {
        Ok(payload) => ("ok", payload, ty.ok()),
        Err(payload) => ("err", payload, ty.err()),
    };
    let payload = ty
        .map(|ty| lower(payload, &ty, depth).map(Box::new))
        .transpose()
        .map_err(|e| e.at(name))?;
    Ok(Val::Result(match side {
        Ok(_) => Ok(payload),
        Err(_) => Err(payload),
    }))
}

/// The case a JSON value names, with its payload.
fn case_of(value: &Value) -> Option<(&str, Option<&Value>)> {
    match value {
        Value::String(name) => Some((name, None)),
        Value::Object(object) if object.len() == 1 => object
            .iter()
            .next()
            .map(|(name, v)| (name.as_str(), Some(v))),
        _ => None,
    }
}
