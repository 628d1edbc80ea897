//! `sprintf` as OPA has it: Go's `fmt.Sprintf` over numbers, texts and the Rego form of everything else.
//!
//! regorus' own prints `--3` for `%d` of -3 and nothing for a value that does not fit its verb, where OPA says so
//! (`%!d(string=a)`). What is left out (`%c`, `%U`, `%T`, `%p`, `%#v`, `*` and `[n]`, hexadecimal floats) is an error: a refusal,
//! not another text. Source: the documentation of Go's package `fmt`; found equal by comparison with an OPA server.

use regorus::Value;

type Text = Result<String, String>;

/// The widest field and the longest fraction. Go's own limit is a million; a policy has no use for that.
const WIDTH_MAX: usize = 10_000;

/// Digits of an integer that canonical JSON (RFC 8785) writes out; a larger one gets an exponent.
const DIGITS_MAX: usize = 21;

/// The format with its verbs replaced by `values`.
pub fn sprintf<'a>(format: &str, values: impl Iterator<Item = &'a Value>) -> Text {
    let operands: Vec<Operand> = values.map(Operand::of).collect();
    let mut output = String::with_capacity(format.len() + 16 * operands.len());
    let mut signs = format.chars().peekable();
    let mut next = 0;
    while let Some(sign) = signs.next() {
        if sign != '%' {
            output.push(sign);
            continue;
        }
        let spec = Spec::read(&mut signs)?;
        match signs.next() {
            None => output.push_str("%!(NOVERB)"),
            Some('%') => output.push('%'),
            Some(verb) => match operands.get(next) {
                None => output.push_str(&format!("%!{verb}(MISSING)")),
                Some(operand) => {
                    next += 1;
                    output.push_str(&operand.print(verb, &spec)?);
                }
            },
        }
    }
    if next < operands.len() {
        let extra = |operand: &Operand| Ok(format!("{}={}", operand.kind()?, operand.print('v', &Spec::default())?));
        let extras: Vec<String> = operands[next..].iter().map(extra).collect::<Result<_, String>>()?;
        output.push_str(&format!("%!(EXTRA {})", extras.join(", ")));
    }
    Ok(output)
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn read(signs: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Self, String> {
        let mut spec = Self::default();
        while let Some(flag) = signs.next_if(|sign| "#0+- ".contains(*sign)) {
            match flag {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                _ => spec.space = true,
            }
        }
        spec.width = number(signs)?;
        if signs.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(signs)?.unwrap_or(0));
        }
        match signs.peek() {
            Some(sign @ ('*' | '[')) => Err(format!("`{sign}` in a format is not supported")),
            _ => Ok(spec),
        }
    }

    /// `text`, filled up to the width.
    fn pad(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let filler = if self.zero && !self.minus { "0" } else { " " }.repeat(missing);
        if self.minus {
            format!("{text}{filler}")
        } else {
            format!("{filler}{text}")
        }
    }
}

fn number(signs: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut found = None;
    while let Some(digit) = signs.next_if(char::is_ascii_digit) {
        let value = found.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize;
        if value > WIDTH_MAX {
            return Err(format!("a width above {WIDTH_MAX} in a format is not supported"));
        }
        found = Some(value);
    }
    Ok(found)
}

/// A value as Go is given it.
enum Operand {
    Integer(i64),
    Big(String),
    Float(f64),
    Text(String),
}

