//! Built-in functions that regorus has with another meaning than OPA: text is measured in code points, case is mapped
//! one to one, patterns are RE2's (see `dialect`), and `sprintf` is Go's (see `printf`). Found by comparison with an OPA
//! server, function by function.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use regorus::{Engine, Value};

/// What a function of this module gives.
type Answer = Result<Value, String>;

/// A built-in: its name, the number of its arguments, and itself.
type Builtin = (&'static str, u8, fn(&[Value]) -> Answer);

const BUILTINS: [Builtin; 14] = [
    ("count", 1, count),
    ("glob.match", 3, glob_match),
    ("json.marshal", 1, marshal),
    ("lower", 1, lower),
    ("openclaw_members", 1, members),
    ("regex.find_all_string_submatch_n", 3, regex_find_all_submatch),
    ("regex.find_n", 3, regex_find),
    ("regex.is_valid", 1, regex_is_valid),
    ("regex.match", 2, regex_match),
    ("regex.replace", 3, regex_replace),
    ("regex.split", 2, regex_split),
    ("sprintf", 2, sprintf),
    ("to_number", 1, to_number),
    ("upper", 1, upper),
];

/// Bytes of a compiled pattern. Some must be bounded: a pattern may come from an input.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Compiled patterns that each thread keeps. Threads share none, so that none waits for another.
const REGEX_KEPT_MAX: usize = 256;

/// Put this module's functions in front of the engine's own.
pub fn install(engine: &mut Engine) -> Result<(), String> {
    for (name, arguments, builtin) in BUILTINS.into_iter().chain(crate::exact::BUILTINS) {
        let extension =
            move |values: Vec<Value>| Ok(builtin(&values).map_err(|error| Complaint(format!("{name}: {error}")))?);
        engine.add_extension(name.to_owned(), arguments, Box::new(extension)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A message as an error, which is what the engine takes.
#[derive(Debug)]
struct Complaint(String);

impl std::fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Complaint {}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("operand must be a string".to_owned()),
    }
}

/// A limit on the number of matches; below zero there is none.
fn limit(value: &Value) -> Result<usize, String> {
    let number = value.as_i64().map_err(|_| "operand must be an integer".to_owned())?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn count(arguments: &[Value]) -> Answer {
    let size = match &arguments[0] {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => return Err("operand must be a string, array, set or object".to_owned()),
    };
    Ok(Value::from(size as u64))
}

/// What `some x in y` goes through: a value that has no members has none, where the engine would fail. Policies are given it
/// around every `y` (policy/members.py); an author who uses its name is refused (policy/bundle.py).
fn members(arguments: &[Value]) -> Answer {
    Ok(match &arguments[0] {
        value @ (Value::Array(_) | Value::Set(_) | Value::Object(_)) => value.clone(),
        _ => Value::new_array(),
    })
}

fn sprintf(arguments: &[Value]) -> Answer {
    match &arguments[1] {
        Value::Array(values) => crate::printf::sprintf(text(&arguments[0])?, values.iter()).map(Value::from),
        _ => Err("the values must be an array".to_owned()),
    }
}

fn to_number(arguments: &[Value]) -> Answer {
    match &arguments[0] {
        Value::Null | Value::Bool(false) => Ok(Value::from(0u64)),
        Value::Bool(true) => Ok(Value::from(1u64)),
        number @ Value::Number(_) => Ok(number.clone()),
        Value::String(text) if decimal(text) => {
            let digits = text.trim_start_matches('+');
            // An integer keeps all its digits; what JSON does not write so (`.5`, `1.`) is a float.
            let float = || digits.parse::<f64>().ok().filter(|float| float.is_finite()).map(Value::from);
            Value::from_json_str(digits)
                .ok()
                .or_else(float)
                .ok_or_else(|| format!("parsing \"{text}\": value out of range"))
        }
        Value::String(text) => Err(format!("parsing \"{text}\": invalid syntax")),
        _ => Err("operand must be a string, number, boolean or null".to_owned()),
    }
}

/// Whether this is a decimal number and nothing else: no space around it, no separators, no other base.
fn decimal(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let unsigned = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let mantissa = bare(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    let digits = (whole.is_empty() || unsigned(whole)) && (fraction.is_empty() || unsigned(fraction));
    digits && !(whole.is_empty() && fraction.is_empty()) && unsigned(&bare(exponent))
}

fn upper(arguments: &[Value]) -> Answer {
    Ok(text(&arguments[0])?.chars().map(|sign| one(sign, sign.to_uppercase())).collect::<String>().into())
}

fn lower(arguments: &[Value]) -> Answer {
    let small = |sign: char| if sign == 'İ' { 'i' } else { one(sign, sign.to_lowercase()) };
    Ok(text(&arguments[0])?.chars().map(small).collect::<String>().into())
}

/// The mapping of a character to one other; itself where it maps to several.
fn one(sign: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(other)) => other,
        _ => sign,
    }
}

fn marshal(arguments: &[Value]) -> Answer {
    let json = serde_json::to_string(&arguments[0]).map_err(|error| error.to_string())?;
    // As Go does: safe inside HTML and JavaScript.
    let safe = json.chars().fold(String::with_capacity(json.len()), |mut safe, sign| {
        match sign {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(sign))),
            _ => safe.push(sign),
        }
        safe
    });
    Ok(safe.into())
}

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

