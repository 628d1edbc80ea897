//! Whether anything in a document could have to be hidden: one look, so that most documents need not be taken apart in Python.
//!
//! It errs towards yes. What it takes for harmless, `openclaw/audit/veil.py` leaves as it is, which a property test holds.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString};
use regex::bytes::Regex;

use crate::input::Plain;

const DEPTH_MAX: usize = 100;

/// Members whose value may be the name of a secret that another member holds.
const NAMING: [&str; 4] = ["name", "key", "header", "field"];

/// What secrets can be told by: `needles` that stand in their names or in the texts that hold them, in any case, and a `pattern`.
#[pyclass(frozen, module = "openclaw._native")]
pub struct Cloak {
    found: Regex,
    shortest: usize,
    longest: usize,
}

#[pymethods]
impl Cloak {
    /// Texts of fewer than `shortest` characters hold nothing, unless they are names; those of more than `longest` are cut.
    #[new]
    fn new(needles: Vec<String>, pattern: &str, shortest: usize, longest: usize) -> PyResult<Self> {
        let needles: Vec<String> = needles.iter().map(|needle| regex::escape(needle)).collect();
        let found = Regex::new(&format!("(?-u)(?i:{})|{pattern}", needles.join("|")))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { found, shortest, longest })
    }

    /// Whether nothing in `value` has to be hidden.
    fn harmless(&self, value: &Bound<'_, PyAny>) -> bool {
        self.value(value, DEPTH_MAX)
    }

    /// The same of those members of `document` that are named.
    fn harmless_parts(&self, document: &Bound<'_, PyDict>, parts: Vec<Bound<'_, PyString>>) -> PyResult<bool> {
        for part in parts {
            if let Some(value) = document.get_item(part)? {
                if !self.value(&value, DEPTH_MAX) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Cloak {
    fn value(&self, value: &Bound<'_, PyAny>, depth: usize) -> bool {
        match Plain::of(value) {
            Some(Plain::Text(text)) => text.to_str().is_ok_and(|text| self.text(text)),
            Some(Plain::Object(fields)) => depth > 0 && fields.iter().all(|(key, value)| self.member(&key, &value, depth)),
            Some(Plain::Array(items)) => depth > 0 && items.iter().all(|item| self.value(&item, depth - 1)),
            Some(Plain::Number(_) | Plain::Bool(_) | Plain::Null) => true,
            None => value.cast_exact::<PyFloat>().is_ok(),
        }
    }

    fn member(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, depth: usize) -> bool {
        let Ok(Ok(key)) = key.cast_exact::<PyString>().map(|key| key.to_str()) else { return false };
        // Forms of our own, such as `$map` and `$masked`, begin so.
        if key.starts_with('$') || key.len() > self.longest || !self.bare(key) {
            return false;
        }
        if NAMING.contains(&key) {
            return match Plain::of(value) {
                Some(Plain::Text(name)) => {
                    name.to_str().is_ok_and(|name| name.len() <= self.longest && self.bare(name))
                }
                Some(Plain::Number(_) | Plain::Bool(_) | Plain::Null) => true,
                _ => false,
            };
        }
        self.value(value, depth - 1)
    }

    fn text(&self, text: &str) -> bool {
        text.len() < self.shortest || (text.len() <= self.longest && self.bare(text))
    }

    /// Whether nothing is found in a text. Two letters beyond ASCII have one of it for their small letter.
    fn bare(&self, text: &str) -> bool {
        !self.found.is_match(text.as_bytes()) && (text.is_ascii() || !text.contains(['\u{212A}', '\u{0130}']))
    }
}
