//! Python's own objects as an input, without JSON in between, where both are sure to mean the same.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};
use regorus::Value;

/// The same bounds as of the canonical form; what lies outside takes the way through it, and is refused there.
const SAFE_INTEGER: i64 = (1 << 53) - 1;
const DEPTH_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Values in an input. With the bound on text it keeps the canonical form below the size that engines take.
const VALUES_MAX: usize = 1 << 17;

/// One plain object: exactly dict, list, str, bool, int or None, and nothing else; no floats (which RFC 8785 writes in its
/// own way), subclasses, lone surrogates or large numbers.
pub enum Plain<'py> {
    Object(Bound<'py, PyDict>),
    Array(Bound<'py, PyList>),
    Text(Bound<'py, PyString>),
    Number(i64),
    Bool(bool),
    Null,
}

impl<'py> Plain<'py> {
    pub fn of(object: &Bound<'py, PyAny>) -> Option<Self> {
        if let Ok(text) = object.cast_exact::<PyString>() {
            return Some(Self::Text(text.clone()));
        }
        if let Ok(fields) = object.cast_exact::<PyDict>() {
            return Some(Self::Object(fields.clone()));
        }
        if let Ok(items) = object.cast_exact::<PyList>() {
            return Some(Self::Array(items.clone()));
        }
        if object.is_none() {
            return Some(Self::Null);
        }
        if let Ok(truth) = object.cast_exact::<PyBool>() {
            return Some(Self::Bool(truth.is_true()));
        }
        let number: i64 = object.cast_exact::<PyInt>().ok()?.extract().ok()?;
        (-SAFE_INTEGER..=SAFE_INTEGER).contains(&number).then_some(Self::Number(number))
    }
}

/// What may still come of one input.
pub struct Left {
    text_bytes: usize,
    values: usize,
    depth: usize,
}

impl Left {
    pub fn all() -> Self {
        Self { text_bytes: TEXT_BYTES_MAX, values: VALUES_MAX, depth: DEPTH_MAX }
    }

    /// Takes off one value.
    pub fn value(&mut self) -> Option<()> {
        self.values = self.values.checked_sub(1)?;
        Some(())
    }

    /// Takes off a text, which is given to `work`.
    pub fn text<T>(&mut self, text: &Bound<'_, PyString>, work: impl FnOnce(&str) -> T) -> Option<T> {
        let text = text.to_cow().ok()?;
        self.text_bytes = self.text_bytes.checked_sub(text.len())?;
        Some(work(&text))
    }

    /// Runs `work` one level deeper.
    pub fn below<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth = self.depth.checked_sub(1)?;
        let result = work(self)?;
        self.depth += 1;
        Some(result)
    }
}

/// A tree of plain objects, copied out of Python and not built yet: taking it needs the interpreter, building it does not.
pub struct Copied {
    parts: Vec<Part>,
    text: String,
}

/// One object, before those below it. The members of an object are a text each, and the value after it.
#[derive(Clone, Copy)]
enum Part {
    Object { members: usize },
    Array { items: usize },
    Text { bytes: usize },
    Number(i64),
    Bool(bool),
    Null,
}

/// Takes a tree of plain objects; None where there is anything else in it, or too much.
pub fn plain(object: &Bound<'_, PyAny>) -> Option<Copied> {
    let mut copied = Copied { parts: Vec::with_capacity(128), text: String::with_capacity(2048) };
    copied.take(object, &mut Left::all())?;
    Some(copied)
}

impl Copied {
    fn take(&mut self, object: &Bound<'_, PyAny>, left: &mut Left) -> Option<()> {
        left.value()?;
        match Plain::of(object)? {
            Plain::Text(text) => self.take_text(&text, left)?,
            Plain::Object(fields) => left.below(|left| {
                self.parts.push(Part::Object { members: fields.len() });
                fields.iter().try_for_each(|(key, value)| {
                    self.take_text(key.cast_exact::<PyString>().ok()?, left)?;
                    self.take(&value, left)
                })
            })?,
            Plain::Array(items) => left.below(|left| {
                self.parts.push(Part::Array { items: items.len() });
                items.iter().try_for_each(|item| self.take(&item, left))
            })?,
            Plain::Number(number) => self.parts.push(Part::Number(number)),
            Plain::Bool(truth) => self.parts.push(Part::Bool(truth)),
            Plain::Null => self.parts.push(Part::Null),
        }
        Some(())
    }

    fn take_text(&mut self, text: &Bound<'_, PyString>, left: &mut Left) -> Option<()> {
        left.text(text, |text| {
            self.parts.push(Part::Text { bytes: text.len() });
            self.text.push_str(text);
        })
    }

    /// The value that was taken.
    pub fn build(self) -> Value {
        Builder { parts: self.parts.iter(), text: &self.text }.value()
    }
}

struct Builder<'a> {
    parts: std::slice::Iter<'a, Part>,
    text: &'a str,
}

impl Builder<'_> {
    fn value(&mut self) -> Value {
        // Every part that is counted was taken: an input that is not taken whole is not built.
        match *self.parts.next().expect("the parts of a tree end with it") {
            Part::Object { members } => {
                let built: BTreeMap<Value, Value> = (0..members).map(|_| (self.value(), self.value())).collect();
                Value::from(built)
            }
            Part::Array { items } => Value::from((0..items).map(|_| self.value()).collect::<Vec<Value>>()),
            Part::Text { bytes } => {
                let (text, rest) = self.text.split_at(bytes);
                self.text = rest;
                Value::from(text)
            }
            Part::Number(number) => Value::from(number),
            Part::Bool(truth) => Value::Bool(truth),
            Part::Null => Value::Null,
        }
    }
}
