//! The functions of EQL.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::ast::Arithmetic;
use crate::fold::{eq_folded, folded, folded_if};
use crate::network::Network;
use crate::wildcard::{Occurrence, find_from};

/// A value while an expression is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Computed<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    /// The values of a multi-valued field, each of which is single.
    Many(Vec<Computed<'a>>),
}

/// The functions, by the names of Elasticsearch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Add,
    Between,
    CidrMatch,
    Concat,
    Divide,
    EndsWith,
    IndexOf,
    Length,
    Modulo,
    Multiply,
    Number,
    StartsWith,
    String,
    StringContains,
    Substring,
    Subtract,
}

/// How a function is called.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    /// The least and the largest number of arguments.
    pub(crate) arguments: (usize, usize),
    /// Whether it has a `~` form.
    pub(crate) insensitive: bool,
    /// Whether it is a condition by itself.
    pub(crate) boolean: bool,
    /// How a message shows it.
    pub(crate) usage: &'static str,
}

pub(crate) const FUNCTIONS: [Signature; 16] = {
    const fn entry(
        name: &'static str,
        function: Function,
        arguments: (usize, usize),
        insensitive: bool,
        usage: &'static str,
    ) -> Signature {
        let boolean = matches!(
            function,
            Function::CidrMatch | Function::EndsWith | Function::StartsWith | Function::StringContains
        );
        Signature { name, function, arguments, insensitive, boolean, usage }
    }
    [
        entry("add", Function::Add, (2, 2), false, "add(a, b)"),
        entry("between", Function::Between, (3, 4), true, "between(text, left, right[, greedy])"),
        entry("cidrMatch", Function::CidrMatch, (2, usize::MAX), false, "cidrMatch(ip, network, …)"),
        entry("concat", Function::Concat, (1, usize::MAX), false, "concat(value, …)"),
        entry("divide", Function::Divide, (2, 2), false, "divide(a, b)"),
        entry("endsWith", Function::EndsWith, (2, 2), true, "endsWith(text, ending)"),
        entry("indexOf", Function::IndexOf, (2, 3), true, "indexOf(text, part[, start])"),
        entry("length", Function::Length, (1, 1), false, "length(text)"),
        entry("modulo", Function::Modulo, (2, 2), false, "modulo(a, b)"),
        entry("multiply", Function::Multiply, (2, 2), false, "multiply(a, b)"),
        entry("number", Function::Number, (1, 2), false, "number(text[, base])"),
        entry("startsWith", Function::StartsWith, (2, 2), true, "startsWith(text, beginning)"),
        entry("string", Function::String, (1, 1), false, "string(value)"),
        entry("stringContains", Function::StringContains, (2, 2), true, "stringContains(text, part)"),
        entry("substring", Function::Substring, (2, 3), false, "substring(text, start[, end])"),
        entry("subtract", Function::Subtract, (2, 2), false, "subtract(a, b)"),
    ]
};

/// Finds a function by its name, in any case.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name.eq_ignore_ascii_case(name))
}

