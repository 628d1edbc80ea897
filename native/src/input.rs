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

/// The value of a tree of plain objects; None where there is anything else in it, or too much.
pub fn plain(object: &Bound<'_, PyAny>) -> Option<Value> {
    convert(object, &mut Left::all())
}

fn convert(object: &Bound<'_, PyAny>, left: &mut Left) -> Option<Value> {
    left.value()?;
    match Plain::of(object)? {
        Plain::Text(text) => left.text(&text, |text| Value::from(text)),
        Plain::Object(fields) => left.below(|left| {
            let mut members = BTreeMap::new();
            for (key, value) in fields {
                let key = left.text(key.cast_exact::<PyString>().ok()?, |key| Value::from(key))?;
                members.insert(key, convert(&value, left)?);
            }
            Some(Value::from(members))
        }),
        Plain::Array(items) => left.below(|left| {
            let members: Option<Vec<Value>> = items.iter().map(|item| convert(&item, left)).collect();
            members.map(Value::from)
        }),
        Plain::Number(number) => Some(Value::from(number)),
        Plain::Bool(truth) => Some(Value::Bool(truth)),
        Plain::Null => Some(Value::Null),
    }
}
