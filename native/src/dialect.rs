//! Patterns of RE2, as OPA reads them, rewritten for the `regex` crate.
//!
//! The two are close, and differ where it hurts: `\d`, `\w`, `\s` and `\b` are ASCII in RE2 and Unicode here, so that
//! `^\d+$` would let digits of every script through; `[a&&b]`, `[[x]` and `\<` mean other things; `(?x)`, `a**` and
//! counts beyond 1,000 are errors there. What cannot be rewritten is an error here too: a refusal, not another meaning.
//! Source: the RE2 syntax page and the grammar of Go's `regexp/syntax`.

use std::iter::Peekable;
use std::str::Chars;

/// RE2's own limit.
const REPEAT_MAX: u32 = 1000;

type Result<T> = std::result::Result<T, String>;

/// The same pattern for the `regex` crate, or why there is none.
pub fn rewrite(pattern: &str) -> Result<String> {
    let mut output = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let mut repeatable = Repeatable::Nothing;
    while let Some(sign) = rest.next() {
        repeatable = match sign {
            '\\' => escape(&mut rest, &mut output)?,
            '[' => {
                class(&mut rest, &mut output)?;
                Repeatable::Yes
            }
            '(' => {
                group(&mut rest, &mut output)?;
                Repeatable::Nothing
            }
            ')' | '.' | '^' | '$' => {
                output.push(sign);
                Repeatable::Yes
            }
            '|' => {
                output.push(sign);
                Repeatable::Nothing
            }
            '*' | '+' | '?' => repeat(&sign.to_string(), repeatable, &mut rest, &mut output)?,
            '{' => match count(&rest)? {
                Some((text, length)) => {
                    rest.nth(length - 1);
                    repeat(&text, repeatable, &mut rest, &mut output)?
                }
                None => {
                    output.push_str("\\{");
                    Repeatable::Yes
                }
            },
            _ => {
                literal(sign, &mut output);
                Repeatable::Yes
            }
        };
    }
    Ok(output)
}

/// What a repetition would repeat.
#[derive(Clone, Copy, PartialEq)]
enum Repeatable {
    Nothing,
    Yes,
    Repeated,
}

fn repeat(
    operator: &str,
    repeatable: Repeatable,
    rest: &mut Peekable<Chars<'_>>,
    output: &mut String,
) -> Result<Repeatable> {
    match repeatable {
        Repeatable::Nothing => return Err(format!("missing argument to repetition operator: `{operator}`")),
        Repeatable::Repeated => return Err(format!("invalid nested repetition operator: `{operator}`")),
        Repeatable::Yes => {}
    }
    output.push_str(operator);
    if rest.next_if_eq(&'?').is_some() {
        output.push('?');
    }
    Ok(Repeatable::Repeated)
}

/// The count after an opening brace, as it is written with both braces, and its length without the first.
fn count(rest: &Peekable<Chars<'_>>) -> Result<Option<(String, usize)>> {
    let inside: String = rest.clone().take_while(|sign| *sign != '}').take(16).collect();
    if rest.clone().nth(inside.len()) != Some('}') {
        return Ok(None);
    }
    let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= REPEAT_MAX);
    match (number(least), most.is_empty() || number(most) >= number(least) && number(most).is_some()) {
        (Some(_), true) => Ok(Some((format!("{{{inside}}}"), inside.len() + 1))),
        _ => Err(format!("invalid repeat count: `{{{inside}}}`")),
    }
}

/// One character that stands for itself.
fn literal(sign: char, output: &mut String) {
    if sign.is_ascii() && !sign.is_ascii_alphanumeric() {
        output.push_str(&format!("\\x{{{:x}}}", u32::from(sign)));
    } else {
        output.push(sign);
    }
}