impl Operand {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) if number.is_integer() => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => match number.format_decimal() {
                    // Canonical JSON writes such a number with an exponent, which Go reads as a float.
                    digits if digits.trim_start_matches('-').len() > DIGITS_MAX => {
                        Self::Float(digits.parse().unwrap_or(f64::INFINITY))
                    }
                    digits => Self::Big(digits),
                },
            },
            Value::Number(number) => match number.as_f64() {
                Some(float) => Self::Float(float),
                None => Self::Big(number.format_decimal()),
            },
            Value::String(text) => Self::Text(text.to_string()),
            other => Self::Text(term(other)),
        }
    }

    fn kind(&self) -> Text {
        match self {
            Self::Integer(_) => Ok("int64".to_owned()),
            Self::Float(_) => Ok("float64".to_owned()),
            Self::Text(_) => Ok("string".to_owned()),
            Self::Big(_) => Err("an integer beyond 64 bits fits no such verb".to_owned()),
        }
    }

    fn print(&self, verb: char, spec: &Spec) -> Text {
        if matches!(verb, 'T' | 'p' | 'c' | 'U') || (spec.sharp && !matches!(verb, 'b' | 'o' | 'x' | 'X')) {
            let sharp = if spec.sharp { "#" } else { "" };
            return Err(format!("`%{sharp}{verb}` is not supported"));
        }
        match (self, verb) {
            (Self::Integer(value), 'v' | 'd') => Ok(integer(*value, 10, verb, spec)),
            (Self::Integer(value), 'b') => Ok(integer(*value, 2, verb, spec)),
            (Self::Integer(value), 'o' | 'O') => Ok(integer(*value, 8, verb, spec)),
            (Self::Integer(value), 'x' | 'X') => Ok(integer(*value, 16, verb, spec)),
            (Self::Big(digits), 'v' | 'd' | 's') if spec.precision.is_none() && !spec.plus && !spec.space => {
                Ok(spec.pad(digits))
            }
            (Self::Float(value), 'v') => float(*value, 'g', spec),
            (Self::Float(value), 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => float(*value, verb, spec),
            (Self::Text(text), 'v' | 's') => Ok(spec.pad(&cut(text, spec))),
            (Self::Text(text), 'q') => Ok(spec.pad(&quoted(&cut(text, spec)))),
            (Self::Text(text), 'x' | 'X') if !spec.sharp && !spec.space && spec.precision.is_none() => {
                let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                Ok(spec.pad(&if verb == 'X' { digits.to_uppercase() } else { digits }))
            }
            (Self::Integer(_), 'q') | (Self::Float(_), 'b' | 'x' | 'X') | (Self::Text(_), 'x' | 'X') => {
                Err(format!("`%{verb}` of this value is not supported"))
            }
            _ => Ok(format!("%!{verb}({}={})", self.kind()?, self.print('v', spec)?)),
        }
    }
}

fn cut(text: &str, spec: &Spec) -> String {
    text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect()
}