impl Function {
    /// Applies the function. A multi-valued argument gives the results for each of its values.
    pub(crate) fn apply<'a>(self, arguments: Vec<Computed<'a>>, insensitive: bool) -> Computed<'a> {
        if let Some(at) = arguments.iter().position(|argument| matches!(argument, Computed::Many(_))) {
            let mut arguments = arguments;
            let Computed::Many(values) = std::mem::replace(&mut arguments[at], Computed::Null) else {
                return Computed::Null;
            };
            let limit = product_limit(arguments.iter());
            let results = values.into_iter().map(|value| {
                let mut single = arguments.clone();
                single[at] = value;
                self.apply(single, insensitive)
            });
            return many(results, limit);
        }
        self.apply_single(&arguments, insensitive).unwrap_or(Computed::Null)
    }

    fn apply_single<'a>(self, arguments: &[Computed<'a>], insensitive: bool) -> Option<Computed<'a>> {
        let argument = |at: usize| arguments.get(at).unwrap_or(&Computed::Null);
        let text = |at: usize| argument(at).text();
        let arithmetic = |operator| calculate(operator, argument(0), argument(1));
        Some(match self {
            Function::Add => arithmetic(Arithmetic::Add),
            Function::Subtract => arithmetic(Arithmetic::Subtract),
            Function::Multiply => arithmetic(Arithmetic::Multiply),
            Function::Divide => arithmetic(Arithmetic::Divide),
            Function::Modulo => arithmetic(Arithmetic::Modulo),
            Function::Length => Computed::Int(text(0)?.chars().count() as i64),
            Function::String => Computed::Str(Cow::Owned(argument(0).display()?)),
            Function::Concat => {
                let mut result = String::new();
                for argument in arguments {
                    result.push_str(&argument.display()?);
                }
                Computed::Str(Cow::Owned(result))
            }
            Function::StartsWith => Computed::Bool(
                folded_if(text(0)?, insensitive).starts_with(&*folded_if(text(1)?, insensitive)),
            ),
            Function::EndsWith => {
                Computed::Bool(folded_if(text(0)?, insensitive).ends_with(&*folded_if(text(1)?, insensitive)))
            }
            Function::StringContains => {
                Computed::Bool(folded_if(text(0)?, insensitive).contains(&*folded_if(text(1)?, insensitive)))
            }
            Function::CidrMatch => {
                let address: IpAddr = text(0)?.parse().ok()?;
                let networks = (1..arguments.len()).map(|at| text(at).and_then(Network::parse));
                Computed::Bool(networks.flatten().any(|network| network.contains(address)))
            }
            Function::IndexOf => {
                let (text, part) = (text(0)?, text(1)?);
                let start = match argument(2) {
                    Computed::Null => 0,
                    other => usize::try_from(other.whole()?.max(0)).ok()?,
                };
                // A start beyond the end finds nothing, not even nothing.
                let from = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(start)?;
                let (at, _) = find_from(text, part, from, insensitive, Occurrence::First)?;
                Computed::Int(text[..at].chars().count() as i64)
            }
            Function::Substring => {
                let text = text(0)?;
                let length = text.chars().count() as i64;
                let bound = |at: usize, open: i64| match argument(at) {
                    Computed::Null => Some(open),
                    other => other
                        .whole()
                        .map(|n| if n < 0 { n.saturating_add(length).max(0) } else { n.min(length) }),
                };
                let (start, end) = (bound(1, 0)?, bound(2, length)?);
                let count = usize::try_from((end - start).max(0)).ok()?;
                Computed::Str(Cow::Owned(
                    text.chars().skip(usize::try_from(start).ok()?).take(count).collect(),
                ))
            }
            Function::Between => {
                let (text, left, right) = (text(0)?, text(1)?, text(2)?);
                let greedy = match argument(3) {
                    Computed::Bool(greedy) => *greedy,
                    Computed::Null => false,
                    _ => return None,
                };
                let (_, start) = find_from(text, left, 0, insensitive, Occurrence::First)?;
                let occurrence = if greedy { Occurrence::Last } else { Occurrence::First };
                let (end, _) = find_from(text, right, start, insensitive, occurrence)?;
                Computed::Str(Cow::Owned(text[start..end].to_owned()))
            }
            Function::Number => number(text(0)?, argument(1))?,
        })
    }
}

/// Applies an arithmetic operator; null where a side is null or not a number, or the result has none.
pub(crate) fn calculate<'a>(operator: Arithmetic, left: &Computed<'a>, right: &Computed<'a>) -> Computed<'a> {
    if let Computed::Many(values) = left {
        let limit = product_limit([right].into_iter());
        return many(values.iter().map(|value| calculate(operator, value, right)), limit);
    }
    if let Computed::Many(values) = right {
        return many(values.iter().map(|value| calculate(operator, left, value)), usize::MAX);
    }
    let whole = |result: Option<i64>| result.map(Computed::Int);
    let result = match (left, right) {
        (Computed::Int(a), Computed::Int(b)) => match operator {
            Arithmetic::Add => whole(a.checked_add(*b)),
            Arithmetic::Subtract => whole(a.checked_sub(*b)),
            Arithmetic::Multiply => whole(a.checked_mul(*b)),
            Arithmetic::Divide => whole(a.checked_div(*b)),
            Arithmetic::Modulo => whole(a.checked_rem(*b)),
        },
        _ => match (left.float(), right.float()) {
            (Some(a), Some(b)) => {
                let result = match operator {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide => a / b,
                    Arithmetic::Modulo => a % b,
                };
                result.is_finite().then_some(Computed::Float(result))
            }
            _ => None,
        },
    };
    result.unwrap_or(Computed::Null)
}

