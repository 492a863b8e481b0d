//! Canonical JSON: keys sorted, no white space. Equal values give equal bytes, and so one hash.
//!
//! Start at [`of`]. A type is printed once, in the order of its fields; where the members of an object turn out not to be
//! sorted, their text is put in order as the object ends. No value in between is built for it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value};

/// The canonical text of a JSON value.
#[must_use]
pub fn value(value: &Value) -> String {
    // serde_json's map is a BTreeMap here (its `preserve_order` feature is off), so printing sorts.
    value.to_string()
}

/// The canonical text of arguments by name: that of the object they make.
#[must_use]
pub fn arguments(args: &Map<String, Value>) -> String {
    serde_json::to_string(args).unwrap_or_else(|_| value(&Value::Object(args.clone())))
}

/// The canonical text of anything that has JSON.
///
/// # Errors
/// What has no JSON: a map whose keys are not text, or whatever the type itself refuses.
pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let text = Text::default();
    let order = Sorting {
        text: text.clone(),
        members: Vec::new(),
        open: Vec::new(),
        sorted: Vec::new(),
    };
    value.serialize(&mut Serializer::with_formatter(text.clone(), order))?;
    let bytes = text.0.take();
    // Only whole texts are written, so it cannot be anything but UTF-8.
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// What is written so far: the serialiser's way out, and the formatter's way back to what it has written.
#[derive(Clone, Default)]
struct Text(Rc<RefCell<Vec<u8>>>);

impl Text {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a member of an object stands in the text.
#[derive(Clone)]
struct Member {
    /// Its key, in quotes.
    key: Range<usize>,
    /// The end of its value.
    end: usize,
}

/// Puts the members of every object in order once the object is complete.
struct Sorting {
    text: Text,
    /// Members of all open objects, outermost first.
    members: Vec<Member>,
    /// Where the members of each open object begin.
    open: Vec<usize>,
    /// Room for the members of one object, in order.
    sorted: Vec<u8>,
}

impl Formatter for Sorting {
    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.push(self.members.len());
        writer.write_all(b"{")
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        let start = self.text.len();
        self.members.push(Member {
            key: start..start,
            end: start,
        });
        Ok(())
    }

    fn end_object_key<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        if let Some(member) = self.members.last_mut() {
            member.key.end = self.text.len();
        }
        Ok(())
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        if let Some(member) = self.members.last_mut() {
            member.end = self.text.len();
        }
        Ok(())
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        let first = self.open.pop().unwrap_or_default();
        if let Some(members) = self.members.get_mut(first..) {
            sort(&mut self.text.0.borrow_mut(), members, &mut self.sorted);
        }
        self.members.truncate(first);
        writer.write_all(b"}")
    }
}

/// Puts the members that end a text in the order of their keys.
fn sort(text: &mut Vec<u8>, members: &mut [Member], sorted: &mut Vec<u8>) {
    let written: &[u8] = text;
    if members.is_sorted_by(|a, b| key(written, a) <= key(written, b)) {
        return;
    }
    let begin = members
        .first()
        .map_or(written.len(), |first| first.key.start);
    members.sort_by(|a, b| key(written, a).cmp(&key(written, b)));
    sorted.clear();
    for member in members.iter() {
        if !sorted.is_empty() {
            sorted.push(b',');
        }
        sorted.extend_from_slice(text.get(member.key.start..member.end).unwrap_or_default());
    }
    text.truncate(begin);
    text.extend_from_slice(sorted);
}

/// A key as it compares: without its quotes, and without escapes, which would change the order.
fn key<'t>(text: &'t [u8], member: &Member) -> Cow<'t, [u8]> {
    let quoted = text.get(member.key.clone()).unwrap_or_default();
    if quoted.contains(&b'\\')
        && let Ok(key) = serde_json::from_slice::<String>(quoted)
    {
        return Cow::Owned(key.into_bytes());
    }
    let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    Cow::Borrowed(inner.strip_suffix(b"\"").unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case", tag = "type", content = "body")]
    enum Said {
        Nothing,
        Much {
            z: Vec<Said>,
            a: Option<f64>,
            m: BTreeMap<String, u8>,
        },
        One(Inner),
    }

    #[derive(Serialize)]
    struct Inner {
        b: (),
        a: &'static str,
    }

    /// By way of a value, whose maps are sorted.
    fn by_value(value: &impl Serialize) -> String {
        serde_json::to_value(value).unwrap().to_string()
    }

    #[test]
    fn members_are_sorted_at_every_depth() {
        let map = [
            ("\"", 1),
            ("\u{1}", 2),
            ("a", 3),
            ("[", 4),
            ("é", 5),
            ("a\\", 6),
            ("", 7),
        ];
        let map: BTreeMap<String, u8> = map.map(|(key, n)| (key.to_owned(), n)).into();
        let said = Said::Much {
            z: vec![
                Said::Nothing,
                Said::One(Inner {
                    b: (),
                    a: "\n\"}{,:",
                }),
            ],
            a: Some(0.1),
            m: map,
        };
        let text = of(&said).unwrap();
        assert_eq!(text, by_value(&said));
        assert!(text.starts_with(r#"{"body":{"a":0.1,"m":{"":7,"#), "{text}");
        assert_eq!(of(&json!([])).unwrap(), "[]");
        assert_eq!(of(&f64::NAN).unwrap(), "null");
    }

    #[test]
    fn whatever_the_order_of_fields_the_text_is_that_of_the_value() {
        let one: Value =
            serde_json::from_str(r#"{"b":{"d":[1,{}],"c":"x"},"a":-1.5e300}"#).unwrap();
        assert_eq!(of(&one).unwrap(), one.to_string());
    }

    #[test]
    fn what_has_no_json_is_an_error() {
        assert!(of(&BTreeMap::from([(vec![1], 1)])).is_err());
    }
}