fn integer(value: i64, base: u32, verb: char, spec: &Spec) -> String {
    let sign = match (value < 0, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let blank = Spec { zero: false, minus: spec.minus, width: spec.width, ..Spec::default() };
    if spec.precision == Some(0) && value == 0 {
        return blank.pad("");
    }
    let size = value.unsigned_abs();
    let mut digits = match base {
        2 => format!("{size:b}"),
        8 => format!("{size:o}"),
        16 if verb == 'X' => format!("{size:X}"),
        16 => format!("{size:x}"),
        _ => size.to_string(),
    };
    let filled = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    digits.insert_str(0, &"0".repeat(filled.saturating_sub(digits.len())));
    let prefix = match (verb, spec.sharp) {
        ('O', _) => "0o",
        ('b', true) => "0b",
        ('o', true) if !digits.starts_with('0') => "0",
        ('x', true) => "0x",
        ('X', true) => "0X",
        _ => "",
    };
    blank.pad(&format!("{sign}{prefix}{digits}"))
}

fn float(value: f64, verb: char, spec: &Spec) -> Text {
    let size = value.abs();
    let plain = match verb {
        'e' | 'E' => exponential(&format!("{:.*e}", spec.precision.unwrap_or(6), size)),
        'f' | 'F' => format!("{:.*}", spec.precision.unwrap_or(6), size),
        _ => shortest(size, spec.precision),
    };
    let digits = if verb.is_uppercase() { plain.to_uppercase() } else { plain };
    let sign = match (value.is_sign_negative(), spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    if spec.zero && !spec.minus && !sign.is_empty() {
        let inner = Spec { zero: true, width: spec.width.map(|width| width.saturating_sub(1)), ..Spec::default() };
        return Ok(format!("{sign}{}", inner.pad(&digits)));
    }
    Ok(spec.pad(&format!("{sign}{digits}")))
}

/// `1.5e0` as Go writes it: `1.5e+00`.
fn exponential(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Go's `%g`: the shortest digits, or so many; with an exponent where it is below -4 or not below their number.
fn shortest(size: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        Some(digits) => format!("{:.*e}", digits.max(1) - 1, size),
        None => format!("{size:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant = mantissa.replace('.', "");
    let significant = significant.trim_end_matches('0');
    let count = i32::try_from(significant.len().max(1)).unwrap_or(i32::MAX);
    let threshold = match precision {
        None => 6,
        Some(digits) => {
            let digits = i32::try_from(digits.max(1)).unwrap_or(i32::MAX);
            if digits > count && count >= exponent + 1 {
                count
            } else {
                digits
            }
        }
    };
    if exponent < -4 || exponent >= threshold {
        return exponential(&format!("{:.*e}", usize::try_from(count - 1).unwrap_or(0), size));
    }
    format!("{:.*}", usize::try_from(count - 1 - exponent).unwrap_or(0), size)
}

/// A value as Rego writes it.
fn term(value: &Value) -> String {
    let listed = |terms: Vec<String>| terms.join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(_) => json_number(value),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", listed(items.iter().map(term).collect())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", listed(items.iter().map(term).collect())),
        Value::Object(fields) => {
            let mut pairs: Vec<_> = fields.iter().collect();
            pairs.sort_by(|left, right| left.0.cmp(right.0));
            format!("{{{}}}", listed(pairs.iter().map(|(key, value)| format!("{}: {}", term(key), term(value))).collect()))
        }
        Value::Undefined => String::new(),
    }
}

/// A number as canonical JSON writes it (RFC 8785), which is how it came in.
fn json_number(value: &Value) -> String {
    let digits = match Operand::of(value) {
        Operand::Integer(integer) => return integer.to_string(),
        Operand::Big(digits) | Operand::Text(digits) => return digits,
        Operand::Float(float) => float,
    };
    let (sign, size) = (if digits < 0.0 { "-" } else { "" }, digits.abs());
    if (1e-6..1e21).contains(&size) {
        return format!("{sign}{size}");
    }
    let text = format!("{size:e}");
    format!("{sign}{}", if text.contains("e-") { text } else { text.replace('e', "e+") })
}

/// A text as Go's `strconv.Quote` writes it.
fn quoted(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + 2);
    output.push('"');
    for sign in text.chars() {
        match sign {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\x07' => output.push_str("\\a"),
            '\x08' => output.push_str("\\b"),
            '\x0c' => output.push_str("\\f"),
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\x0b' => output.push_str("\\v"),
            _ if printable(sign) => output.push(sign),
            _ if sign.is_ascii() => output.push_str(&format!("\\x{:02x}", u32::from(sign))),
            _ if sign > '\u{ffff}' => output.push_str(&format!("\\U{:08x}", u32::from(sign))),
            _ => output.push_str(&format!("\\u{:04x}", u32::from(sign))),
        }
    }
    output.push('"');
    output
}

/// Whether Go prints a character as it is: everything but controls, formats, private ones and spaces beyond ASCII.
fn printable(sign: char) -> bool {
    match sign {
        ' '..='~' => true,
        '\u{ad}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{1680}' | '\u{feff}' | '\u{e0001}' => false,
        '\u{600}'..='\u{605}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' => false,
        '\u{3000}' | '\u{a0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0020}'..='\u{e007f}' => false,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => false,
        _ => !sign.is_control(),
    }
}
