//! Built-in functions of numbers, places, parts and URLs of which regorus gives nothing, something else or too much where OPA
//! gives an error: a value that is undefined would make `not f(…)` true. Found by comparison with an OPA server, function
//! by function. What does not fit into 64 bits is an error here, and a number to OPA: refused, and never another answer.

use regorus::Value;

/// What a function of this module gives.
type Answer = Result<Value, String>;

/// Members of a range. More would be built in one step, which no deadline can end.
const RANGE_MAX: usize = 1_000_000;

/// Bytes that may be compared in one step, for the same reason.
const COMPARED_MAX: usize = 1 << 28;

/// The functions of this module, each with the number of its arguments.
pub const BUILTINS: [(&str, u8, fn(&[Value]) -> Answer); 16] = [
    ("array.slice", 3, slice),
    ("bits.and", 2, |given| Ok(Value::from(integer(given, 0)? & integer(given, 1)?))),
    ("bits.lsh", 2, shifted_left),
    ("bits.negate", 1, |given| Ok(Value::from(!integer(given, 0)?))),
    ("bits.or", 2, |given| Ok(Value::from(integer(given, 0)? | integer(given, 1)?))),
    ("bits.rsh", 2, |given| Ok(Value::from(integer(given, 0)? >> places(given)?.min(63)))),
    ("bits.xor", 2, |given| Ok(Value::from(integer(given, 0)? ^ integer(given, 1)?))),
    ("glob.quote_meta", 1, quote_meta),
    ("indexof", 2, place_of),
    ("indexof_n", 2, places_of),
    ("numbers.range", 2, |given| range(integer(given, 0)?, integer(given, 1)?, 1)),
    ("numbers.range_step", 3, |given| match integer(given, 2)? {
        step @ 1.. => range(integer(given, 0)?, integer(given, 1)?, step),
        _ => Err("step must be a positive integer".to_owned()),
    }),
    ("object.subset", 2, subset),
    ("substring", 3, substring),
    ("urlquery.decode", 1, decode),
    ("urlquery.encode", 1, encode),
];

fn integer(given: &[Value], at: usize) -> Result<i64, String> {
    given[at].as_i64().map_err(|_| format!("operand {} must be an integer of 64 bits", at + 1))
}

fn text(given: &[Value], at: usize) -> Result<&str, String> {
    match &given[at] {
        Value::String(text) => Ok(text),
        _ => Err(format!("operand {} must be a string", at + 1)),
    }
}

/// By how many bits to shift.
fn places(given: &[Value]) -> Result<u32, String> {
    let places = integer(given, 1)?;
    u64::try_from(places)
        .map(|places| u32::try_from(places).unwrap_or(u32::MAX))
        .map_err(|_| "operand 2 must be an unsigned integer".to_owned())
}

fn shifted_left(given: &[Value]) -> Answer {
    let (number, places) = (integer(given, 0)?, places(given)?);
    let shifted = if number == 0 { Some(0) } else { number.checked_shl(places).filter(|it| it >> places == number) };
    shifted.map(Value::from).ok_or_else(|| "the result has more than 64 bits".to_owned())
}

fn slice(given: &[Value]) -> Answer {
    let Value::Array(items) = &given[0] else {
        return Err("operand 1 must be an array".to_owned());
    };
    let place = |at| integer(given, at).map(|it| usize::try_from(it).unwrap_or(0).min(items.len()));
    let (start, stop) = (place(1)?, place(2)?);
    Ok(Value::from(items.iter().take(stop).skip(start).cloned().collect::<Vec<_>>()))
}

fn quote_meta(given: &[Value]) -> Answer {
    let mut quoted = String::new();
    for sign in text(given, 0)?.chars() {
        if "*?\\[]{}".contains(sign) {
            quoted.push('\\');
        }
        quoted.push(sign);
    }
    Ok(Value::from(quoted))
}

/// Where the second text stands in the first, in characters: the first place, or -1.
fn place_of(given: &[Value]) -> Answer {
    let (whole, part) = searched(given)?;
    let place = whole.find(part).map(|at| whole[..at].chars().count());
    Ok(Value::from(place.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1)))
}

/// The same for all places, which may overlap.
fn places_of(given: &[Value]) -> Answer {
    let (whole, part) = searched(given)?;
    if whole.len().saturating_mul(part.len()) > COMPARED_MAX {
        return Err("the texts are too long to be compared at every place".to_owned());
    }
    let starts = whole.char_indices().enumerate().filter(|(_, (at, _))| whole[*at..].starts_with(part));
    Ok(Value::from(starts.map(|(place, _)| Value::from(place as u64)).collect::<Vec<_>>()))
}

fn searched(given: &[Value]) -> Result<(&str, &str), String> {
    match (text(given, 0)?, text(given, 1)?) {
        (_, "") => Err("empty search character".to_owned()),
        both => Ok(both),
    }
}

fn range(first: i64, last: i64, step: i64) -> Answer {
    let members = first.abs_diff(last) / step.unsigned_abs();
    let count = usize::try_from(members).unwrap_or(usize::MAX).saturating_add(1);
    if count > RANGE_MAX {
        return Err(format!("the range has more than {RANGE_MAX} members"));
    }
    let step = if first <= last { step } else { -step };
    let next = |it: &i64| it.checked_add(step);
    Ok(Value::from(std::iter::successors(Some(first), next).take(count).map(Value::from).collect::<Vec<_>>()))
}

fn subset(given: &[Value]) -> Answer {
    let holds = match (&given[0], &given[1]) {
        (Value::Array(whole), Value::Set(part)) => part.iter().all(|it| whole.contains(it)),
        (whole, part) => contains(whole, part)
            .ok_or_else(|| "both arguments must be objects, arrays or sets, or an array and a set".to_owned())?,
    };
    Ok(Value::from(holds))
}

/// Whether one collection holds all of another of its type; None where these are no two collections of one type.
fn contains(whole: &Value, part: &Value) -> Option<bool> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => Some(part.iter().all(|(key, below)| {
            let above = whole.get(key);
            above.is_some_and(|above| above == below || contains(above, below).unwrap_or(false))
        })),
        (Value::Set(whole), Value::Set(part)) => Some(part.is_subset(whole)),
        (Value::Array(_), Value::Array(part)) if part.is_empty() => Some(true),
        (Value::Array(whole), Value::Array(part)) => {
            let (whole, part) = (whole.to_vec(), part.to_vec());
            Some(whole.windows(part.len()).any(|it| it == part))
        }
        _ => None,
    }
}

fn substring(given: &[Value]) -> Answer {
    let (whole, length) = (text(given, 0)?, integer(given, 2)?);
    let start = usize::try_from(integer(given, 1)?).map_err(|_| "negative offset".to_owned())?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(Value::from(whole.chars().skip(start).take(length).collect::<String>()))
}

/// As Go's `QueryUnescape` does.
fn decode(given: &[Value]) -> Answer {
    let mut rest = text(given, 0)?.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match first {
            b'%' => {
                let (digits, after) = after.split_at_checked(2).ok_or("invalid URL escape")?;
                rest = after;
                let digit = |at: usize| char::from(digits[at]).to_digit(16).ok_or("invalid URL escape");
                (digit(0)? << 4 | digit(1)?) as u8
            }
            b'+' => b' ',
            sign => *sign,
        });
    }
    Ok(Value::from(String::from_utf8_lossy(&decoded).into_owned()))
}

/// As Go's `QueryEscape` does.
fn encode(given: &[Value]) -> Answer {
    let mut encoded = String::new();
    for byte in text(given, 0)?.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(Value::from(encoded))
}
