//! Patterns of `glob.match` as regular expressions.
//!
//! `*` is any text without a delimiter, `**` any text, `?` one character that is no delimiter, `[abc]` and `[a-c]` one of
//! these, `[!abc]` and `[!a-c]` one other, `{a,b}` either; a backslash takes the meaning from what follows. This is the
//! syntax of the library that OPA uses, and all of it: what is unclosed or mixed in a bracket is an error.

use std::iter::Peekable;
use std::str::Chars;

/// The pattern as a regular expression of the `regex` crate for whole texts, or why there is none.
pub fn rewrite(pattern: &str, delimiters: &[char]) -> Result<String, String> {
    let inside = if delimiters.is_empty() {
        "(?s:.)".to_owned()
    } else {
        let listed: String = delimiters.iter().map(|sign| exact(*sign)).collect();
        format!("[^{listed}]")
    };
    let mut output = String::from("^");
    let mut open = 0usize;
    let mut rest = pattern.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '*' => {
                let any = rest.next_if_eq(&'*').is_some();
                while rest.next_if_eq(&'*').is_some() {}
                output.push_str(if any { "(?s:.)" } else { &inside });
                output.push('*');
            }
            '?' => output.push_str(&inside),
            '[' => class(&mut rest, &mut output)?,
            '{' => {
                open += 1;
                output.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                output.push(')');
            }
            ',' if open > 0 => output.push('|'),
            '\\' => output.push_str(&exact(rest.next().ok_or("the pattern ends with a backslash")?)),
            _ => output.push_str(&exact(sign)),
        }
    }
    if open > 0 {
        return Err("a brace is not closed".to_owned());
    }
    output.push('$');
    Ok(output)
}

/// One character that stands for itself, inside and outside of a class.
fn exact(sign: char) -> String {
    format!("\\x{{{:x}}}", u32::from(sign))
}

fn class(rest: &mut Peekable<Chars<'_>>, output: &mut String) -> Result<(), String> {
    let complement = rest.next_if_eq(&'!').is_some();
    let mut members = Vec::new();
    loop {
        match rest.next().ok_or("a bracket is not closed")? {
            ']' => break,
            '\\' => members.push(rest.next().ok_or("a bracket is not closed")?),
            sign => members.push(sign),
        }
    }
    output.push_str(if complement { "[^" } else { "[" });
    match members[..] {
        [] => return Err("a bracket is empty".to_owned()),
        [low, '-', high] if low <= high => output.push_str(&format!("{}-{}", exact(low), exact(high))),
        [_, '-', ..] => return Err("a bracket holds more than one range".to_owned()),
        _ => members.iter().for_each(|sign| output.push_str(&exact(*sign))),
    }
    output.push(']');
    Ok(())
}
