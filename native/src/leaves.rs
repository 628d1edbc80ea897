//! The leaves and nodes of a chunk of the audit log, from its rows as the database's driver gave them.
//!
//! What `openclaw/audit/entry.py` (`rows_bytes`) and `merkle.py` (`rows_of`) do in Python, for a log of millions of entries. A
//! property test holds both to the same bytes.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use sha2::{Digest, Sha256};

const LEAF: &[u8] = b"\x00";
const NODE: &[u8] = b"\x01";
const HASH: usize = 32;

/// Columns of a row, in the order of `ROW_COLUMNS`.
const SEQ: usize = 0;
const AT: usize = 1;
const KIND: usize = 2;
const RUN: usize = 3;
const WORKFLOW: usize = 4;
const AGENT: usize = 5;
const TOOL: usize = 6;
const CALL_ID: usize = 7;
const EFFECT: usize = 8;
const BODY: usize = 9;
const STORED: usize = 10;

/// The hashes of all complete subtrees over `rows`, one bytes object for each level, the leaves first.
///
/// None where a row does not fit its stored leaf hash, or is not of the form that the log writes: Python looks at it with care.
#[pyfunction]
pub fn subtrees<'py>(py: Python<'py>, rows: &Bound<'py, PyList>) -> PyResult<Option<Vec<Bound<'py, PyBytes>>>> {
    let mut level: Vec<u8> = Vec::with_capacity(rows.len() * HASH);
    let mut bytes: Vec<u8> = Vec::with_capacity(4096);
    for row in rows.iter() {
        match leaf(&row, &mut bytes) {
            Some(digest) => level.extend_from_slice(&digest),
            None => return Ok(None),
        }
    }
    let mut built = Vec::new();
    loop {
        built.push(PyBytes::new(py, &level));
        if level.len() < 2 * HASH {
            return Ok(Some(built));
        }
        level = above(&level);
    }
}

/// The nodes above a level; an odd one at its end is no part of a complete subtree.
fn above(level: &[u8]) -> Vec<u8> {
    let mut nodes = Vec::with_capacity(level.len() / 2);
    for pair in level.chunks_exact(2 * HASH) {
        nodes.extend_from_slice(&Sha256::new().chain_update(NODE).chain_update(pair).finalize());
    }
    nodes
}

/// The leaf hash of a row, if it is the one that is stored with it.
fn leaf(row: &Bound<'_, PyAny>, bytes: &mut Vec<u8>) -> Option<[u8; HASH]> {
    let row = row.cast::<PyTuple>().ok()?;
    bytes.clear();
    bytes.extend_from_slice(LEAF);
    member(bytes, "{\"agent\":", row, AGENT)?;
    member(bytes, ",\"at\":", row, AT)?;
    bytes.extend_from_slice(b",\"body\":");
    text(row, BODY, |body| bytes.extend_from_slice(body.as_bytes()))?;
    member(bytes, ",\"call_id\":", row, CALL_ID)?;
    member(bytes, ",\"effect\":", row, EFFECT)?;
    member(bytes, ",\"kind\":", row, KIND)?;
    member(bytes, ",\"run\":", row, RUN)?;
    let seq: i64 = row.get_borrowed_item(SEQ).ok()?.extract().ok()?;
    bytes.extend_from_slice(format!(",\"seq\":{seq}").as_bytes());
    member(bytes, ",\"tool\":", row, TOOL)?;
    member(bytes, ",\"workflow\":", row, WORKFLOW)?;
    bytes.push(b'}');
    let digest: [u8; HASH] = Sha256::digest(&bytes[..]).into();
    let stored = row.get_borrowed_item(STORED).ok()?;
    (stored.cast::<PyBytes>().ok()?.as_bytes() == digest).then_some(digest)
}

fn member(bytes: &mut Vec<u8>, name: &str, row: &Bound<'_, PyTuple>, column: usize) -> Option<()> {
    bytes.extend_from_slice(name.as_bytes());
    text(row, column, |value| quote(bytes, value))
}

/// Hands a column on, if it is a text that has a UTF-8 form.
fn text(row: &Bound<'_, PyTuple>, column: usize, take: impl FnOnce(&str)) -> Option<()> {
    let item = row.get_borrowed_item(column).ok()?;
    take(item.cast::<PyString>().ok()?.to_str().ok()?);
    Some(())
}

/// A text as JSON, spelled as RFC 8785 demands.
fn quote(bytes: &mut Vec<u8>, value: &str) {
    bytes.push(b'"');
    let mut rest = value.as_bytes();
    // Nearly every text is copied whole: only the few bytes that JSON escapes are looked at one by one.
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => bytes.extend_from_slice(b"\\\""),
            b'\\' => bytes.extend_from_slice(b"\\\\"),
            0x08 => bytes.extend_from_slice(b"\\b"),
            0x0c => bytes.extend_from_slice(b"\\f"),
            b'\n' => bytes.extend_from_slice(b"\\n"),
            b'\r' => bytes.extend_from_slice(b"\\r"),
            b'\t' => bytes.extend_from_slice(b"\\t"),
            other => bytes.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes.push(b'"');
}
