//! The leaves and nodes of a chunk of the audit log, from its rows as the database's driver gave them.
//!
//! What `openclaw/audit/entry.py` (`rows_bytes`) and `merkle.py` (`rows_of`) do in Python, for a log of millions of entries. A
//! property test holds both to the same bytes.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use sha2::{Digest, Sha256};

use crate::projection;

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
const NODES: usize = 11;

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

/// Whether the nodes beside the rows of a chunk are those of `built`; None where no row has any.
///
/// Nodes above the chunk, which its last row may have completed too, are not looked at.
#[pyfunction]
pub fn nodes_fit(rows: &Bound<'_, PyList>, built: Vec<Bound<'_, PyBytes>>) -> PyResult<Option<bool>> {
    let levels: Vec<&[u8]> = built.iter().map(|level| level.as_bytes()).collect();
    let (mut any, mut fit) = (false, true);
    let mut expected: Vec<u8> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let stored = row.cast::<PyTuple>()?.get_borrowed_item(NODES)?;
        if stored.is_none() {
            fit &= at & 1 == 0;
            continue;
        }
        any = true;
        expected.clear();
        let (mut level, mut index) = (1, at);
        while index & 1 == 1 && level < levels.len() {
            index >>= 1;
            expected.extend_from_slice(levels[level].get(index * HASH..(index + 1) * HASH).unwrap_or_default());
            level += 1;
        }
        let Ok(stored) = stored.cast::<PyBytes>() else { return Ok(Some(false)) };
        let stored = stored.as_bytes();
        let whole = stored.len() == expected.len() || (level == levels.len() && stored.len() > expected.len());
        fit &= !expected.is_empty() && whole && stored.starts_with(&expected);
    }
    Ok(any.then_some(fit))
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

/// The bytes of an entry, behind the mark of a leaf; `texts` are kind, run, workflow, agent, tool, call_id and effect.
fn entry_bytes(bytes: &mut Vec<u8>, seq: i64, at: &str, texts: [&str; 7], body: &[u8]) {
    let [kind, run, workflow, agent, tool, call_id, effect] = texts;
    bytes.extend_from_slice(LEAF);
    for (name, value) in [("{\"agent\":", agent), (",\"at\":", at)] {
        bytes.extend_from_slice(name.as_bytes());
        quote(bytes, value);
    }
    bytes.extend_from_slice(b",\"body\":");
    bytes.extend_from_slice(body);
    for (name, value) in [(",\"call_id\":", call_id), (",\"effect\":", effect), (",\"kind\":", kind), (",\"run\":", run)] {
        bytes.extend_from_slice(name.as_bytes());
        quote(bytes, value);
    }
    bytes.extend_from_slice(format!(",\"seq\":{seq}").as_bytes());
    for (name, value) in [(",\"tool\":", tool), (",\"workflow\":", workflow)] {
        bytes.extend_from_slice(name.as_bytes());
        quote(bytes, value);
    }
    bytes.push(b'}');
}

/// The canonical body and the leaf hash of an entry that is about to be written: `texts` as above.
///
/// None where its body is not of plain objects, or large, or a text has no UTF-8 form: Python writes it then.
#[pyfunction]
pub fn entry<'py>(
    py: Python<'py>,
    seq: i64,
    at: &Bound<'py, PyString>,
    texts: [Bound<'py, PyString>; 7],
    body: &Bound<'py, PyAny>,
) -> Option<(Bound<'py, PyString>, Bound<'py, PyBytes>)> {
    let mut written: Vec<u8> = Vec::with_capacity(1024);
    projection::canonical(body, &mut written)?;
    let mut read = [""; 7];
    for (text, read) in texts.iter().zip(read.iter_mut()) {
        *read = text.to_str().ok()?;
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(written.len() + 512);
    entry_bytes(&mut bytes, seq, at.to_str().ok()?, read, &written);
    let digest = Sha256::digest(&bytes[..]);
    let body = PyString::new(py, std::str::from_utf8(&written).ok()?);
    Some((body, PyBytes::new(py, &digest)))
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