fn group(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<()> {
    output.push('(');
    if rest.next_if_eq(&'?').is_none() {
        return Ok(());
    }
    output.push('?');
    if rest.next_if_eq(&'P').is_some() && rest.peek() != Some(&'<') {
        return Err("invalid or unsupported Perl syntax: `(?P`".to_owned());
    }
    if rest.next_if_eq(&'<').is_some() {
        output.push('<');
        for sign in rest.by_ref() {
            output.push(sign);
            if sign == '>' {
                return Ok(());
            }
            if !(sign.is_ascii_alphanumeric() || sign == '_') {
                break;
            }
        }
        return Err("invalid named capture".to_owned());
    }
    for sign in rest.by_ref() {
        output.push(sign);
        match sign {
            ':' | ')' => return Ok(()),
            'i' | 'm' | 's' | 'U' | '-' => {}
            _ => break,
        }
    }
    Err("invalid or unsupported Perl syntax: `(?`".to_owned())
}

const DIGIT: &str = "0-9";
const SPACE: &str = "\\t\\n\\x0c\\r\\x20";
const WORD: &str = "0-9A-Za-z_";

/// The members of `\d`, `\s` or `\w`, and whether the class is its complement.
fn perl_class(sign: char) -> Option<(&'static str, bool)> {
    match sign {
        'd' | 'D' => Some((DIGIT, sign == 'D')),
        's' | 'S' => Some((SPACE, sign == 'S')),
        'w' | 'W' => Some((WORD, sign == 'W')),
        _ => None,
    }
}

/// What follows a backslash outside of a class.
fn escape(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<Repeatable> {
    let next = *rest.peek().ok_or("trailing backslash")?;
    if let Some((members, complement)) = perl_class(next) {
        rest.next();
        output.push_str(&format!("(?-i:[{}{members}])", if complement { "^" } else { "" }));
        return Ok(Repeatable::Yes);
    }
    match next {
        'b' => output.push_str("(?-u:\\b)"),
        'A' => output.push_str("\\A"),
        'z' => output.push_str("\\z"),
        'Q' => {
            rest.next();
            return Ok(quoted(rest, output));
        }
        'p' | 'P' => {
            unicode_class(rest, output)?;
            return Ok(Repeatable::Yes);
        }
        _ => {
            literal(escaped(rest)?, output);
            return Ok(Repeatable::Yes);
        }
    }
    rest.next();
    Ok(Repeatable::Yes)
}

/// `\Q…\E`, whose end may be missing.
fn quoted(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Repeatable {
    let mut found = Repeatable::Nothing;
    while let Some(sign) = rest.next() {
        if sign == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        literal(sign, output);
        found = Repeatable::Yes;
    }
    found
}

/// `\pL`, `\p{Greek}`, `\P{^Greek}`: spelled alike in both.
fn unicode_class(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<()> {
    output.push('\\');
    output.push(rest.next().ok_or("trailing backslash")?);
    let first = rest.next().ok_or("invalid character class range: `\\p`")?;
    output.push(first);
    if first == '{' {
        for sign in rest.by_ref() {
            output.push(sign);
            if sign == '}' {
                return Ok(());
            }
            if !(sign.is_ascii_alphanumeric() || sign == '_' || sign == '^') {
                break;
            }
        }
        return Err("invalid character class range: `\\p{`".to_owned());
    }
    if first.is_ascii_alphabetic() {
        Ok(())
    } else {
        Err("invalid character class range: `\\p`".to_owned())
    }
}

/// The character that an escape stands for; the backslash is read already.
fn escaped(rest: &mut Peekable<Chars<'_>>) -> Result<char> {
    let sign = rest.next().ok_or("trailing backslash")?;
    let octal = |rest: &mut Peekable<Chars<'_>>, first: u32, more: u32| {
        (0..more).fold(first, |value, _| match rest.next_if(|sign| ('0'..='7').contains(sign)) {
            Some(digit) => value * 8 + digit.to_digit(8).unwrap_or_default(),
            None => value,
        })
    };
    let code = match sign {
        'a' => 7,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '0' => octal(rest, 0, 2),
        '1'..='7' if rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
            octal(rest, sign.to_digit(8).unwrap_or_default(), 2)
        }
        'x' => hexadecimal(rest)?,
        _ if sign.is_ascii() && !sign.is_ascii_alphanumeric() => u32::from(sign),
        _ => return Err(format!("invalid escape sequence: `\\{sign}`")),
    };
    char::from_u32(code).ok_or_else(|| "invalid escape sequence".to_owned())
}

fn hexadecimal(rest: &mut Peekable<Chars<'_>>) -> Result<u32> {
    let wrong = || "invalid escape sequence: `\\x`".to_owned();
    let digits: String = if rest.next_if_eq(&'{').is_some() {
        let digits: String = rest.by_ref().take_while(|sign| *sign != '}').take(7).collect();
        digits
    } else {
        rest.by_ref().take(2).collect()
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    u32::from_str_radix(&digits, 16).map_err(|_| wrong())
}

/// A class in brackets; the opening one is read already.
fn class(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<()> {
    let missing = || "missing closing ]".to_owned();
    output.push('[');
    if rest.next_if_eq(&'^').is_some() {
        output.push('^');
    }
    let mut first = true;
    loop {
        let next = *rest.peek().ok_or_else(missing)?;
        if next == ']' && !first {
            rest.next();
            output.push(']');
            return Ok(());
        }
        first = false;
        if next == '[' && rest.clone().nth(1) == Some(':') {
            posix(rest, output)?;
            continue;
        }
        if next == '\\' {
            let after = rest.clone().nth(1).ok_or_else(missing)?;
            if let Some((members, complement)) = perl_class(after) {
                rest.nth(1);
                output.push_str(&if complement { format!("[^{members}]") } else { members.to_owned() });
                continue;
            }
            if matches!(after, 'p' | 'P') {
                rest.next();
                unicode_class(rest, output)?;
                continue;
            }
        }
        let low = class_member(rest)?;
        let mut ahead = rest.clone();
        let range = ahead.next() == Some('-') && ahead.next().is_some_and(|sign| sign != ']');
        let high = if range {
            rest.next();
            class_member(rest)?
        } else {
            low
        };
        if high < low {
            return Err("invalid character class range".to_owned());
        }
        output.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
    }
}

fn class_member(rest: &mut Peekable<Chars<'_>>) -> Result<char> {
    match rest.next() {
        Some('\\') => escaped(rest),
        Some(sign) => Ok(sign),
        None => Err("missing closing ]".to_owned()),
    }
}

/// `[:alpha:]`, ASCII in both.
fn posix(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<()> {
    let mut name = String::new();
    for sign in rest.by_ref() {
        name.push(sign);
        if name.len() > 2 && name.ends_with(":]") {
            output.push_str(&name);
            return Ok(());
        }
        if name.len() > 12 {
            break;
        }
    }
    Err(format!("invalid character class range: `{name}`"))
}