/// Runs `work` with the compiled form of an RE2 pattern.
fn with_regex<T>(pattern: &str, work: impl FnOnce(&Regex) -> T) -> Result<T, String> {
    with_compiled(pattern, || crate::dialect::rewrite(pattern), work)
}

/// Runs `work` with the regular expression that `rewritten` gives, which is kept under `key`.
fn with_compiled<T>(
    key: &str,
    rewritten: impl FnOnce() -> Result<String, String>,
    work: impl FnOnce(&Regex) -> T,
) -> Result<T, String> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(key) {
            return Ok(work(regex));
        }
        let regex = RegexBuilder::new(&rewritten()?).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
            format!("error parsing regexp: {}", error.to_string().lines().last().unwrap_or_default())
        })?;
        let result = work(&regex);
        if compiled.len() >= REGEX_KEPT_MAX {
            compiled.clear();
        }
        compiled.insert(key.to_owned(), regex);
        Ok(result)
    })
}

fn glob_match(arguments: &[Value]) -> Answer {
    let (pattern, value) = (text(&arguments[0])?, text(&arguments[2])?);
    let delimiters: Vec<char> = match &arguments[1] {
        Value::Null => Vec::new(),
        Value::Array(items) if items.is_empty() => vec!['.'],
        Value::Array(items) => items.iter().map(delimiter).collect::<Result<_, _>>()?,
        _ => return Err("delimiters must be an array or null".to_owned()),
    };
    // No RE2 pattern starts with this, so that globs and patterns are kept apart.
    let key = format!("*{}*{pattern}", delimiters.iter().collect::<String>());
    with_compiled(&key, || crate::glob::rewrite(pattern, &delimiters), |regex| Value::from(regex.is_match(value)))
}

fn delimiter(value: &Value) -> Result<char, String> {
    let mut signs = text(value)?.chars();
    match (signs.next(), signs.next()) {
        (Some(sign), None) => Ok(sign),
        _ => Err("a delimiter must be one character".to_owned()),
    }
}

fn regex_match(arguments: &[Value]) -> Answer {
    let (pattern, value) = (text(&arguments[0])?, text(&arguments[1])?);
    with_regex(pattern, |regex| regex.is_match(value)).map(Value::from)
}

fn regex_is_valid(arguments: &[Value]) -> Answer {
    Ok(Value::from(text(&arguments[0]).is_ok_and(|pattern| with_regex(pattern, |_| ()).is_ok())))
}

fn regex_find(arguments: &[Value]) -> Answer {
    let (pattern, value, limit) = (text(&arguments[0])?, text(&arguments[1])?, limit(&arguments[2])?);
    with_regex(pattern, |regex| {
        Value::from(regex.find_iter(value).take(limit).map(|found| found.as_str().into()).collect::<Vec<Value>>())
    })
}

fn regex_find_all_submatch(arguments: &[Value]) -> Answer {
    let (pattern, value, limit) = (text(&arguments[0])?, text(&arguments[1])?, limit(&arguments[2])?);
    with_regex(pattern, |regex| {
        let groups = |found: regex::Captures<'_>| {
            Value::from(
                found.iter().map(|group| group.map_or("", |group| group.as_str()).into()).collect::<Vec<Value>>(),
            )
        };
        Value::from(regex.captures_iter(value).take(limit).map(groups).collect::<Vec<Value>>())
    })
}

fn regex_replace(arguments: &[Value]) -> Answer {
    let (value, pattern, by) = (text(&arguments[0])?, text(&arguments[1])?, text(&arguments[2])?);
    with_regex(pattern, |regex| regex.replace_all(value, by).as_ref().into())
}

fn regex_split(arguments: &[Value]) -> Answer {
    let (pattern, value) = (text(&arguments[0])?, text(&arguments[1])?);
    with_regex(pattern, |regex| Value::from(split(regex, pattern, value)))
}

/// As Go's `Regexp.Split` does: an empty match at the start or at the end splits off nothing.
fn split(regex: &Regex, pattern: &str, value: &str) -> Vec<Value> {
    if value.is_empty() && !pattern.is_empty() {
        return vec!["".into()];
    }
    let (mut parts, mut start, mut end) = (Vec::new(), 0, 0);
    for found in regex.find_iter(value) {
        end = found.start();
        if found.end() != 0 {
            parts.push(value[start..end].into());
        }
        start = found.end();
    }
    if end != value.len() {
        parts.push(value[start..].into());
    }
    parts
}