/// How many results the combinations of several multi-valued operands may have. `a - a - a - …` over a field of
/// three values would otherwise have three to the power of its length.
const MAX_PRODUCT: usize = 1 << 12;

/// Returns how many results an operand of several values may give beside `others`: one for each of its values,
/// unless one of them has several too.
fn product_limit<'c, 'a: 'c>(mut others: impl Iterator<Item = &'c Computed<'a>>) -> usize {
    if others.any(|other| matches!(other, Computed::Many(_))) { MAX_PRODUCT } else { usize::MAX }
}

/// Gathers the results for the values of a multi-valued field, up to `limit`; nulls are left out.
pub(crate) fn many<'a>(values: impl Iterator<Item = Computed<'a>>, limit: usize) -> Computed<'a> {
    let mut gathered = Vec::new();
    for value in values {
        if gathered.len() >= limit {
            gathered.truncate(limit);
            break;
        }
        match value {
            Computed::Null => {}
            Computed::Many(inner) => gathered.extend(inner),
            single => gathered.push(single),
        }
    }
    match gathered.len() {
        0 => Computed::Null,
        1 => gathered.swap_remove(0),
        _ => Computed::Many(gathered),
    }
}

/// `number("…", base)`: decimal, or `0x…` where no base is given.
fn number<'a>(text: &str, base: &Computed<'_>) -> Option<Computed<'a>> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let base = match base {
        Computed::Null => None,
        other => Some(other.whole()?),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let radix = match (base, hexadecimal) {
        (None, Some(_)) => 16,
        (None, None) => 10,
        (Some(base), _) => u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?,
    };
    let digits = match hexadecimal {
        Some(rest) if radix == 16 => rest,
        _ => digits,
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(number) = i128::from_str_radix(digits, radix)
        && let Ok(number) = i64::try_from(sign * number)
    {
        return Some(Computed::Int(number));
    }
    let decimal = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if radix != 10 || !decimal {
        return None;
    }
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some(Computed::Float(sign as f64 * number))
}

impl<'a> Computed<'a> {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Computed::Str(text) => Some(text),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Computed::Int(number) => Some(*number),
            Computed::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            _ => None,
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Computed::Int(number) => Some(*number as f64),
            Computed::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The value as `string()` and `concat()` write it.
    fn display(&self) -> Option<String> {
        match self {
            Computed::Null | Computed::Many(_) => None,
            Computed::Bool(value) => Some(value.to_string()),
            Computed::Int(number) => Some(number.to_string()),
            // `1.0`, not `1`, as Elasticsearch writes a double.
            Computed::Float(number) => Some(format!("{number:?}")),
            Computed::Str(text) => Some(text.to_string()),
        }
    }

