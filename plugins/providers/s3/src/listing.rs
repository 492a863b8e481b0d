//! What a bucket holds, page by page, and what of one bucket is not in another. Pure but for the pages, which are asked for.

use std::collections::VecDeque;

use roxmltree::{Document, Node};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::time::parse_rfc3339;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    /// In bytes.
    size: u64,
    /// Quoted, as it came; empty where the server gives none.
    tag: String,
    /// In milliseconds since the epoch, to the second.
    pub(crate) written_at_ms: u64,
}

impl Object {
    /// Whether this is a copy of another: as long, and not known to be of another content, or written since.
    fn copies(&self, other: &Self) -> bool {
        let differ = match (self.digest(), other.digest()) {
            (Some(own), Some(its)) => own != its,
            // Whoever copies a large object in other parts gives it another tag, and each of two places that are copied to
            // each other has the later time of some objects: neither tells anything.
            _ => false,
        };
        self.size == other.size && (!differ || self.written_at_ms >= other.written_at_ms)
    }

    /// The tag where it is a digest of the content; that of an object that came in parts is none.
    fn digest(&self) -> Option<&str> {
        let tag = self.tag.trim_matches('"');
        (!tag.is_empty() && !tag.contains('-')).then_some(tag)
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    /// Where the next one goes on; none after the last.
    pub(crate) next: Option<String>,
    /// The server's time, in milliseconds since the epoch, to the second.
    pub(crate) at_ms: u64,
}

impl Page {
    /// Reads the answer to `ListObjectsV2`.
    pub(crate) fn read(text: &str, at_ms: u64) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        let root = document.root_element();
        if root.tag_name().name() != "ListBucketResult" {
            return Err(format!(
                "a `{}` is no list of objects",
                root.tag_name().name()
            ));
        }
        let objects = root
            .children()
            .filter(|node| node.has_tag_name_of("Contents"));
        Ok(Self {
            objects: objects.map(object).collect::<Result<_, _>>()?,
            next: match child(root, "IsTruncated") {
                "true" => Some(child(root, "NextContinuationToken").to_owned()),
                _ => None,
            },
            at_ms,
        })
    }
}

/// Names of elements without their namespace: servers differ in whether they give one.
trait Named {
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn child<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let mut children = node.children();
    let found = children.find(|child| child.has_tag_name_of(name));
    found.and_then(|child| child.text()).unwrap_or_default()
}

fn object(node: Node<'_, '_>) -> Result<Object, String> {
    let key = child(node, "Key").to_owned();
    let number = child(node, "Size").parse();
    let written = parse_rfc3339(child(node, "LastModified"));
    match (number, written) {
        (Ok(size), Some(written_at_ms)) if !key.is_empty() => Ok(Object {
            key,
            size,
            tag: child(node, "ETag").to_owned(),
            written_at_ms,
        }),
        _ => Err(format!("the object `{key}` has no size or no time")),
    }
}

/// The objects of a bucket in the order of their keys, asked for a page at a time.
pub(crate) struct Objects<F> {
    fetch: F,
    ready: VecDeque<Object>,
    next: Option<Option<String>>,
    pages_left: usize,
    last: String,
    /// The server's time at the first page, in milliseconds since the epoch.
    pub(crate) at_ms: u64,
}

impl<F: FnMut(Option<&str>) -> Result<Page, Error>> Objects<F> {
    /// From the first one on; `fetch` is given where to go on.
    pub(crate) fn new(fetch: F, pages: usize) -> Self {
        Self {
            fetch,
            ready: VecDeque::new(),
            next: Some(None),
            pages_left: pages,
            last: String::new(),
            at_ms: 0,
        }
    }

    /// The next one, but for those that `skip` names.
    pub(crate) fn next(&mut self, skip: &str) -> Result<Option<Object>, Error> {
        loop {
            while let Some(object) = self.ready.pop_front() {
                if object.key <= self.last {
                    return Err(Error::Other(format!(
                        "the server lists `{}` after `{}`: lists are compared in the order of keys",
                        object.key, self.last
                    )));
                }
                self.last.clone_from(&object.key);
                if object.key != skip {
                    return Ok(Some(object));
                }
            }
            let Some(from) = self.next.take() else {
                return Ok(None);
            };
            self.pages_left = self.pages_left.checked_sub(1).ok_or_else(|| {
                Error::Invalid(
                    "the bucket holds more objects than are compared: name a `prefix`".to_owned(),
                )
            })?;
            let page = (self.fetch)(from.as_deref())?;
            if from.is_none() {
                self.at_ms = page.at_ms;
            }
            self.ready.extend(page.objects);
            self.next = page.next.map(Some);
        }
    }
}

/// What is missing of one bucket in another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Missing {
    /// How many objects.
    pub(crate) count: u64,
    /// The oldest of them.
    pub(crate) oldest: Option<Object>,
}

