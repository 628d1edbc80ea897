//! Python's own objects as an input, without JSON in between, where both are sure to mean the same.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};
use regorus::Value;

/// The same bounds as of the canonical form; what lies outside takes the way through it, and is refused there.
const SAFE_INTEGER: i64 = (1 << 53) - 1;
const DEPTH_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The value of an object tree of exactly dict, list, str, bool, int and None. None where there is anything else in it:
/// floats (which RFC 8785 writes in its own way), subclasses, keys that are no text, lone surrogates, large numbers.
pub fn plain(object: &Bound<'_, PyAny>) -> Option<Value> {
    let mut text_left = TEXT_BYTES_MAX;
    convert(object, DEPTH_MAX, &mut text_left)
}

fn convert(object: &Bound<'_, PyAny>, depth: usize, text_left: &mut usize) -> Option<Value> {
    if let Ok(text) = object.cast_exact::<PyString>() {
        return characters(text, text_left);
    }
    if let Ok(fields) = object.cast_exact::<PyDict>() {
        let below = depth.checked_sub(1)?;
        let mut members = BTreeMap::new();
        for (key, value) in fields {
            members
                .insert(characters(key.cast_exact::<PyString>().ok()?, text_left)?, convert(&value, below, text_left)?);
        }
        return Some(Value::from(members));
    }
    if let Ok(items) = object.cast_exact::<PyList>() {
        let below = depth.checked_sub(1)?;
        let members: Option<Vec<Value>> = items.iter().map(|item| convert(&item, below, text_left)).collect();
        return members.map(Value::from);
    }
    if object.is_none() {
        return Some(Value::Null);
    }
    if let Ok(truth) = object.cast_exact::<PyBool>() {
        return Some(Value::Bool(truth.is_true()));
    }
    let number: i64 = object.cast_exact::<PyInt>().ok()?.extract().ok()?;
    (-SAFE_INTEGER..=SAFE_INTEGER).contains(&number).then(|| Value::from(number))
}

fn characters(text: &Bound<'_, PyString>, text_left: &mut usize) -> Option<Value> {
    let text = text.to_cow().ok()?;
    *text_left = text_left.checked_sub(text.len())?;
    Some(Value::from(text.as_ref()))
}
