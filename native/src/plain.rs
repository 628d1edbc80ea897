//! Values that are JSON already, copied; and the digest of their canonical bytes. What is anything else is left to Python.
//!
//! `openclaw/canonical.py` says what these mean, and a property test holds both to the same.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use sha2::{Digest, Sha256};

use crate::input::Plain;
use crate::projection;

/// Fewer than `canonical.MAX_DEPTH`: what is deeper is written in another form.
const DEPTH_MAX: usize = 60;

/// Members of containers in one value; Python counts what there is more of.
const ITEMS_MAX: usize = 10_000;

const SAFE_NUMBER: f64 = ((1_i64 << 53) - 1) as f64;

/// A copy of `value` that nobody else can change; None where it is not JSON in the domain of RFC 8785, or is large.
#[pyfunction]
pub fn plain<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    copy(py, value, DEPTH_MAX, &mut { ITEMS_MAX })
}

/// What `plain` gives, its canonical bytes' SHA-256 in hex, and their count; None likewise, and where there are floats in it.
#[pyfunction]
pub fn fingerprint<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyAny>, String, usize)>> {
    let Some(form) = copy(py, value, DEPTH_MAX, &mut { ITEMS_MAX })? else { return Ok(None) };
    let mut bytes = Vec::with_capacity(256);
    if projection::canonical(&form, &mut bytes).is_none() {
        return Ok(None);
    }
    let digest = if bytes.len() > 1 << 14 { py.detach(|| Sha256::digest(&bytes)) } else { Sha256::digest(&bytes) };
    Ok(Some((form, digest.iter().map(|byte| format!("{byte:02x}")).collect(), bytes.len())))
}

fn copy<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
    depth: usize,
    left: &mut usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match Plain::of(value) {
        Some(Plain::Text(text)) => Ok(text.to_str().is_ok().then(|| value.clone())),
        Some(Plain::Number(_) | Plain::Bool(_) | Plain::Null) => Ok(Some(value.clone())),
        // The members are listed before one is copied: making an object may run anybody's code, which may change the container.
        Some(Plain::Object(fields)) => object(py, &fields.items(), depth, left),
        Some(Plain::Array(items)) => array(py, &items.to_tuple(), depth, left),
        None => {
            if let Ok(items) = value.cast_exact::<PyTuple>() {
                return array(py, items, depth, left);
            }
            let number = value.cast_exact::<PyFloat>().map(|number| number.value());
            Ok(number.is_ok_and(|number| number.abs() <= SAFE_NUMBER).then(|| value.clone()))
        }
    }
}

fn object<'py>(
    py: Python<'py>,
    members: &Bound<'py, PyList>,
    depth: usize,
    left: &mut usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if depth == 0 || members.len() > *left {
        return Ok(None);
    }
    *left -= members.len();
    let copied = PyDict::new(py);
    for member in members.iter() {
        let member = member.cast_into::<PyTuple>()?;
        let (key, value) = (member.get_item(0)?, member.get_item(1)?);
        let Ok(name) = key.cast_exact::<PyString>() else { return Ok(None) };
        if name.to_str().map_or(true, |name| name.starts_with('$')) {
            return Ok(None);
        }
        let Some(value) = copy(py, &value, depth - 1, left)? else { return Ok(None) };
        copied.set_item(name, value)?;
    }
    Ok(Some(copied.into_any()))
}

fn array<'py>(
    py: Python<'py>,
    items: &Bound<'py, PyTuple>,
    depth: usize,
    left: &mut usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if depth == 0 || items.len() > *left {
        return Ok(None);
    }
    *left -= items.len();
    let copied = PyList::empty(py);
    for item in items.iter() {
        let Some(item) = copy(py, &item, depth - 1, left)? else { return Ok(None) };
        copied.append(item)?;
    }
    Ok(Some(copied.into_any()))
}