/// Lays the objects of two buckets side by side. What only the second one has does not matter.
pub(crate) fn missing<A, B>(
    source: &mut Objects<A>,
    copy: &mut Objects<B>,
    skip: &str,
) -> Result<Missing, Error>
where
    A: FnMut(Option<&str>) -> Result<Page, Error>,
    B: FnMut(Option<&str>) -> Result<Page, Error>,
{
    let mut missing = Missing::default();
    let mut other = copy.next(skip)?;
    while let Some(object) = source.next(skip)? {
        while other.as_ref().is_some_and(|other| other.key < object.key) {
            other = copy.next(skip)?;
        }
        let there = other.as_ref().filter(|other| other.key == object.key);
        if there.is_some_and(|there| there.copies(&object)) {
            continue;
        }
        missing.count += 1;
        let is_oldest = |oldest: &Object| object.written_at_ms < oldest.written_at_ms;
        if missing.oldest.as_ref().is_none_or(is_oldest) {
            missing.oldest = Some(object);
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name><IsTruncated>true</IsTruncated>
        <NextContinuationToken>1ue/=</NextContinuationToken>
        <Contents><Key>2026/11/a &amp; b.png</Key><LastModified>2026-11-21T10:00:01.000Z</LastModified>
        <ETag>&quot;f00&quot;</ETag><Size>67</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"#;

    fn object(key: &str, size: u64, tag: &str, written_at_ms: u64) -> Object {
        Object {
            key: key.to_owned(),
            size,
            tag: tag.to_owned(),
            written_at_ms,
        }
    }

    /// Pages of one object each.
    fn objects(all: Vec<Object>) -> Objects<impl FnMut(Option<&str>) -> Result<Page, Error>> {
        let fetch = move |from: Option<&str>| {
            let place: usize = from.map_or(0, |text| text.parse().unwrap());
            Ok(Page {
                objects: all.get(place).cloned().into_iter().collect(),
                next: (place + 1 < all.len()).then(|| (place + 1).to_string()),
                at_ms: 1_000 + u64::try_from(place).unwrap(),
            })
        };
        Objects::new(fetch, 4)
    }

    #[test]
    fn a_page_is_read_with_its_objects_and_where_it_goes_on() {
        let page = Page::read(LIST, 5).unwrap();
        assert_eq!(page.next.as_deref(), Some("1ue/="));
        let read = object("2026/11/a & b.png", 67, "\"f00\"", 1_795_255_201_000);
        assert_eq!(page.objects, [read]);
        assert!(Page::read("<Error><Code>AccessDenied</Code></Error>", 0).is_err());
        assert!(Page::read(&LIST.replace("67", "many"), 0).is_err());
        assert!(Page::read("<html>", 0).is_err());
    }

    #[test]
    fn what_is_not_there_or_is_another_is_missing_and_the_oldest_is_named() {
        let mut source = objects(vec![
            object("a", 1, "x", 900),
            object("b", 2, "y", 500),
            object("c", 3, "z", 700),
            object("marker", 9, "m", 100),
        ]);
        // `a` is a copy by its content, `b` is an older one, `c` is not there.
        let mut copy = objects(vec![
            object("a", 1, "x", 100),
            object("b", 2, "w", 400),
            object("d", 3, "z", 700),
        ]);
        let found = missing(&mut source, &mut copy, "marker").unwrap();
        assert_eq!((found.count, found.oldest.unwrap().key.as_str()), (2, "b"));
        assert_eq!(source.at_ms, 1_000);
    }

    #[test]
    fn a_copy_of_another_content_counts_where_it_was_written_since() {
        for (size, tag, written, count) in [
            (1, "\"y\"", 500, 0),
            (1, "\"y\"", 499, 1),
            (1, "\"x\"", 499, 0),
            (2, "\"x\"", 900, 1),
            // In parts, or without a tag: nothing but the length is known.
            (1, "\"y-2\"", 499, 0),
            (1, "", 499, 0),
            (2, "", 900, 1),
        ] {
            let mut copy = objects(vec![object("a", size, tag, written)]);
            let mut source = objects(vec![object("a", 1, "\"x\"", 500)]);
            let found = missing(&mut source, &mut copy, "").unwrap();
            assert_eq!(found.count, count, "{size} {tag} {written}");
        }
    }

    #[test]
    fn lists_out_of_order_and_without_end_are_refused() {
        let mut source = objects(vec![object("b", 1, "", 0), object("a", 1, "", 0)]);
        let mut copy = objects(Vec::new());
        assert!(matches!(
            missing(&mut source, &mut copy, ""),
            Err(Error::Other(_))
        ));
        let many = ["a", "b", "c", "d", "e"].map(|key| object(key, 1, "", 0));
        let (mut source, mut copy) = (objects(many.to_vec()), objects(Vec::new()));
        assert!(matches!(
            missing(&mut source, &mut copy, ""),
            Err(Error::Invalid(text)) if text.contains("prefix")
        ));
    }
}
