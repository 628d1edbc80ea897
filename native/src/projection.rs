//! The parts of an input that a policy reads, as canonical JSON: what a decision can be remembered under.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::input::{Left, Plain};

/// Paths of the input as nested keys. `Whole`: everything below is read.
enum Tree {
    Whole,
    Keys(BTreeMap<String, Tree>),
}

impl Tree {
    fn of(paths: &[&[String]]) -> Self {
        if paths.iter().any(|path| path.is_empty()) {
            return Self::Whole;
        }
        let mut below: BTreeMap<&String, Vec<&[String]>> = BTreeMap::new();
        for path in paths {
            below.entry(&path[0]).or_default().push(&path[1..]);
        }
        Self::Keys(below.into_iter().map(|(key, rest)| (key.clone(), Self::of(&rest))).collect())
    }
}

/// `openclaw.policy.reads.Projection` and `openclaw.policy.engine.encode` in one step, for inputs of plain objects.
#[pyclass(frozen, module = "openclaw._native")]
pub struct Projection {
    tree: Tree,
}

#[pymethods]
impl Projection {
    #[new]
    fn new(paths: Vec<Vec<String>>) -> Self {
        let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
        Self { tree: Tree::of(&paths) }
    }

    /// The canonical JSON (RFC 8785) of what `document` has on the paths; None where an object anywhere in it is not plain,
    /// also where nothing reads it: such an input is refused, or means what its own canonical form means.
    fn canonical<'py>(&self, py: Python<'py>, document: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
        let mut output = Vec::with_capacity(256);
        write(document, Some(&self.tree), &mut Left::all(), &mut output)?;
        Some(PyBytes::new(py, &output))
    }
}

/// The canonical JSON (RFC 8785) of a tree of plain objects; None where there is anything else in it, or too much.
pub fn canonical(object: &Bound<'_, PyAny>, output: &mut Vec<u8>) -> Option<()> {
    write(object, Some(&Tree::Whole), &mut Left::all(), output)
}

/// Writes what is read of `object`, and looks at all of it. `tree` is None where nothing is read.
fn write(object: &Bound<'_, PyAny>, tree: Option<&Tree>, left: &mut Left, output: &mut Vec<u8>) -> Option<()> {
    left.value()?;
    let reads = tree.is_some();
    match Plain::of(object)? {
        Plain::Text(text) => left.text(&text, |text| if reads { string(text, output) } else { Some(()) })?,
        Plain::Object(fields) => left.below(|left| members(&fields, tree, left, output)),
        Plain::Array(items) => left.below(|left| {
            // What is no object stays whole where a path leads through it.
            let below = tree.map(|_| &Tree::Whole);
            for (at, item) in items.iter().enumerate() {
                if reads {
                    output.push(if at == 0 { b'[' } else { b',' });
                }
                write(&item, below, left, output)?;
            }
            if reads {
                output.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
            }
            Some(())
        }),
        Plain::Number(number) if reads => serde_json::to_writer(output, &number).ok(),
        Plain::Bool(truth) if reads => serde_json::to_writer(output, &truth).ok(),
        Plain::Null if reads => serde_json::to_writer(output, &()).ok(),
        Plain::Number(_) | Plain::Bool(_) | Plain::Null => Some(()),
    }
}

fn members(fields: &Bound<'_, PyDict>, tree: Option<&Tree>, left: &mut Left, output: &mut Vec<u8>) -> Option<()> {
    let mut read: Vec<(String, &Tree, Bound<'_, PyAny>)> = Vec::with_capacity(fields.len());
    let mut ascii = true;
    for (key, value) in fields {
        let key = key.cast_exact::<PyString>().ok()?;
        let below = left.text(key, |key| match tree {
            None => None,
            Some(whole @ Tree::Whole) => Some((key.to_owned(), whole)),
            Some(Tree::Keys(keys)) => keys.get(key).map(|below| (key.to_owned(), below)),
        })?;
        match below {
            None => write(&value, None, left, output)?,
            Some((key, below)) => {
                ascii &= key.is_ascii();
                read.push((key, below, value));
            }
        }
    }
    if tree.is_none() {
        return Some(());
    }
    // RFC 8785 orders keys by their UTF-16, which is the order of their bytes up to U+D7FF.
    if ascii {
        read.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    } else {
        read.sort_by(|(one, ..), (other, ..)| one.encode_utf16().cmp(other.encode_utf16()));
    }
    output.push(b'{');
    for (at, (key, below, value)) in read.iter().enumerate() {
        if at > 0 {
            output.push(b',');
        }
        string(key, output)?;
        output.push(b':');
        write(value, Some(below), left, output)?;
    }
    output.push(b'}');
    Some(())
}

fn string(text: &str, output: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(output, text).ok()
}
