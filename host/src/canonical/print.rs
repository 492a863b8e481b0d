//! A serialiser that prints canonical JSON into one buffer. Scalars are printed by `serde_json`; what is done here is
//! where members of objects begin and end, and their order.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;
use serde::ser::{self, Error as _};

type Error = serde_json::Error;

/// Bytes of most records of a journal, and members of all their objects that are open at once.
const USUAL_BYTES: usize = 960;
const USUAL_MEMBERS: usize = 24;

/// What is printed so far.
pub(super) struct Printer {
    text: Vec<u8>,
    /// Members of all open objects, outermost first.
    members: Vec<Member>,
    /// Room for the members of one object, in order.
    sorted: Vec<u8>,
    /// The next text is canonical JSON already.
    is_printed: bool,
}

/// Where a member of an object stands in the text.
#[derive(Clone)]
struct Member {
    /// Its key, with its quotes.
    key: Range<usize>,
    /// Something in the key is escaped.
    is_escaped: bool,
    /// The end of its value.
    end: usize,
}

impl Member {
    /// The key as it compares: without escapes, which would change the order.
    fn key<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let quoted = text.get(self.key.clone()).unwrap_or_default();
        if self.is_escaped
            && let Ok(key) = serde_json::from_slice::<String>(quoted)
        {
            return Cow::Owned(key.into_bytes());
        }
        let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
        Cow::Borrowed(inner.strip_suffix(b"\"").unwrap_or(inner))
    }
}

impl Printer {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::with_capacity(USUAL_BYTES),
            members: Vec::with_capacity(USUAL_MEMBERS),
            sorted: Vec::new(),
            is_printed: false,
        }
    }

    /// The text, once one value is printed.
    pub(super) fn into_text(self) -> Result<String, Error> {
        // Only whole texts are written, so it cannot be anything but UTF-8.
        String::from_utf8(self.text).map_err(Error::custom)
    }

    fn put(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn scalar<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        serde_json::to_writer(&mut self.text, value)
    }

    fn list(&mut self, closing: &'static str) -> List<'_> {
        self.put("[");
        List {
            printer: self,
            is_empty: true,
            closing,
        }
    }

    fn object(&mut self, closing: &'static str) -> Object<'_> {
        self.put("{");
        Object {
            first: self.members.len(),
            in_order: true,
            newest: "",
            printer: self,
            closing,
        }
    }

    /// The beginning of an object whose only member is a case of an enum.
    fn case(&mut self, name: &'static str) -> Result<(), Error> {
        self.put("{");
        self.scalar(name)?;
        self.put(":");
        Ok(())
    }
}

/// A list whose end has not come.
pub(super) struct List<'p> {
    printer: &'p mut Printer,
    is_empty: bool,
    closing: &'static str,
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_empty) {
            self.printer.put(",");
        }
        value.serialize(&mut *self.printer)
    }

    fn close(self) {
        self.printer.put(self.closing);
    }
}

/// An object whose end has not come.
pub(super) struct Object<'p> {
    printer: &'p mut Printer,
    /// Where its members begin.
    first: usize,
    /// They have come in order so far.
    in_order: bool,
    /// The field that came last, where the object is a type's.
    newest: &'static str,
    closing: &'static str,
}

