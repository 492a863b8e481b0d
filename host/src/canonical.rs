//! Canonical JSON: keys sorted, no white space. Equal values give equal bytes, and so one hash.
//!
//! Start at [`of`]. A type is printed once, in the order of its fields; where the members of an object turn out not to
//! be sorted, their text is put in order as the object ends (`canonical/print.rs`). No value in between is built for it.

mod print;

use serde::Serialize;
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

/// The name of a newtype that has its canonical text at hand: where [`of`] prints one, the serialiser is not human-readable,
/// and the text that it is given then is taken as it is.
pub(crate) const PRINTED: &str = "understudy::canonical::PRINTED";

/// The canonical text of anything that has JSON.
///
/// # Errors
/// What has no JSON: a map whose keys are not text, or whatever the type itself refuses.
pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut printer = print::Printer::new();
    value.serialize(&mut printer)?;
    printer.into_text()
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

    #[derive(Serialize)]
    struct Odd {
        b: u8,
        #[serde(rename = "\u{e9}")]
        accented: u8,
        c: u8,
        #[serde(rename = "\"")]
        quote: u8,
        #[serde(rename = "d d")]
        spaced: u8,
    }

    #[test]
    fn fields_with_odd_names_are_sorted_like_others() {
        let odd = Odd {
            b: 1,
            accented: 2,
            c: 3,
            quote: 4,
            spaced: 5,
        };
        assert_eq!(of(&odd).unwrap(), by_value(&odd));
        assert_eq!(
            of(&[odd]).unwrap(),
            r#"[{"\"":4,"b":1,"c":3,"d d":5,"é":2}]"#
        );
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Pair(u8, char);

    #[derive(Serialize)]
    enum Every {
        Unit,
        One(u64),
        Two(i8, f32),
        Named { b: bool, a: Option<Unit> },
    }

    #[test]
    fn every_kind_of_type_is_printed_as_its_value_is() {
        let every = [
            Every::Unit,
            Every::One(u64::MAX),
            Every::Two(i8::MIN, 0.5),
            Every::Named {
                b: true,
                a: Some(Unit),
            },
        ];
        let numbers = BTreeMap::from([(10, "ten"), (9, "nine"), (-1, "")]);
        let truths = BTreeMap::from([(true, ()), (false, ())]);
        let signs = BTreeMap::from([('"', i64::MIN), ('a', 0)]);
        let all = (every, numbers, truths, signs, Pair(1, '\\'), [1.0; 2]);
        assert_eq!(of(&all).unwrap(), by_value(&all));
        assert_eq!(of(&Every::Unit).unwrap(), r#""Unit""#);
    }

    #[test]
    fn what_has_no_json_is_an_error() {
        assert!(of(&BTreeMap::from([(vec![1], 1)])).is_err());
        assert!(of(&BTreeMap::from([((), 1)])).is_err());
    }
}