    /// Compares two single values; `None` where they have no order, as text and a number.
    pub(crate) fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Computed::Bool(a), Computed::Bool(b)) => Some(a.cmp(b)),
            (Computed::Int(a), Computed::Int(b)) => Some(a.cmp(b)),
            (Computed::Str(a), Computed::Str(b)) => Some(a.as_ref().cmp(b.as_ref())),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    /// Compares two single values for equality, text in any case if `insensitive`.
    pub(crate) fn equals(&self, other: &Self, insensitive: bool) -> bool {
        match (self, other) {
            (Computed::Str(a), Computed::Str(b)) if insensitive => eq_folded(a, &folded(b)),
            _ => self.compare(other) == Some(std::cmp::Ordering::Equal),
        }
    }

    /// Returns whether any single value satisfies `test`; `None` if there is no value.
    pub(crate) fn any(&self, mut test: impl FnMut(&Self) -> bool) -> Option<bool> {
        match self {
            Computed::Null => None,
            Computed::Many(values) => Some(values.iter().any(test)),
            single => Some(test(single)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(name: &str, insensitive: bool, arguments: &[Computed<'static>]) -> Computed<'static> {
        find(name).unwrap().function.apply(arguments.to_vec(), insensitive)
    }

    fn s(text: &'static str) -> Computed<'static> {
        Computed::Str(text.into())
    }

    use Computed::{Bool, Float, Int, Null};

    #[test]
    fn text_functions() {
        for (name, insensitive, arguments, expected) in [
            ("length", false, vec![s("añb")], Int(3)),
            ("length", false, vec![Int(3)], Null),
            ("concat", false, vec![s("a"), Int(1), Bool(true), Float(2.0)], s("a1true2.0")),
            ("concat", false, vec![s("a"), Null], Null),
            ("string", false, vec![Float(0.5)], s("0.5")),
            ("startsWith", false, vec![s("Ab"), s("a")], Bool(false)),
            ("startsWith", true, vec![s("Ab"), s("a")], Bool(true)),
            ("endsWith", true, vec![s("xAb"), s("aB")], Bool(true)),
            ("stringContains", true, vec![s("xÄy"), s("ä")], Bool(true)),
            ("stringContains", false, vec![Null, s("a")], Null),
            ("indexOf", false, vec![s("añbb"), s("b")], Int(2)),
            ("indexOf", false, vec![s("abab"), s("b"), Int(2)], Int(3)),
            ("indexOf", false, vec![s("abab"), s("b"), Int(-5)], Int(1)),
            ("indexOf", false, vec![s("abab"), s("x")], Null),
            ("indexOf", false, vec![s("ab"), s("b"), Int(9)], Null),
            ("indexOf", true, vec![s("aXb"), s("xB")], Int(1)),
            ("substring", false, vec![s("hello"), Int(1), Int(3)], s("el")),
            ("substring", false, vec![s("hello"), Int(-3), Int(-1)], s("ll")),
            ("substring", false, vec![s("hello"), Int(3)], s("lo")),
            ("substring", false, vec![s("hello"), Int(4), Int(2)], s("")),
            ("substring", false, vec![s("hello"), Int(-99), Int(99)], s("hello")),
            ("between", false, vec![s("a[b]c]"), s("["), s("]")], s("b")),
            ("between", false, vec![s("a[b]c]"), s("["), s("]"), Bool(true)], s("b]c")),
            ("between", false, vec![s("abc"), s("x"), s("c")], Null),
            ("between", true, vec![s("aXbYc"), s("x"), s("y")], s("b")),
        ] {
            assert_eq!(apply(name, insensitive, &arguments), expected, "{name} {arguments:?}");
        }
    }

    #[test]
    fn numbers() {
        for (name, arguments, expected) in [
            ("add", vec![Int(1), Float(0.5)], Float(1.5)),
            ("divide", vec![Int(-7), Int(2)], Int(-3)),
            ("divide", vec![Int(7), Float(2.0)], Float(3.5)),
            ("divide", vec![Int(7), Int(0)], Null),
            ("divide", vec![Float(7.0), Int(0)], Null),
            ("modulo", vec![Int(-7), Int(3)], Int(-1)),
            ("multiply", vec![Int(i64::MAX), Int(2)], Null),
            ("subtract", vec![Int(1), Null], Null),
            ("number", vec![s(" 12 ")], Int(12)),
            ("number", vec![s("0xFF")], Int(255)),
            ("number", vec![s("ff"), Int(16)], Int(255)),
            ("number", vec![s("-0x10"), Int(16)], Int(-16)),
            ("number", vec![s("12"), Null], Int(12)),
            ("number", vec![s("1.5")], Float(1.5)),
            ("number", vec![s("+-1")], Null),
            ("number", vec![s("inf")], Null),
            ("number", vec![s("9"), Int(8)], Null),
            ("number", vec![s("1"), Int(99)], Null),
        ] {
            assert_eq!(apply(name, false, &arguments), expected, "{name} {arguments:?}");
        }
    }

    #[test]
    fn several_values_give_several_results() {
        let values = Computed::Many(vec![s("ab"), s("c")]);
        assert_eq!(
            apply("length", false, std::slice::from_ref(&values)),
            Computed::Many(vec![Int(2), Int(1)])
        );
        assert_eq!(apply("indexOf", false, &[values, s("b")]), Int(1));
    }
}