impl Object<'_> {
    /// Where the next member stands.
    fn begin(&mut self) -> usize {
        if self.printer.members.len() > self.first {
            self.printer.put(",");
        }
        self.printer.text.len()
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let start = self.begin();
        let printer = &mut *self.printer;
        key.serialize(&mut *printer)?;
        match printer.text.get(start) {
            Some(b'"') => {}
            // What has no quotes of its own gets them: numbers, true and false.
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                printer.text.insert(start, b'"');
                printer.put("\"");
            }
            _ => return Err(Error::custom("key must be a string")),
        }
        let text = &printer.text;
        let quoted = text.get(start..).unwrap_or_default();
        let member = Member {
            key: start..text.len(),
            is_escaped: quoted.contains(&b'\\'),
            end: start,
        };
        let before = printer.members.get(self.first..).and_then(<[_]>::last);
        self.in_order &= before.is_none_or(|before| before.key(text) <= member.key(text));
        printer.members.push(member);
        printer.put(":");
        Ok(())
    }

    /// As [`key`](Self::key), for the name of a type's field: nearly every key of a journal is one.
    fn field(&mut self, name: &'static str) -> Result<(), Error> {
        let is_plain = |byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
        if !name.bytes().all(is_plain) {
            self.in_order = false;
            return self.key(name);
        }
        let start = self.begin();
        let printer = &mut *self.printer;
        printer.put("\"");
        printer.put(name);
        printer.put("\"");
        let end = printer.text.len();
        printer.put(":");
        printer.members.push(Member {
            key: start..end,
            is_escaped: false,
            end: start,
        });
        self.in_order &= self.newest <= name;
        self.newest = name;
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.printer)?;
        let end = self.printer.text.len();
        if let Some(member) = self.printer.members.last_mut() {
            member.end = end;
        }
        Ok(())
    }

    fn close(self) {
        let Printer {
            text,
            members,
            sorted,
            ..
        } = self.printer;
        let own = members.get_mut(self.first..).filter(|_| !self.in_order);
        if let Some(own) = own {
            sort(text, own, sorted);
        }
        members.truncate(self.first);
        text.extend_from_slice(self.closing.as_bytes());
    }
}

/// Swaps the two members that end a text: every record is one of two, the larger one last.
fn swap(text: &mut [u8], first: usize, second: usize) {
    let Some(both) = text.get_mut(first..) else {
        return;
    };
    // `first,second` becomes `secondfirst,`, and then the comma goes between them.
    both.rotate_left(second - first);
    let end_of_second = both.len() - (second - first);
    if let Some(rest) = both.get_mut(end_of_second..) {
        rest.rotate_right(1);
    }
}

/// Puts the members that end a text in the order of their keys.
fn sort(text: &mut Vec<u8>, members: &mut [Member], sorted: &mut Vec<u8>) {
    if let [first, second] = members {
        swap(text, first.key.start, second.key.start);
        return;
    }
    let written: &[u8] = text;
    let begin = members
        .first()
        .map_or(written.len(), |first| first.key.start);
    members.sort_by(|a, b| a.key(written).cmp(&b.key(written)));
    sorted.clear();
    sorted.reserve(written.len().saturating_sub(begin));
    for member in members.iter() {
        if !sorted.is_empty() {
            sorted.push(b',');
        }
        sorted.extend_from_slice(text.get(member.key.start..member.end).unwrap_or_default());
    }
    text.truncate(begin);
    text.extend_from_slice(sorted);
}

/// Methods that print a number.
macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.scalar(&value)
        })*
    };
}

impl<'p> ser::Serializer for &'p mut Printer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'p>;
    type SerializeTuple = List<'p>;
    type SerializeTupleStruct = List<'p>;
    type SerializeTupleVariant = List<'p>;
    type SerializeMap = Object<'p>;
    type SerializeStruct = Object<'p>;
    type SerializeStructVariant = Object<'p>;

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128
    );

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.put(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn is_human_readable(&self) -> bool {
        !self.is_printed
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if std::mem::take(&mut self.is_printed) {
            self.put(value);
            return Ok(());
        }
        self.scalar(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.put("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
    ) -> Result<(), Error> {
        self.scalar(case)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.is_printed = name == super::PRINTED;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.case(case)?;
        value.serialize(&mut *self)?;
        self.put("}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'p>, Error> {
        Ok(self.list("]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'p>, Error> {
        Ok(self.list("]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'p>, Error> {
        Ok(self.list("]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        _: usize,
    ) -> Result<List<'p>, Error> {
        self.case(case)?;
        Ok(self.list("]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'p>, Error> {
        Ok(self.object("}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'p>, Error> {
        Ok(self.object("}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        _: usize,
    ) -> Result<Object<'p>, Error> {
        self.case(case)?;
        Ok(self.object("}}"))
    }
}

/// Lists by another name.
macro_rules! list {
    ($($kind:ident $item:ident),*) => {
        $(impl ser::$kind for List<'_> {
            type Ok = ();
            type Error = Error;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

list!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

/// Objects whose keys are known.
macro_rules! fields {
    ($($kind:ident),*) => {
        $(impl ser::$kind for Object<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(key)?;
                self.value(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}
